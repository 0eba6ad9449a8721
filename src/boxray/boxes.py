"""Box geometry, once, for numpy and torch.

A box is `x0, y0, x1, y1`: edges in pixels, x to the right, y down, width `x1 - x0`, no +1.
Functions keep to what numpy and torch both spell alike, so the same lines run in a data loader,
inside a loss, and after onnxruntime.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

Array: TypeAlias = Any  # a numpy array or a torch tensor; jaxtyping states shape and type
Namespace: TypeAlias = Any  # the numpy or the torch module


def namespace(array: Array) -> Namespace:
    """The module whose functions take `array`: numpy, or torch if torch made it.

    torch is never imported here: an array of torch's can only exist once torch is loaded.
    """
    if isinstance(array, np.ndarray):
        return np
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    raise TypeError(f"expected a numpy array or a torch tensor, got {type(array).__name__}")


def like(values: np.ndarray, array: Array) -> Array:
    """`values` in the library of `array` and on its device, so that both can be used together."""
    lib = namespace(array)
    return values if lib is np else lib.asarray(values, device=array.device)


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """σ(x) = 1 / (1 + e^-x), exact to a few last digits however small, without overflow.

    Below -88, where e^-x no longer fits single precision, it stays at 6e-39.
    """
    lib = namespace(x)
    return 1 / (1 + lib.exp(-lib.clip(x, -88, None)))


def logit(p: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of `sigmoid`; ±inf at 1 and 0."""
    return namespace(p).log(p) - namespace(p).log1p(-p)


def softmax(x: Float[Array, "... n"]) -> Float[Array, "... n"]:
    """e^x as a share of the sum along the last axis, without overflow."""
    lib = namespace(x)
    # the largest becomes 0; what is not finite stays so and is left out by the caller
    powers = lib.exp(x - lib.amax(x, -1)[..., None])
    return powers / powers.sum(-1)[..., None]


def area(boxes: Float[Array, "... 4"]) -> Float[Array, "..."]:
    """Width × height in square pixels; 0 for a box with no inside."""
    return _shared(namespace(boxes), boxes, boxes)


def has_inside(boxes: Float[Array, "... 4"]) -> Bool[Array, "..."]:
    """Which boxes have x0 < x1 and y0 < y1; one with an edge that is not a number has not."""
    return (boxes[..., 2:] > boxes[..., :2]).all(-1)


def _shared(lib: Namespace, a: Array, b: Array) -> Array:
    """The area that boxes share whose shapes broadcast: a box shares all of its own with itself."""
    # one edge at a time: an inner axis of two makes numpy several times slower
    width = lib.minimum(a[..., 2], b[..., 2]) - lib.maximum(a[..., 0], b[..., 0])
    height = lib.minimum(a[..., 3], b[..., 3]) - lib.maximum(a[..., 1], b[..., 1])
    return lib.clip(width, 0, None) * lib.clip(height, 0, None)


def centre_size(boxes: Float[Array, "... 4"]) -> Float[Array, "... 4"]:
    """The same boxes as centre x, centre y, width, height (same unit). Undone by `edges`."""
    return namespace(boxes).stack(
        [
            (boxes[..., 0] + boxes[..., 2]) / 2,
            (boxes[..., 1] + boxes[..., 3]) / 2,
            boxes[..., 2] - boxes[..., 0],
            boxes[..., 3] - boxes[..., 1],
        ],
        -1,
    )


def edges(boxes_cxcywh: Float[Array, "... 4"]) -> Float[Array, "... 4"]:
    """Centre x, centre y, width, height as edges. Undone by `centre_size`."""
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return namespace(boxes_cxcywh).concatenate([centre - half, centre + half], -1)


def from_xywh(boxes_xywh: Float[Array, "... 4"]) -> Float[Array, "... 4"]:
    """COCO's left, top, width, height as edges. Undone by `to_xywh`."""
    corner, size = boxes_xywh[..., :2], boxes_xywh[..., 2:]
    return namespace(boxes_xywh).concatenate([corner, corner + size], -1)


def to_xywh(boxes: Float[Array, "... 4"]) -> Float[Array, "... 4"]:
    """Edges as COCO's left, top, width, height. Undone by `from_xywh`."""
    corner, opposite = boxes[..., :2], boxes[..., 2:]
    return namespace(boxes).concatenate([corner, opposite - corner], -1)


def clip(
    boxes: Float[Array, "... 4"], size_hw: tuple[int, int] | tuple[float, float]
) -> Float[Array, "... 4"]:
    """Each edge moved to the nearest point inside a picture of this height and width."""
    lib, (height, width) = namespace(boxes), size_hw
    x, y = lib.clip(boxes[..., ::2], 0, width), lib.clip(boxes[..., 1::2], 0, height)
    return lib.stack([x, y], -1).reshape(boxes.shape)


