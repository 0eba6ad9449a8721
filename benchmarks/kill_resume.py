"""Whether a training that is killed at random moments ends exactly like one that never was.

    python benchmarks/kill_resume.py --kills 30 --seed 0 [--json summary.json]

Trains a small detector on made-up pictures once without disturbance. Then starts the same
training, kills it with SIGKILL after a random part of a process's life, resumes it, kills it
again, and so on; whenever one ends in spite of that, its last checkpoint is compared with the
undisturbed one's, tensor by tensor and byte by byte, and its record of metrics row by row (all
but the time), and the next training begins. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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


def work(data: Path, run: Path, epochs: float) -> None:
    """What each process does: begin, or go on where the last one was killed."""
    from boxray.errors import SettingError
    from boxray.training import TrainSettings, resume, train

    if not (run / "settings.json").exists():
        train(TrainSettings(data=(data,), output=run, epochs=epochs, **SETTINGS))
        return
    try:
        resume(run)
    except SettingError as error:  # killed after its last checkpoint: it was done
        if "nothing left to do" not in str(error):
            raise


def start(data: Path, run: Path, epochs: float) -> subprocess.Popen[bytes]:
    """A process of its own that trains."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--work", str(data), str(run), "--epochs", str(epochs)]
    return subprocess.Popen(command, env=environment)


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


def watch(process: subprocess.Popen[bytes], moment_s: float) -> tuple[int | None, float]:
    """Kill a process once it has worked for `moment_s` of processor time, if it lives so long.

    Its exit status, None if it was killed, and how long it worked. Processor time, because on a
    busy machine the same moment comes later.
    """
    worked_s = 0.0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it ended just now
            text = Path(f"/proc/{process.pid}/stat").read_text()
            fields = text.rpartition(")")[2].split()  # proc(5): utime and stime are 14 and 15
            worked_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if worked_s >= moment_s:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return None, worked_s
        time.sleep(0.01)
    return process.returncode, worked_s


def disturb(folder: Path, *, kills: int, epochs: float, life_s: float, seed: int) -> dict[str, Any]:
    """Kill `kills` processes at random moments; every training that ends is compared."""
    chance = random.Random(seed)  # noqa: S311  # nothing here is a secret
    finished, faults = 0, dict[str, list[str]]()
    moments: list[float] = []
    steps: list[int | None] = []
    run = folder / "run-0"
    while len(moments) < kills or run.exists():
        moment_s = chance.uniform(0, life_s) if len(moments) < kills else math.inf
        status, _ = watch(start(folder / "data", run, epochs), moment_s)
        if status is None:
            moments.append(round(moment_s, 2))
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
        "kills": len(moments),
        "kill_moments_processor_s": moments,
        "steps_saved_by_then": steps,
        "trainings_finished_equal": finished,
        "differences": faults,
    }


def measure(folder: Path, *, kills: int, epochs: float, seed: int) -> dict[str, Any]:
    """The undisturbed training, then the disturbed ones, and what came of them."""
    from boxray.data.synthetic import make

    data = make(folder / "data", images=PICTURES, seed=seed)
    began = time.perf_counter()
    status, life_s = watch(start(data, folder / "reference", epochs), math.inf)
    if status != 0:
        raise SystemExit("the undisturbed training failed")
    result = disturb(folder, kills=kills, epochs=epochs, life_s=life_s, seed=seed)
    return {
        "schema": "boxray.benchmark.kill-resume/1",
        "settings": {"epochs": epochs, **SETTINGS},
        "pictures": PICTURES,
        "seed": seed,
        "undisturbed_processor_s": round(life_s, 1),
        **result,
        "tensors_compared": len(outcome(folder / "reference")[0]),
        "wall_s": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Read the command line, measure, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--epochs", type=float, default=4.0, help="of the small training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the summary as well")
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work, options.epochs)
        return
    with tempfile.TemporaryDirectory() as folder:
        summary = measure(
            Path(folder), kills=options.kills, epochs=options.epochs, seed=options.seed
        )
    text = json.dumps(summary, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    raise SystemExit(bool(summary["differences"]))


if __name__ == "__main__":
    main()
