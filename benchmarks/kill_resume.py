"""Whether a training that is killed at random moments ends exactly like one that never was.

    python benchmarks/kill_resume.py --kills 100 --in-save 40 --seed 0 [--json summary.json]

Trains a small detector on made-up pictures once without disturbance. Then starts the same
training, kills it with SIGKILL after a random part of a process's life, resumes it, kills it
again, and so on. `--in-save` of the kills strike inside a save: at a random one of its steps to
the disk, when a file is half written, before it gets its name, or just after. Whenever a training
ends in spite of that, its last checkpoint is compared with the undisturbed one's, tensor by tensor
and byte by byte, and its record of metrics row by row (all but the time), and the next training
begins. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import stat
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "size": 64,
    "batch": 4,
    "validations": 4,
    "threads": 1,
    "workers": 1,
    "checkpoint_s": 0.3,
}
PICTURES = 20
MOST_STEPS = 60  # to the disk: a save takes five, and an undisturbed training saves some ten times
PROCESSES = multiprocessing.get_context("forkserver")  # torch is imported once
PROCESSES.set_forkserver_preload(["boxray.training"])


@dataclass(frozen=True)
class Plan:
    """How many kills, how many of them inside a save, of a training how long, and the seed."""

    kills: int
    in_save: int
    epochs: float
    seed: int


def die_in_save(moment: int) -> None:
    """Let this process kill itself at its `moment`-th step to the disk.

    A file that is flushed may be torn: half of it is cut off first, every second time.
    """
    flush, rename = os.fsync, Path.replace
    steps = itertools.count(1)

    def dying_flush(handle: int) -> None:
        if next(steps) >= moment:
            if moment % 2 and stat.S_ISREG(os.fstat(handle).st_mode):
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    def dying_rename(path: Path, target: Path) -> Path:
        here = next(steps)
        if here == moment:  # before it, else after it
            os.kill(os.getpid(), signal.SIGKILL)
        found = rename(path, target)
        if here > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    os.fsync, Path.replace = dying_flush, dying_rename  # type: ignore[method-assign]


def work(data: Path, run: Path, epochs: float, moment: int | None) -> None:
    """What each process does: begin, or go on where the last one was killed."""
    from boxray.errors import SettingError
    from boxray.training import TrainSettings, resume, train

    if moment is not None:
        die_in_save(moment)
    if not (run / "settings.json").exists():
        train(TrainSettings(data=(data,), output=run, epochs=epochs, **SETTINGS))
        return
    try:
        resume(run)
    except SettingError as error:  # killed after its last checkpoint: it was done
        if "nothing left to do" not in str(error):
            raise


def start(data: Path, run: Path, epochs: float, moment: int | None = None) -> BaseProcess:
    """A process of its own that trains, and dies at its `moment`-th step to the disk."""
    process = PROCESSES.Process(target=work, args=(data, run, epochs, moment))
    process.start()
    return process


def outcome(run: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Every tensor of the last checkpoint as bytes, and the metrics but for the time."""
    from boxray.training import checkpoints

    tensors = checkpoints.read(run / checkpoints.LAST).tensors
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k != "elapsed_s"} for line in lines]
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}, rows


def steps_saved(run: Path) -> int | None:
    """The step of the newest whole checkpoint; None before the first."""
    from boxray.training import checkpoints

    found, _ = checkpoints.newest(run)
    return None if found is None else int(found.state["step"])


def differences(run: Path, reference: Path) -> list[str]:
    """What differs between two finished trainings, by name."""
    (tensors, rows), (expected_tensors, expected_rows) = outcome(run), outcome(reference)
    names = tensors.keys() | expected_tensors.keys()
    found = [n for n in sorted(names) if tensors.get(n) != expected_tensors.get(n)]
    return found + ([] if rows == expected_rows else ["metrics.jsonl"])


def watch(process: BaseProcess, moment_s: float) -> tuple[int | None, float]:
    """Kill a process once it has worked for `moment_s` of processor time, if it lives so long.

    Its exit status, None if it was killed or killed itself, and how long it worked. Processor
    time, because on a busy machine the same moment comes later.
    """
    worked_s = 0.0
    while process.is_alive():
        with contextlib.suppress(OSError, IndexError):  # it ended just now
            text = Path(f"/proc/{process.pid}/stat").read_text()
            fields = text.rpartition(")")[2].split()  # proc(5): utime and stime are 14 and 15
            worked_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if worked_s >= moment_s:
            process.kill()
        time.sleep(0.01)
    process.join()
    return (None if process.exitcode == -signal.SIGKILL else process.exitcode), worked_s


def disturb(folder: Path, plan: Plan, life_s: float) -> dict[str, Any]:
    """Kill processes at random moments; every training that ends is compared."""
    chance = random.Random(plan.seed)  # noqa: S311  # nothing here is a secret
    finished, faults = 0, dict[str, list[str]]()
    in_save = [True] * plan.in_save + [False] * (plan.kills - plan.in_save)
    chance.shuffle(in_save)
    struck = {True: 0, False: 0}
    steps: list[int | None] = []
    run = folder / "run-0"
    while in_save or run.exists():
        save = bool(in_save) and in_save[-1]
        moment = chance.randrange(1, MOST_STEPS) if save else None
        moment_s = chance.uniform(0, life_s) if in_save and not save else math.inf
        status, _ = watch(start(folder / "data", run, plan.epochs, moment), moment_s)
        if status is None:
            struck[in_save.pop()] += 1
            steps.append(steps_saved(run))
            continue
        found = differences(run, folder / "reference") if status == 0 else [f"exit status {status}"]
        if found:
            faults[run.name] = found
        else:
            finished += 1
            shutil.rmtree(run)
        run = folder / f"run-{finished + len(faults)}"
    return {
        "kills": sum(struck.values()),
        "of_them_in_a_save": struck[True],
        "steps_saved_by_then": steps,
        "trainings_finished_equal": finished,
        "differences": faults,
    }


def measure(folder: Path, plan: Plan) -> dict[str, Any]:
    """The undisturbed training, then the disturbed ones, and what came of them."""
    from boxray.data.synthetic import make

    data = make(folder / "data", images=PICTURES, seed=plan.seed)
    began = time.perf_counter()
    status, life_s = watch(start(data, folder / "reference", plan.epochs), math.inf)
    if status != 0:
        raise SystemExit("the undisturbed training failed")
    result = disturb(folder, plan, life_s)
    return {
        "schema": "boxray.benchmark.kill-resume/1",
        "settings": {"epochs": plan.epochs, **SETTINGS},
        "pictures": PICTURES,
        "seed": plan.seed,
        "undisturbed_processor_s": round(life_s, 1),
        **result,
        "tensors_compared": len(outcome(folder / "reference")[0]),
        "wall_s": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Read the command line, measure, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--in-save", type=int, default=10, help="so many of them inside a save")
    parser.add_argument("--epochs", type=float, default=4.0, help="of the small training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the summary as well")
    options = parser.parse_args()
    if not 0 <= options.in_save <= options.kills:
        parser.error("--in-save is a part of --kills")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    plan = Plan(options.kills, options.in_save, options.epochs, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        summary = measure(Path(folder), plan)
    text = json.dumps(summary, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    raise SystemExit(bool(summary["differences"]))


if __name__ == "__main__":
    main()
