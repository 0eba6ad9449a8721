"""Who is told how a training goes: functions of one's own, and other people's dashboards.

A dashboard's package is installed by who wants it, and named by `--log`; nothing is sent anywhere
unless that package does so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from boxray.errors import MissingExtra

Row: TypeAlias = dict[str, Any]


@runtime_checkable
class Listener(Protocol):
    """Told what happens, after it has happened. What it raises ends the training."""

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        """A step was taken; losses: each term, smoothed."""

    def validated(self, row: Row) -> None:
        """The averaged weights were checked; row: what the run folder's metrics.jsonl gets."""

    def closed(self) -> None:
        """The training is over, or was interrupted."""


class Figures:
    """A listener that hands figures to a dashboard: losses every `EVERY` steps, each validation."""

    EVERY = 10

    def __init__(
        self, write: Callable[[dict[str, float], int], None], close: Callable[[], object]
    ) -> None:
        self._write = write
        self._close = close

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        if step % self.EVERY == 0:
            self._write({f"train/{name}": value for name, value in losses.items()}, step)

    def validated(self, row: Row) -> None:
        figures = {f"val/{name}": value for name, value in row["val_loss"].items()}
        if row["AP50"] is not None:
            figures["val/AP50"] = row["AP50"]
        self._write(figures, row["step"])

    def closed(self) -> None:
        self._close()


def tensorboard(run: Path) -> Listener:
    """TensorBoard's event files, in the run folder's `tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run / "tensorboard"))

    def write(figures: dict[str, float], step: int) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return Figures(write, writer.close)


def wandb(run: Path) -> Listener:
    """A run of Weights & Biases, by that package's own settings (WANDB_MODE=offline keeps it)."""
    import wandb as package  # type: ignore[import-not-found]

    begun = package.init(project="boxray", name=run.name, dir=str(run))
    return Figures(lambda figures, step: begun.log(figures, step=step), begun.finish)


def mlflow(run: Path) -> Listener:
    """A run of MLflow, by that package's own settings (MLFLOW_TRACKING_URI)."""
    import mlflow as package  # type: ignore[import-not-found]

    package.start_run(run_name=run.name)
    return Figures(lambda figures, step: package.log_metrics(figures, step=step), package.end_run)


def opened(name: str, run: Path) -> Listener:
    """The dashboard of that name. MissingExtra without its package."""
    try:
        return {"tensorboard": tensorboard, "wandb": wandb, "mlflow": mlflow}[name](run)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"--log {name} needs another package: pip install {name}.") from error
