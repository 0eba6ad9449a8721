"""Where the time of a real training goes, and what freezing buys, step by step.

    python benchmarks/training_profile.py DATA [--size 320] [--batch 16] [--steps 30] [--threads N]

Takes some five minutes. Trains the default recipe on DATA for some steps in each phase of its
schedule (canvases grow, mosaics end), once per number of frozen stages, and prints images per
second and the share of each part of a step, of each phase and of the whole schedule. "network" is
the forward pass, and the backward pass with what little the loss adds to it; the rest is our
overhead. Seconds are of processor, those of the process that makes the pictures among them, so
that others on the machine hardly count; where there are two, they are made meanwhile. Pictures are
decoded before, as they are in a training from the second round on; that takes the seconds that
"decoding" says. `--precision float32` computes as on a processor without bfloat16. Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from reporting import cores, deliver, machine

WARM_UP = 3  # steps that are not counted
NETWORK = ("forward", "backward")


class Stopwatch:
    """Seconds of processor by part; parts within parts count for the inner one only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time noted."""

        def run(*given: Any, **named: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            start = time.process_time()
            try:
                return function(*given, **named)
            finally:
                spent = time.process_time() - start
                self.seconds[part] += spent - self._inner
                self._inner = outer + spent

        return run


def of_workers() -> float:
    """Seconds of processor that the processes which make pictures have taken so far."""
    # a process's clock on Linux, as the C library's clock_getcpuclockid(3) makes its number
    workers = multiprocessing.active_children()
    return sum(time.clock_gettime((~worker.pid << 3) | 2) for worker in workers)


def phases(numbers: Any) -> list[tuple[float, float]]:
    """Where each part of a recipe's schedule begins and ends, in which all steps are alike."""
    cuts = sorted({*(start for start, _ in numbers.sizes), numbers.mosaic_until, 1.0})
    return list(itertools.pairwise(cuts))


def begun(asked: argparse.Namespace, frozen: int, run: Path) -> Any:
    """A training as `boxray train` begins it."""
    from boxray.training import TrainSettings, starting
    from boxray.training.preparation import prepare
    from boxray.training.run_folder import RunFolder

    settings = TrainSettings(
        data=(asked.data,), output=run, start="imagenet", freeze=frozen, size=asked.size,
        batch=asked.batch, threads=asked.threads, epochs=1000.0,
    )  # fmt: skip
    prepared = prepare(settings)
    prepared.resolved.values["precision"] = asked.precision or prepared.resolved.values["precision"]
    return starting._begin(prepared, RunFolder(run), ())


def decoded(training: Any) -> tuple[Any, float]:
    """The pictures of a training, all decoded, and how many seconds each took."""
    from boxray.training.pictures import TrainingPictures

    samples = training.prepared.train.samples
    recipe = training.recipe
    pictures = TrainingPictures(samples, recipe.canvas_hw, recipe.augmentation, 8 * 2**30)
    began = time.process_time()
    for place in range(len(samples)):
        pictures.picture(place, [])
    return pictures, (time.process_time() - began) / len(samples)


def measure(asked: argparse.Namespace, training: Any, pictures: Any, progress: float) -> Stopwatch:
    """Seconds of each part of all counted steps from some place in the schedule on."""
    from boxray.training import loop, objective, step

    training.clock.step = round(training.prepared.total_steps * progress)
    schedule = loop.schedule_of(training.prepared)
    watch, learner = Stopwatch(), training.learner
    learn, wait = watch.timed("other", loop._step), watch.timed("pictures", next)
    with (
        mock.patch.object(loop, "TrainingPictures", return_value=pictures),
        mock.patch.object(objective, "first_pass", watch.timed("forward", objective.first_pass)),
        mock.patch.object(
            objective, "losses_of", watch.timed("assignment and loss", objective.losses_of)
        ),
        mock.patch.object(step, "normalise", watch.timed("normalise", step.normalise)),
        mock.patch.object(
            learner.fabric, "backward", watch.timed("backward", learner.fabric.backward)
        ),
        mock.patch.object(
            learner.optimizer, "step", watch.timed("optimiser", learner.optimizer.step)
        ),
        mock.patch.object(
            step.Learner, "_follow", watch.timed("moving average", step.Learner._follow)
        ),
    ):
        loader = loop.loader_of(training)
        for number in range(WARM_UP + asked.steps):
            if number == WARM_UP:
                watch.seconds.clear()
                made_s = of_workers()
            batch = wait(loader)
            learn(training, schedule, batch)
            training.clock.step += 1
        watch.seconds["pictures"] += of_workers() - made_s
        del loader
    return watch


def rows_of(asked: argparse.Namespace, frozen: int, run: Path) -> list[dict[str, Any]]:
    """One row for each phase of the schedule, and one for all of it, each phase by its length."""
    training = begun(asked, frozen, run)
    pictures, decoding_s = decoded(training)
    whole: dict[str, float] = defaultdict(float)
    rows = []

    def add(name: str, seconds: dict[str, float]) -> None:
        busy_s = sum(seconds.values())
        share = {part: spent / busy_s for part, spent in seconds.items()}
        rows.append(
            {
                "frozen": frozen,
                "precision": training.prepared.resolved.values["precision"],
                "phase": name,
                "decoding_ms": round(1000 * decoding_s, 2),
                "images_per_s": round(asked.steps * asked.batch / busy_s, 2),
                "network": round(sum(share[part] for part in NETWORK), 3),
                "share": {part: round(value, 3) for part, value in sorted(share.items())},
            }
        )

    for start, end in phases(training.recipe.optimisation):
        seconds = measure(asked, training, pictures, (start + end) / 2).seconds
        add(f"{start:g} to {end:g}", seconds)
        for part, spent in seconds.items():
            whole[part] += spent * (end - start)
    add("all", whole)
    return rows


def main() -> None:
    """Measure each rung of the ladder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--frozen", type=int, nargs="*", default=[0, 1, 3, 4])
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = []
    for frozen in asked.frozen:
        with tempfile.TemporaryDirectory() as folder:
            rows += rows_of(asked, frozen, Path(folder))
    parts = sorted({part for row in rows for part in row["share"]})
    head = ["frozen", "precision", "phase", "decoding", "images/s", "network", *parts]
    table = [
        [row["frozen"], row["precision"], row["phase"], f"{row['decoding_ms']} ms"]
        + [row["images_per_s"], f"{row['network']:.0%}"]
        + [f"{row['share'].get(part, 0.0):.1%}" for part in parts]
        for row in rows
    ]
    document: dict[str, object] = {
        "schema": "boxray.benchmark.training_profile/3",
        "size": asked.size,
        "batch": asked.batch,
        "threads": asked.threads,
        "rows": rows,
        "machine": machine("torch", "timm", "boxray"),
    }
    deliver(document, [head, *table], as_json=asked.json)


if __name__ == "__main__":
    main()
