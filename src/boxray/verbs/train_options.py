"""What may be asked of a training, by those who train and those who only try."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict


class TrainOptions(TypedDict, total=False):
    """What a user may ask of a training; what is left out is worked out from the data.

    The meanings are those of `boxray.training.TrainSettings`.
    """

    recipe: str
    start: str | None
    classes: Path | None
    split: str | None
    val_split: str | None
    epochs: float | None
    minutes: float | None
    batch: int | None
    accumulate: int | None
    size: int | None
    learning_rate: float | None
    freeze: int | None
    balance: bool
    multi_scale: bool
    patience: int | None
    log: tuple[str, ...]
    seed: int
    threads: int | None
    device: str
    format: str | None
    voc_zero_based: bool
    segments: bool
    merge_names: bool
    strict: bool
    cache: Path | None
