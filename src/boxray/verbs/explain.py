"""`boxray explain`: the life of a box, or the death of an object that was missed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxray import data, draw, explain, images
from boxray.data.classes import ClassMap
from boxray.errors import SettingError
from boxray.explain import Decision, Life, Verdict, picture
from boxray.images import Pixels
from boxray.inspection import pictures
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import Running
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.explain/1"
DEFAULT_OUTPUT = Path("boxray-explanation")


@dataclass(frozen=True)
class ExplainReport:
    """One image's explanation: of a box, of a point, or of every annotated object.

    answers: a `Life`, or `Verdict`s. picture: where it was drawn, None if it was not.
    """

    model: str
    path: Path
    size_hw: tuple[int, int]
    answers: tuple[Life | Verdict, ...]
    asked_for_truths: bool
    picture: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.explain/1`, ready for json.dumps; boxes in pixels of the image."""
        whole: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model,
            "path": str(self.path),
            "size_hw": list(self.size_hw),
            "picture": None if self.picture is None else str(self.picture),
        }
        if self.asked_for_truths:
            return {**whole, "truths": [asdict(answer) for answer in self.answers]}
        (answer,) = self.answers
        return {**whole, ("box" if isinstance(answer, Life) else "miss"): asdict(answer)}


def explain_image(
    path: Path,
    running: Running | None = None,
    *,
    box: int | None = None,
    at: tuple[float, float] | None = None,
    truth: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> ExplainReport:
    """Why a box is there, or why something is not.

    box: the number of a detection, 0 is the best, and what is explained if nothing else is asked.
    at: a point of the image, x and y in pixels. truth: a data set that this image is part of; each
    of its objects is explained, and manner how it is read. output: a folder for the drawing.
    Raises ImageError, FormatError, SettingError or ModelError where the parts do not fit.
    """
    if sum(asked is not None for asked in (box, at, truth)) > 1:
        raise SettingError("--box, --at and --truth ask different questions: give one of them.")
    detector = (running or Running()).detector()
    image = images.load(path)
    if output is not None:
        prepare_output(output, [], default=DEFAULT_OUTPUT, overwrite=overwrite)
    size_hw = image.shape[:2]
    decision = detector.decision(detector.detect_array(image), size_hw)
    answers: tuple[Life | Verdict, ...]
    if truth is not None:
        dataset = manner.read(truth, classes=ClassMap(detector.classes))
        sample = pictures.find(dataset, path.name)
        answers = explain.of_truths(decision, sample.truths, dataset.classes)
    elif at is not None:
        answers = (explain.at_point(decision, *at),)
    else:
        answers = (explain.of_detection(decision, box or 0),)
    drawn = None
    if output is not None:
        drawn = output / f"{path.stem}.explained.png"
        draw.save(_drawn(image, decision, answers), drawn)
    return ExplainReport(detector.name, path, size_hw, answers, truth is not None, drawn)


def _drawn(image: Pixels, decision: Decision, answers: tuple[Life | Verdict, ...]) -> Pixels:
    if len(answers) == 1 and isinstance(answers[0], Life):
        return picture.of_life(image, decision, answers[0])
    return picture.of_verdicts(image, tuple(one for one in answers if isinstance(one, Verdict)))
