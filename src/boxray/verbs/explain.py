"""`boxray explain`: the life of a box, or the death of an object that was missed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from boxray import data, draw, explain, images
from boxray.data.classes import ClassMap
from boxray.errors import SettingError
from boxray.explain import Decision, Evidence, Hiding, Life, Verdict, picture
from boxray.explain.target import Target
from boxray.files import write_atomically
from boxray.images import Pixels
from boxray.inspection import pictures
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import Running
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.explain/1"
EVIDENCE_SCHEMA = "boxray.evidence/1"
DEFAULT_OUTPUT = Path("boxray-explanation")


@dataclass(frozen=True)
class ExplainReport:
    """One image's explanation: of a box, of a point, or of every annotated object.

    answers: a `Life`, or `Verdict`s. picture: where it was drawn, None if it was not.
    evidence: which pixels speak for each, if that was asked, and heat_maps, where they were drawn.
    """

    model: str
    path: Path
    size_hw: tuple[int, int]
    answers: tuple[Life | Verdict, ...]
    asked_for_truths: bool
    picture: Path | None = None
    evidence: tuple[Evidence, ...] = ()
    heat_maps: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.explain/1`, ready for json.dumps; boxes in pixels of the image."""
        whole: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model,
            "path": str(self.path),
            "size_hw": list(self.size_hw),
            "picture": None if self.picture is None else str(self.picture),
        }
        if self.evidence:
            whole["evidence"] = [one.to_dict() for one in self.evidence]
            whole["heat_maps"] = [str(path) for path in self.heat_maps]
        if self.asked_for_truths:
            return {**whole, "truths": [asdict(answer) for answer in self.answers]}
        (answer,) = self.answers
        return {**whole, ("box" if isinstance(answer, Life) else "miss"): asdict(answer)}


@dataclass(frozen=True)
class Asked:
    """What is to be explained of a picture.

    box: the number of a detection, 0 is the best, and what is explained if nothing else is asked.
    at: a point of the image, x and y in pixels. truth: a data set that this image is part of; each
    of its objects is explained. hiding: how pixels are hidden, to see which speak for it; not done
    if None. Raises SettingError if more than one is asked.
    """

    box: int | None = None
    at: tuple[float, float] | None = None
    truth: Path | None = None
    hiding: Hiding | None = None

    def __post_init__(self) -> None:
        if sum(asked is not None for asked in (self.box, self.at, self.truth)) > 1:
            raise SettingError("--box, --at and --truth ask different questions: give one of them.")


def explain_image(
    path: Path,
    running: Running | None = None,
    asked: Asked = Asked(),  # frozen
    *,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> ExplainReport:
    """Why a box is there, or why something is not.

    output: a folder for the drawing, and for the heat maps with their numbers beside them. manner:
    how a data set is read.
    Raises ImageError, FormatError, SettingError or ModelError where the parts do not fit.
    """
    detector = (running or Running()).detector()
    image = images.load(path)
    if asked.hiding is not None:
        output = output or DEFAULT_OUTPUT
    if output is not None:
        prepare_output(output, [], default=DEFAULT_OUTPUT, overwrite=overwrite)
    size_hw = image.shape[:2]
    decision = detector.decision(detector.detect_array(image), size_hw)
    answers: tuple[Life | Verdict, ...]
    targets: tuple[Target, ...]
    if asked.truth is not None:
        dataset = manner.read(asked.truth, classes=ClassMap(detector.classes))
        truths = pictures.find(dataset, path.name).truths
        answers = explain.of_truths(decision, truths, dataset.classes)
        targets = explain.targets_of(truths, dataset.classes, detector.classes)
    elif asked.at is not None:
        answers = (explain.at_point(decision, *asked.at),)
        targets = (explain.target_at(decision, *asked.at),)
    else:
        answers = (explain.of_detection(decision, asked.box or 0),)
        targets = (explain.target_of(decision, asked.box or 0),)
    drawn = None
    if output is not None:
        drawn = output / f"{path.stem}.explained.png"
        draw.save(_drawn(image, decision, answers), drawn)
    report = ExplainReport(
        detector.name, path, size_hw, answers, asked.truth is not None, picture=drawn
    )
    if asked.hiding is None or output is None:
        return report
    evidence = explain.occlude(detector, image, targets, asked.hiding)
    return replace(report, evidence=evidence, heat_maps=_heat_maps(image, evidence, output, path))


def _heat_maps(
    image: Pixels, evidence: tuple[Evidence, ...], output: Path, path: Path
) -> tuple[Path, ...]:
    """One picture for each, and one document with the numbers of all."""
    drawn = []
    for number, one in enumerate(evidence):
        which = f"-{number}" if len(evidence) > 1 else ""
        drawn.append(output / f"{path.stem}{which}.pixels.png")
        draw.save(picture.of_evidence(image, one), drawn[-1])
    document = {"schema": EVIDENCE_SCHEMA, "evidence": [one.to_dict() for one in evidence]}
    text = json.dumps(document, allow_nan=False)
    write_atomically(output / f"{path.stem}.pixels.json", text.encode())
    return tuple(drawn)


def _drawn(image: Pixels, decision: Decision, answers: tuple[Life | Verdict, ...]) -> Pixels:
    if len(answers) == 1 and isinstance(answers[0], Life):
        return picture.of_life(image, decision, answers[0])
    return picture.of_verdicts(image, tuple(one for one in answers if isinstance(one, Verdict)))
