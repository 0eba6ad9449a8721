"""What a classifier says of the crops from which R-CNN learns, computed once per picture."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from boxray import images
from boxray.boxes import Array, iou
from boxray.engines.crops import Crops
from boxray.engines.proposed_crops import proposed_on, widened
from boxray.errors import ModelError
from boxray.files import write_atomically
from boxray.records import Sample, Truths
from boxray.regions import Regions

CROPS = 40  # of a picture's proposals that teach
NEAR = 16  # of them at most overlap an object by half
HALF = 0.5  # IoU: a crop that shows so much of an object is one of its class
TOUCHED = 0.3  # IoU with an object that is set aside: a crop of it teaches nothing


@dataclass(frozen=True)
class Lesson:
    """Crops with what they show; n of them, from one picture or from many.

    boxes: of the crops, in canvas pixels. truths, labels and overlap: the object that a crop
    overlaps most, its class and the IoU; label -1 and overlap 0 where the picture has none.
    """

    features: Float32[Array, "n channels"]
    boxes: Float64[Array, "n 4"]
    truths: Float64[Array, "n 4"]
    labels: Int[Array, "n"]
    overlap: Float64[Array, "n"]


@dataclass(frozen=True)
class Teacher:
    """Makes lessons of pictures; folder: where they are kept.

    digest: of the classifier, whose features other classifiers' are not.
    """

    crops: Crops
    digest: str
    regions: Regions
    folder: Path
    seed: int = 0

    def lesson(self, sample: Sample, place: int) -> Lesson:
        """The crops of a picture: its objects, and a choice of proposals drawn by seed and place.

        Raises ImageError for a picture that cannot be read, ModelError for a classifier without
        features.
        """
        kept = self.folder / f"{self._key(sample, place)}.npz"
        if not kept.exists():
            content = io.BytesIO()
            np.savez(content, **self._computed(sample, place))
            write_atomically(kept, content.getvalue())
        with np.load(kept, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        return Lesson(**{**arrays, "features": arrays["features"].astype(np.float32)})

    def _key(self, sample: Sample, place: int) -> str:
        regions = self.regions
        told = [self.digest, repr((regions.proposer, regions.limit, regions.context))]
        told += [repr((regions.canvas_hw, self.seed, place, CROPS, NEAR))]
        told += [hashlib.sha256(sample.path.read_bytes()).hexdigest()]
        told += [repr(array.tolist()) for array in (sample.truths.boxes, sample.truths.labels)]
        told += [repr(_taught(sample.truths).tolist())]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]

    def _computed(self, sample: Sample, place: int) -> dict[str, Array]:
        regions = self.regions
        canvas, placement = images.fit(images.load(sample.path), regions.canvas_hw)
        taught = _taught(sample.truths)
        truths = placement.to_canvas(sample.truths.boxes[taught])
        aside = placement.to_canvas(sample.truths.boxes[~taught])
        proposals = proposed_on(regions.proposer, canvas[None])[: regions.limit]
        proposals = proposals[_most(proposals, aside)[1] < TOUCHED]
        random = np.random.default_rng((self.seed, place))
        chosen = drawn(_most(proposals, truths)[1], random)
        boxes = np.concatenate([truths, proposals[chosen]])
        which, overlap = _most(boxes, truths)
        padded = np.concatenate([truths, np.zeros((1, 4))])  # the last for a picture without any
        labels = np.append(sample.truths.labels[taught], -1)
        said = self.crops(canvas, widened(boxes, regions.context)) if len(boxes) else ()
        if len(boxes) and len(said) < 2:
            raise ModelError("the classifier's file gives logits alone; R-CNN learns on features.")
        features = said[1] if said else np.zeros((0, 1))
        return {
            "features": features.astype(np.float16),  # half the space; a thousandth of their size
            "boxes": boxes,
            "truths": padded[which],
            "labels": labels[which],
            "overlap": overlap,
        }


def drawn(overlap: Float64[Array, "n"], random: np.random.Generator) -> Int[Array, "k"]:
    """`CROPS` of the proposals, or all if there are fewer: at most `NEAR` that overlap by half."""
    near = random.permutation(np.flatnonzero(overlap >= HALF))[:NEAR]
    far = random.permutation(np.flatnonzero(overlap < HALF))
    return np.concatenate([near, far[: CROPS - len(near)]])


def _most(
    boxes: Float64[Array, "n 4"], truths: Float64[Array, "m 4"]
) -> tuple[Int[Array, "n"], Float64[Array, "n"]]:
    """Which truth each box overlaps most, and by how much; -1 and 0 without truths."""
    if not len(truths):
        return np.full(len(boxes), -1), np.zeros(len(boxes))
    overlaps = iou(boxes, truths)
    return overlaps.argmax(1), overlaps.max(1)


def _taught(truths: Truths) -> Bool[Array, "n"]:
    """Single objects that a person can tell."""
    taught: Array = ~(truths.difficult | truths.crowd | truths.group_of)
    return taught
