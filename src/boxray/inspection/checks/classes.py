"""Checks of the classes: names that are nearly the same, and how many boxes each has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from boxray.data.classes import fold
from boxray.data.report import Cause
from boxray.inspection.checks.reading import noted
from boxray.inspection.examination import Examination, Finding, at
from boxray.records import Sample

RARE = 0.05  # of the boxes of the name that it may be a slip of
SHORTEST = 4  # letters: shorter names differ by one letter and mean another thing
IMBALANCE = 100  # times more boxes of the commonest class than of the rarest


def class_spelling(examination: Examination) -> Iterator[Finding]:
    """Names that differ from another by case, spaces or one letter; told at the first box."""
    yield from noted(Cause.CLASS_SPELLING)(examination)
    classes, first = examination.dataset.classes, _first_boxes(examination)
    counts = _counts(examination)
    for rare in sorted(first, key=lambda label: counts[label]):
        for usual in first:
            one, other = classes[rare], classes[usual]
            if (counts[usual], usual) <= (counts[rare], rare):
                continue
            slip = counts[rare] <= RARE * counts[usual] and _one_letter_apart(one, other)
            if fold(one) == fold(other) or slip:
                reason = f"class {one!r}, boxes: {counts[rare]}; is {other!r} meant?"
                yield at(*first[rare], reason, counts[rare])
                break


def class_imbalance(examination: Examination) -> Iterator[Finding]:
    """Classes with a hundredth of the boxes of the commonest, or less."""
    counts, classes = _counts(examination), examination.dataset.classes
    most = counts.most_common(1)
    for label, count in counts.items():
        if count * IMBALANCE <= most[0][1]:
            reason = (
                f"class {classes[label]!r} has {count} boxes, "
                f"{classes[most[0][0]]!r} has {most[0][1]}"
            )
            yield Finding(examination.dataset.roots[0], reason)


def class_without_boxes(examination: Examination) -> Iterator[Finding]:
    """Classes in the list that no box has: one finding for all."""
    counts = _counts(examination)
    empty = [name for i, name in enumerate(examination.dataset.classes) if not counts[i]]
    if empty:
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        reason = f"no box has class {', '.join(map(repr, empty[:5]))}{more}"
        yield Finding(examination.dataset.roots[0], reason, count=len(empty))


def _counts(examination: Examination) -> Counter[int]:
    return Counter(int(sample.truths.labels[row]) for sample, row in examination.rows())


def _first_boxes(examination: Examination) -> dict[int, tuple[Sample, int]]:
    """The first box of every class that has one."""
    first: dict[int, tuple[Sample, int]] = {}
    for sample, row in examination.rows():
        first.setdefault(int(sample.truths.labels[row]), (sample, row))
    return first


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter was changed, added, left out, or swapped with the next."""
    a, b = sorted((fold(one), fold(other)), key=len)
    if len(a) < SHORTEST or len(b) - len(a) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    swapped = a[start : start + 2] == b[start : start + 2][::-1]
    return a[start + 1 :] == b[start + 1 :] or (swapped and a[start + 2 :] == b[start + 2 :])
