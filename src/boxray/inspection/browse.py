"""A data set as one HTML file to look through: filtered by class, size and flag."""

from __future__ import annotations

from collections import Counter

import numpy as np

from boxray.data import Dataset
from boxray.inspection.cards import Card, Filter, write
from boxray.inspection.pictures import flags_of
from boxray.records import Sample

DEFAULT_LIMIT = 300  # images; at some 30 kB each, a page that still opens at once


def page(dataset: Dataset, limit: int = DEFAULT_LIMIT) -> str:
    """The page with at most `limit` images, evenly chosen from the whole."""
    chosen = spread(dataset.samples, limit)
    words = [f"split {dataset.split!r}: {dataset.report.summary()}"]
    if len(chosen) < len(dataset):
        words.append(f"This page shows {len(chosen)} of them, evenly chosen.")
    cards = [_card(sample) for sample in chosen]
    return write(dataset.name, words, cards, dataset.classes, filters=_filters(dataset, chosen))


def spread(samples: tuple[Sample, ...], limit: int) -> tuple[Sample, ...]:
    """At most `limit` samples at equal distances, in their order."""
    if len(samples) <= limit:
        return samples
    return tuple(samples[i] for i in np.linspace(0, len(samples) - 1, limit).round().astype(int))


def _card(sample: Sample) -> Card:
    state = "objects" if len(sample.truths) else "no object" if sample.labelled else "not labelled"
    lines = () if len(sample.truths) else (state,)
    return Card(sample.path.name, (sample,), lines, state=state)


def _filters(dataset: Dataset, chosen: tuple[Sample, ...]) -> list[Filter]:
    labels: Counter[int] = Counter()
    flags: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for sample in chosen:
        labels.update(sample.truths.labels.tolist())
        states[_card(sample).state] += 1
        for row in range(len(sample.truths)):
            flags.update(flags_of(sample.truths, row))
    names = [(dataset.classes[label], count) for label, count in labels.most_common()]
    return [
        Filter("class", tuple((name, f"{name} ({count})") for name, count in names)),
        Filter(
            "size",
            (
                ("small", "small (below 32²)"),
                ("medium", "medium"),
                ("large", "large (from 96²)"),
            ),
        ),
        *([Filter("flag", _counted(flags))] if flags else []),
        *([Filter("state", _counted(states))] if len(states) > 1 else []),
        Filter("name"),
    ]


def _counted(counts: Counter[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{name} ({count})") for name, count in counts.most_common())
