"""What a number of the default recipe is worth: the same short training with it changed.

    python benchmarks/recipe_ablation.py DATA --change "learning_rate=1e-3 backbone_share=0.3"

Trains the recipe as it is, then once per --change, one after the other, and prints AP50 and losses
on the val part half way and at the end. A change names fields of the recipe's optimisation,
augmentation or loss; its values are Python literals. Two rounds of VOC's 4,063 images take about
five minutes each at 192 pixels on two cores. One seed is one sample: differences below 0.02 are
noise.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from reporting import cores, deliver, machine

from boxray.recipes import grid_lite0
from boxray.recipes.recipe import PriorsByLevel, Recipe
from boxray.training import TrainSettings, train

NAME = "grid-lite0"
PARTS = ("optimisation", "augmentation", "loss")


def changed(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
    change: dict[str, Any],
) -> Recipe:
    """The default recipe with some of its numbers replaced."""
    recipe = grid_lite0.grid_lite0(class_count, priors, canvas_hw, pretrained=pretrained)
    left = dict(change)
    parts: dict[str, Any] = {}
    for name in PARTS:
        part = getattr(recipe, name)
        fields = {field.name for field in dataclasses.fields(part)}
        parts[name] = dataclasses.replace(part, **{k: left.pop(k) for k in fields & left.keys()})
    if left:
        raise SystemExit(f"no such number in {', '.join(PARTS)}: {', '.join(left)}")
    return dataclasses.replace(recipe, **parts)


def measure(change: dict[str, Any], asked: argparse.Namespace, run: Path) -> list[dict[str, Any]]:
    """The record of one training's validations."""
    usual = grid_lite0.BLUEPRINTS[NAME]
    grid_lite0.BLUEPRINTS[NAME] = dataclasses.replace(usual, build=partial(changed, change=change))
    try:
        settings = TrainSettings(
            data=tuple(asked.data),
            output=run,
            classes=asked.classes,
            epochs=asked.epochs,
            size=asked.size,
            batch=asked.batch,
            threads=asked.threads,
            seed=asked.seed,
            validations=2,
            start="imagenet",
        )
        train(settings)
    finally:
        grid_lite0.BLUEPRINTS[NAME] = usual
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def parsed(text: str) -> dict[str, Any]:
    """`name=value name=value` with literal values."""
    pairs = [pair.partition("=") for pair in text.split()]
    return {name: ast.literal_eval(value) for name, _, value in pairs}


def main() -> None:
    """One training per row of the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", metavar="DATA")
    parser.add_argument("--change", action="append", default=[], metavar='"NAME=VALUE …"')
    parser.add_argument("--classes", type=Path)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows: list[list[str]] = [["recipe", "AP50 half way", "AP50", "val losses", "seconds"]]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(["", *asked.change]):
            record = measure(parsed(text), asked, Path(folder) / str(number))
            last = record[-1]
            losses = " ".join(f"{name} {value:.2f}" for name, value in last["val_loss"].items())
            curve = [f"{row['AP50']:.3f}" for row in (record[0], last)]
            rows.append([text or "as it is", *curve, losses, f"{last['elapsed_s']:.0f}"])
            results.append({"change": parsed(text), "validations": record})
    document: dict[str, object] = {
        "schema": "boxray.benchmark.recipe_ablation/1",
        "settings": {k: str(v) for k, v in vars(asked).items() if k not in ("change", "json")},
        "results": results,
        "machine": machine("torch", "timm", "boxray"),
    }
    deliver(document, rows, as_json=asked.json)


if __name__ == "__main__":
    main()
