"""`boxray train` and `boxray resume`: the way to torch, which is imported when it is needed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from boxray import bundle
from boxray.verbs.running import missing_extra
from boxray.verbs.sources import require_outside
from boxray.verbs.terminal import shown
from boxray.verbs.train_options import TrainOptions

SCHEMA = "boxray.train/1"
RUNS = Path("runs")


@dataclass(frozen=True)
class TrainReport:
    """How a training ended; the fields of `boxray.training.TrainResult`, where torch is not needed.

    ap50 and best: the last and the highest AP50 on the validation split. wall_s: in seconds.
    signal: the number of the one that ended it early, None if it ended by itself.
    """

    run: Path
    steps: int
    ap50: float | None
    best: float | None
    wall_s: float
    signal: int | None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.train/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "run": str(self.run),
            "model": str(self.run / bundle.MODEL_FILE),
            "best": self.best,
            "metrics": {"AP50": self.ap50},
            "steps": self.steps,
            "wall_s": self.wall_s,
            "signal": self.signal,
        }

    def summary(self) -> list[str]:
        """What the training left, and what to do with it, for people."""
        run = shown(str(self.run))
        best = "not measured" if self.best is None else f"{self.best:.3f}"
        return [
            f"The model is {run}/{bundle.MODEL_FILE}; best validation AP50 {best}, "
            f"{self.steps} steps in {self.wall_s:.0f} s.",
            f"Next: boxray evaluate {run} DATA, boxray detect PICTURE --model {run}",
        ]


def train(
    data: Sequence[Path],
    output: Path | None = None,
    *,
    options: TrainOptions,
    console: Console | None = None,
    preflight: bool = True,
) -> TrainReport:
    """Train on annotated folders; the run goes to `output`, or to the first free runs/NAME.

    console: where progress is shown, None for nowhere. preflight: look first whether it will
    learn. Raises MissingExtra without torch, PreflightError where it will not, and FormatError,
    SettingError or OutputError before any work.
    """
    started = time.perf_counter()  # importing torch is part of the wait
    try:
        from boxray import training
        from boxray.training.watching import Watcher
        from boxray.verbs.preflight import refuse_what_is_in_vain
    except ModuleNotFoundError as error:
        raise missing_extra(error, "training") from error
    output = output or _free_run(data)
    require_outside(output, data)
    settings = training.TrainSettings(data=tuple(data), output=output, **options)
    watcher = Watcher(console)
    inspect = partial(refuse_what_is_in_vain, watcher=watcher) if preflight else None
    result = training.train(settings, watcher, started=started, inspect=inspect)
    return TrainReport(**vars(result))


def resume(
    run: Path, *, epochs: float | None = None, console: Console | None = None
) -> TrainReport:
    """Go on with an interrupted training from its newest whole checkpoint.

    epochs: the length of the whole training from now on, to make it longer.
    """
    try:
        from boxray import training
        from boxray.training.watching import Watcher
    except ModuleNotFoundError as error:
        raise missing_extra(error, "training") from error
    return TrainReport(**vars(training.resume(run, Watcher(console), epochs=epochs)))


def _free_run(data: Sequence[Path]) -> Path:
    """runs/NAME of the first data folder, with a number where that is taken."""
    name = (data[0].resolve().name if data else "") or "run"
    numbered = (RUNS / f"{name}-{number}" for number in itertools.count(2))
    return next(run for run in itertools.chain([RUNS / name], numbered) if not run.exists())
