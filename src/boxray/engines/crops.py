"""A classifier as the learned step: pieces of a canvas in, what it says of each out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from boxray import images
from boxray.boxes import Array
from boxray.classification.classifier import BATCH, Classifier


@dataclass(frozen=True)
class Crops:
    """Runs a classifier on pieces of a canvas, batch by batch, by its own preprocessing.

    Each piece is stretched to the classifier's input as a whole, nothing cut off: the classifier
    must be one `of_whole` (Girshick et al. 2014, appendix A, "warp").
    """

    classifier: Classifier

    def __call__(
        self, canvas: UInt8[Array, "h w 3"], boxes: Float[Array, "n 4"]
    ) -> tuple[Float32[Array, "n numbers"], ...]:
        """Logits of the pieces inside these boxes, then their features if the engine gives them.

        boxes: in pixels of the canvas, at least one; edges go to the nearest whole pixel and are
        clipped to the canvas. Raises BoxError for a box that holds no pixel of it.
        """
        said = []
        for start in range(0, len(boxes), BATCH):
            pieces = [images.crop(canvas, box) for box in boxes[start : start + BATCH]]
            said.append(self.classifier.said(pieces))
        return tuple(map(np.concatenate, zip(*said, strict=True)))
