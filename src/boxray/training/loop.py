"""The training loop: raw = network(images), loss, backward, step; checked and saved as it goes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from boxray import export
from boxray.recipes.recipe import Recipe
from boxray.training import checkpoints
from boxray.training.balance import repeat_factors
from boxray.training.listeners import Listener
from boxray.training.pictures import (
    CACHE_SHARE,
    Batch,
    TrainingPictures,
    collate,
    end_with_the_training,
    free_memory_bytes,
)
from boxray.training.preparation import Prepared
from boxray.training.run_folder import RunFolder
from boxray.training.schedule import Clock, Schedule
from boxray.training.step import Learner
from boxray.training.validation import validate
from boxray.training.watching import Signals, Watcher

SMOOTHING = 0.05  # of the losses shown, per step


@dataclass(frozen=True)
class TrainResult:
    """How a training ended. best: its highest validation AP50; signal: the one that ended it."""

    run: Path
    steps: int
    ap50: float | None
    best: float | None
    wall_s: float
    signal: int | None


@dataclass
class Training:
    """The moving parts of a training; `Prepared` holds what stays."""

    prepared: Prepared
    folder: RunFolder
    learner: Learner
    clock: Clock
    listeners: Sequence[Listener] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    best: float | None = None

    @property
    def recipe(self) -> Recipe:
        """What is trained, and by which numbers."""
        return self.prepared.recipe


def run_to_the_end(training: Training, signals: Signals, watcher: Watcher) -> TrainResult:
    """Train from where the clock stands, and leave a usable model, however it ends."""
    start = time.perf_counter()
    watcher.start(training.prepared, training.clock)
    with watcher:
        _loop(training, signals, watcher)
    _close(training, watcher)
    for listener in training.listeners:
        listener.closed()
    return TrainResult(
        run=training.folder.path,
        steps=training.clock.step,
        ap50=training.rows[-1]["AP50"] if training.rows else None,
        best=training.best,
        wall_s=time.perf_counter() - start,
        signal=signals.received,
    )


def _close(training: Training, watcher: Watcher) -> None:
    """The last validation, the model, the last checkpoint."""
    if training.clock.progress >= 1:
        if not training.rows or training.rows[-1]["step"] < training.clock.step:
            _validate(training, watcher)
        _export(training)
        _save(training)  # last: a checkpoint of the last step says that all is done
    else:
        _save(training)  # first: whoever stopped it may lose patience
        _export(training)


def _loop(training: Training, signals: Signals, watcher: Watcher) -> None:
    values = training.prepared.resolved.values
    schedule = schedule_of(training.prepared)
    marks = max(1, values["validations"])
    saved = began = time.perf_counter()
    earlier_s = training.clock.elapsed_s
    for batch in loader_of(training):
        passed = int(training.clock.progress * marks)
        _, _, complaints = batch
        for complaint in complaints:
            watcher.say(complaint)
        _step(training, schedule, batch)
        now = time.perf_counter()
        training.clock.step += 1
        training.clock.elapsed_s = earlier_s + now - began
        watcher.step(training.clock, training.losses)
        for listener in training.listeners:
            listener.stepped(training.clock.step, training.losses)
        if signals.received is not None or training.clock.progress >= 1:
            return
        if int(training.clock.progress * marks) > passed:
            _validate(training, watcher)
            training.clock.ended = _has_stalled(training.rows, values["patience"])
            if training.clock.ended:
                watcher.say(f"No better AP50 in {values['patience']} validations: ending early.")
                return
        if now - saved >= values["checkpoint_s"]:
            _save(training)
            saved = now


def _has_stalled(rows: list[dict[str, Any]], patience: int | None) -> bool:
    """Whether the last `patience` validations brought nothing better than the ones before."""
    found = [row["AP50"] for row in rows if row["AP50"] is not None]
    if patience is None or len(found) <= patience:
        return False
    return bool(max(found[-patience:]) <= max(found[:-patience]))


def schedule_of(prepared: Prepared) -> Schedule:
    """The plan of a training that is prepared."""
    values = prepared.resolved.values
    return Schedule.of(
        prepared.recipe,
        len(prepared.train.samples),
        batch=values["batch"],
        seed=values["seed"],
        weights=repeat_factors(prepared.train) if values["balance"] else None,
        multi_scale=values["multi_scale"],
    )


def loader_of(training: Training, *, first: bool = False) -> Iterator[Batch]:
    """The batches from the step that the clock shows on; first: from the very first, in place."""
    clock = replace(training.clock, step=0, elapsed_s=0.0, ended=False) if first else training.clock
    pictures = TrainingPictures(
        training.prepared.train.samples,
        training.recipe.canvas_hw,
        training.recipe.augmentation,
        int(free_memory_bytes() * CACHE_SHARE),
    )
    workers = 0 if first else training.prepared.resolved.values["workers"]
    loader = DataLoader(
        pictures,
        batch_sampler=schedule_of(training.prepared).batches(clock),
        num_workers=workers,
        collate_fn=collate,
        prefetch_factor=4 if workers else None,
        worker_init_fn=end_with_the_training,
    )
    return iter(loader)


def _step(training: Training, schedule: Schedule, batch: Batch) -> None:
    """One update of the weights, and of the losses as they are shown."""
    clock = training.clock
    rate = schedule.learning_rate(clock.progress)
    seed = training.prepared.resolved.values["seed"]
    losses = training.learner.step(batch, rate=rate, seed=seed, number=clock.step)
    for name, now in losses.items():
        before = training.losses.get(name, now)
        training.losses[name] = before + SMOOTHING * (now - before)


def _validate(training: Training, watcher: Watcher) -> None:
    """Check the averaged weights, record it, and keep them if they are the best so far."""
    found = validate(training.recipe, training.learner.average, training.prepared.val)
    row = {
        "step": training.clock.step,
        "images": training.clock.step * training.prepared.resolved.values["batch"],
        "elapsed_s": round(training.clock.elapsed_s, 1),
        "train_loss": {name: round(value, 5) for name, value in training.losses.items()},
        "val_loss": {name: round(value, 5) for name, value in found.losses.items()},
        "AP50": found.ap50,
        "per_class": found.per_class,
    }
    training.rows.append(row)
    training.folder.write_rows(training.rows)
    watcher.validated(row)
    for listener in training.listeners:
        listener.validated(row)
    if found.ap50 is not None and (training.best is None or found.ap50 >= training.best):
        training.best = found.ap50
        checkpoints.write(training.folder.path / checkpoints.BEST, _checkpoint(training))


def _checkpoint(training: Training) -> checkpoints.Checkpoint:
    learner = training.learner
    state = {
        "step": training.clock.step,
        "elapsed_s": training.clock.elapsed_s,
        "budget_s": training.clock.budget_s,
        "ended": training.clock.ended,
        "losses": training.losses,
        "best": training.best,
    }
    return checkpoints.pack(learner.network, learner.average, learner.optimizer, state)


def _save(training: Training) -> None:
    checkpoints.write_last(training.folder.path, _checkpoint(training))


def _export(training: Training) -> None:
    """Write model.onnx from the best weights, or from the last if none were ever validated."""
    best = training.folder.path / checkpoints.BEST
    network = copy.deepcopy(training.learner.average)
    if best.exists():
        network.load_state_dict(checkpoints.read(best).part("average."))
    export.export_run(
        training.recipe,
        network,
        training.folder.path,
        classes=training.prepared.train.classes,
        settings=training.prepared.resolved.values,
        metrics={"val AP50": training.best},
    )
