"""Pictures per second of a training, ours beside another tool's nano model, turn by turn.

    python benchmarks/training_race.py DATA --peer-python OTHER/bin/python [--turns 3] [--json]

Takes some three minutes a turn. Ours is `boxray train DATA`, the peer `yolo detect train` of
small_data_peer.py; both at the same size and batch, with the same threads and one worker, and
otherwise as they come, with the mosaics that each of them makes. The peer is spared its
validations, ours are counted. In each turn both train twice, for a few and for more epochs, and
the pictures between are divided by the seconds of processor between, over all processes of a
tool: so start-up and the writing of models fall out, and others on the machine hardly count.
Small canvases are a part of our recipe; training_profile.py measures it at the full one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import small_data_peer
from reporting import cores, deliver, machine
from small_data_race import run_logged

from boxray import data


def ours(asked: argparse.Namespace, folder: Path, epochs: int) -> float:
    """Seconds of processor of our training."""
    command = [sys.executable, "-m", "boxray", "train", str(asked.data), "--no-preflight"]
    command += ["--output", str(folder / "run"), "--epochs", str(epochs)]
    command += ["--size", f"{asked.size}x{asked.size}", "--batch", str(asked.batch)]
    command += ["--threads", str(asked.threads)]
    return run_logged(command, folder / "ours.log")["processor_s"]


def peers(asked: argparse.Namespace, folder: Path, epochs: int) -> float:
    """Seconds of processor of the peer's training."""
    peer = small_data_peer.Peer(
        asked.peer_python, folder, minutes=None, size=asked.size, threads=asked.threads, seed=0
    )
    classes = data.ClassMap(data.read(asked.data, "train").classes)
    described = peer.write_dataset(asked.data, "val", classes)
    yolo = str(asked.peer_python.with_name("yolo"))
    command = [yolo, "detect", "train", f"model={small_data_peer.MODEL}", f"data={described}"]
    command += [f"epochs={epochs}", f"imgsz={asked.size}", f"batch={asked.batch}", "workers=1"]
    command += ["close_mosaic=0", "val=False", "plots=False", "device=cpu", f"project={folder}"]
    return run_logged(command, folder / "peer.log", peer.environment())["processor_s"]


def turn(asked: argparse.Namespace, pictures: int) -> dict[str, float]:
    """Pictures per second of processor of both, one after the other."""
    found = {}
    for name, train in (("ours", ours), ("peer", peers)):
        seconds = []
        for epochs in asked.epochs:
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(train(asked, Path(folder), epochs))
        shown = pictures * (asked.epochs[1] - asked.epochs[0])
        found[name] = round(shown / (seconds[1] - seconds[0]), 2)
    return found


def main() -> None:
    """All turns, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--peer-python", type=Path, required=True, help="of its environment")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs=2, default=[1, 4], metavar=("FEW", "MORE"))
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    pictures = len(data.read(asked.data, "train").samples)
    turns = [turn(asked, pictures) for _ in range(asked.turns)]
    median = {name: statistics.median(one[name] for one in turns) for name in turns[0]}
    document: dict[str, Any] = {
        "schema": "boxray.benchmark.training_race/1",
        "size": asked.size,
        "batch": asked.batch,
        "threads": asked.threads,
        "epochs": asked.epochs,
        "pictures_per_processor_s": turns,
        "median": median,
        "ratio": round(median["ours"] / median["peer"], 2),
        "machine": machine("boxray", "torch", "timm", "onnxruntime"),
    }
    rows = [["turn", "ours", "peer"]]
    rows += [[f"{number}", f"{one['ours']}", f"{one['peer']}"] for number, one in enumerate(turns)]
    rows += [["median", f"{median['ours']}", f"{median['peer']}"]]
    deliver(document, rows, as_json=asked.json)
    if not asked.json:
        print(f"ours / peer: {document['ratio']}")


if __name__ == "__main__":
    main()
