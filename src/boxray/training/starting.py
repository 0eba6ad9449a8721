"""A training begins, or goes on: everything is made ready, then the loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from boxray.errors import SettingError
from boxray.ledger import REPORT, SETTINGS, Resolved, read_resolved
from boxray.training import checkpoints
from boxray.training.fitting import FEW
from boxray.training.ignored import refuse_ignored
from boxray.training.listeners import Listener, opened
from boxray.training.loop import Training, TrainResult, run_to_the_end
from boxray.training.preparation import Prepared, prepare
from boxray.training.report import write_report
from boxray.training.run_folder import RunFolder
from boxray.training.schedule import Clock
from boxray.training.settings import TrainSettings, request_of
from boxray.training.step import learner_of
from boxray.training.transfer import start_from
from boxray.training.validation import validate
from boxray.training.watching import Signals, Watcher

FOUND = 0.25  # AP50 from which a model knows what it is to learn; docs/experiments.md, 2026-11-29
GENTLER = 0.1  # of the usual rate, then; thousands taught the shipped model more at all of it
LOOKED_AT = 64  # pictures, to find that out


def train(
    settings: TrainSettings,
    watcher: Watcher | None = None,
    *,
    started: float | None = None,
    listeners: Sequence[Listener] = (),
    inspect: Callable[[Prepared], None] | None = None,
) -> TrainResult:
    """Train a recipe on `settings.data` and leave a usable model in the run folder.

    started: when the user began to wait (time.perf_counter), which a time budget counts from.
    listeners: told of every step and validation, beside the dashboards that settings name.
    inspect: given everything before the first step; it may raise, and nothing was written then.
    Ctrl-C or SIGTERM ends it early, with a checkpoint and a model of what was learned so far.
    Raises SettingError, FormatError or OutputError before any work if something is wrong.
    """
    folder = RunFolder(settings.output)
    folder.require_new()
    began = time.perf_counter() if started is None else started
    with folder.locked(), Signals() as signals:
        watcher = watcher or Watcher()
        prepared = ready(settings, watcher)
        if inspect is not None:
            inspect(prepared)
        folder.write_settings(prepared.resolved.to_json())
        folder.begin_session()
        parts = {"train": prepared.train, "val": prepared.val}
        pictures = {name: [s.path for s in part.samples] for name, part in parts.items()}
        folder.write_split(pictures, prepared.train.roots)
        training = _begin(prepared, folder, listeners)
        if training.clock.budget_s is not None:
            spent = time.perf_counter() - began + prepared.closing_s
            budget_s = training.clock.budget_s
            training.clock.budget_s = max(budget_s / 2, budget_s - spent)
        return _run(training, signals, watcher)


def ready(settings: TrainSettings, watcher: Watcher) -> Prepared:
    """Everything before the first step, the network with the weights that it starts from."""
    prepared = prepare(settings, watcher.compared)
    refuse_ignored(settings, prepared.recipe, prepared.train, prepared.resolved.values)
    return _start(prepared, watcher)


def resume(
    run: Path,
    watcher: Watcher | None = None,
    *,
    epochs: float | None = None,
    listeners: Sequence[Listener] = (),
) -> TrainResult:
    """Go on with a training that was interrupted, from its newest whole checkpoint.

    On a CPU the result is bit for bit that of the uninterrupted training, if it is a number of
    epochs; one with a time budget goes on for the time that was left. epochs: how long the whole
    training is to be now, counted from its beginning; the rate follows the longer schedule. One
    that was killed after its last step gets the report that it lacks.
    Raises SettingError if there is nothing left to do.
    """
    folder = RunFolder(Path(run))
    resolved = read_resolved(folder.path / SETTINGS)
    watcher = watcher or Watcher()
    with folder.locked(), Signals() as signals:
        folder.sweep()
        request = request_of(resolved, folder.path)
        if epochs is not None:
            request = replace(request, epochs=epochs, minutes=None)
        found, complaints = checkpoints.newest(folder.path)
        for complaint in complaints:
            watcher.say(f"{complaint} Going back to the one before.")
        prepared = prepare(request, watcher.compared, fresh=found is None)
        _require_same_data(prepared, resolved)
        if found is None:
            prepared = _start(prepared, watcher)
        training = _begin(prepared, folder, listeners)
        if found is not None:
            _restore(training, found, extended=epochs is not None)
        elif complaints:
            watcher.say("No whole checkpoint is left: starting again from the first step.")
        if training.clock.progress >= 1 and (folder.path / REPORT).exists():
            raise SettingError(
                f"nothing left to do in {run}: its {training.clock.step} steps are done and its "
                f"model is written. To train longer: boxray resume {run} --epochs N, N being all "
                "epochs from the beginning."
            )
        if epochs is not None:
            folder.write_settings(prepared.resolved.over(resolved).to_json())
        folder.begin_session()
        return _run(training, signals, watcher)


def _run(training: Training, signals: Signals, watcher: Watcher) -> TrainResult:
    """To the end, and if that was the training's own, to its report."""
    result = run_to_the_end(training, signals, watcher)
    if training.clock.progress >= 1:
        write_report(training)
    return result


