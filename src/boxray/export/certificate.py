"""The check of an export: its file against its network in torch, on pictures and canvases.

The network is given the file's own weights, so that all that may differ is rounding; and, where
somebody has them, the weights as they were trained, which tells what storing them costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from boxray import bundle, images
from boxray.bundle.certificates import Certificate, Precision
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchEngine, TorchStages
from boxray.errors import ModelError, SettingError
from boxray.evaluation import AnnotatedImages, evaluate
from boxray.export import as_stored, folded
from boxray.export.causes import RAW_SHARE, difference, largest, named, raw_of
from boxray.export.comparison import Measured, measured
from boxray.export.twins import Twin
from boxray.images import Pixels

SIZES_HW = ((320, 320), (320, 224), (211, 333), (61, 67))  # of the pictures
OTHER_HW = (320, 224)  # a canvas beside the model's own, to the next multiple
REAL = 6  # pictures of the data that are compared box by box


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from its network.

    pixels and score: of any candidate, 16-bit weights being the file's own; trained_pixels and
    trained_score: against the weights as trained; ap50: of average precision, on given data.
    alone: share of the detections that one side shows and the other does not.
    """

    pixels: float = 0.05
    score: float = 5e-4
    trained_pixels: float = 5.0
    trained_score: float = 0.05
    ap50: float = 0.005
    alone: float = 0.05


@dataclass(frozen=True)
class Pictures:
    """Annotated pictures to compare average precision on, and what the certificate calls them."""

    images: AnnotatedImages
    name: str


def certify(
    content: bytes,
    twin: Twin,
    *,
    beside: Path = Path(),
    dataset: Pictures | None = None,
    tolerance: Tolerance | None = None,
) -> Certificate:
    """What the comparison of a sealed model file with its twin found.

    beside: where a two-stage model's second file lies. dataset: pictures to compare the average
    precision on. Raises ModelError, naming the cause where it is a known one, if the file reads
    pictures or numbers in another way, or detects something else.
    """
    limits = tolerance or Tolerance()
    model = bundle.describe(content, "the model")
    assert isinstance(model, bundle.Model)  # classifiers have no twin
    file = bundle.from_bytes(content, "the model", beside=beside)
    _require_same_reading(model, file, twin.detector)
    second = model.second
    contents = (content, *([] if second is None else [bundle.read_second(second, beside)]))
    stored = as_stored(twin.engine.network, *contents)
    if twin.trained is not None:
        _require_same_weights(stored, twin)
    own = twin.holding(stored)
    canvases_hw = _canvases(file)
    photos = _photos(dataset)
    _require_same_batches(file, own, photos)
    _require_same_nothing(file, own.detector, photos[0])
    found = measured(file, own.detector, photos, canvases_hw)
    _require_within(found, limits)
    trained = _trained(file, twin, photos, limits)
    return Certificate(
        weights=twin.trained or "the file's own",
        pixels=found.pixels,
        score=found.score,
        pairs=found.pairs,
        alone=found.alone,
        pictures=len(photos),
        canvases_hw=canvases_hw,
        torch=torch.__version__,
        onnxruntime=onnxruntime.__version__,
        trained_pixels=None if trained is None else trained.pixels,
        trained_score=None if trained is None else trained.score,
        precision=None if dataset is None else _precision(file, twin, stored, dataset, limits),
    )


