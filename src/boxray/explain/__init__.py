"""Why this box, and why not that one: read from the record that detection leaves, never guessed.

`decision.Decision` is the record; `origin.life` tells a box, `misses.verdict` an object that was
looked for. Nothing here decodes, selects or matches by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from boxray.errors import SettingError
from boxray.explain.decision import Decision
from boxray.explain.misses import Verdict, verdict
from boxray.explain.origin import Life, life
from boxray.explain.target import Target, claims, targets_of
from boxray.explain.waterfall import Waterfall, waterfall
from boxray.records import Truths

__all__ = [
    "Decision",
    "Life",
    "Verdict",
    "Waterfall",
    "at_point",
    "of_detection",
    "of_truths",
    "waterfall",
]


def of_detection(decision: Decision, number: int) -> Life:
    """The life of one detection. Raises SettingError for a number that none has."""
    count = len(decision.places)
    if not 0 <= number < count:
        known = f"0 to {count - 1}" if count else "none: nothing was detected"
        raise SettingError(f"there is no detection {number}; expected one of {known}.")
    return life(decision, int(decision.places[number]), number)


def at_point(decision: Decision, x: float, y: float) -> Life | Verdict:
    """The life of the smallest detection around a point of the image, or why there is none."""
    height, width = decision.placement.image_hw
    if not (0 <= x < width and 0 <= y < height):
        raise SettingError(f"the point {x:g},{y:g} is outside the image, {width}x{height} pixels.")
    targets = (Target(point=(x, y)),)
    place = claims(decision, targets)[0]
    if place < 0:
        return verdict(decision, targets, 0)
    numbers = [i for i, one in enumerate(decision.places.tolist()) if one == place]
    return life(decision, place, numbers[0] if numbers else None)


def of_truths(decision: Decision, truths: Truths, names: Sequence[str]) -> tuple[Verdict, ...]:
    """What became of every truth of the image; `names` are what the truths' labels index."""
    targets = targets_of(truths, names, decision.classes)
    return tuple(verdict(decision, targets, which) for which in range(len(targets)))
