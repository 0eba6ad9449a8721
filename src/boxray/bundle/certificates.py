"""What a model file says of the comparison by which its export was checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from boxray.bundle.fields import is_whole, mismatch, numbers, table, words


@dataclass(frozen=True)
class Precision:
    """Average precision of the same pictures twice: by the network in torch, and by the file.

    ap50: VOC's. data: the name of the folder, images: how many of its pictures.
    """

    data: str
    images: int
    torch_ap50: float
    file_ap50: float


@dataclass(frozen=True)
class Integers:
    """What 8-bit integers cost: the file against the same model before.

    data: the name of the folder; calibrated_on: pictures on which the ranges of numbers were found;
    images: others, on which AP50 (VOC's) was taken. Of what a person would see on the first of
    these: pairs of boxes, detections without a partner, and the median differences.
    """

    data: str
    calibrated_on: int
    images: int
    ap50_before: float
    ap50: float
    pairs: int
    alone: int
    median_pixels: float
    median_score: float


@dataclass(frozen=True)
class Certificate:
    """How far the file's detections are from those of its network in torch.

    pixels and score: the farthest edge, in pixels of the picture, and the largest difference of a
    score of any candidate, the network having the file's own weights. trained_pixels and
    trained_score: the same against the weights as they were trained, in single precision; None
    where nobody has them. pairs: detections that both show; alone: those that one side shows and
    the other suppressed: a last digit may decide. weights: the trained ones. torch and
    onnxruntime: versions. integers: of a file on 8-bit integers; all else is of the file before.
    """

    weights: str
    pixels: float
    score: float
    pairs: int
    alone: int
    pictures: int
    canvases_hw: tuple[tuple[int, int], ...]
    torch: str
    onnxruntime: str
    trained_pixels: float | None = None
    trained_score: float | None = None
    precision: Precision | None = None
    integers: Integers | None = None


def written(certificate: Certificate) -> dict[str, Any]:
    """The certificate in JSON's types."""
    return asdict(certificate)


def parsed(found: dict[str, Any]) -> Certificate:
    """The certificate of a metadata document, every field checked. Raises ModelError."""
    found = {"integers": None, **found}  # files older than them say nothing
    _require_fields(found, Certificate, "certificate")
    canvases = found["canvases_hw"]
    if not isinstance(canvases, list) or not all(_is_size(canvas) for canvas in canvases):
        raise mismatch("certificate.canvases_hw", "pairs of whole numbers", canvases)
    measured = [found["pixels"], found["score"]]
    trained = [found["trained_pixels"], found["trained_score"]]
    pixels, score = numbers(measured, "certificate", 2, low=0.0)
    known = trained != [None, None]
    trained_pixels, trained_score = (
        numbers(trained, "certificate", 2, low=0.0) if known else (None, None)
    )
    return Certificate(
        weights=words(found, "weights"),
        pixels=pixels,
        score=score,
        pairs=_count(found, "pairs"),
        alone=_count(found, "alone"),
        pictures=_count(found, "pictures"),
        canvases_hw=tuple((height, width) for height, width in canvases),
        torch=words(found, "torch"),
        onnxruntime=words(found, "onnxruntime"),
        trained_pixels=trained_pixels,
        trained_score=trained_score,
        precision=None if found["precision"] is None else _precision(table(found, "precision")),
        integers=None if found["integers"] is None else _integers(table(found, "integers")),
    )


def _precision(found: dict[str, Any]) -> Precision:
    _require_fields(found, Precision, "certificate.precision")
    both = [found["torch_ap50"], found["file_ap50"]]
    torch_ap50, file_ap50 = numbers(both, "certificate.precision", 2, low=0.0, high=1.0)
    return Precision(words(found, "data"), _count(found, "images"), torch_ap50, file_ap50)


def _integers(found: dict[str, Any]) -> Integers:
    field = "certificate.integers"
    _require_fields(found, Integers, field)
    both = [found["ap50_before"], found["ap50"]]
    ap50_before, ap50 = numbers(both, field, 2, low=0.0, high=1.0)
    medians = [found["median_pixels"], found["median_score"]]
    median_pixels, median_score = numbers(medians, field, 2, low=0.0)
    return Integers(
        data=words(found, "data"),
        calibrated_on=_count(found, "calibrated_on"),
        images=_count(found, "images"),
        ap50_before=ap50_before,
        ap50=ap50,
        pairs=_count(found, "pairs"),
        alone=_count(found, "alone"),
        median_pixels=median_pixels,
        median_score=median_score,
    )


def _require_fields(found: dict[str, Any], kind: type, field: str) -> None:
    known = {one.name for one in fields(kind)}
    if set(found) != known:
        raise mismatch(field, f"the fields {sorted(known)}", sorted(found))


def _count(found: dict[str, Any], field: str) -> int:
    value = found[field]
    if not is_whole(value) or value < 0:
        raise mismatch(f"certificate.{field}", "a whole number from 0", value)
    return value


def _is_size(found: object) -> bool:
    return isinstance(found, list) and len(found) == 2 and all(map(is_whole, found))
