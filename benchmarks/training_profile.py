"""Where the time of a real training goes, and what freezing buys, step by step.

    python benchmarks/training_profile.py DATA [--size 320] [--batch 16] [--steps 30] [--threads N]

Takes some two minutes. Trains the default recipe on DATA in the phase of its schedule where the
canvas is full and half of the pictures are mosaics, once per number of frozen stages, and prints
images per second and the share of each part of a step. "network" is the forward pass, and the
backward pass with what little the loss adds to it; the rest is our overhead. Seconds are of
processor, with the pictures made in the same process, so that others on the machine hardly count.
`--precision float32` computes as on a processor without bfloat16.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from reporting import cores, deliver, machine

PHASE = 0.72  # of the schedule: full canvas, mosaics
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


def measure(asked: argparse.Namespace, frozen: int, run: Path) -> dict[str, Any]:
    """Images per second and the share of each part, for one number of frozen stages."""
    from boxray.training import TrainSettings, loop, objective, starting, step
    from boxray.training.preparation import prepare
    from boxray.training.run_folder import RunFolder

    settings = TrainSettings(
        data=(asked.data,), output=run, start="imagenet", freeze=frozen, size=asked.size,
        batch=asked.batch, threads=asked.threads, epochs=1000.0, workers=0,
    )  # fmt: skip
    prepared = prepare(settings)
    prepared.resolved.values["precision"] = asked.precision or prepared.resolved.values["precision"]
    training = starting._begin(prepared, RunFolder(run), ())
    training.clock.step = round(training.prepared.total_steps * PHASE)
    schedule = loop.schedule_of(training.prepared)
    loader = loop.loader_of(training)
    watch = Stopwatch()
    learner = training.learner
    learn = watch.timed("other", loop._step)
    wait = watch.timed("pictures", next)
    with (
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
        for number in range(WARM_UP + asked.steps):
            if number == WARM_UP:
                watch.seconds.clear()
                began = time.process_time()
            batch = wait(loader)
            learn(training, schedule, batch)
            training.clock.step += 1
        busy_s = time.process_time() - began
    share = {part: seconds / busy_s for part, seconds in watch.seconds.items()}
    return {
        "frozen": frozen,
        "precision": prepared.resolved.values["precision"],
        "images_per_s": round(asked.steps * asked.batch / busy_s, 2),
        "network": round(sum(share[part] for part in NETWORK), 3),
        "share": {part: round(value, 3) for part, value in sorted(share.items())},
    }


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
            rows.append(measure(asked, frozen, Path(folder)))
    parts = sorted({part for row in rows for part in row["share"]})
    head = ["frozen", "precision", "images/s", "network", *parts]
    table = [
        [row["frozen"], row["precision"], row["images_per_s"], f"{row['network']:.0%}"]
        + [f"{row['share'].get(part, 0.0):.1%}" for part in parts]
        for row in rows
    ]
    document: dict[str, object] = {
        "schema": "boxray.benchmark.training_profile/2",
        "size": asked.size,
        "batch": asked.batch,
        "threads": asked.threads,
        "rows": rows,
        "machine": machine("torch", "timm", "boxray"),
    }
    deliver(document, [head, *table], as_json=asked.json)


if __name__ == "__main__":
    main()
