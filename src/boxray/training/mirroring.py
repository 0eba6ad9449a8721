"""Whether a class, mirrored, is another one: left and right hands, arrows, bends of a road.

Training mirrors half of its pictures, which would teach such classes to be one.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image

from boxray.boxes import Array
from boxray.data import Dataset
from boxray.networks.backbones import Lite0
from boxray.training.linear import fit_classes
from boxray.training.pictures import readable_picture

PICTURES = 120  # read at most, for
OBJECTS = 400  # looked at, of all classes together
FEWEST = 10  # of a class, to say anything of it
SIDE = 64  # pixels; each object fills a square
STAGES = 4  # of the backbone: up to stride 8, where left and right are still told apart
FOLDS = 3
DECAY = 0.1
CHANGED = 0.4  # of the objects of each of two classes change names in the mirror


def changing_places(dataset: Dataset, canvas_hw: tuple[int, int]) -> tuple[str, str] | None:
    """Two classes that change places in a mirror; None where no two do.

    Some objects of each class are cut out and named by softmax regression on what ImageNet's
    network says of the others, as they are and mirrored: two classes are told, if of each at least
    `CHANGED` more of the objects are called the other one when they are mirrored. Classes of fewer
    than `FEWEST` objects are not looked at.
    """
    names = dataset.classes
    each = OBJECTS // max(1, len(names))
    if len(names) < 2 or each < FEWEST:
        return None
    crops, labels = _crops(dataset, canvas_hw, each)
    counts = np.bincount(labels, minlength=len(names))
    enough = counts >= FEWEST
    if enough.sum() < 2:
        return None
    chosen = enough[labels]
    crops, labels = crops[chosen], labels[chosen]
    plain, mirrored = _features(crops), _features(crops[:, :, ::-1])
    more = _called(plain, mirrored, labels, len(names)) / np.maximum(counts, 1)[:, None]
    both = np.minimum(more, more.T)
    np.fill_diagonal(both, 0)
    first, second = (int(place) for place in np.unravel_index(both.argmax(), both.shape))
    return (names[first], names[second]) if both[first, second] >= CHANGED else None


def _crops(
    dataset: Dataset, canvas_hw: tuple[int, int], each: int
) -> tuple[UInt8[np.ndarray, "n s s 3"], Int[np.ndarray, "n"]]:
    """At most `each` objects of every class, from pictures in an order that chance chose."""
    found: list[np.ndarray] = []
    labels: list[int] = []
    order = np.random.default_rng(0).permutation(len(dataset.samples))
    for place in order[:PICTURES]:
        picture, _ = readable_picture(dataset.samples[place], canvas_hw)
        image = Image.fromarray(picture.image)
        for box, label, ignored in zip(picture.boxes, picture.labels, picture.ignored, strict=True):
            if ignored or labels.count(int(label)) >= each:
                continue
            whole = (*np.floor(box[:2]).tolist(), *np.ceil(box[2:]).tolist())
            square = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, whole)
            found.append(np.asarray(square))
            labels.append(int(label))
    return np.array(found).reshape(-1, SIDE, SIDE, 3), np.array(labels, np.int64)


@torch.inference_mode()
def _features(crops: UInt8[np.ndarray, "n s s 3"]) -> Float32[np.ndarray, "n channels"]:
    """What ImageNet's backbone says of each, place by place."""
    with torch.random.fork_rng():  # building it draws numbers, which the training's are not
        stages = Lite0(frozen_stages=STAGES).stages[:STAGES]
    pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
    said = []
    for features in torch.split(pixels, 32):
        features = (features - 127.0) / 128.0
        for stage in stages:
            features = stage(features)
        said.append(features.flatten(1))
    found: np.ndarray = torch.cat(said).numpy()
    return found


def _called(
    plain: Float32[np.ndarray, "n channels"],
    mirrored: Float32[np.ndarray, "n channels"],
    labels: Int[np.ndarray, "n"],
    count: int,
) -> Float[Array, "count count"]:
    """Row: an object's class, column: what it is called; how many more when they are mirrored."""
    more = np.zeros((count, count))
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    for number in range(FOLDS):
        held = fold == number
        linear = fit_classes(plain[~held], labels[~held], count, decay=DECAY)
        np.add.at(more, (labels[held], linear(mirrored[held]).argmax(1)), 1)
        np.add.at(more, (labels[held], linear(plain[held]).argmax(1)), -1)
    return more
