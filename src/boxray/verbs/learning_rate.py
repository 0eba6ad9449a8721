"""`boxray learning-rate`: which rate a training can bear, by ever higher ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from boxray.verbs.data.places import check_new_file
from boxray.verbs.running import missing_extra
from boxray.verbs.train_options import TrainOptions

SCHEMA = "boxray.learning-rate/1"


@dataclass(frozen=True)
class RatesReport:
    """What the range test saw. usual: the rate that `train` takes unless it is told another."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    lowest: float
    suggested: float
    ran_away: bool
    usual: float
    picture: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.learning-rate/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "suggested": self.suggested,
            "usual": self.usual,
            "lowest": self.lowest,
            "ran_away": self.ran_away,
            "rates": list(self.rates),
            "losses": list(self.losses),
            "smoothed": list(self.smoothed),
            "picture": None if self.picture is None else str(self.picture),
        }

    def summary(self) -> list[str]:
        """What to make of it, for people."""
        end = (
            f"ran away at {self.rates[-1]:.2g}"
            if self.ran_away
            else f"did not run away up to {self.rates[-1]:.2g}"
        )
        lines = [
            f"{len(self.rates)} steps from a rate of {self.rates[0]:.2g}: the loss fell from "
            f"{self.smoothed[0]:.3g} to {min(self.smoothed):.3g} at {self.lowest:.2g}, and {end}.",
            f"Suggested, a tenth of that: --learning-rate {self.suggested:g}. Without it, `train` "
            f"takes {self.usual:g}.",
        ]
        return lines if self.picture is None else [*lines, f"Drawn in {self.picture}"]


def learning_rate(
    data: Sequence[Path],
    *,
    options: TrainOptions,
    picture: Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> RatesReport:
    """Find a learning rate for annotated folders; only the picture is written, if asked for.

    options: of the training. picture: a new .png of loss against rate. console: where it is told
    how the data is read. on_step: told how many of how many steps are done.
    Raises MissingExtra without torch, FormatError or SettingError for what cannot be trained.
    """
    if picture is not None:
        check_new_file(picture, ".png", data, may_replace=overwrite, option="--picture")
    try:
        from boxray import training
        from boxray.training.range_test import draw, range_test
        from boxray.training.starting import ready
        from boxray.training.watching import Watcher
    except ModuleNotFoundError as error:
        raise missing_extra(error, "the range test") from error
    settings = training.TrainSettings(data=tuple(data), output=Path(), **options)
    prepared = ready(settings, Watcher(console))
    found = range_test(prepared, on_step=on_step)
    usual = prepared.resolved.values["learning_rate"]
    if picture is not None:
        draw(found, picture)
    return RatesReport(
        rates=found.rates,
        losses=found.losses,
        smoothed=found.smoothed,
        lowest=found.lowest,
        suggested=found.suggested,
        ran_away=found.ran_away,
        usual=usual,
        picture=picture,
    )
