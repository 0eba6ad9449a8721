"""What would have found it: the smallest change of thresholds, tried out and not computed.

Only certain values of a threshold can change anything: the scores of candidates, and the overlaps
between them. These critical values are tried in turn, nearest first, by running `select` again,
until the object is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.explain.decision import Decision, Said
from boxray.explain.question import Question, Trial
from boxray.explain.target import Target
from boxray.records import Fate

MOST_TRIED = 60  # values of one threshold; nearest first, so what is left out is far away
MOST_RIVALS = 60  # candidates whose overlaps with each other are tried
MOST_TOLD = 5  # of what else appears
MOST_PAIRED = 4  # candidates for which both thresholds are turned

# these look at every overlap, whatever iou_threshold says
DEAF = ("soft-gaussian", "matrix")
# what is left of a score depends on boxes, whose last bits depend on what else is decoded
LOWERING = ("soft-linear", *DEAF)
LAST_BITS = 1e-6  # as a share of a score


@dataclass(frozen=True)
class Knob:
    """A threshold's value at which the object is found; at `short_of`, the next one, it is not."""

    value: float
    short_of: float


@dataclass(frozen=True)
class Change:
    """Thresholds that find the object; one that is None stays as it is.

    size: how far the thresholds move, together. appears and vanishes: how many more are then
    shown (the object's own detection among them), and no longer; with the best of them.
    """

    score_threshold: Knob | None
    iou_threshold: Knob | None
    size: float
    appears: int
    best_to_appear: tuple[Said, ...]
    vanishes: int
    best_to_vanish: tuple[Said, ...]


@dataclass(frozen=True)
class Counterfactual:
    """The smallest change of each threshold alone; where neither helps, the smallest of both.

    All None: no threshold helps.
    """

    score_threshold: Change | None
    iou_threshold: Change | None
    pair: Change | None

    @property
    def smallest(self) -> Change | None:
        """The change that moves least."""
        found = [c for c in (self.score_threshold, self.iou_threshold, self.pair) if c is not None]
        return min(found, key=lambda change: change.size, default=None)


def counterfactual(decision: Decision, targets: Sequence[Target], which: int) -> Counterfactual:
    """What change of thresholds would find `targets[which]`."""
    rivals = [i for i, one in enumerate(targets) if one.label == targets[which].label]
    question = Question(
        decision=decision,
        entering=decision.everything.candidates.take(decision.everything.selection.entered),
        targets=[targets[i] for i in rivals],
        which=rivals.index(which),
        thresholds=decision.thresholds,
    )
    score = _score_change(question)
    overlap = _iou_change(question)
    pair = None if score or overlap else _pair_change(question)
    return Counterfactual(score, overlap, pair)


def _change(
    question: Question, turned: Question, score: Knob | None, overlap: Knob | None
) -> Change:
    """What else such a change does; `turned`: the question with the thresholds so changed."""
    now, then, size = question.decision, turned.then, 0.0
    if score is not None:
        size += _moved(score, question.thresholds.score_threshold)
    if overlap is not None:
        size += _moved(overlap, question.thresholds.iou_threshold)
    before, after = _kept_keys(now), _kept_keys(then)
    new = then.selection.kept[~np.isin(after, before)]
    gone = now.selection.kept[~np.isin(before, after)]
    return Change(
        score_threshold=score,
        iou_threshold=overlap,
        size=size,
        appears=len(new),
        best_to_appear=then.said(new[:MOST_TOLD]),
        vanishes=len(gone),
        best_to_vanish=now.said(gone[:MOST_TOLD]),
    )


def _kept_keys(decision: Decision) -> Int[Array, "k"]:
    return np.asarray(decision.keys()[decision.selection.kept])


def _moved(knob: Knob, now: float) -> float:
    return abs(knob.value - now)


def _score_change(question: Question) -> Change | None:
    """The change of score_threshold that finds the target, if one does."""
    before = now = question.thresholds.score_threshold
    method = question.thresholds.method
    slack = LAST_BITS if method in LOWERING else 0.0
    values = _scores_that_matter(question)
    for edge in values[values < now][::-1][:MOST_TRIED].tolist():
        value = edge * (1 - slack)
        turned = question.with_score(value)
        if turned.is_found():
            if method == "fusion":
                knob = _tightened(question.with_score, before, value)
                return _change(question, question.with_score(knob.value), knob, None)
            knob = Knob(value, _next(edge * (1 + slack), 2.0, values))
            return _change(question, turned, knob, None)
        before = value
    return None


def _scores_that_matter(question: Question) -> Float[Array, "v"]:
    """The scores at which the target's fate can change, rising.

    A candidate is shown from the score that suppression leaves it, whatever worse ones do; only
    where boxes are fused do worse ones matter, too.
    """
    found, selection = question.entering, question.decision.everything.selection
    if question.thresholds.method == "fusion":
        touching = question.target.overlap(question.decision.in_image(found.boxes)) > 0
        return np.unique(found.scores[touching])
    own = question.own(found)
    lasting = own[selection.fate[selection.entered[own]] == Fate.KEPT]
    lost = selection.score_lost[selection.entered[lasting]]
    return np.unique(found.scores[lasting] - lost)


def _iou_change(question: Question) -> Change | None:
    """The smallest change of iou_threshold that finds the target, if one does."""
    if question.thresholds.method in DEAF or not len(question.own(question.entered)):
        return None
    trial, most = Trial(question), 2.0  # no threshold is so far away
    best = _first(_raised(question), question, trial, most)
    if best is not None:
        most = _moved(best, question.thresholds.iou_threshold)
    best = _first(_lowered(question, most), question, trial, most) or best
    return None if best is None else _change(question, question.with_iou(best.value), None, best)


