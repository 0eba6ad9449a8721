"""How the reading of annotated data went, for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from boxray.data import Dataset, Manner, Report
from boxray.data.classes import ClassMap
from boxray.errors import FormatError, SettingError

PLAIN = Manner()  # as the files stand
# The part that no training looked at, if there is one; then the one it was checked on.
PREFERRED_SPLITS = ("test", "val")
MOST_NOTES = 5  # beyond these, a person reads none


def notes_of(account: Report) -> tuple[str, ...]:
    """All of it in one line, then the first remarks."""
    remarks = [str(note) for note in account.notes[:MOST_NOTES]]
    more = len(account.notes) - len(remarks)
    return (
        account.summary(),
        *account.class_lines(),
        *remarks,
        *([f"and {more} more"] if more else []),
    )


def seeded(manner: Manner, seed: object) -> Manner:
    """The manner that divides data as a training with this seed did, 0 if it is no number.

    What a model learned from stays in train.
    """
    split_seed = seed if isinstance(seed, int) else 0
    return replace(manner, conventions=replace(manner.conventions, split_seed=split_seed))


def judged_part(
    folder: Path, split: str | None, manner: Manner, known: tuple[str, ...], classes: ClassMap
) -> Dataset:
    """The split that a model is judged on: `test` where there is one, else `val`, unless named.

    known: the model's classes; classes: what the data's names mean. Raises FormatError where there
    is no such part or no picture in it, SettingError where it has none of the model's classes.
    """
    splits = manner.splits(folder)
    chosen = split or next((name for name in PREFERRED_SPLITS if name in splits), None)
    if chosen is None:
        raise FormatError(f"{folder} has neither test nor val, but {splits}: add --split NAME.")
    dataset = manner.read(folder, chosen, classes)
    if not len(dataset):
        lost = dataset.report.first_loss()
        raise FormatError(f"the split {chosen!r} of {folder} has no images.{lost}")
    if not dataset.report.boxes.kept and dataset.report.unmatched_classes:
        raise SettingError(
            f"{folder} has no box of a class that the model knows. The data has "
            f"{', '.join(sorted(dataset.report.unmatched_classes))}; the model knows "
            f"{', '.join(known)}. Where only names differ: --classes FILE."
        )
    return dataset
