"""How a model is run, in the words that every verb shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from boxray import bundle, from_classifier
from boxray.detectors import OneStage, TwoStage
from boxray.errors import MissingExtra, SettingError


@dataclass(frozen=True, kw_only=True)
class Running:
    """Which model, and with what; None is what the model itself says.

    model: a shipped model's name, an `.onnx` file or a run folder. size: of the canvas, a side or
    (height, width) in pixels. threads: how many work on one image, None for all processors.
    """

    model: str | Path = "default"
    size: bundle.Size | None = None
    threads: int | None = None
    device: str = "cpu"
    score_threshold: float | None = None
    iou_threshold: float | None = None
    max_detections: int | None = None
    method: str | None = None
    suppress_within: str | None = None

    def detector(self) -> OneStage | TwoStage:
        """The detector; ModelError or SettingError where model and settings do not fit."""
        loaded = bundle.load(self.model, size=self.size, threads=self.threads, device=self.device)
        return loaded.with_thresholds(
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            max_detections=self.max_detections,
            method=self.method,
            suppress_within=self.suppress_within,
        )


def has_own_weights(model: str) -> bool:
    """Whether a name is that of a file or of a model of boxray's, not of a network of timm's."""
    return model in (*bundle.shipped(), *from_classifier.NAMES) or Path(model).exists()


def require_bare(model: str) -> None:
    """SettingError for a model that --weights cannot go with."""
    if has_own_weights(model):
        raise SettingError(
            "--weights goes with a Darknet .cfg or with timm's name for a network; "
            f"{model} has its own."
        )


def missing_extra(error: ModuleNotFoundError, what: str) -> MissingExtra:
    """The install line for a module of `[train]` that is not there; our own modules always are."""
    if (error.name or "").partition(".")[0] == "boxray":
        raise error
    return MissingExtra(
        f'{what} needs {error.name}, which is not installed: pip install "boxray[train]".'
    )
