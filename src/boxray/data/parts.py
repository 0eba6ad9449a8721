"""What a format's writer is given, and how it writes numbers."""

from __future__ import annotations

from typing import NamedTuple

from boxray.records import FLAGS, Sample

# What an annotation can say beyond boxes, names and pictures: the flags, and these.
AREA = "area"  # of the object, where it is not that of its box
VERIFIED = "verified classes"
UNLABELLED = "unlabelled pictures"
CLASS_LIST = "classes without boxes"
FACTS = (*FLAGS, AREA, VERIFIED, UNLABELLED, CLASS_LIST)

WHOLE = "all"  # the name of a part that is no split


class Part(NamedTuple):
    """One split that is to be written, or all of a data set that has none.

    names: the file name of each sample's picture, of which no two have the same stem.
    """

    split: str
    samples: tuple[Sample, ...]
    names: tuple[str, ...]


def written_number(value: float) -> str:
    """The shortest text that reads back as this very number; whole ones without a point."""
    return str(int(value)) if value == int(value) else repr(float(value))
