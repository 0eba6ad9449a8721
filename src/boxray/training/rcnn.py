"""R-CNN's class and box regressors, fitted on frozen features: nothing is trained step by step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from boxray import bundle
from boxray.boxes import Array
from boxray.bundle.rcnn import RcnnModel
from boxray.coders.anchor_deltas import ProposalDeltas, deltas_between
from boxray.data import Dataset
from boxray.engines.crops import Crops
from boxray.errors import FormatError
from boxray.export import legible, versions
from boxray.export.rcnn import rcnn_bytes
from boxray.files import write_atomically
from boxray.regions import PROPOSER, WEIGHTS, Regions
from boxray.training.frozen_features import HALF, Lesson, Teacher
from boxray.training.linear import Linear, fit_boxes, fit_classes, stacked

CLASS_DECAY = 0.03  # of 82 pictures' crops a quarter, held out, was told apart best by it
BOX_DECAY = 1000.0  # Girshick et al. 2014, appendix C, has 1000 for other features
MOVED = 0.6  # IoU from which a crop says where its object is; the paper's
FEATURES = "features"  # the folder in a run where they are kept


@dataclass(frozen=True)
class Fitted:
    """The model's file, and from how many pictures, crops, and crops of objects it learned."""

    path: Path
    images: int
    crops: int
    near: int
    wall_s: float


def fit(
    dataset: Dataset,
    run: Path,
    *,
    name: str,
    classifier: str | Path,
    limit: int | None,
    seed: int = 0,
    threads: int | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Learn from annotated pictures, and write `run`/model.onnx.

    name: of the data, for the model to say. limit: so many pictures, drawn by `seed`; all if None.
    on_image: how many of how many are looked at. What was computed of a picture stays in the run:
    stopped, it goes on where it was.
    Raises ModelError for a classifier without features, FormatError without a single object.
    """
    start = time.perf_counter()
    regions = Regions()
    content, _ = bundle.read(classifier)
    loaded = bundle.load_classifier(classifier, threads=threads).of_whole()
    digest = hashlib.sha256(content).hexdigest()
    teacher = Teacher(Crops(loaded), digest, regions, run / FEATURES, seed)
    lesson, images = _learned_from(teacher, dataset, limit, on_image)
    near = lesson.overlap >= HALF
    if not near.any():
        raise FormatError("no picture shows an object that proposals reach; R-CNN needs some.")
    count = len(dataset.classes)
    classes = fit_classes(
        lesson.features, np.where(near, lesson.labels + 1, 0), count + 1, decay=CLASS_DECAY
    )
    model = RcnnModel(
        name=legible(run.resolve().name),
        classes=dataset.classes,
        coder=ProposalDeltas(count, WEIGHTS),
        proposer=PROPOSER,
        limit=regions.limit,
        context=regions.context,
        canvas_hw=regions.canvas_hw,
        preprocessing=loaded.preprocessing,
        thresholds=regions.thresholds,
        metrics={},
        recipe={"recipe": "rcnn", "classifier": loaded.name, "seed": seed, "images": images},
        training_data=(legible(name),),
        licence="unstated",
        versions=versions(),
    )
    path = run / bundle.MODEL_FILE
    boxes = _boxes(lesson, count)
    layers = [(layer.weights, layer.biases) for layer in (classes, boxes)]
    write_atomically(path, rcnn_bytes(model, content, *layers))
    return Fitted(path, images, len(near), int(near.sum()), time.perf_counter() - start)


def _learned_from(
    teacher: Teacher,
    dataset: Dataset,
    limit: int | None,
    on_image: Callable[[int, int], None] | None,
) -> tuple[Lesson, int]:
    """The lessons of all pictures that are drawn, as one, and how many pictures these are."""
    places = [place for place, sample in enumerate(dataset.samples) if sample.labelled]
    if limit is not None and limit < len(places):
        drawn = np.random.default_rng(teacher.seed).choice(len(places), limit, replace=False)
        places = [places[which] for which in sorted(drawn.tolist())]
    lessons = []
    for done, place in enumerate(places, 1):
        lessons.append(teacher.lesson(dataset.samples[place], place))
        if on_image is not None:
            on_image(done, len(places))
    kept = [lesson for lesson in lessons if len(lesson.boxes)]
    if not kept:
        raise FormatError(
            "no picture has an object or a proposal; R-CNN has nothing to learn from."
        )
    names = [field.name for field in fields(Lesson)]
    parts: list[Array] = [np.concatenate([getattr(one, name) for one in kept]) for name in names]
    return Lesson(*parts), len(places)


def _boxes(lesson: Lesson, class_count: int) -> Linear:
    """Deltas of the background, which never move, and of each class."""
    layers = [fit_boxes(lesson.features[:0], np.zeros((0, 4), np.float32), decay=BOX_DECAY)]
    for label in range(class_count):
        (rows,) = np.nonzero((lesson.labels == label) & (lesson.overlap >= MOVED))
        deltas = deltas_between(lesson.truths[rows], lesson.boxes[rows], WEIGHTS)
        layers.append(fit_boxes(lesson.features[rows], deltas, decay=BOX_DECAY))
    return stacked(layers)
