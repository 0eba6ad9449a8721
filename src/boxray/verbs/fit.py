"""`boxray fit`: an R-CNN from annotated pictures, on a classifier's features as they are.

There are no epochs and no learning rate: two convex problems with one answer each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray import from_classifier
from boxray.data import Manner
from boxray.data.classes import read_class_file
from boxray.errors import FormatError, SettingError
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import missing_extra
from boxray.verbs.sources import make_parent, require_outside
from boxray.verbs.terminal import shown

SCHEMA = "boxray.fit/1"
SPLIT = "train"


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What is learned from: so many pictures of a split, drawn by `seed`; all if limit is None.

    split: `train` if not given. classes: a class file whose classes are learned in place of the
    data's own, and whose synonyms say what the data's names mean.
    """

    split: str | None = None
    classes: Path | None = None
    limit: int | None = None
    seed: int = 0
    manner: Manner = PLAIN


@dataclass(frozen=True)
class FitReport:
    """How it went: the fields of `boxray.training.rcnn.Fitted`, where torch is not needed."""

    path: Path
    images: int
    crops: int
    near: int
    wall_s: float

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.fit/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "run": str(self.path.parent),
            "model": str(self.path),
            "images": self.images,
            "crops": self.crops,
            "crops_of_objects": self.near,
            "wall_s": self.wall_s,
        }

    def summary(self) -> list[str]:
        """What was learned from, and what to do with it, for people."""
        run = shown(str(self.path.parent))
        return [
            f"The model is {shown(str(self.path))}, learned from {self.crops} crops of "
            f"{self.images} pictures, {self.near} of them of objects, in {self.wall_s:.0f} s.",
            f"Next: boxray evaluate {run} DATA, boxray detect PICTURE --model {run}",
        ]


def fit(
    folder: Path,
    output: Path,
    *,
    classifier: str | Path | None = None,
    lessons: Lessons | None = None,
    threads: int | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> FitReport:
    """Learn R-CNN's classes and box regressors from annotated pictures; `output` becomes a run.

    classifier: a shipped one's name or an `.onnx` file that gives features, if not the one that the
    untrained `rcnn` is made of. on_image: how many
    pictures of how many are looked at. What is computed of each stays in the run.
    Raises MissingExtra without torch or OpenCV, and FormatError, SettingError or ModelError where
    the parts do not fit.
    """
    lessons = lessons or Lessons()
    try:
        from boxray.training import rcnn
    except ModuleNotFoundError as error:
        raise missing_extra(error, "fitting R-CNN") from error
    there = lessons.manner.splits(folder)
    split = lessons.split or (SPLIT if SPLIT in there else None)
    if split is None:
        raise FormatError(f"{folder} has no train, but {there}: add --split NAME.")
    classes = read_class_file(lessons.classes) if lessons.classes else None
    dataset = lessons.manner.read(folder, split, classes)
    _prepare(output, folder, rcnn.FEATURES)
    fitted = rcnn.fit(
        dataset,
        output,
        name=folder.resolve().name,
        classifier=classifier or from_classifier.CLASSIFIER,
        limit=lessons.limit,
        seed=lessons.seed,
        threads=threads,
        on_image=on_image,
    )
    return FitReport(**vars(fitted))


def _prepare(output: Path, folder: Path, features: str) -> None:
    """A new or empty folder, or one that this verb began, outside the data."""
    require_outside(output, [folder])
    if output.exists() and not output.is_dir():
        raise SettingError(f"--output {output} is a file; expected a folder for the run.")
    if output.is_dir() and any(output.iterdir()) and not (output / features).is_dir():
        raise SettingError(
            f"--output {output} holds something else than an R-CNN. Choose another folder."
        )
    make_parent(output / features / "any")
