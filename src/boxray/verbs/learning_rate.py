"""`boxray learning-rate`: which rate a training can bear, by ever higher ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from boxray.inspection import plots
from boxray.verbs.data.places import check_new_file
from boxray.verbs.running import missing_extra
from boxray.verbs.sources import make_parent
from boxray.verbs.train_options import TrainOptions

if TYPE_CHECKING:
    from boxray.training.range_test import RangeTest

SCHEMA = "boxray.learning-rate/1"


@dataclass(frozen=True)
class RatesReport:
    """What the range test saw. usual: the rate that `train` takes unless it is told another."""

    found: RangeTest
    usual: float
    picture: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.learning-rate/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "suggested": self.found.suggested,
            "usual": self.usual,
            "lowest": self.found.lowest,
            "ran_away": self.found.ran_away,
            "rates": list(self.found.rates),
            "losses": list(self.found.losses),
            "smoothed": list(self.found.smoothed),
            "picture": None if self.picture is None else str(self.picture),
        }

    def summary(self) -> list[str]:
        """What to make of it, for people."""
        found = self.found
        first, last = found.rates[0], found.rates[-1]
        end = f"ran away at {last:.2g}" if found.ran_away else f"did not run away up to {last:.2g}"
        low = min(found.smoothed)
        lines = [
            f"{len(found.rates)} steps from a rate of {first:.2g}: the loss fell from "
            f"{found.smoothed[0]:.3g} to {low:.3g} at {found.lowest:.2g}, and {end}.",
            f"Suggested, a tenth of that: --learning-rate {found.suggested:g}. Without it, `train` "
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
        plots.require()
    try:
        from boxray import training
        from boxray.training.range_test import range_test
        from boxray.training.starting import ready
        from boxray.training.watching import Watcher
    except ModuleNotFoundError as error:
        raise missing_extra(error, "the range test") from error
    settings = training.TrainSettings(data=tuple(data), output=Path(), **options)
    prepared = ready(settings, Watcher(console))
    found = range_test(prepared, on_step=on_step)
    usual = prepared.resolved.values["learning_rate"]
    if picture is not None:
        marks = {"suggested": found.suggested, "lowest loss": found.lowest}
        make_parent(picture)
        plots.save_range_test(found.rates, found.losses, found.smoothed, marks, picture)
    return RatesReport(found, usual, picture)
