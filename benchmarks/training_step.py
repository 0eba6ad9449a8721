"""Images per second of a training step, by what is frozen and by the allocator.

    python benchmarks/training_step.py [--size 320] [--batch 16] [--json]

Takes about three minutes. A step is forward, backward and optimiser of the default network on
random pixels, 20 classes; loss, assignment and pictures are left out, they do not depend on
either. Every cell is a process of its own, so that no allocator inherits another's habits; the
median of the timed steps counts. Cells of one run may be compared, runs on other days may not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

from reporting import cores, deliver, machine

FROZEN = {0: "nothing", 1: "stem", 3: "up to stride 4", 4: "up to stride 8"}
WARM_UP, TIMED = 2, 7
PRIORS = (((8.0, 8.0),) * 3,) * 3  # no step asks how large they are


def measure(frozen: int, keep: bool, size: int, batch: int) -> float:
    """Images per second of one setting, in this process."""
    import torch

    from boxray.networks.backbones import freeze
    from boxray.recipes.grid_lite0 import grid_lite0
    from boxray.training.allocator import keep_freed_memory

    if keep:
        keep_freed_memory()
    torch.set_num_threads(cores())
    network = grid_lite0(20, PRIORS, (size, size)).network
    freeze(network, frozen)
    network = network.to(memory_format=torch.channels_last).train()
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4)
    pixels = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        torch.stack([(level**2).mean() for level in network(pixels)]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return batch / statistics.median(seconds[WARM_UP:])


def main() -> None:
    """Every cell in its own process, then one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cell", nargs=2, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.cell:
        print(measure(asked.cell[0], bool(asked.cell[1]), asked.size, asked.batch))
        return
    cells = []
    for frozen, name in FROZEN.items():
        for keep in (False, True):
            command = [sys.executable, __file__, "--cell", str(frozen), str(int(keep))]
            sizes = ["--size", str(asked.size), "--batch", str(asked.batch)]
            done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=True)
            rate = round(json.loads(done.stdout), 1)
            cells.append({"frozen": name, "keeps_memory": keep, "images_per_s": rate})
    document: dict[str, object] = {
        "schema": "boxray.benchmark.training_step/1",
        "size": asked.size,
        "batch": asked.batch,
        "cells": cells,
        "machine": machine("torch", "timm", "boxray"),
    }
    rows = [list(cells[0]), *(list(cell.values()) for cell in cells)]
    deliver(document, rows, as_json=asked.json)


if __name__ == "__main__":
    main()
