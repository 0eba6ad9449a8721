"""What `boxray detect PHOTO` costs from a cold start, in seconds and in memory.

    python benchmarks/cold_start.py photo.jpg [--model MODEL] [--repeats 10] [--json]

Takes about half a minute. Every run is a new process of the installed `boxray` command in an
empty folder, pictures drawn and written included; seconds are wall time, memory is the peak of
resident memory as the system counted it for that process. The files are warm in the system's
cache, except perhaps for the first run, which is shown by itself and counts among all. One more
run under `python -X importtime` tells whether torch was imported. Goals: detect under 1.2 s and
300 MB, `--help` under 0.4 s, torch never.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reporting import deliver, machine, spread

GOALS = {"boxray detect": (1.2, 300.0), "boxray --help": (0.4, None)}  # seconds, megabytes
HEAVY = ("torch", "torchvision", "timm", "matplotlib", "polars")
IMPORTED = re.compile(r"^import time:.*\|\s*([\w.]+)\s*$", re.MULTILINE)
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def program() -> list[str]:
    """The installed command of this environment, else the module that is the same."""
    script = Path(sys.executable).with_name("boxray")
    return [str(script)] if script.exists() else [sys.executable, "-m", "boxray"]


def run_once(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of one process in a new, empty folder."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*program(), *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            sys.exit(f"boxray {' '.join(arguments)} ended with {process.returncode}: {said[-800:]}")
    return seconds, usage.ru_maxrss * BYTES_PER_UNIT / 1e6


def measure(name: str, arguments: list[str], repeats: int) -> dict[str, Any]:
    """Many runs of one command, against its goals (judged by the median)."""
    runs = [run_once(arguments) for _ in range(repeats)]
    seconds, megabytes = spread([run[0] for run in runs]), spread([run[1] for run in runs])
    most_s, most_mb = GOALS[name]
    return {
        "command": name,
        "repeats": repeats,
        "first_s": runs[0][0],
        "seconds": seconds,
        "peak_mb": megabytes,
        "goal_s": most_s,
        "goal_mb": most_mb,
        "met": seconds["median"] < most_s and (most_mb is None or megabytes["median"] < most_mb),
    }


def heavy_imports(arguments: list[str]) -> list[str]:
    """Which of the heavy packages the command imports."""
    with tempfile.TemporaryDirectory() as folder:
        traced = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "boxray", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    packages = {name.partition(".")[0] for name in IMPORTED.findall(traced.stderr)}
    assert "boxray" in packages, "no trace of imports was found"
    return sorted(packages & set(HEAVY))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    model = Path(asked.model)
    chosen = str(model.resolve()) if model.exists() else asked.model
    detect = ["detect", str(asked.photo.resolve()), "--model", chosen]
    measured = [
        measure("boxray detect", detect, asked.repeats),
        measure("boxray --help", ["--help"], asked.repeats),
    ]
    document = {
        "schema": "boxray.benchmark.cold_start/1",
        "machine": machine("boxray", "numpy", "pillow", "onnxruntime", "typer", "rich"),
        "commands": measured,
        "heavy_imports": heavy_imports(detect),
        "torch_installed": importlib.util.find_spec("torch") is not None,
    }
    rows = [["command", "median s", "worst s", "first s", "median MB", "worst MB", "goal", "met"]]
    for one in measured:
        seconds, memory = one["seconds"], one["peak_mb"]
        goal = f"{one['goal_s']} s" + (f", {one['goal_mb']:.0f} MB" if one["goal_mb"] else "")
        cells = [seconds["median"], seconds["worst"], one["first_s"]]
        texts = [f"{cell:.2f}" for cell in cells]
        texts += [f"{memory['median']:.0f}", f"{memory['worst']:.0f}"]
        rows.append([one["command"], *texts, goal, "yes" if one["met"] else "NO"])
    deliver(document, rows, as_json=asked.as_json)
    if not asked.as_json:
        there = "" if document["torch_installed"] else " (torch is not installed here)"
        print(f"imported by detect: {document['heavy_imports'] or 'nothing heavy'}{there}")


if __name__ == "__main__":
    main()
