"""`boxray explain`: the life of a box, or the death of an object that was missed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from boxray import data, draw, explain, images
from boxray.data.classes import ClassMap
from boxray.errors import SettingError
from boxray.explain import Decision, Evidence, Hiding, Life, Verdict, picture
from boxray.explain.misses import verdicts
from boxray.explain.target import Target, targets_of
from boxray.images import Pixels
from boxray.inspection import pictures
from boxray.verbs import explain_evidence, explain_page
from boxray.verbs.data.places import check_new_file, write_new_file
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import Running
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.explain/1"
DEFAULT_OUTPUT = Path("boxray-explanation")


@dataclass(frozen=True)
class ExplainReport:
    """One image's explanation: of a box, of a point, or of every annotated object.

    answers: a `Life`, or `Verdict`s. picture: where it was drawn, page: where its page
    is, each None without one. evidence: which pixels speak for each, if that was asked, and
    heat_maps, where they were drawn.
    """

    model: str
    path: Path
    size_hw: tuple[int, int]
    answers: tuple[Life | Verdict, ...]
    asked_for_truths: bool
    picture: Path | None = None
    page: Path | None = None
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
            "page": None if self.page is None else str(self.page),
        }
        if self.evidence:
            whole["evidence"] = [one.to_dict() for one in self.evidence]
            whole["heat_maps"] = [str(path) for path in self.heat_maps]
        if self.asked_for_truths:
            return {**whole, "truths": [asdict(answer) for answer in self.answers]}
        if not self.answers:  # only a page was asked for, and nothing was detected
            return whole
        (answer,) = self.answers
        return {**whole, ("box" if isinstance(answer, Life) else "miss"): asdict(answer)}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about an image; of `box`, `at` and `truth` at most one, else SettingError.

    box: the number of a detection, 0 is the best, and what is explained if nothing else is asked.
    at: a point of the image, x and y in pixels. truth: a data set that the image is part of, read
    in this manner; each of its objects is explained. hiding: how pixels are hidden, to see which
    speak for it; not done if None. gradients: whether these are to show it, too.
    """

    box: int | None = None
    at: tuple[float, float] | None = None
    truth: Path | None = None
    manner: data.Manner = PLAIN
    hiding: Hiding | None = None
    gradients: bool = False

    def __post_init__(self) -> None:
        if sum(asked is not None for asked in (self.box, self.at, self.truth)) > 1:
            raise SettingError("--box, --at and --truth ask different questions: give one of them.")

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked."""
        return self.box is None and self.at is None and self.truth is None

    @property
    def of_pixels(self) -> bool:
        """Whether it is asked which pixels speak for it."""
        return self.hiding is not None or self.gradients


def explain_image(
    path: Path,
    running: Running | None = None,
    question: Question | None = None,
    *,
    output: Path | None = None,
    html: Path | None = None,
    overwrite: bool = False,
) -> ExplainReport:
    """Why a box is there, or why something is not.

    output: a folder for the drawing, and for the heat maps with their numbers beside them. html: a
    file for the page, in which everything about this image can be asked.
    Raises ImageError, FormatError, SettingError or ModelError where the parts do not fit,
    MissingExtra for gradients without torch.
    """
    asked, running = question or Question(), running or Running()
    twin = explain_evidence.network_of(running.model) if asked.gradients else None
    detector = running.detector()
    image = images.load(path)
    if html is not None:
        roots = [] if asked.truth is None else [asked.truth]
        check_new_file(html, ".html", roots, may_replace=overwrite, option="--html")
    if output is None and asked.of_pixels:
        output = DEFAULT_OUTPUT
    if output is not None:
        prepare_output(output, [], default=DEFAULT_OUTPUT, overwrite=overwrite)
    decision = detector.decision(detector.detect_array(image), image.shape[:2])
    targets = _targets(detector.classes, path, asked)
    nothing_to_tell = html is not None and asked.is_open and not len(decision.places)
    answers = () if nothing_to_tell else _answers(decision, targets, asked)
    report = ExplainReport(
        detector.name, path, (image.shape[0], image.shape[1]), answers, asked.truth is not None
    )
    if output is not None:
        drawn = output / f"{path.stem}.explained.png"
        draw.save(_drawn(image, decision, answers), drawn)
        report = replace(report, picture=drawn)
    if html is not None:
        start = _start(decision, asked)
        text = explain_page.document(
            path.name, detector.name, image, decision, targets=targets, start=start
        )
        write_new_file(html, text)
        report = replace(report, page=html)
    if not asked.of_pixels or output is None or nothing_to_tell:
        return report
    watched = _watched(decision, targets, asked)
    evidence = explain_evidence.found(detector, image, watched, asked.hiding, twin, running.threads)
    drawings = explain_evidence.heat_maps(image, evidence, output, path)
    return replace(report, evidence=evidence, heat_maps=drawings)


def _targets(classes: tuple[str, ...], path: Path, asked: Question) -> tuple[Target, ...]:
    """The objects that the data set of the question marks in this picture."""
    if asked.truth is None:
        return ()
    dataset = asked.manner.read(asked.truth, classes=ClassMap(classes))
    sample = pictures.find(dataset, path.name)
    return targets_of(sample.truths, dataset.classes, classes)


def _answers(
    decision: Decision, targets: tuple[Target, ...], asked: Question
) -> tuple[Life | Verdict, ...]:
    if asked.truth is not None:
        return verdicts(decision, targets)
    if asked.at is not None:
        return (explain.at_point(decision, *asked.at),)
    return (explain.of_detection(decision, asked.box or 0),)


def _watched(
    decision: Decision, targets: tuple[Target, ...], asked: Question
) -> tuple[Target, ...]:
    """What is looked for while pixels are hidden."""
    if asked.truth is not None:
        return targets
    if asked.at is not None:
        return (explain.target_at(decision, *asked.at),)
    return (explain.target_of(decision, asked.box or 0),)


def _start(decision: Decision, asked: Question) -> dict[str, Any] | None:
    """What the page asks first."""
    if asked.at is not None:
        return {"point": list(asked.at)}
    if asked.truth is not None or not len(decision.places):
        return None
    return {"place": int(decision.places[asked.box or 0])}


def _drawn(image: Pixels, decision: Decision, answers: tuple[Life | Verdict, ...]) -> Pixels:
    if len(answers) == 1 and isinstance(answers[0], Life):
        return picture.of_life(image, decision, answers[0])
    return picture.of_verdicts(image, tuple(one for one in answers if isinstance(one, Verdict)))
