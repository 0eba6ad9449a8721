"""What `evaluate` found, as tables for a terminal; apart, so that `detect` stays light."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from boxray.evaluation import Evaluation
from boxray.explain import Waterfall
from boxray.verbs.evaluate import EvaluateReport
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown

MOST_COLUMNS = 3  # of numbers per class: AP, AP50 and AP75, where the protocol has them


def evaluation(report: EvaluateReport) -> list[RenderableType]:
    """What was judged, the numbers with their intervals, and those of every class."""
    judged = report.evaluation
    return [
        f"{shown(report.model)} on {judged.images} images of {shown(str(report.data))}, "
        f"split {judged.split!r}, in {judged.seconds:.0f} s",
        _metrics(judged),
        _per_class(judged),
        f"Judged from a score of {judged.score_floor:g}, at most {judged.max_detections} per "
        f"image; `detect` shows from {report.display_threshold:g}.",
        *([] if report.waterfall is None else _waterfall(report.waterfall)),
    ]


def _waterfall(fallen: Waterfall) -> list[RenderableType]:
    """Where objects are lost, in all and by group; what each knob does; the worst images."""
    reached = [outcome for outcome, count in fallen.outcomes.items() if count]
    stages = table("objects", "all", *reached)
    stages.add_row("all", str(fallen.truths), *(str(fallen.outcomes[name]) for name in reached))
    for kind, groups in fallen.groups.items():
        for name, counts in groups.items():
            values = [str(counts[outcome]) for outcome in reached]
            stages.add_row(f"{kind} {shown(name)}", str(sum(counts.values())), *values)
    knobs = table("knob", "value", "found", "false alarms")
    for knob, curve in fallen.curves.items():
        for turned in curve:
            knobs.add_row(knob, turned.told, str(turned.found), str(turned.false_alarms))
    worst = table("image", "lost")
    for path, count in fallen.worst:
        worst.add_row(shown(path), str(count))
    return ["Where objects are found or lost, at the thresholds of `detect`:", stages, knobs, worst]


def _metrics(evaluation: Evaluation) -> Table:
    """The protocol's numbers with the interval of each."""
    rows = table(evaluation.protocol.upper(), "value", "95 % interval")
    for name, value in evaluation.metrics.items():
        low_high = evaluation.intervals.get(name)
        interval = "" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"
        rows.add_row(name, _number(value), interval)
    return rows


def _per_class(evaluation: Evaluation) -> Table:
    """The first numbers for every class; the document of --json has them all."""
    classes = evaluation.per_class
    names = list(next(iter(classes.values()), {}))[:MOST_COLUMNS]
    rows = table("class", *names)
    for label, values in classes.items():
        rows.add_row(shown(label), *(_number(values.get(name)) for name in names))
    return rows


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
