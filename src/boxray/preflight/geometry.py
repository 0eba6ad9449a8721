"""Checks of truths against canvas, cells and priors: what cannot be said cannot be learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array, centre_size, size_iou
from boxray.inspection.examination import at
from boxray.preflight.answers import answering_rows, perfect, second_look
from boxray.preflight.findings import Placed, Said, Subject
from boxray.recipes.recipe import Recipe
from boxray.records import Candidates

MOST_OFF = 0.5  # pixels of the picture, at any edge, after encoding and decoding
REACHED = 0.5  # IoU of a prior's size with a truth's
MOST_UNREACHED = 0.2  # of the truths
MOST_SHARED = 0.1  # of the truths
MOST_SMALL = 0.2  # of the truths
SURELY = 0.5  # a score that only a perfect answer has


def round_trip(subject: Subject) -> Said:
    """Every truth written as the network's raw output, and decoded again."""
    findings, worst, count = [], 0.0, 0
    for placed in subject.train:
        off = _off(subject, placed)
        count += len(off)
        if len(off):
            row = int(off.argmax())
            worst = max(worst, float(off[row]))
            if off[row] > MOST_OFF:
                reason = f"encoded and decoded it is {_pixels(off[row])} away"
                bad = int((off > MOST_OFF).sum())
                findings.append(at(placed.sample, int(placed.at[row]), reason, bad))
    return Said(f"{count} truths come back, at most {_pixels(worst)} away", tuple(findings))


def _pixels(distance: float) -> str:
    return f"{distance:.2g} pixels" if np.isfinite(distance) else "lost, not"


def _off(subject: Subject, placed: Placed) -> Float[Array, "n"]:
    """How far each truth's farthest edge is from where it was, in pixels of the picture.

    Infinite where it has no answer, or one of another class. Of truths with one row only the last.
    """
    boxes, size_hw = placed.boxes, subject.recipe.canvas_hw
    rows = answering_rows(subject.recipe.coder, boxes, size_hw)
    place_of = {int(row): place for place, row in enumerate(rows)}
    off = np.full(len(boxes), np.inf)
    found = _answers(subject.recipe, boxes, placed.labels)
    back = placed.placement.to_image(found.boxes, clip=True)
    for box, label, row in zip(back, found.labels, found.row, strict=True):
        place = place_of.get(int(row))
        if place is not None and label == placed.labels[place]:
            truth = placed.sample.truths.boxes[placed.at[place]]
            off[place] = np.abs(box - truth).max()
    return off[list(place_of.values())]


def _answers(recipe: Recipe, boxes: Float[Array, "n 4"], labels: Int[Array, "n"]) -> Candidates:
    """What the recipe's coders make of the raw output that means these truths."""
    coder, second, size_hw = recipe.coder, recipe.second, recipe.canvas_hw
    if second is None:
        return coder.decode(perfect(coder, boxes, labels, size_hw), SURELY)
    first = coder.decode(perfect(coder, boxes, np.zeros_like(labels), size_hw), SURELY)
    numbers = second_look(second.coder, first.boxes, boxes, labels, size_hw)
    refined = second.coder.at(first.boxes, size_hw).decode(numbers, SURELY)
    return replace(refined, row=first.row[refined.row])


def unreached_truth(subject: Subject) -> Said:
    """Truths whose size no prior comes near."""
    priors = _sizes(subject)

    def unreached(placed: Placed) -> Bool[np.ndarray, "n"]:
        best = size_iou(priors, centre_size(placed.boxes)[:, 2:]).max(0)
        return np.asarray(best < REACHED)

    what = f"fit no prior (IoU of the sizes below {REACHED:g})"
    way_out = "Priors of this data are found by k-means; fixed ones want another --size or --recipe"
    return _share(subject, unreached, what, MOST_UNREACHED, way_out)


def _sizes(subject: Subject) -> Float[np.ndarray, "k 2"]:
    """The sizes that rows start from, in canvas pixels."""
    starts = subject.recipe.coder.starts(subject.recipe.canvas_hw)
    return np.unique(centre_size(starts)[:, 2:].round(3), axis=0)


def cell_collision(subject: Subject) -> Said:
    """Truths that want the row that another one wants: the same prior of the same cell."""

    def shared(placed: Placed) -> Bool[np.ndarray, "n"]:
        rows = answering_rows(subject.recipe.coder, placed.boxes, subject.recipe.canvas_hw)
        _, inverse, counts = np.unique(rows, return_inverse=True, return_counts=True)
        return np.asarray(counts[inverse] > 1)

    what = "want a prior and cell that another wants, too"
    return _share(subject, shared, what, MOST_SHARED, "A larger --size parts them")


def small_object(subject: Subject) -> Said:
    """Truths that are narrower or lower than a cell of the finest level."""
    stride = min(subject.recipe.coder.strides)

    def small(placed: Placed) -> Bool[np.ndarray, "n"]:
        return np.asarray(centre_size(placed.boxes)[:, 2:].min(1) < stride)

    what = f"are narrower or lower than a cell of {stride} pixels"
    return _share(subject, small, what, MOST_SMALL, "A larger --size shows more of them")


def _share(
    subject: Subject,
    judge: Callable[[Placed], Bool[np.ndarray, "n"]],
    what: str,
    most: float,
    way_out: str,
) -> Said:
    """How many truths are judged so; one finding, at the first of them, if their share is high."""
    count = total = 0
    first: tuple[Placed, int] | None = None
    for placed in subject.train:
        judged = judge(placed)
        total += len(judged)
        count += int(judged.sum())
        if first is None and judged.any():
            first = placed, int(placed.at[judged.argmax()])
    measured = f"{count} of {total} truths {what}"
    if first is None or count <= most * total:
        return Said(measured)
    reason = f"{count / total:.0%} of the truths {what}. {way_out}"
    return Said(measured, (at(first[0].sample, first[1], reason, count),))
