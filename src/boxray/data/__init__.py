"""Annotated images: reading them, whatever their format, with every box accounted for."""

from boxray.data.annotated import Conventions
from boxray.data.classes import ClassMap, read_class_file
from boxray.data.dataset import Dataset, merge
from boxray.data.hierarchy import Hierarchy, expand, read_hierarchy
from boxray.data.reading import Manner, read, splits
from boxray.data.report import Note, Report, Tally
from boxray.data.writing import Written, write

__all__ = [
    "ClassMap",
    "Conventions",
    "Dataset",
    "Hierarchy",
    "Manner",
    "Note",
    "Report",
    "Tally",
    "Written",
    "expand",
    "merge",
    "read",
    "read_class_file",
    "read_hierarchy",
    "splits",
    "write",
]
