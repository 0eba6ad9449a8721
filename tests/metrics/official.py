"""pycocotools on boxray's records, and random sets made to find disagreements."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from boxray import boxes as geometry
from boxray.records import NO_TRUTHS, Detections, Truths

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def official(truths, detections, class_count):
    """pycocotools' twelve numbers, and AP per class; None where it says -1.

    Image and category ids are positions plus one, so that its order is ours.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(
            _coco(truths, class_count), _results(truths, detections, class_count), "bbox"
        )
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    stats = {name: _plain(value) for name, value in zip(NAMES, judge.stats, strict=True)}
    precision = judge.eval["precision"][:, :, :, 0, -1]  # t recalls k, all areas, 100 detections
    per_class = [_plain(precision[:, :, k].mean()) for k in range(class_count)]
    return stats, per_class


def _plain(value):
    return None if value == -1 else float(value)


def _coco(truths, class_count):
    dataset = COCO()
    dataset.dataset = {
        "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(len(truths))],
        "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(class_count)],
        "annotations": [],
    }
    for i, one in enumerate(truths):
        for row, box in enumerate(geometry.to_xywh(one.boxes)):
            dataset.dataset["annotations"].append(
                {
                    "id": len(dataset.dataset["annotations"]) + 1,  # 0 would count as unmatched
                    "image_id": i + 1,
                    "category_id": int(one.labels[row]) + 1,
                    "bbox": box.tolist(),
                    "area": float(one.area[row]),
                    "iscrowd": int(one.crowd[row]),
                }
            )
    dataset.createIndex()
    return dataset


def _results(truths, detections, class_count):
    rows = [
        {
            "image_id": i + 1,
            "category_id": int(one.labels[row]) + 1,
            "bbox": box.tolist(),
            "score": float(one.scores[row]),
        }
        for i, one in enumerate(detections)
        for row, box in enumerate(geometry.to_xywh(one.boxes))
    ]
    if not rows:  # loadRes cannot read an empty list
        return _coco([NO_TRUTHS] * len(truths), class_count)
    return _coco(truths, class_count).loadRes(rows)


def random_set(seed, *, images=8, class_count=4, most=12, grid=1.0):
    """Truths and detections full of trouble: crowds, equal scores and overlaps, empty images,
    truths of every size with areas of their own, a class without truths, jittered duplicates.

    Boxes lie on multiples of `grid`; on 1 or 1/4 the arithmetic of every tool is exact.
    """
    random = np.random.default_rng(seed)
    truths = [_random_truths(random, class_count, most, grid) for _ in range(images)]
    return truths, [_random_detections(random, one, class_count, most, grid) for one in truths]


def _random_boxes(random, count, grid):
    side = np.exp(random.uniform(np.log(4), np.log(200), (count, 2)))
    corner = random.uniform(0, 300, (count, 2))
    boxes = np.round(np.concatenate([corner, corner + side], 1) / grid) * grid
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + grid)
    return boxes


def _random_truths(random, class_count, most, grid):
    count = 0 if random.random() < 0.2 else int(random.integers(0, most + 1))
    boxes = _random_boxes(random, count, grid)
    if count > 3:
        boxes[1] = boxes[0]  # two truths with the same overlap to everything
    crowd = random.random(count) < 0.15
    return Truths.of(
        boxes,
        random.integers(0, class_count - 1, count),  # the last class has no truths
        area=geometry.area(boxes) * random.choice([0.5, 0.9, 1.0], count),
        flags={"crowd": crowd, "difficult": random.random(count) < 0.2},
    )


def _random_detections(random, truths, class_count, most, grid):
    copies = np.repeat(np.arange(len(truths)), random.integers(0, 4, len(truths)))
    shift = random.integers(-6, 7, (len(copies), 4)) * random.choice([0, 1, 4], (len(copies), 1))
    near = truths.boxes[copies] + shift * grid
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + grid)
    stray = _random_boxes(
        random, 0 if random.random() < 0.2 else int(random.integers(0, most)), grid
    )
    labels = np.concatenate([truths.labels[copies], random.integers(0, class_count, len(stray))])
    boxes = np.concatenate([near, stray])
    scores = random.integers(0, 8, len(boxes)) / 8  # few values, hence many ties
    order = random.permutation(len(boxes))
    return Detections(boxes[order], labels[order], scores[order])