def _require_same_reading(
    model: bundle.Model, file: OneStage | TwoStage, twin: OneStage | TwoStage
) -> None:
    """What the file says of its pictures and numbers, against the network's recipe."""
    engine = twin.engine
    assert isinstance(engine, TorchEngine | TorchStages)
    said_and_meant: dict[str, tuple[object, object]] = {
        "classes": (file.classes, twin.classes),
        "normalisation": ((model.mean, model.std), (engine.mean, engine.std)),
        "priors or coder": (file.coder, twin.coder),
    }
    if isinstance(file, TwoStage) and isinstance(twin, TwoStage):
        said_and_meant["priors of proposals"] = (file.proposal_coder, twin.proposal_coder)
        said_and_meant["choice of proposals"] = (
            file.proposal_thresholds,
            twin.proposal_thresholds,
        )
    for what, (said, meant) in said_and_meant.items():
        if said != meant:
            raise ModelError(
                f"wrong {what}: the file says {_short(said)}, its network was trained with "
                f"{_short(meant)}. Export the run again."
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _require_same_weights(stored: nn.Module, twin: Twin) -> None:
    """Each weight of the file against the trained one, as far as 16 bits tell them apart."""
    trained = folded(twin.engine.network).state_dict()
    for name, weight in stored.state_dict().items():
        if _is_nearly(weight, trained[name]):
            continue
        if weight.ndim == 4 and weight.shape[1] == 3 and _is_nearly(weight.flip(1), trained[name]):
            raise ModelError(
                f"wrong order of channels: {name} of the file takes blue, green, red (BGR), the "
                "network red, green, blue. Export the run again."
            )
        raise ModelError(
            f"other weights: {name} of the file is not that of {twin.trained}. If the training "
            "was killed, end it first: boxray resume."
        )


def _is_nearly(stored: torch.Tensor, trained: torch.Tensor) -> bool:
    """Whether one may be the other in 16 bits."""
    return torch.allclose(stored.float(), trained.float(), rtol=2**-10, atol=1e-6)


def _canvases(file: OneStage | TwoStage) -> tuple[tuple[int, int], ...]:
    """The model's own canvas, and one of another shape."""
    coder = file.coder if isinstance(file, OneStage) else file.proposal_coder
    multiple = coder.canvas_multiple
    height, width = (-(-side // multiple) * multiple for side in OTHER_HW)
    other = (height, width) if file.canvas_hw != (height, width) else (width, height)
    return file.canvas_hw, other


def _photos(dataset: Pictures | None) -> list[Pixels]:
    """Soft random pictures, coarse colours made smooth; then the first ones of the data."""
    random = np.random.default_rng(0)
    coarse = [random.integers(0, 256, (7, 9, 3), dtype=np.uint8) for _ in SIZES_HW]
    smooth = [images.resize(one, wh, "bicubic") for one, wh in zip(coarse, SIZES_HW, strict=True)]
    samples = () if dataset is None else dataset.images.samples[:REAL]
    return smooth + [images.load(sample.path) for sample in samples]


def _require_same_batches(file: OneStage | TwoStage, twin: Twin, photos: list[Pixels]) -> None:
    """Three pictures at once against torch, and against each alone."""
    canvases = np.stack([images.fit(photo, file.canvas_hw)[0] for photo in photos[-3:]])
    said = raw_of(file, canvases)
    allowed = RAW_SHARE * largest(said)
    if difference(said, raw_of(twin.detector, canvases)) > allowed:
        raise ModelError(f"the export is refused: {named(file, twin, canvases)}.")
    for place in range(len(canvases)):
        alone = raw_of(file, canvases[place : place + 1])
        apart = difference(tuple(level[place : place + 1] for level in said), alone)
        if apart > allowed:
            raise ModelError(
                f"the export is refused: a picture in a batch of {len(canvases)} gives other "
                f"numbers than alone, up to {apart:.3g} apart."
            )


def _require_same_nothing(
    file: OneStage | TwoStage, network: OneStage | TwoStage, photo: Pixels
) -> None:
    """A picture in which nothing is found, and a second stage without proposals."""
    for detector in (file, network):
        found = detector.with_thresholds(score_threshold=1.0).detect_array(photo)
        shapes = (found.boxes.shape, found.labels.shape, found.scores.shape)
        if shapes != ((0, 4), (0,), (0,)):
            raise ModelError(f"the export is refused: no detections have the shapes {shapes}.")
    if isinstance(file, TwoStage) and isinstance(network, TwoStage):
        canvas = images.fit(photo, file.canvas_hw)[0][None]
        shapes = tuple(
            engine.refine(engine.propose(canvas)[0], np.zeros((0, 4), np.float32)).shape
            for engine in (file.engine, network.engine)
        )
        if shapes[0] != shapes[1]:
            raise ModelError(f"the export is refused: no proposals give the shapes {shapes}.")


def _require_within(found: Measured, limits: Tolerance) -> None:
    share = found.alone / max(1, 2 * found.pairs + found.alone)
    if found.pixels > limits.pixels or found.score > limits.score or share > limits.alone:
        raise ModelError(
            f"the export is refused: its boxes are up to {found.pixels:.3g} pixels and "
            f"{found.score:.2g} of a score from its network's, {share:.0%} of its detections "
            f"shown by one of them only; allowed are {limits.pixels:g}, {limits.score:g} and "
            f"{limits.alone:.0%}."
        )


def _trained(
    file: OneStage | TwoStage, twin: Twin, photos: list[Pixels], limits: Tolerance
) -> Measured | None:
    """Against the weights as trained, where somebody has them."""
    if twin.trained is None:
        return None
    found = measured(file, twin.detector, photos, _canvases(file))
    _require_within(
        found, replace(limits, pixels=limits.trained_pixels, score=limits.trained_score)
    )
    return found


def _precision(
    file: OneStage | TwoStage, twin: Twin, stored: nn.Module, dataset: Pictures, limits: Tolerance
) -> Precision:
    """VOC's average precision by both, on the same pictures."""
    network = twin if twin.trained is not None else twin.holding(stored)
    by_file, by_torch = (
        evaluate(detector, dataset.images, protocol="voc", resamples=0)
        for detector in (file, network.detector)
    )
    torch_ap50, file_ap50 = by_torch.metrics["AP50"], by_file.metrics["AP50"]
    if torch_ap50 is None or file_ap50 is None:
        raise SettingError(f"{dataset.name} has no object of the model's classes.")
    if abs(torch_ap50 - file_ap50) > limits.ap50:
        raise ModelError(
            f"the export is refused: AP50 on {dataset.name} is {file_ap50:.4f}, that of its "
            f"network {torch_ap50:.4f}; a difference of {limits.ap50:g} is allowed."
        )
    return Precision(dataset.name, by_file.images, torch_ap50, file_ap50)
