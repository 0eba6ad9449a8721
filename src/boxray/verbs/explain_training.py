"""`boxray explain --training`: what a labelled picture teaches a detector, row by row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.tree import Tree

from boxray import bundle, data, draw, images
from boxray.data.classes import ClassMap
from boxray.images import Pixels
from boxray.inspection import pictures
from boxray.verbs.explain import DEFAULT_OUTPUT
from boxray.verbs.explain_tables import where
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import Running, missing_extra
from boxray.verbs.sources import prepare_output
from boxray.verbs.terminal import shown

if TYPE_CHECKING:
    from boxray.explain.training import Taught, TaughtStage, TaughtTruth

SCHEMA = "boxray.explain.training/1"
MOST_ROWS = 5
DRAWN_SIDE = 900  # pixels, at least, of a drawing's longer side
_IGNORED = (150, 150, 150)


@dataclass(frozen=True)
class TrainingReport:
    """What a picture teaches. seed: of its augmentation, None for the picture as it is.

    pictures: all that are seen, this one first: four of a mosaic, two of a mixup.
    """

    model: str
    path: Path
    seed: int | None
    taught: Taught
    pictures: tuple[Path, ...]
    picture: Path | None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.explain.training/1`; boxes in pixels of what the network sees."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "path": str(self.path),
            "seed": self.seed,
            "pictures": [str(one) for one in self.pictures],
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

    truth: a data set that the picture is part of. seed: of one way in which a training on it shows
    the picture: augmented, perhaps in a mosaic with three others, or in a mixup with one. output: a
    folder for what the network sees. Raises SettingError for a model without a recipe, MissingExtra
    without torch.
    """
    try:
        from boxray.training.explaining import recipe_of, taught_by
        from boxray.training.shown import in_training, in_use
    except ModuleNotFoundError as error:
        raise missing_extra(error, "explaining a training") from error
    asked = running or Running()
    detector = asked.detector()
    recipe = recipe_of(bundle.described(asked.model), detector.canvas_hw)
    dataset = manner.read(truth, classes=ClassMap(detector.classes))
    sample = pictures.find(dataset, path.name)
    if output is not None:
        prepare_output(output, [], default=DEFAULT_OUTPUT, overwrite=overwrite)
    if seed is None:
        seen = in_use(sample, recipe.canvas_hw)
    else:
        learned = [sample, *(one for one in dataset.samples if one.labelled and one is not sample)]
        seen = in_training(learned, recipe, seed)
    taught = taught_by(detector, recipe, seen, seed or 0)
    drawn = None
    if output is not None:
        drawn = output / f"{path.stem}.taught.png"
        draw.save(_drawn(seen.seen.image, taught), drawn)
    pictures_seen = tuple(one.path for one in seen.samples)
    return TrainingReport(detector.name, path, seed, taught, pictures_seen, drawn)


def _drawn(image: Pixels, taught: Taught) -> Pixels:
    """What the network sees, enlarged, its objects, and lighter what their best rows start from.

    Beside an object's class, how many rows answer for it, stage by stage.
    """
    boxes, texts, colours = [], [], []
    for number, one in enumerate(taught.truths):
        if one.box is None:
            continue
        boxes.append(one.box)
        told = [[r for r in one.answering if r.stage == s.name and r.drawn] for s in taught.stages]
        counts = " + ".join(str(len(rows)) for rows in told)
        texts.append(f"{one.label} {counts}" if one.fate == "taught" else one.fate)
        colours.append(draw.colour_of(number) if one.fate == "taught" else _IGNORED)
        for row in sorted(told[0], key=lambda row: -row.overlap)[:MOST_ROWS]:
            boxes.append(row.start)
            texts.append("")
            colours.append(draw.colour_of(number + len(draw.PALETTE)))  # lighter
    times = -(-DRAWN_SIDE // max(image.shape[:2]))  # so that crowded labels can be read
    large = images.resize(image, (image.shape[0] * times, image.shape[1] * times))
    edges = times * np.array(boxes, np.float64).reshape(-1, 4)
    return draw.draw(large, edges, texts, colours=colours)


def explanation(report: TrainingReport) -> list[RenderableType]:
    """A tree for each object, then what the loss came to."""
    parts: list[RenderableType] = []
    several = len(report.pictures) > 1
    if several:
        names = ", ".join(shown(one.name) for one in report.pictures)
        parts.append(f"{'A mosaic' if len(report.pictures) > 2 else 'A mixup'} of {names}")
    for one in report.taught.truths:
        edges = "" if one.box is None else ", ".join(f"{edge:.1f}" for edge in one.box)
        at = f" on the canvas at {edges}" if edges else ""
        of = f" of {shown(report.pictures[one.picture].name)}" if several else ""
        tree = Tree(f"{shown(one.label)}{of}{at}: {one.fate}{_because(one.fate)}")
        for stage in report.taught.stages:
            _answering(tree, one, stage, _name(stage, report.taught))
        parts.append(tree)
    taught = report.taught
    parts += [_counts(stage, _name(stage, taught)) for stage in taught.stages]
    parts.append(
        f"Loss: {_terms(taught.terms)}.\n"
        f"Of it from rows told that nothing is there: {_terms(taught.background)}."
    )
    if report.picture is not None:
        parts.append(f"What the network sees is in {shown(str(report.picture))}")
    return parts


def _answering(tree: Tree, truth: TaughtTruth, stage: TaughtStage, said_by: str) -> None:
    """Of one stage the rows that answer for an object, and those near it that are told nothing."""
    rows = [row for row in truth.answering if row.stage == stage.name]
    told = [row for row in rows if row.drawn]
    if told:
        terms = {name: value for name, value in truth.terms.items() if name in told[0].terms}
        branch = tree.add(f"{said_by}{_rows(len(told))} told to find it: {_terms(terms)}")
        for row in sorted(told, key=lambda row: -row.overlap)[:MOST_ROWS]:
            place = "the object's own box" if "object" in row.where else where(row.where)
            branch.add(f"{place}: IoU {row.overlap:.2f}, {_terms(row.terms)}")
        if len(told) > MOST_ROWS:
            branch.add(f"and {len(told) - MOST_ROWS} more")
    if len(told) < len(rows):
        tree.add(f"{said_by}{_rows(len(rows) - len(told))} would, but a sample leaves them out")
    if stage.name in truth.left_alone:
        tree.add(f"{said_by}{_rows(truth.left_alone[stage.name])} near it told nothing")


def _counts(stage: TaughtStage, said_by: str) -> str:
    """What the rows of a stage are told."""
    counts = [f"{stage.answers} answer for an object", f"{stage.background} are background"]
    if stage.between:
        counts.append(f"{stage.between} are near one and told nothing")
    if stage.spared:
        counts.append(f"{stage.spared} are on an ignored object and told nothing")
    if stage.undrawn:
        counts.append(f"of the first two a sample leaves out {stage.undrawn}")
    return f"{said_by}{_rows(stage.rows)}: {'; '.join(counts)}."


def _name(stage: TaughtStage, taught: Taught) -> str:
    """What stands before a line of this stage: nothing, where there is one only."""
    return f"{stage.name}: " if len(taught.stages) > 1 else ""


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