def upright(
    boxes: Float[Array, "... 4"], orientation: int, stored_hw: tuple[float, float]
) -> Float[Array, "... 4"]:
    """Boxes on a picture as stored, carried to the picture as displayed.

    orientation: the EXIF value 1 to 8; stored_hw: height and width before it is applied.
    Source: CIPA DC-008 (EXIF 2.3), tag 0x0112.
    """
    height, width = stored_hw
    x0, y0, x1, y1 = boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]
    turned = {
        1: (x0, y0, x1, y1),
        2: (width - x1, y0, width - x0, y1),
        3: (width - x1, height - y1, width - x0, height - y0),
        4: (x0, height - y1, x1, height - y0),
        5: (y0, x0, y1, x1),
        6: (height - y1, x0, height - y0, x1),
        7: (height - y1, width - x1, height - y0, width - x0),
        8: (y0, width - x1, y1, width - x0),
    }[orientation]
    return namespace(boxes).stack(list(turned), -1)


def intersection(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """The area that every box of `a` shares with every box of `b`, in square pixels."""
    return _shared(namespace(a), a[:, None], b[None])


def _ratio(part: Float[Array, "..."], whole: Float[Array, "..."]) -> Float[Array, "..."]:
    """`part` / `whole`, and 0 where the whole is empty, since its part then is, too."""
    return part / (whole + (whole == 0))


def iou(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Overlap of every box of `a` with every box of `b`, as a share of their union.

    Between 0 and 1; 0 where the union is empty. A box with x1 < x0 counts as empty.
    Source: Everingham et al. 2010, bounding-box evaluation, without the +1 of its code.

    >>> iou(np.array([[0., 0., 2., 2.]]), np.array([[1., 0., 3., 2.]])).round(3)
    array([[0.333]])
    """
    lib, a, b = namespace(a), a[:, None], b[None]
    shared = _shared(lib, a, b)
    return _ratio(shared, _shared(lib, a, a) + _shared(lib, b, b) - shared)


def distance_iou(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """IoU minus how far the centres are apart: (distance / diagonal of the enclosing box)².

    Between -1 and 1. Source: Zheng et al. 2020, equations 5 and 6.
    """
    lib, overlap, a, b = namespace(a), iou(a, b), a[:, None], b[None]
    across = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    down = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    width = lib.maximum(a[..., 2], b[..., 2]) - lib.minimum(a[..., 0], b[..., 0])
    height = lib.maximum(a[..., 3], b[..., 3]) - lib.minimum(a[..., 1], b[..., 1])
    return overlap - _ratio(across**2 + down**2, width**2 + height**2)


def intersection_over_area(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """The share of each box of `a` that lies inside each box of `b`.

    What COCO uses for crowd truths and Open Images for group-of: `a` are the detections.
    """
    return _ratio(intersection(a, b), area(a)[:, None])


def size_iou(a_wh: Float[Array, "n 2"], b_wh: Float[Array, "m 2"]) -> Float[Array, "n m"]:
    """IoU of widths and heights alone, as if all boxes shared one centre.

    The distance of YOLO9000's clustering is one minus this (Redmon & Farhadi 2017, section 2).
    """
    lib = namespace(a_wh)
    width = lib.minimum(a_wh[:, 0, None], b_wh[None, :, 0])
    height = lib.minimum(a_wh[:, 1, None], b_wh[None, :, 1])
    shared = width * height
    a_area = a_wh[:, 0] * a_wh[:, 1]
    b_area = b_wh[:, 0] * b_wh[:, 1]
    return _ratio(shared, a_area[:, None] + b_area[None, :] - shared)


def paired_iou(a: Float[Array, "n 4"], b: Float[Array, "n 4"]) -> Float[Array, "n"]:
    """Overlap of each box of `a` with the box of `b` in the same row: the diagonal of `iou`."""
    shared, union, _ = _paired_areas(a, b)
    return _ratio(shared, union)


def paired_giou(a: Float[Array, "n 4"], b: Float[Array, "n 4"]) -> Float[Array, "n"]:
    """Generalised IoU of each pair of rows: IoU minus the empty share of the enclosing box.

    Between -1 and 1, and with a gradient where the boxes do not touch.
    Source: Rezatofighi et al. 2019, algorithm 1.
    """
    shared, union, hull = _paired_areas(a, b)
    return _ratio(shared, union) - _ratio(hull - union, hull)


def _paired_areas(
    a: Float[Array, "n 4"], b: Float[Array, "n 4"]
) -> tuple[Float[Array, "n"], Float[Array, "n"], Float[Array, "n"]]:
    """Shared area, union and area of the enclosing box of each pair of rows."""
    lib = namespace(a)
    shared = _shared(lib, a, b)
    corners = [lib.minimum(a[:, :2], b[:, :2]), lib.maximum(a[:, 2:], b[:, 2:])]
    return shared, area(a) + area(b) - shared, area(lib.concatenate(corners, -1))
