"""Which class is a kind of which, and what an annotation of one says about the others.

As the Open Images challenge expands its annotations before it evaluates: a box, and a label
verified as present, also stand for every broader class; a label verified as absent rules out
every narrower class. Source: storage.googleapis.com/openimages/web/challenge.html, Evaluation;
the file is described in .../download_v7.html, Hierarchy for 600 boxable classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boxray.errors import FormatError
from boxray.records import Sample, Truths

LARGEST_FILE = 16 << 20  # bytes; the published one has 100 kB
DEEPEST = 64


@dataclass(frozen=True)
class Hierarchy:
    """The classes right above each class. A class may have several parents, and no ring leads back.

    parents: class → its parents; a class that is not in it has none.
    """

    parents: Mapping[str, frozenset[str]]

    def __post_init__(self) -> None:
        for name in self.parents:
            if name in self.ancestors(name):
                raise FormatError(f"the hierarchy has a ring: {name} is a kind of itself.")

    def ancestors(self, name: str) -> frozenset[str]:
        """Every broader class."""
        return _reached(name, self.parents)

    def descendants(self, name: str) -> frozenset[str]:
        """Every narrower class."""
        return _reached(name, self.children)

    @cached_property
    def children(self) -> dict[str, frozenset[str]]:
        """Class → the classes right below it."""
        below: dict[str, set[str]] = {}
        for child, parents in self.parents.items():
            for parent in parents:
                below.setdefault(parent, set()).add(child)
        return {name: frozenset(children) for name, children in below.items()}


def _reached(name: str, edges: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    ahead = list(edges.get(name, ()))
    while ahead:
        other = ahead.pop()
        if other not in found:
            found.add(other)
            ahead += edges.get(other, ())
    return frozenset(found)


def read_hierarchy(path: Path | str, names: Mapping[str, str] | None = None) -> Hierarchy:
    """The hierarchy in a JSON file of nested `LabelName` and `Subcategory`.

    names: label → class name; labels that are not in it keep theirs. The outermost entry
    (`Entity` in the published file) holds the others together and is no class. Raises FormatError
    for what is no such file, a ring, or nesting deeper than 64.
    """
    path = Path(path)
    root = _load(path)
    parents: dict[str, set[str]] = {}
    for child, parent, depth in _edges(root):
        if depth > DEEPEST:
            raise FormatError(f"{path} is nested more than {DEEPEST} deep.")
        if not isinstance(child, str) or not child:
            raise FormatError(f"{path}: an entry has no LabelName.")
        above = parents.setdefault(child, set())
        above |= set() if parent is None else {parent}
    given = names or {}
    named = {
        given.get(child, child): frozenset(given.get(parent, parent) for parent in above)
        for child, above in parents.items()
    }
    top = given.get(root.get("LabelName", ""), root.get("LabelName"))
    if top in named:
        raise FormatError(f"{path}: the hierarchy has a ring: {top} is a kind of itself.")
    return Hierarchy(named)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FormatError(f"{path} is larger than {LARGEST_FILE >> 20} MB: no hierarchy.")
        root = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {str(error)[:120]}.") from error
    if not isinstance(root, dict) or not isinstance(root.get("Subcategory"), list):
        raise FormatError(f"{path} is no hierarchy: expected an object with a list Subcategory.")
    return root


def _edges(root: dict[str, Any]) -> Iterator[tuple[object, str | None, int]]:
    """(child, parent, depth) of every entry but the outermost, whose children have no parent."""
    ahead: list[tuple[Any, str | None, int]] = [(entry, None, 1) for entry in root["Subcategory"]]
    while ahead:
        entry, parent, depth = ahead.pop()
        name = entry.get("LabelName") if isinstance(entry, dict) else None
        yield name, parent, depth
        if isinstance(entry, dict):
            below = entry.get("Subcategory", [])
            ahead += [(child, name, depth + 1) for child in (below if type(below) is list else ())]


def expand(
    samples: Sequence[Sample], classes: Sequence[str], hierarchy: Hierarchy
) -> tuple[Sample, ...]:
    """The samples with all that their annotations imply.

    Each box is repeated for every broader class, with its flags and line; labels verified as
    present go up as well, those verified as absent go down. Classes that are not among `classes`
    are left out. What is there already is not added again: to expand twice changes nothing.
    """
    label = {name: i for i, name in enumerate(classes)}
    up = {i: _known(hierarchy.ancestors(name), label) for name, i in label.items()}
    down = {i: _known(hierarchy.descendants(name), label) for name, i in label.items()}
    return tuple(_expanded(sample, up, down) for sample in samples)


def _expanded(
    sample: Sample, up: Mapping[int, frozenset[int]], down: Mapping[int, frozenset[int]]
) -> Sample:
    present = sample.verified_present.union(*(up[i] for i in sample.verified_present))
    absent = sample.verified_absent.union(*(down[i] for i in sample.verified_absent))
    return replace(
        sample,
        truths=_repeated(sample.truths, up),
        verified_present=present,
        verified_absent=absent - present,
    )


def _known(names: frozenset[str], label: Mapping[str, int]) -> frozenset[int]:
    return frozenset(label[name] for name in names if name in label)


def _repeated(truths: Truths, up: Mapping[int, frozenset[int]]) -> Truths:
    """All rows, each followed by its copies for broader classes."""
    labels, boxes = truths.labels.tolist(), [tuple(box) for box in truths.boxes.tolist()]
    there = set(zip(labels, boxes, strict=True))
    order, new = [], []
    for row, (label, box) in enumerate(zip(labels, boxes, strict=True)):
        added = [one for one in sorted(up[label]) if (one, box) not in there]
        there |= {(one, box) for one in added}
        order += [row] * (1 + len(added))
        new += [label, *added]
    taken = truths.take(np.array(order, np.int64))
    return replace(taken, labels=np.array(new, np.int64))
