"""What a user may ask of a training, and what was made of it, each value with its origin."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from boxray import recipes
from boxray.data import Manner
from boxray.errors import SettingError
from boxray.ledger import Resolved

# Every picture is seen this often in a default training, for data sets of this size; larger sets
# need fewer rounds, and more steps in all. Measured on small sets, see docs/experiments.md.
REFERENCE_IMAGES = 200
REFERENCE_EPOCHS = 60
EPOCHS_EXPONENT = -0.5

DEVICES = ("cpu", "cuda")
DASHBOARDS = ("tensorboard", "wandb", "mlflow")


@dataclass(frozen=True)
class TrainSettings:
    """A request for a training. None means: work it out from the data.

    data: folders in any format `boxray.data.read` knows, used together. recipe: a name of the table
    in `recipes`. start: a model whose weights are begun with, by name, file or run folder, or
    "imagenet". freeze: how many of the backbone's stages are not trained. split and val_split: the
    parts to learn from and to check on. size: canvas side in pixels. minutes: a time budget that
    the whole schedule is fitted to, instead of epochs. accumulate: in how many portions a batch is
    worked through. balance: pictures of rare classes are shown more often. multi_scale: the canvas
    changes its size. patience: so many validations without a better AP50 end the training. log:
    names of dashboards (training/listeners.py). checkpoint_s: seconds between checkpoints. From
    `format` on: how the data is read.
    """

    data: tuple[Path, ...]
    output: Path
    recipe: str = recipes.DEFAULT
    start: str | None = None
    classes: Path | None = None
    split: str | None = None
    val_split: str | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch: int | None = None
    accumulate: int | None = None
    size: int | None = None
    learning_rate: float | None = None
    freeze: int | None = None
    balance: bool = False
    multi_scale: bool = False
    patience: int | None = None
    log: tuple[str, ...] = ()
    validations: int | None = None
    seed: int = 0
    threads: int | None = None
    workers: int | None = None
    device: str = "cpu"
    checkpoint_s: float = 60.0
    format: str | None = None
    voc_zero_based: bool = False
    segments: bool = False
    merge_names: bool = False
    strict: bool = False
    cache: Path | None = None

    @property
    def manner(self) -> Manner:
        """How the data is read; without a named cache, with the user's own."""
        return Manner.asked(
            format=self.format,
            voc_zero_based=self.voc_zero_based,
            segments=self.segments,
            merge_names=self.merge_names,
            strict=self.strict,
            cache=self.cache,
            split_seed=self.seed,
        )

    def __post_init__(self) -> None:
        if not self.data:
            raise SettingError("train needs at least one data folder.")
        recipes.known(self.recipe)
        if self.epochs is not None and self.minutes is not None:
            raise SettingError("--epochs and --minutes exclude each other; give one of them.")
        limits: dict[str, tuple[float, float]] = {
            "epochs": (1e-3, 10_000),
            "minutes": (0.1, 100_000),
            "batch": (1, 1024),
            "accumulate": (1, 1024),
            "freeze": (0, 100),
            "patience": (1, 1000),
            "size": (64, 2048),
            "learning_rate": (1e-8, 1.0),
            "validations": (0, 1000),
            "seed": (0, 2**32 - 1),
            "threads": (1, 512),
            "workers": (0, 64),
            "checkpoint_s": (0.0, 86_400),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise SettingError(f"{name} is {value}; expected {low:g} to {high:g}.")
        unknown = [name for name in self.log if name not in DASHBOARDS]
        if unknown:
            raise SettingError(f"no dashboard {unknown[0]!r}; expected {', '.join(DASHBOARDS)}.")
        if self.device not in DEVICES:
            raise SettingError(f"device is {self.device!r}; expected {' or '.join(DEVICES)}.")
        if self.size is not None and self.size % 32:
            raise SettingError(f"size is {self.size}; expected a multiple of 32, like 320.")


def default_epochs(image_count: int) -> float:
    """How often a default training shows each picture: more often where there are few."""
    return float(REFERENCE_EPOCHS * (max(image_count, 20) / REFERENCE_IMAGES) ** EPOCHS_EXPONENT)


def default_batch(image_count: int) -> int:
    """Images per step: fewer, so more steps, where there are few."""
    return 16 if image_count > 1000 else 8


def resolve(settings: TrainSettings, derived: dict[str, Any]) -> Resolved:
    """`settings` with what was None filled from `derived`, and each value's origin.

    derived may add values that no user sets (classes, priors); they are kept in the record.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    request = asdict(settings)
    defaults = {f.name: f.default for f in fields(settings)}
    for name, value in request.items():
        if value is None and name in derived:
            values[name], origins[name] = derived[name], "derived"
        else:
            values[name] = _plain(value)
            origins[name] = "default" if value == defaults[name] else "user"
    for name in derived.keys() - request.keys():
        values[name], origins[name] = derived[name], "derived"
    return Resolved(values, origins)


def request_of(resolved: Resolved, output: Path) -> TrainSettings:
    """The request that leads to exactly these resolved values again, for a resume.

    Splits that were found are found again: over several folders, each may have its own.
    """
    values = {f.name: resolved.values.get(f.name, f.default) for f in fields(TrainSettings)}
    for name in ("split", "val_split"):
        if resolved.origins[name] == "derived":
            values[name] = None
    values["data"] = tuple(Path(p) for p in values["data"])
    values["log"] = tuple(values["log"])
    for name in ("classes", "cache"):
        values[name] = None if values[name] is None else Path(values[name])
    values["output"] = output
    request = TrainSettings(**{k: v for k, v in values.items() if k != "epochs"})
    return request if request.minutes is not None else replace(request, epochs=values["epochs"])


def _plain(value: Any) -> Any:
    """Paths and tuples as JSON has them."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