def _require_same_data(prepared: Prepared, resolved: Resolved) -> None:
    now, then = prepared.resolved.values["fingerprint"], resolved.values["fingerprint"]
    if now != then:
        raise SettingError(
            f"the data changed since this training began (fingerprint {now[:12]}…, then "
            f"{then[:12]}…). Start a new training: boxray train."
        )


def _start(prepared: Prepared, watcher: Watcher) -> Prepared:
    """Fill the network with the weights of the model that the training starts from, if any."""
    if prepared.start is None:
        return prepared
    name, classes = prepared.start.model.name, prepared.train.classes
    known = start_from(prepared.start, prepared.recipe, prepared.train)
    watcher.started_from(name, known, len(classes))
    return _gentler(prepared, watcher) if known and set(known) == set(classes) else prepared


def _gentler(prepared: Prepared, watcher: Watcher) -> Prepared:
    """With a lower rate where the network finds all objects of few pictures already.

    At the rate of new classes it would forget more than they teach.
    """
    resolved = prepared.resolved
    few = len(prepared.train.samples) <= FEW
    if not few or resolved.origins["learning_rate"] != "derived":
        return prepared
    found = _found_already(prepared)
    if found < FOUND:
        return prepared
    rate = resolved.values["learning_rate"] * GENTLER
    watcher.say(
        f"It finds them already, AP50 {found:.2f} on pictures to learn from: learning goes on at "
        f"a rate of {rate:g}, not {resolved.values['learning_rate']:g}."
    )
    values = {**resolved.values, "learning_rate": rate}
    return replace(prepared, resolved=replace(resolved, values=values))


def _found_already(prepared: Prepared) -> float:
    """AP50 of the network at its start, on some of the pictures that it is to learn from."""
    samples = prepared.train.samples
    some = replace(prepared.train, samples=samples[:: -(-len(samples) // LOOKED_AT)])
    network = prepared.recipe.network
    trained = network.training
    with torch.random.fork_rng():
        found = validate(prepared.recipe, network, some).ap50
    network.train(trained)
    return found or 0.0


def _begin(prepared: Prepared, folder: RunFolder, listeners: Sequence[Listener]) -> Training:
    """Everything at step 0."""
    values = prepared.resolved.values
    learner = learner_of(prepared.recipe, values)
    budget_s = None if values["minutes"] is None else values["minutes"] * 60
    clock = Clock(prepared.total_steps, budget_s)
    dashboards = [opened(name, folder.path) for name in values["log"]]
    return Training(prepared, folder, learner, clock, [*listeners, *dashboards])


def _restore(training: Training, found: checkpoints.Checkpoint, *, extended: bool) -> None:
    learner = training.learner
    checkpoints.unpack(found, learner.network, learner.average, learner.optimizer)
    state = found.state
    training.clock.step, training.clock.elapsed_s = state["step"], state["elapsed_s"]
    if not extended:
        training.clock.budget_s, training.clock.ended = state["budget_s"], state["ended"]
    training.losses, training.best = state["losses"], state["best"]
    training.rows = [row for row in training.folder.rows() if row["step"] <= state["step"]]
