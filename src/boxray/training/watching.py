"""What a person sees of a training, and how they end it early."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from boxray.recipes.recipe import blueprint
from boxray.training.fitting import told
from boxray.training.preparation import Prepared, class_counts
from boxray.training.schedule import Clock

COMPARED_PER_LINE = 1000  # pictures, some five seconds


class Signals:
    """Notes the first SIGINT, SIGTERM or SIGHUP, for the loop to end well; the second kills."""

    WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        try:
            self._before = {number: signal.signal(number, self._note) for number in self.WATCHED}
        except ValueError:
            self._before = {}  # not in the main thread: the caller handles signals
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = number
        signal.signal(number, signal.SIG_DFL)


class Watcher:
    """Shows a training on the terminal: what begins, a bar with losses and the time left, results.

    console: None is silence, for tests and programs.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        """One line."""
        if self.console is not None:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def compared(self, done: int, total: int) -> None:
        """A line now and then while many pictures are compared, to divide data without splits."""
        if done % COMPARED_PER_LINE == 0:
            self.say(
                f"Comparing pictures, so that near-duplicates stay together: {done} of {total}"
            )

    def started_from(self, model: str, known: tuple[str, ...] | None, class_count: int) -> None:
        """Which model's weights are begun with, and how many classes it knows already.

        known: None where the two share the backbone alone.
        """
        if known is None:
            self.say(f"Starting from the backbone of '{model}'; the rest of the network is new.")
            return
        self.say(
            f"Starting from the weights of '{model}', which knows {len(known)} of the "
            f"{class_count} classes."
        )

    def start(self, prepared: Prepared, clock: Clock) -> None:
        """What will be done, on what, and when it will be over."""
        values = prepared.resolved.values
        counts = class_counts(prepared.train)
        names = ", ".join(f"{name} {count}" for name, count in counts.items())
        left_s = prepared.estimate_s * (1 - clock.progress)
        end = time.strftime("%H:%M", time.localtime(time.time() + left_s))
        self.say(
            f"Learning from {len(prepared.train.samples)} images ('{prepared.train.split}'), "
            f"checking on {len(prepared.val.samples)} ('{prepared.val.split}')."
        )
        self.say(f"  boxes: {names}")
        for report in (prepared.train.report, prepared.val.report):
            self.say(f"  read: {report.summary()}")
            for line in report.class_lines():
                self.say(f"  {line}")
        for line in told(prepared.resolved, blueprint(values["recipe"]).size):
            self.say(f"  {line}")
        length = (
            _counted(values["minutes"], "minute")
            if values["minutes"] is not None
            else f"{_counted(values['epochs'], 'epoch')}, {_counted(clock.total_steps, 'step')}"
        )
        others = ", if other programs stay as busy as now" if prepared.busy else ""
        threads = _counted(values["threads"], "thread")
        self.say(
            f"  {length} of {values['batch']} images at {values['size']} px, {threads}; "
            f"expected to end at {end}, in {span(left_s)}{others}."
        )

    def __enter__(self) -> Watcher:
        if self.console is not None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[losses]}"),
                console=self.console,
                disable=not self.console.is_terminal,
            )
            self._task = self._bar.add_task("training", total=1.0, left="", losses="")
            self._bar.start()
            self._began = time.perf_counter()
            self._from: float | None = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def step(self, clock: Clock, losses: dict[str, float]) -> None:
        """Move the bar."""
        if self._bar is None:
            return
        if self._from is None:
            self._from = clock.progress
        done, passed_s = clock.progress - self._from, time.perf_counter() - self._began
        left = f"{span(passed_s / done * (1 - clock.progress))} left" if done > 0 else ""
        shown = " ".join(f"{name} {value:.2f}" for name, value in losses.items())
        self._bar.update(self._task, completed=clock.progress, left=left, losses=shown)

    def validated(self, row: dict[str, Any]) -> None:
        """One line per validation."""
        ap50 = "none" if row["AP50"] is None else f"{row['AP50']:.3f}"
        total = sum(row["val_loss"].values())
        self.say(
            f"  {span(row['elapsed_s']):>8}  {row['images']:>7} images seen  "
            f"validation loss {total:.2f}  AP50 {ap50}"
        )


def span(seconds: float) -> str:
    """A duration as a person says it: 45 s, 3 min 20 s, 1 h 05 min."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _counted(number: int | float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def terminal() -> Console:
    """A console on standard error, so that standard output stays free for results."""
    return Console(file=sys.stderr)
