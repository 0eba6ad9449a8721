"""Proposals without learning: boxes in which something may be, whatever it is. cv2 enters here.

Both proposers see a picture at one length of its longer side, so that their time is bounded and
their settings mean the same on every picture; boxes come back in the pixels that were given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8

from boxray import images
from boxray.boxes import Array, area, from_xywh
from boxray.errors import MissingExtra, ModelError
from boxray.selection import Thresholds
from boxray.selection.dropping import greedy

Mode: TypeAlias = Literal["fast", "quality"]
Edges: TypeAlias = tuple[Float32[Array, "h w"], Float32[Array, "h w"]]


SMOOTHING = 1.0  # pixels, standard deviation: before differences are taken
STRONG_EDGE = 99.0  # percentile of a picture's gradients that counts as a whole edge, 1

# of a file of structured edges, in OpenCV's spelling
_FOREST_OPTIONS = (
    *("stride", "shrinkNumber", "patchSize", "patchInnerSize", "numberOfGradientOrientations"),
    *("selfsimilarityGridSize", "numberOfTrees", "numberOfTreesToEvaluate"),
)
_FOREST_LISTS = ("childs", "featureIds", "thresholds", "edgeBoundaries", "edgeBins")


@runtime_checkable
class Proposer(Protocol):
    """Boxes in the image's pixels in which something may be, the likeliest first."""

    def __call__(self, image: UInt8[Array, "h w 3"]) -> Float64[Array, "n 4"]: ...


@dataclass(frozen=True)
class SelectiveSearch:
    """Regions of like colour and texture, merged step by step; each region's box is a proposal.

    mode: "fast" takes 2 measures of likeness over 4 segmentations, "quality" 4 over 15. side: to
    how many pixels the longer side is brought first. limit: of boxes. overlap: a box that overlaps
    an earlier one by a larger IoU is left out, which makes room for others; 1 keeps all.
    The same picture has the same proposals in the same order.
    Source: Uijlings et al. 2013; merged by OpenCV.
    """

    mode: Mode = "fast"
    side: int = 500
    limit: int = 2000
    overlap: float = 0.8
    seed: int = 0

    def __call__(self, image: UInt8[Array, "h w 3"]) -> Float64[Array, "n 4"]:
        """Boxes in the image's pixels, the likeliest first."""
        searched, placement = _brought_to(image, self.side)
        search = _cv2().ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(_bgr(searched))
        if self.mode == "fast":
            search.switchToSelectiveSearchFast()
        else:
            search.switchToSelectiveSearchQuality()
        boxes = from_xywh(search.process().astype(np.float64))
        boxes = boxes[by_size_and_chance(boxes, self.seed)]
        kept = apart(boxes, self.overlap)[: self.limit]
        return placement.to_image(kept, clip=True)


def by_size_and_chance(boxes: Float64[Array, "n 4"], seed: int) -> Int[Array, "n"]:
    """An order in which larger boxes tend to come first: by place · u, with u even in 0 to 1.

    place: 1 for the largest box. The paper takes the place in the hierarchy from its top, which
    OpenCV does not tell, and OpenCV's own order is another one in each run.
    Source: Uijlings et al. 2013, section 3.3.
    """
    known = np.lexsort((*boxes.T, -area(boxes)))  # the same, in whatever order they come
    chance = np.random.default_rng(seed).random(len(boxes))
    order: Array = known[np.argsort(np.arange(1, len(boxes) + 1) * chance, kind="stable")]
    return order


@dataclass(frozen=True)
class EdgeBoxes:
    """Boxes that hold whole contours: few edges cross their border, many lie inside.

    edge_model: a file of OpenCV's structured edges (`model.yml.gz`); without one, edges are where
    colours change fastest, thinned to a line. side and limit as in `SelectiveSearch`. step: by how
    much boxes tried next to each other overlap (alpha); overlap: how much those kept may (beta).
    Source: Zitnick & Dollár 2014, scored by OpenCV; structured edges: Dollár & Zitnick 2013.
    """

    edge_model: Path | None = None
    side: int = 500
    limit: int = 2000
    step: float = 0.65
    overlap: float = 0.75

    def __call__(self, image: UInt8[Array, "h w 3"]) -> Float64[Array, "n 4"]:
        """Boxes in the image's pixels, the best score first; none where there is no edge."""
        searched, placement = _brought_to(image, self.side)
        if self.edge_model is None:
            strength, direction = gradient_edges(searched)
        else:
            strength, direction = _structured_edges(searched, self.edge_model)
        method = _cv2().ximgproc.createEdgeBoxes(
            alpha=self.step, beta=self.overlap, maxBoxes=self.limit
        )
        boxes, scores = method.getBoundingBoxes(strength, direction)
        if scores is None:  # what OpenCV says instead of no box
            return np.zeros((0, 4))
        order = np.argsort(-scores.reshape(-1), kind="stable")
        return placement.to_image(from_xywh(boxes[order].astype(np.float64)), clip=True)


