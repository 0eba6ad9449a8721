"""ImageNet's 1,000 classes: WordNet ids and names, in the order of networks' outputs."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple


class ClassList(NamedTuple):
    """Class names, and for each the WordNet 3.0 id: `n` and eight digits."""

    names: tuple[str, ...]
    wnids: tuple[str, ...]


@cache
def classes() -> ClassList:
    """The table that comes with boxray. Names are unique; imagenet.tsv says where they are from."""
    text = resources.files(__package__).joinpath("imagenet.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return ClassList(tuple(name for _, name in rows), tuple(wnid for wnid, _ in rows))