def _first(values: Iterator[Knob], question: Question, trial: Trial, most: float) -> Knob | None:
    """The first value of iou_threshold, less than `most` away, that finds the target."""
    now = before = question.thresholds.iou_threshold
    for knob in islice(values, MOST_TRIED):
        if _moved(knob, now) >= most:
            return None
        if trial.finds(knob.value):
            fused = question.thresholds.method == "fusion"
            return _tightened(question.with_iou, before, knob.value) if fused else knob
        before = knob.value
    return None


def _tightened(turned: Callable[[float], Question], short_of: float, value: float) -> Knob:
    """The edge between two values, for fused boxes, which anything nearby may move."""
    while True:
        middle = float(np.float32((short_of + value) / 2))
        if middle in (short_of, value) or abs(value - short_of) < 1e-7:
            return Knob(value, short_of)
        if turned(middle).is_found():
            value = middle
        else:
            short_of = middle


def _raised(question: Question) -> Iterator[Knob]:
    """Higher values of iou_threshold that spare one pair more, each with the one just short."""
    now = question.thresholds.iou_threshold
    values = _overlaps_that_matter(question, now)
    for value in values[values > now].tolist():
        yield Knob(value, short_of=_next(value, -1.0, values))


def _lowered(question: Question, most: float) -> Iterator[Knob]:
    """Lower values of iou_threshold that part with one pair more, each with the one just short."""
    now = question.thresholds.iou_threshold
    values = _overlaps_that_matter(question, max(now - most, 0.0))
    for value in values[(values <= now) & (values > 0)][::-1].tolist():
        yield Knob(_next(value, -1.0, values), short_of=value)


def _overlaps_that_matter(question: Question, above: float) -> Float[Array, "v"]:
    """The overlaps on which the target's candidates depend, rising, those up to `above` left out.

    A candidate depends on better rivals that overlap it, and these on theirs in turn.
    """
    found = question.entered if question.is_cut else question.competing
    boxes, own = found.boxes, question.own(found)
    chain, waiting = np.zeros(len(boxes), bool), own
    while len(waiting) and chain.sum() < MOST_RIVALS:
        chain[waiting] = True
        touching = question.overlap(boxes[waiting], boxes) > above
        better = np.arange(len(boxes)) < waiting[:, None]
        waiting = np.flatnonzero((touching & better).any(0) & ~chain)
    if question.is_cut and question.then.selection.fate[own].max() == Fate.OVER_MAX:
        chain[:MOST_RIVALS] = True  # what others do decides who is within max_detections
    members = boxes[chain]
    overlap = question.overlap(members, members)
    return np.unique(overlap[np.triu_indices(len(members), 1)])


def _pair_change(question: Question) -> Change | None:
    """The smallest change of both thresholds together that finds the target, if one does.

    A lower score_threshold lets a candidate in, a higher iou_threshold lets it stay.
    """
    now, now_iou = question.thresholds.score_threshold, question.thresholds.iou_threshold
    scores = question.entering.scores[question.own(question.entering)]
    best, most = None, 2.0
    for score in scores[:MOST_PAIRED].tolist():
        moved = now - score
        if not 0 < moved < most:
            continue
        overlap = _spared(question.with_score(score), most - moved)
        if overlap is not None and moved + _moved(overlap, now_iou) < most:
            most = moved + _moved(overlap, now_iou)
            best = Knob(score, _next(score, 2.0, scores)), overlap
    fused = question.thresholds.method == "fusion"
    if best is not None and fused:
        best = _tightened_pair(question, *best)
    if best is None:
        return None
    turned = question.with_score(best[0].value).with_iou(best[1].value)
    return _change(question, turned, *best)


def _tightened_pair(question: Question, score: Knob, overlap: Knob) -> tuple[Knob, Knob] | None:
    """The edges of both for fused boxes, None if one moves whenever the other does."""
    now, now_iou = question.thresholds.score_threshold, question.thresholds.iou_threshold
    for _ in range(4):
        held = question.with_iou(overlap.value)
        score = _tightened(held.with_score, now, score.value)
        scored = question.with_score(score.value)
        overlap = _tightened(scored.with_iou, now_iou, overlap.value)
        if not question.with_score(score.short_of).with_iou(overlap.value).is_found():
            return score, overlap
    return None


def _spared(question: Question, most: float) -> Knob | None:
    """An edge of iou_threshold above which the target's candidates stay, found by halving.

    None, too, if surely none is less than `most` away.
    """
    if question.thresholds.method in DEAF or not len(question.own(question.entered)):
        return None
    now = question.thresholds.iou_threshold
    values = _overlaps_that_matter(question, now)
    values = values[values > now]
    trial = Trial(question)
    if not len(values) or trial.least - now >= most or not trial.finds(float(values[-1])):
        return None
    lost, found = -1, len(values) - 1
    while found - lost > 1:
        middle = (lost + found) // 2
        if trial.finds(float(values[middle])):
            found = middle
        else:
            lost = middle
    value = float(values[found])
    return Knob(value, _next(value, -1.0, values))


def _next(value: float, towards: float, like: Float[Array, "v"]) -> float:
    """The next number in the precision of `like`."""
    return float(np.nextafter(like.dtype.type(value), like.dtype.type(towards)))
