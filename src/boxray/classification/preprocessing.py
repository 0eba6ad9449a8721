"""How a picture becomes what a classifier was trained on; each classifier has its own way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32

from boxray import images
from boxray.boxes import Array
from boxray.images import Interpolation, Pixels

Fit: TypeAlias = Literal["crop", "stretch"]


@dataclass(frozen=True)
class Preprocessing:
    """Resize, the middle of it, then (pixel - mean) / std.

    size_hw: of the network's input, in pixels. fit: "crop" keeps the aspect and lets the shorter
    side decide, "stretch" gives up the aspect. crop_share: the input's side as a share of what the
    picture is resized to; 1 cuts nothing off in "stretch", and only the long ends in "crop".
    mean and std: of red, green and blue, on the scale 0 to 255.
    Source: timm's and torchvision's transforms for evaluation, to the pixel.
    """

    size_hw: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"
    crop_share: float = 1.0
    fit: Fit = "crop"

    def pixels(self, image: Pixels) -> Pixels:
        """The part of the picture that the network sees, in its size."""
        height, width = self.size_hw
        resized = images.resize(image, self._resized_hw(image.shape[:2]), self.interpolation)
        # half of an odd surplus goes to the even side, as Python rounds and torchvision with it
        top, left = round((resized.shape[0] - height) / 2), round((resized.shape[1] - width) / 2)
        return resized[top : top + height, left : left + width]

    def values(self, pixels: Pixels) -> Float32[Array, "h w 3"]:
        """What the network is given for these pixels."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (pixels.astype(np.float32) - mean) / std

    def of_whole(self) -> Preprocessing:
        """The same for pieces of which nothing may be cut off: stretched to the input's size.

        So R-CNN sees its proposals. Source: Girshick et al. 2014, appendix A ("warp").
        """
        return replace(self, fit="stretch", crop_share=1.0)

    def _resized_hw(self, image_hw: tuple[int, ...]) -> tuple[int, int]:
        height, width = (int(side / self.crop_share) for side in self.size_hw)
        if self.fit == "stretch":
            return height, width
        rows, columns = image_hw
        if rows * width <= columns * height:  # the picture is the wider one: its height decides
            return height, max(width, int(height * columns / rows))
        return max(height, int(width * rows / columns)), width
