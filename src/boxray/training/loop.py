"""The training loop: raw = network(images), loss, backward, step; checked and saved as it goes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from boxray import export
from boxray.engines.pytorch import normalise
from boxray.errors import SettingError
from boxray.recipes.recipe import Recipe
from boxray.training import checkpoints, objective
from boxray.training.optimiser import adamw
from boxray.training.pictures import (
    CACHE_SHARE,
    Batch,
    TrainingPictures,
    collate,
    free_memory_bytes,
    targets_of,
)
from boxray.training.preparation import Prepared, prepare
from boxray.training.run_folder import SETTINGS, RunFolder
from boxray.training.schedule import Clock, Schedule
from boxray.training.settings import TrainSettings, read_resolved, request_of
from boxray.training.transfer import start_from
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
    fabric: Fabric
    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    clock: Clock
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    best: float | None = None

    @property
    def recipe(self) -> Recipe:
        """What is trained, and by which numbers."""
        return self.prepared.recipe


def train(
    settings: TrainSettings, watcher: Watcher | None = None, *, started: float | None = None
) -> TrainResult:
    """Train a recipe on `settings.data` and leave a usable model in the run folder.

    started: when the user began to wait (time.perf_counter), which a time budget counts from.
    Ctrl-C or SIGTERM ends it early, with a checkpoint and a model of what was learned so far.
    Raises SettingError, FormatError or OutputError before any work if something is wrong.
    """
    folder = RunFolder(settings.output)
    folder.require_new()
    began = time.perf_counter() if started is None else started
    with folder.locked(), Signals() as signals:
        watcher = watcher or Watcher()
        prepared = prepare(settings, watcher.compared)
        _start(prepared, watcher)
        folder.write_settings(prepared.resolved.to_json())
        parts = {"train": prepared.train, "val": prepared.val}
        pictures = {name: [s.path for s in part.samples] for name, part in parts.items()}
        folder.write_split(pictures, prepared.train.roots)
        training = _begin(prepared, folder)
        if training.clock.budget_s is not None:
            spent = time.perf_counter() - began + prepared.closing_s
            budget_s = training.clock.budget_s
            training.clock.budget_s = max(budget_s / 2, budget_s - spent)
        return _run(training, signals, watcher)


def resume(run: Path, watcher: Watcher | None = None) -> TrainResult:
    """Go on with a training that was interrupted, from its newest whole checkpoint.

    On a CPU the result is bit for bit that of the uninterrupted training, if it is a number of
    epochs; one with a time budget goes on for the time that was left.
    Raises SettingError if there is nothing left to do.
    """
    folder = RunFolder(Path(run))
    resolved = read_resolved(folder.path / SETTINGS)
    watcher = watcher or Watcher()
    with folder.locked(), Signals() as signals:
        folder.sweep()
        prepared = prepare(request_of(resolved, folder.path), watcher.compared)
        now = prepared.resolved.values["fingerprint"]
        if now != resolved.values["fingerprint"]:
            raise SettingError(
                f"the data changed since this training began (fingerprint {now[:12]}…, then "
                f"{resolved.values['fingerprint'][:12]}…). Start a new training: boxray train."
            )
        found, complaints = checkpoints.newest(folder.path)
        for complaint in complaints:
            watcher.say(f"{complaint} Going back to the one before.")
        if found is None:
            _start(prepared, watcher)
        training = _begin(prepared, folder)
        if found is not None:
            _restore(training, found)
        elif complaints:
            watcher.say("No whole checkpoint is left: starting again from the first step.")
        if training.clock.progress >= 1:
            raise SettingError(
                f"nothing left to do in {run}: its {training.clock.step} steps are done and its "
                "model is written. To train longer, start anew: boxray train --epochs N."
            )
        return _run(training, signals, watcher)


def _start(prepared: Prepared, watcher: Watcher) -> None:
    """Fill the network with the weights of the model that the training starts from, if any."""
    if prepared.start is not None:
        known = start_from(prepared.start, prepared.recipe, prepared.train)
        watcher.started_from(prepared.start.model.name, known, len(prepared.train.classes))


def _begin(prepared: Prepared, folder: RunFolder) -> Training:
    """Everything at step 0."""
    values, recipe = prepared.resolved.values, prepared.recipe
    fabric = Fabric(accelerator="cuda" if values["device"] == "cuda" else "cpu", devices=1)
    network = recipe.network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).to(fabric.device).requires_grad_(False)
    optimizer = adamw(network, recipe.optimisation, values["learning_rate"])
    network, optimizer = fabric.setup(network, optimizer)
    budget_s = None if values["minutes"] is None else values["minutes"] * 60
    clock = Clock(prepared.total_steps, budget_s)
    return Training(prepared, folder, fabric, network, average, optimizer, clock)


def _restore(training: Training, found: checkpoints.Checkpoint) -> None:
    checkpoints.unpack(found, training.network, training.average, training.optimizer)
    state = found.state
    training.clock.step, training.clock.elapsed_s = state["step"], state["elapsed_s"]
    training.clock.budget_s = state["budget_s"]
    training.losses, training.best = state["losses"], state["best"]
    training.rows = [row for row in training.folder.rows() if row["step"] <= state["step"]]


def _run(training: Training, signals: Signals, watcher: Watcher) -> TrainResult:
    start = time.perf_counter()
    watcher.start(training.prepared, training.clock)
    with watcher:
        _loop(training, signals, watcher)
    if training.clock.progress >= 1:
        if not training.rows or training.rows[-1]["step"] < training.clock.step:
            _validate(training, watcher)
        _export(training)
        _save(training)  # last: a checkpoint of the last step says that all is done
    else:
        _save(training)  # first: whoever stopped it may lose patience
        _export(training)
    last = training.rows[-1]["AP50"] if training.rows else None
    wall_s = time.perf_counter() - start
    return TrainResult(
        training.folder.path, training.clock.step, last, training.best, wall_s, signals.received
    )


def _loop(training: Training, signals: Signals, watcher: Watcher) -> None:
    values = training.prepared.resolved.values
    schedule = _schedule(training)
    marks = max(1, values["validations"])
    saved = began = time.perf_counter()
    earlier_s = training.clock.elapsed_s
    for batch in _loader(training, schedule):
        passed = int(training.clock.progress * marks)
        for complaint in batch[2]:
            watcher.say(complaint)
        _step(training, schedule, batch)
        now = time.perf_counter()
        training.clock.step += 1
        training.clock.elapsed_s = earlier_s + now - began
        watcher.step(training.clock, training.losses)
        if signals.received is not None or training.clock.progress >= 1:
            return
        if int(training.clock.progress * marks) > passed:
            _validate(training, watcher)
        if now - saved >= values["checkpoint_s"]:
            _save(training)
            saved = now


def _schedule(training: Training) -> Schedule:
    values, recipe = training.prepared.resolved.values, training.recipe
    return Schedule(
        numbers=recipe.optimisation,
        canvas_hw=recipe.canvas_hw,
        stride=recipe.coder.canvas_multiple,
        picture_count=len(training.prepared.train.samples),
        batch=values["batch"],
        seed=values["seed"],
        mosaic_share=recipe.augmentation.mosaic_share,
    )


def _loader(training: Training, schedule: Schedule) -> Iterator[Batch]:
    pictures = TrainingPictures(
        training.prepared.train.samples,
        training.recipe.canvas_hw,
        training.recipe.augmentation,
        int(free_memory_bytes() * CACHE_SHARE),
    )
    workers = training.prepared.resolved.values["workers"]
    loader = DataLoader(
        pictures,
        batch_sampler=schedule.batches(training.clock),
        num_workers=workers,
        collate_fn=collate,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


def _step(training: Training, schedule: Schedule, batch: Batch) -> None:
    """One update of the weights and of their average."""
    recipe, device = training.recipe, training.fabric.device
    share = schedule.learning_rate(training.clock.progress)
    for group in training.optimizer.param_groups:
        group["lr"] = group["peak"] * share
    training.network.train()
    pixels, truths, _ = batch
    image = normalise(pixels.to(device), recipe.mean, recipe.std)
    values = training.prepared.resolved.values
    torch.manual_seed(values["seed"] + training.clock.step)  # of samples; so resuming repeats them
    targets = [targets_of(t, device) for t in truths]
    seen = training.clock.step * len(truths)
    losses = objective.losses(recipe, training.network, image, targets, seen=seen)
    training.fabric.backward(torch.stack(list(losses.values())).sum())
    training.fabric.clip_gradients(
        training.network, training.optimizer, max_norm=recipe.optimisation.clip_norm
    )
    training.optimizer.step()
    training.optimizer.zero_grad()
    _follow(training)
    for name, value in losses.items():
        now = float(value.detach())
        before = training.losses.get(name, now)
        training.losses[name] = before + SMOOTHING * (now - before)


@torch.no_grad()
def _follow(training: Training) -> None:
    """Move the average towards the weights: a memory of the last share of the steps so far."""
    memory = 1 + training.recipe.optimisation.average_share * training.clock.step
    pairs = zip(
        training.average.state_dict().values(), training.network.state_dict().values(), strict=True
    )
    floats = [(a, b) for a, b in pairs if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 / memory)


def _validate(training: Training, watcher: Watcher) -> None:
    """Check the averaged weights, record it, and keep them if they are the best so far."""
    found = validate(training.recipe, training.average, training.prepared.val)
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
    if found.ap50 is not None and (training.best is None or found.ap50 >= training.best):
        training.best = found.ap50
        checkpoints.write(training.folder.path / checkpoints.BEST, _checkpoint(training))


def _checkpoint(training: Training) -> checkpoints.Checkpoint:
    state = {
        "step": training.clock.step,
        "elapsed_s": training.clock.elapsed_s,
        "budget_s": training.clock.budget_s,
        "losses": training.losses,
        "best": training.best,
    }
    return checkpoints.pack(training.network, training.average, training.optimizer, state)


def _save(training: Training) -> None:
    checkpoints.write_last(training.folder.path, _checkpoint(training))


def _export(training: Training) -> None:
    """Write model.onnx from the best weights, or from the last if none were ever validated."""
    best = training.folder.path / checkpoints.BEST
    network = copy.deepcopy(training.average)
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