def gradient_edges(image: UInt8[Array, "h w 3"]) -> Edges:
    """How strong an edge is at each pixel, 0 to 1, and the direction across it, 0 to π.

    The steepest of the three colours counts. What is not steeper than its neighbours across the
    edge is 0. Source: Canny 1986.
    """
    cv2 = _cv2()
    smooth = cv2.GaussianBlur(image, (0, 0), SMOOTHING)
    slopes = np.stack([cv2.Sobel(smooth, cv2.CV_16S, *axes) for axes in ((1, 0), (0, 1))])
    steepest = np.abs(slopes.astype(np.int32)).sum(0).argmax(-1)
    across, down = np.take_along_axis(slopes, steepest[None, ..., None], -1)[..., 0]
    strength = np.hypot(across, down, dtype=np.float32)
    strength *= cv2.Canny(across, down, 1, 1) > 0
    if strength.any():
        strength /= np.percentile(strength[strength > 0], STRONG_EDGE)
    direction = np.mod(np.arctan2(down, across, dtype=np.float32), np.float32(np.pi))
    return strength.clip(0, 1), direction


def _structured_edges(image: UInt8[Array, "h w 3"], path: Path) -> Edges:
    cv2 = _cv2()
    if not path.is_file():
        raise ModelError(f"no file {path}: expected OpenCV's structured edges, a model.yml.gz.")
    try:
        if not _is_forest(cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)):
            raise ModelError(f"{path} holds no structured edges: it lacks options or trees.")
        found = cv2.ximgproc.createStructuredEdgeDetection(str(path))
        strength = found.detectEdges(image.astype(np.float32) / 255)
        direction = found.computeOrientation(strength)
        return found.edgesNms(strength, direction), direction
    except (cv2.error, SystemError) as error:
        raise ModelError(f"{path} holds no structured edges that OpenCV can read.") from error


def _is_forest(file: Any) -> bool:
    """Whether all is there that OpenCV reads: without it, OpenCV ends the process."""
    options = file.getNode("options")
    return all(options.getNode(name).real() >= 1 for name in _FOREST_OPTIONS) and all(
        file.getNode(name).size() for name in _FOREST_LISTS
    )


def _brought_to(
    image: UInt8[Array, "h w 3"], side: int
) -> tuple[UInt8[Array, "rows columns 3"], images.Placement]:
    """The image with `side` pixels on its longer side, and the way back."""
    placement = images.place((image.shape[0], image.shape[1]), (side, side))
    resized_hw = placement.resized_hw
    placement = replace(placement, canvas_hw=resized_hw, offset=(0, 0))
    return images.resize(image, resized_hw), placement


def apart(boxes: Float64[Array, "n 4"], overlap: float) -> Float64[Array, "k 4"]:
    """Those that overlap no earlier one by more than this."""
    equal = np.zeros(len(boxes))
    thresholds = Thresholds(score_threshold=0.0, iou_threshold=overlap)
    outcome = greedy(boxes, equal, equal.astype(np.int64), thresholds)
    kept: Array = boxes[outcome.survivors]
    return kept


def _bgr(image: UInt8[Array, "h w 3"]) -> UInt8[Array, "h w 3"]:
    """OpenCV's order of colours."""
    return np.ascontiguousarray(image[..., ::-1])


def _cv2() -> Any:
    """OpenCV with its contributed modules, loaded on first use."""
    try:
        import cv2
    except ImportError as error:
        raise _missing("which is not installed") from error
    module: ModuleType = cv2
    if not hasattr(module, "ximgproc"):
        raise _missing("and the OpenCV that is installed lacks it; uninstall that one first")
    return module


def _missing(why: str) -> MissingExtra:
    return MissingExtra(
        f"proposals need OpenCV's ximgproc, {why}: pip install 'boxray[proposals]'."
    )
