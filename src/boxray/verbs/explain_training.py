"""`boxray explain --training`: what a labelled picture teaches a detector, row by row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.tree import Tree

from boxray import bundle, data, draw
from boxray.data.classes import ClassMap
from boxray.detectors import OneStage
from boxray.images import Pixels
from boxray.inspection import pictures
from boxray.verbs.explain_tables import where
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import Running, missing_extra
from boxray.verbs.sources import prepare_output
from boxray.verbs.terminal import shown

if TYPE_CHECKING:
    from boxray.explain.training import Taught

SCHEMA = "boxray.explain.training/1"
DEFAULT_OUTPUT = Path("boxray-explanation")
MOST_ROWS = 5
_IGNORED = (150, 150, 150)


@dataclass(frozen=True)
class TrainingReport:
    """What a picture teaches. seed: of its augmentation, None for the picture as it is."""

    model: str
    path: Path
    seed: int | None
    taught: Taught
    picture: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.explain.training/1`; boxes in pixels of what the network sees."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "path": str(self.path),
            "seed": self.seed,
            "picture": None if self.picture is None else str(self.picture),
            **asdict(self.taught),
        }


def explain_training(
    path: Path,
    truth: Path,
    running: Running | None = None,
    *,
    seed: int | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> TrainingReport:
    """Which rows answer for which object of a picture, and what each term of the loss came to.

    truth: a data set that the picture is part of. seed: of one augmentation by the recipe's
    numbers. output: a folder for what the network sees. Raises SettingError for a model without a
    recipe of one stage, MissingExtra without torch.
    """
    try:
        from boxray.training.explaining import recipe_of, taught_by
    except ModuleNotFoundError as error:
        raise missing_extra(error, "explaining a training") from error
    asked = running or Running()
    detector = asked.detector()
    recipe = recipe_of(bundle.described(asked.model), detector.canvas_hw)
    dataset = manner.read(truth, classes=ClassMap(detector.classes))
    sample = pictures.find(dataset, path.name)
    if output is not None:
        prepare_output(output, [], default=DEFAULT_OUTPUT, overwrite=overwrite)
    assert isinstance(detector, OneStage)
    taught, image = taught_by(detector, recipe, sample, seed)
    drawn = None
    if output is not None:
        drawn = output / f"{path.stem}.taught.png"
        draw.save(_drawn(image, taught), drawn)
    return TrainingReport(detector.name, path, seed, taught, drawn)


def _drawn(image: Pixels, taught: Taught) -> Pixels:
    """What the network sees, its objects, and lighter what the rows that answer start from."""
    boxes, texts, colours = [], [], []
    for number, one in enumerate(taught.truths):
        if one.box is None:
            continue
        boxes.append(one.box)
        count = len(one.answering)
        texts.append(f"{one.label}: {_rows(count)}" if one.fate == "taught" else one.fate)
        colours.append(draw.colour_of(number) if one.fate == "taught" else _IGNORED)
        for row in one.answering[:MOST_ROWS]:
            boxes.append(row.start)
            texts.append("")
            colours.append(draw.colour_of(number + len(draw.PALETTE)))  # lighter
    return draw.draw(image, np.array(boxes, np.float64).reshape(-1, 4), texts, colours=colours)


def explanation(report: TrainingReport) -> list[RenderableType]:
    """A tree for each object, then what the loss came to."""
    parts: list[RenderableType] = []
    for one in report.taught.truths:
        at = "" if one.box is None else " at " + ", ".join(f"{edge:.1f}" for edge in one.box)
        tree = Tree(f"{shown(one.label)}{at}: {one.fate}{_because(one.fate)}")
        if one.answering:
            rows = tree.add(f"{_rows(len(one.answering))} told to find it: {_terms(one.terms)}")
            for row in one.answering[:MOST_ROWS]:
                rows.add(f"{where(row.where)}: {_terms(row.terms)}")
            if len(one.answering) > MOST_ROWS:
                rows.add(f"and {len(one.answering) - MOST_ROWS} more")
        if one.left_alone:
            tree.add(f"{_rows(one.left_alone)} near it told nothing")
        parts.append(tree)
    taught = report.taught
    parts.append(
        f"Of {_rows(taught.rows)} in all, {taught.left_alone} are told nothing.\n"
        f"Loss: {_terms(taught.terms)}.\n"
        f"Of it from rows told that nothing is there: {_terms(taught.background)}."
    )
    if report.picture is not None:
        parts.append(f"What the network sees is in {shown(str(report.picture))}")
    return parts


def _because(fate: str) -> str:
    return {
        "taught": "",
        "ignored": ", as it is difficult or too much of it is cut off",
        "lost": ", as augmentation cut it off",
    }[fate]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _terms(terms: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in terms.items())
