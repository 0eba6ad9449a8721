"""`boxray evaluate`: a model's numbers on annotated data, by an official protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from boxray import bundle, data, explain, ledger
from boxray.data.classes import ClassMap, read_class_file
from boxray.detectors import OneStage, TwoStage
from boxray.evaluation import Evaluation
from boxray.evaluation import evaluate as judge
from boxray.explain import Waterfall, gallery
from boxray.page import blocks
from boxray.verbs.data.places import check_new_file, write_new_file
from boxray.verbs.reading import PLAIN, judged_part, notes_of, seeded
from boxray.verbs.running import Running


@dataclass(frozen=True)
class EvaluateReport:
    """The numbers, and what they are of.

    display_threshold: the score that `detect` shows from. page: where what was lost is shown, None
    if it was not asked for.
    """

    model: str
    data: Path
    evaluation: Evaluation
    display_threshold: float
    waterfall: Waterfall | None = None
    page: Path | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.evaluate/1`, ready for json.dumps."""
        asked = {} if self.waterfall is None else {"waterfall": asdict(self.waterfall)}
        return {
            **self.evaluation.to_json(),
            "model": self.model,
            "data": str(self.data),
            "display_threshold": self.display_threshold,
            "errors": list(self.evaluation.errors),
            **asked,
            **({} if self.page is None else {"page": str(self.page)}),
        }


@dataclass(frozen=True)
class Losses:
    """That the waterfall is counted, too.

    html: a file for a page that shows it and the pictures that lost most; None: no page.
    """

    html: Path | None = None
    overwrite: bool = False


def evaluate(
    running: Running,
    folder: Path,
    *,
    split: str | None = None,
    protocol: str = "coco",
    classes: Path | None = None,
    manner: data.Manner = PLAIN,
    losses: Losses | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> EvaluateReport:
    """Run a model over one split of annotated data and judge it.

    split: `test` where there is one, else `val`, if not given. classes: a class file whose
    synonyms say what the data's names mean; without it names are matched to the model's own.
    manner: how the data is read; data without splits is divided as in the model's training, by its
    seed. losses: count, too, at which stage objects are lost. on_image: told after each picture
    how many of how many are done, first of those that are compared where data has to be divided.
    Raises FormatError, SettingError or ModelError where the parts do not fit.
    """
    html = None if losses is None else losses.html
    if losses is not None and html is not None:
        check_new_file(html, ".html", [folder], may_replace=losses.overwrite, option="--html")
    seed = bundle.described(running.model).recipe.get("seed")
    manner = replace(seeded(manner, seed), on_picture=on_image)
    detector = running.detector()
    names = read_class_file(classes) if classes else ClassMap(detector.classes)
    dataset = judged_part(folder, split, manner, detector.classes, names)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_image is not None:
            on_image(done, len(dataset) * (1 if losses is None else 2))

    evaluation = judge(detector, dataset, protocol=protocol, split=dataset.split, on_image=count)
    fallen = None
    if losses is not None:
        fallen = explain.waterfall(detector, dataset.samples, dataset.classes, count)
        if html is not None:
            write_new_file(html, _page(detector, fallen, dataset))
    return EvaluateReport(
        model=detector.name,
        data=Path(folder),
        evaluation=evaluation,
        display_threshold=detector.thresholds.score_threshold,
        waterfall=fallen,
        page=html,
        notes=(*notes_of(dataset.report), *_learned_from(Path(running.model), dataset)),
    )


def _learned_from(run: Path, dataset: data.Dataset) -> tuple[str, ...]:
    """What is to be said where a run is judged on pictures of its own training."""
    learned = ledger.learned_from(run)
    count = sum(sample.path.resolve() in learned for sample in dataset.samples)
    if not count:
        return ()
    return (
        f"warning: {run} learned from {count} of these {len(dataset)} pictures: "
        "what it says of them tells little about new ones",
    )


def _page(detector: OneStage | TwoStage, fallen: Waterfall, dataset: data.Dataset) -> str:
    """What became of the objects, and the pictures that lost most."""
    words = (
        f"{fallen.truths} objects on {len(dataset)} pictures, split {dataset.split!r}: found, or "
        "lost at the first stage where no candidate was left, at the thresholds that boxray "
        "detect uses.",
    )
    sections: list[tuple[str, Sequence[blocks.Block]]] = [
        ("What became of the objects", [blocks.Words(words), gallery.counts(fallen)]),
        ("Where most was lost", gallery.worst(detector, fallen, dataset.samples, dataset.classes)),
        ("What turning a threshold would do", [gallery.knobs(fallen)]),
    ]
    return blocks.document(f"{detector.name} on {dataset.name}", sections)
