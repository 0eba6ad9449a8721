"""How good a detector a few hundred labelled photos give in N minutes on this CPU.

    python benchmarks/small_data_race.py DATA --minutes 4 --peer-python OTHER/bin/python [--json]

Takes twice N minutes and a little, or with `--only ours` N; with `--to-the-end` both train by their
own default schedules: about 10 minutes for ours, an hour for the peer on two cores.

Ours is `boxray train DATA --minutes N --start imagenet`, from the ImageNet weights that come with
its pip package; `--start default` begins with the shipped detector, which knows VOC's photos. The
peer (small_data_peer.py) is a public tool's nano model from scratch, all else its
default, in its own environment. Both learn from train, may look at val, and are judged on test by
the same lines: VOC AP at IoU 0.5, `boxray.evaluation`. Seconds are wall time around the training
process, start-up, validation and export included; evaluation is not counted. Same size, threads
and seed, one after the other. Needs a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import small_data_peer
from reporting import cores, deliver, machine


def run_logged(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Wall and processor seconds of a process; what it says goes to `log`. Exits if it fails."""
    start, busy = time.perf_counter(), processor_seconds()
    with log.open("w", encoding="utf-8") as file:
        ended = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False
        )
    seconds = time.perf_counter() - start
    if ended.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        sys.exit(f"{command[0]} ended with {ended.returncode} after {seconds:.0f} s:\n{said}")
    return {"train_s": seconds, "processor_s": processor_seconds() - busy}


def processor_seconds() -> float:
    """What all processes that we started and that ended have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def race_ours(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train and evaluate by the command line, as a user would."""
    run = folder / "ours"
    train = ["train", str(asked.data), "--output", str(run), "--size", str(asked.size)]
    train += ["--seed", str(asked.seed), "--threads", str(asked.threads), "--start", asked.start]
    train += [] if asked.to_the_end else ["--minutes", f"{asked.minutes:g}"]
    program = [sys.executable, "-m", "boxray"]
    cost = run_logged([*program, *train], folder / "ours.train.log")
    evaluate = ["evaluate", str(run), str(asked.data), "--split", asked.split]
    evaluate += ["--protocol", "voc", "--threads", str(asked.threads), "--json"]
    answer = subprocess.run([*program, *evaluate], stdout=subprocess.PIPE, check=True).stdout
    evaluation = json.loads(answer)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "tool": "boxray",
        "command": " ".join(["boxray train DATA --output RUN", *train[4:]]),
        **cost,
        "mAP50": evaluation["metrics"]["AP50"],
        "interval": evaluation["intervals"].get("AP50"),
        "per_class": {name: values["AP50"] for name, values in evaluation["per_class"].items()},
        "curve": [[one["elapsed_s"], one["AP50"]] for one in map(json.loads, lines)],
    }


def race(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Whoever takes part, one after the other; the answer as one document."""
    document: dict[str, Any] = {
        "schema": "boxray.benchmark.small_data_race/1",
        "machine": machine("boxray", "torch", "timm", "onnxruntime", "numpy"),
        "data": asked.data.resolve().name,
        "split": asked.split,
        "minutes": None if asked.to_the_end else asked.minutes,
        "size": asked.size,
        "threads": asked.threads,
        "seed": asked.seed,
    }
    if asked.only != "peer":
        document["ours"] = race_ours(asked, folder)
    if asked.only != "ours":
        peer = small_data_peer.Peer(
            asked.peer_python,
            folder,
            minutes=None if asked.to_the_end else asked.minutes,
            size=asked.size,
            threads=asked.threads,
            seed=asked.seed,
        )
        document["peer"] = peer.race(asked.data, asked.split, run_logged)
    return document


def rows(document: dict[str, Any]) -> list[list[str]]:
    """The table for people."""
    table = [["who", "mAP50 test", "95 % interval", "training s", "of budget"]]
    table[0] += ["cores used", "its own curve on val"]
    minutes = document["minutes"]
    for who in ("ours", "peer"):
        one = document.get(who)
        if isinstance(one, dict):
            low, high = one["interval"] or (float("nan"), float("nan"))
            share = f"{one['train_s'] / (60 * minutes):.0%}" if minutes else "to the end"
            steps = one["curve"][:: -max(1, len(one["curve"]) // 6)][::-1]  # the last one always
            curve = " ".join(f"{seconds:.0f}s:{value:.2f}" for seconds, value in steps)
            table.append([one["tool"], f"{one['mAP50']:.3f}", f"{low:.3f} to {high:.3f}"])
            busy = one["processor_s"] / one["train_s"]
            table[-1] += [f"{one['train_s']:.0f}", share, f"{busy:.1f}", curve]
    return table


@contextlib.contextmanager
def place(output: Path | None) -> Iterator[Path]:
    """The folder for runs and logs: a new one that is asked for, else a temporary one."""
    if output is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        output.mkdir(parents=True)
        yield output.resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--to-the-end", action="store_true", help="default schedules, no --minutes")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", choices=["imagenet", "default"], default="imagenet")
    parser.add_argument("--split", default="test", help="which part both are judged on")
    parser.add_argument("--peer-python", type=Path, help="interpreter of the peer's environment")
    parser.add_argument("--output", type=Path, help="a new folder that keeps runs and logs")
    parser.add_argument("--only", choices=["ours", "peer"])
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    if asked.peer_python is None and asked.only != "ours":
        parser.error("the peer needs --peer-python PATH; without a peer: --only ours")
    with place(asked.output) as folder:
        document = race(asked, folder)
        ours, peer = document.get("ours"), document.get("peer")
        if isinstance(ours, dict) and isinstance(peer, dict):
            document["ratio"] = ours["mAP50"] / peer["mAP50"] if peer["mAP50"] else None
        (folder / "race.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
        deliver(document, rows(document), as_json=asked.as_json)
        if not asked.as_json and "ratio" in document:
            print(f"ours / peer: {document['ratio']}")


if __name__ == "__main__":
    main()
