"""Annotated images: reading them, whatever their format, with every box accounted for."""

from boxray.data.classes import ClassMap, read_class_file
from boxray.data.dataset import Dataset, merge, read, splits
from boxray.data.hierarchy import Hierarchy, expand, read_hierarchy
from boxray.data.report import Note, Report, Tally

__all__ = [
    "ClassMap",
    "Dataset",
    "Hierarchy",
    "Note",
    "Report",
    "Tally",
    "expand",
    "merge",
    "read",
    "read_class_file",
    "read_hierarchy",
    "splits",
]
