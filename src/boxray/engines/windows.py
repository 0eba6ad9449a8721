"""Windows slid over a canvas: a classifier on each, or one convolution for all of a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from boxray import images
from boxray.boxes import Array
from boxray.classification.classifier import Classifier
from boxray.coders.windows import WindowCoder
from boxray.engines.crops import Crops
from boxray.errors import SettingError


@dataclass(frozen=True)
class ExactWindows:
    """Each window cut out of the canvas and classified alone; batch by batch."""

    crops: Crops
    coder: WindowCoder

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Float32[Array, "n ..."], ...]:
        counts = self.coder.counts(canvases.shape[1:3])
        boxes, levels = self.coder.windows(counts)
        said = np.stack([self.crops(canvas, boxes)[0] for canvas in canvases])
        return tuple(
            said[:, levels == level].swapaxes(1, 2).reshape(len(canvases), -1, *count)
            for level, count in enumerate(counts)
        )

    def passes(self, size_hw: tuple[int, int]) -> int:
        """How many pieces of a canvas of this size the classifier is given."""
        return sum(rows * columns for rows, columns in self.coder.counts(size_hw))


@dataclass(frozen=True)
class DenseWindows:
    """All windows of a level in one pass of the classifier over the whole canvas.

    The canvas is resized so that a window becomes as large as the classifier's input; neighbours
    share what they compute. A window's border then sees its surroundings, where the exact form has
    the padding of the network: their logits differ.
    Source: Sermanet et al. 2014 (OverFeat), section 3.5.
    Raises SettingError for a classifier that gives no map, or steps that are not whole cells of it.
    """

    classifier: Classifier
    coder: WindowCoder

    def __post_init__(self) -> None:
        if self.classifier.stride is None:
            raise SettingError(
                f"{self.classifier.name or 'this classifier'} gives no map of windows. Slide it "
                "exactly, dense=False; or export it as a map (networks.classifiers.LogitMap), "
                "which names the layer where a network cannot be one."
            )
        for level in range(len(self.coder.sizes)):
            self._cells(level)

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Float32[Array, "n ..."], ...]:
        levels = []
        for level, count in enumerate(self.coder.counts(canvases.shape[1:3])):
            pictures = np.stack([self._picture(canvas, level, count) for canvas in canvases])
            down, across = self._cells(level)
            levels.append(self.classifier.engine(pictures)[0][:, :, ::down, ::across])
        return tuple(levels)

    def passes(self, size_hw: tuple[int, int]) -> int:  # noqa: ARG002  # of any size
        """How many pictures the network is given for a canvas: one for each size of window."""
        return len(self.coder.sizes)

    def _picture(
        self, canvas: UInt8[Array, "h w 3"], level: int, count: tuple[int, int]
    ) -> UInt8[Array, "_ _ 3"]:
        """What the windows of a level cover, in the size in which each fills the input."""
        assert self.classifier.stride is not None  # refused when this was made
        size, step, cells = self.coder.sizes[level], self.coder.steps[level], self._cells(level)
        between = [number - 1 for number in count]
        height, width = (s + n * d for s, n, d in zip(size, between, step, strict=True))
        preprocessing = self.classifier.preprocessing
        seen = [
            side + n * jump * self.classifier.stride
            for side, n, jump in zip(preprocessing.size_hw, between, cells, strict=True)
        ]
        covered = canvas[:height, :width]
        return images.resize(covered, (seen[0], seen[1]), preprocessing.interpolation)

    def _cells(self, level: int) -> tuple[int, int]:
        """How many places of the map are from one window to the next, down and across."""
        assert self.classifier.stride is not None
        found = []
        for side, size, step in zip(
            self.classifier.preprocessing.size_hw,
            self.coder.sizes[level],
            self.coder.steps[level],
            strict=True,
        ):
            jump, rest = divmod(step * side, size * self.classifier.stride)
            if rest or jump < 1:
                raise SettingError(
                    f"windows of {size} pixels, {step} apart: as a map they are multiples of "
                    f"{size * self.classifier.stride / side:g} pixels apart."
                )
            found.append(jump)
        return found[0], found[1]
