"""`boxray evaluate`: a model's numbers on annotated data, by an official protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from boxray import bundle, data, explain
from boxray.data.classes import ClassMap, read_class_file
from boxray.evaluation import Evaluation
from boxray.evaluation import evaluate as judge
from boxray.explain import Waterfall
from boxray.verbs.reading import PLAIN, judged_part, notes_of, seeded
from boxray.verbs.running import Running


@dataclass(frozen=True)
class EvaluateReport:
    """The numbers, and what they are of. display_threshold: the score that `detect` shows from."""

    model: str
    data: Path
    evaluation: Evaluation
    display_threshold: float
    waterfall: Waterfall | None = None
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
        }


def evaluate(
    running: Running,
    folder: Path,
    *,
    split: str | None = None,
    protocol: str = "coco",
    classes: Path | None = None,
    manner: data.Manner = PLAIN,
    waterfall: bool = False,
    on_image: Callable[[int, int], None] | None = None,
) -> EvaluateReport:
    """Run a model over one split of annotated data and judge it.

    split: `test` where there is one, else `val`, if not given. classes: a class file whose
    synonyms say what the data's names mean; without it names are matched to the model's own.
    manner: how the data is read; data without splits is divided as in the model's training, by its
    seed. waterfall: count, too, at which stage objects are lost. on_image: told after each picture
    how many of how many are done, first of those that are compared where data has to be divided.
    Raises FormatError, SettingError or ModelError where the parts do not fit.
    """
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
            on_image(done, len(dataset) * (2 if waterfall else 1))

    evaluation = judge(detector, dataset, protocol=protocol, split=dataset.split, on_image=count)
    fallen = None
    if waterfall:
        fallen = explain.waterfall(detector, dataset.samples, dataset.classes, count)
    return EvaluateReport(
        model=detector.name,
        data=Path(folder),
        evaluation=evaluation,
        display_threshold=detector.thresholds.score_threshold,
        waterfall=fallen,
        notes=notes_of(dataset.report),
    )
