"""Checks of the class map: what the data calls a thing, the head must learn and the metric count.

Nothing is compared by name where it can be tried: the loss is followed until the raw output says
what it was told, and a perfect answer is judged by the metric of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from boxray.assignment import Targets
from boxray.data import Dataset
from boxray.detectors import OneStage, TwoStage
from boxray.engines.recorded import Recorded
from boxray.inspection.examination import Finding
from boxray.preflight.answers import Knowing, Silent, perfect
from boxray.preflight.findings import Said, Subject
from boxray.recipes.recipe import Recipe, SecondStage
from boxray.records import Candidates, Detections
from boxray.training.validation import judge, single, staged

FOLLOWED = 60  # steps along the gradient, after which the raw output says what it is told
FOLLOWED_RATE = 0.3
AT_ONCE = 32  # classes
MADE_UP_BOX = (25.0, 26.0, 49.0, 48.0)  # canvas pixels; its centre is on no cell's edge
CANVASES = 2  # times the canvas's multiple: the side of a small one
GOOD = 0.5  # AP50 that a class with perfect answers has, and a class taken for another has not


def head_classes(subject: Subject) -> Said:
    """For one object of each class: which class the raw output names once it obeys the loss."""
    recipe, classes = subject.recipe, subject.prepared.train.classes
    head = recipe.coder if recipe.second is None else recipe.second.coder
    place = subject.prepared.train.roots[0]
    if head.class_count != len(classes):
        reason = f"the head names {head.class_count} classes, the data has {len(classes)}"
        return Said(reason, (Finding(place, reason),))
    told = np.arange(len(classes))
    said = np.concatenate(
        [_obeyed(recipe, told[i : i + AT_ONCE]) for i in range(0, len(told), AT_ONCE)]
    )
    wrong = np.flatnonzero(said != told)
    measured = f"{len(told) - len(wrong)} of {len(told)} classes are named as they were taught"
    if not len(wrong):
        return Said(measured)
    first, other = classes[wrong[0]], _name(classes, int(said[wrong[0]]))
    reason = f"a head that obeys the loss calls {first!r} {other}: its class map is another"
    return Said(measured, (Finding(place, reason, count=len(wrong)),))


def _name(classes: Sequence[str], label: int) -> str:
    return repr(classes[label]) if 0 <= label < len(classes) else "nothing"


def _obeyed(recipe: Recipe, labels: Int[np.ndarray, "c"]) -> Int[np.ndarray, "c"]:
    """The label of the best candidate for each of these, one to a picture; -1 for none."""
    none = torch.zeros(0, 4)
    box = torch.tensor([MADE_UP_BOX])
    targets = [Targets(box, torch.tensor([label]), none) for label in labels.tolist()]
    side = CANVASES * recipe.coder.canvas_multiple
    if recipe.second is not None:
        return _obeyed_by_the_second(recipe.second, targets, (side, side))
    raw = [
        m.clone().requires_grad_() for m in Silent(recipe)(torch.zeros(len(labels), 3, side, side))
    ]
    _follow(raw, lambda: recipe.loss(raw, targets, recipe.coder))
    said = [level.detach().numpy() for level in raw]
    return np.array([_best(recipe.coder.decode(one)) for one in zip(*said, strict=True)])


def _obeyed_by_the_second(
    second: SecondStage, targets: Sequence[Targets], size_hw: tuple[int, int]
) -> Int[np.ndarray, "c"]:
    """The same of a box head, whose proposals are the object's box and one beside it."""
    proposals = torch.tensor([MADE_UP_BOX, (0.0, 0.0, 16.0, 16.0)])
    said = []
    for target in targets:
        torch.manual_seed(0)  # of the sample
        chosen = second.loss.choose(proposals, target)
        numbers = torch.zeros(len(chosen.boxes), second.coder.numbers, requires_grad=True)
        _follow([numbers], lambda: second.loss(numbers, [chosen], second.coder))  # noqa: B023
        placed = second.coder.at(chosen.boxes.numpy(), size_hw)
        said.append(_best(placed.decode(numbers.detach().numpy())))
    return np.array(said)


def _follow(raw: Sequence[Tensor], terms: Callable[[], dict[str, Tensor]]) -> None:
    """Change raw numbers, in place, until the loss is content with them."""
    stepper = torch.optim.Adam(raw, lr=FOLLOWED_RATE)
    for _ in range(FOLLOWED):
        stepper.zero_grad()
        torch.autograd.backward(torch.stack(list(terms().values())).sum())
        stepper.step()


def _best(found: Candidates) -> int:
    return int(found.labels[found.scores.argmax()]) if len(found) else -1


def metric_classes(subject: Subject) -> Said:
    """Perfect answers, by the head's class map, judged by the metric of the training."""
    val, head = subject.prepared.val, subject.prepared.train.classes
    dataset = replace(val, samples=tuple(placed.sample for placed in subject.val))
    strange = [name for name in val.classes if name not in head]
    if strange:
        reason = f"the metric counts {strange[0]!r}, which the head does not know"
        return Said(reason, (Finding(val.roots[0], reason, count=len(strange)),))
    found = _perfect_detections(subject, [head.index(name) for name in val.classes])
    result = judge(dataset, found)
    reached = {name: one["AP50"] for name, one in result.per_class.items()}
    poor = [name for name, ap50 in reached.items() if ap50 is not None and ap50 < GOOD]
    whole = result.metrics["AP50"]
    measured = "no truths to judge" if whole is None else f"perfect answers reach AP50 {whole:.3f}"
    if not poor or not _good_without_classes(dataset, found):
        return Said(measured)
    reason = (
        f"perfect answers reach AP50 {reached[poor[0]]:.2f} for {poor[0]!r}, though their boxes "
        "are right: the metric's class map is another than the head's"
    )
    return Said(measured, (Finding(val.roots[0], reason, count=len(poor)),))


def _perfect_detections(subject: Subject, labels: Sequence[int]) -> list[Detections]:
    """What the detector makes of answers that mean the truths. labels: of the head, by the data's.

    The pictures are grey: nobody looks at them.
    """
    recipe, classes = subject.recipe, subject.prepared.train.classes
    of_head = np.array(labels, np.int64)
    truths = [(one.boxes, of_head[one.labels]) for one in subject.val]
    if recipe.second is None:
        coder, size_hw = recipe.coder, recipe.canvas_hw
        answers = (perfect(coder, boxes, named, size_hw) for boxes, named in truths)
        batches = (tuple(level[None] for level in raw) for raw in answers)
        detector: OneStage | TwoStage = single(recipe, Recorded(batches), classes)
    else:
        knowing = Knowing(iter(truths), recipe.coder, recipe.second.coder, recipe.canvas_hw)
        detector = staged(recipe, knowing, classes)
    pictures = (np.zeros((*one.sample.size_hw, 3), np.uint8) for one in subject.val)
    found = [detector.detect_array(picture) for picture in pictures]
    return [Detections(one.boxes, one.labels, one.scores) for one in found]


def _good_without_classes(dataset: Dataset, found: Sequence[Detections]) -> bool:
    """Whether the same boxes do well where every object is of the first class."""
    alike = [
        replace(one, truths=replace(one.truths, labels=np.zeros_like(one.truths.labels)))
        for one in dataset.samples
    ]
    unnamed = [replace(one, labels=np.zeros_like(one.labels)) for one in found]
    ap50 = judge(replace(dataset, samples=tuple(alike)), unnamed).metrics["AP50"]
    return ap50 is not None and ap50 >= GOOD
