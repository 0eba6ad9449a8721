"""Why this box, and why not that one: read from the record that detection leaves, never guessed.

`decision.Decision` is the record; `origin.life` tells a box, `misses.verdicts` the objects that
were looked for. Nothing here decodes, selects or matches by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from boxray.errors import SettingError
from boxray.explain.decision import Decision
from boxray.explain.misses import Verdict, verdicts
from boxray.explain.occlusion import Evidence, Hiding, Looking, occlude
from boxray.explain.origin import Life, life
from boxray.explain.target import Target, claims, targets_of
from boxray.explain.waterfall import Waterfall, waterfall
from boxray.records import Truths

__all__ = [
    "Decision",
    "Evidence",
    "Hiding",
    "Life",
    "Looking",
    "Verdict",
    "Waterfall",
    "at_point",
    "occlude",
    "of_detection",
    "of_truths",
    "target_at",
    "target_of",
    "targets_of",
    "waterfall",
]


def of_detection(decision: Decision, number: int) -> Life:
    """The life of one detection. Raises SettingError for a number that none has."""
    return life(decision, _place(decision, number), number)


def target_of(decision: Decision, number: int) -> Target:
    """One detection as something to look for: SettingError for a number that none has."""
    return _shown(decision, _place(decision, number))


def target_at(decision: Decision, x: float, y: float) -> Target:
    """The smallest detection around a point as something to look for, else the point itself."""
    point = _point(decision, x, y)
    place = claims(decision, (point,))[0]
    return point if place < 0 else _shown(decision, place)


def _place(decision: Decision, number: int) -> int:
    count = len(decision.places)
    if not count:
        least = decision.thresholds.score_threshold
        raise SettingError(
            "nothing was detected, so there is no box to explain. Lower the score_threshold, "
            f"{least:g} now, or ask why nothing is at a place: --at X,Y, in Python `explain_at`."
        )
    if not 0 <= number < count:
        raise SettingError(f"there is no detection {number}; expected one of 0 to {count - 1}.")
    return int(decision.places[number])


def _shown(decision: Decision, place: int) -> Target:
    label = int(decision.candidates.labels[decision.selection.kept[place]])
    return Target(box=decision.shown[place], label=label, name=decision.classes[label])


def _point(decision: Decision, x: float, y: float) -> Target:
    height, width = decision.placement.image_hw
    if not (0 <= x < width and 0 <= y < height):
        raise SettingError(f"the point {x:g},{y:g} is outside the image, {width}x{height} pixels.")
    return Target(point=(x, y))


def at_point(decision: Decision, x: float, y: float) -> Life | Verdict:
    """The life of the smallest detection around a point of the image, or why there is none."""
    targets = (_point(decision, x, y),)
    place = claims(decision, targets)[0]
    if place < 0:
        return verdicts(decision, targets)[0]
    numbers = [i for i, one in enumerate(decision.places.tolist()) if one == place]
    return life(decision, place, numbers[0] if numbers else None)


def of_truths(decision: Decision, truths: Truths, names: Sequence[str]) -> tuple[Verdict, ...]:
    """What became of every truth of the image; `names` are what the truths' labels index."""
    return verdicts(decision, targets_of(truths, names, decision.classes))
