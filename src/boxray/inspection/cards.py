"""Cards: pictures with boxes and words, as one HTML file with filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from boxray import draw, images, page
from boxray.errors import ImageError
from boxray.inspection.pictures import address, flags_of
from boxray.records import Sample

Box = tuple[float, float, float, float]
SIDE = 480  # pixels of the longer side: sharp on a card, and some 30 kB
_BODY = """<header><h1 id="title"></h1><div id="words"></div></header>
<div id="filters"></div>
<p id="status" class="quiet" role="status"></p>
<main id="cards"></main>"""


@dataclass(frozen=True)
class Card:
    """One card.

    samples: its pictures, each with its own truths. wanted: for a picture, by its position, boxes
    in its pixels that the card is about. state, check, severity: to filter by.
    """

    title: str
    samples: tuple[Sample, ...] = ()
    lines: tuple[str, ...] = ()
    wanted: dict[int, tuple[Box, ...]] = field(default_factory=dict)
    state: str = ""
    check: str = ""
    severity: str = ""


@dataclass(frozen=True)
class Filter:
    """A choice on the page. options: value and text of each; none for a field to type in."""

    name: str
    options: tuple[tuple[str, str], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the page's script takes it."""
        if self.options is None:
            return {"name": self.name, "options": None}
        return {"name": self.name, "options": [{"value": v, "text": t} for v, t in self.options]}


def write(
    title: str,
    words: Sequence[str],
    cards: Sequence[Card],
    classes: Sequence[str],
    *,
    filters: Sequence[Filter],
    noun: str = "images",
    chips: bool = True,
) -> str:
    """The page. words: what to know first. chips: whether a card lists its classes."""
    sources = _Sources()
    data = {
        "title": title,
        "words": list(words),
        "noun": noun,
        "chips": chips,
        "classes": [
            {
                "name": name,
                "colour": draw.css_colour(colour),
                "ink": draw.css_colour(draw.ink_on(colour)),
            }
            for name, colour in zip(classes, map(draw.colour_of, range(len(classes))), strict=True)
        ],
        "filters": [one.to_dict() for one in filters],
        "cards": [_card(card, sources) for card in cards],
        "sources": sources.addresses,
    }
    return page.document(
        title,
        body=_BODY,
        styles=page.asset("elements.css") + _asset("cards.css"),
        script=page.asset("elements.js") + _asset("cards.js"),
        data=data,
    )


class _Sources:
    """The small pictures of a page, each once; None for one that cannot be read."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self._known: dict[Path, int | None] = {}

    def of(self, path: Path) -> int | None:
        """The position of this picture among the addresses."""
        if path not in self._known:
            try:
                pixels = images.load(path)
            except ImageError:
                self._known[path] = None
                return None
            self._known[path] = len(self.addresses)
            self.addresses.append(address(pixels, SIDE))
        return self._known[path]


def _card(card: Card, sources: _Sources) -> dict[str, Any]:
    shown = [
        {
            "name": str(sample.path.name),
            "source": sources.of(sample.path),
            "hw": list(sample.size_hw),
            "boxes": _boxes(sample, card.wanted.get(position, ())),
        }
        for position, sample in enumerate(card.samples)
    ]
    return {
        "title": card.title,
        "lines": list(card.lines),
        "pictures": shown,
        "state": card.state,
        "check": card.check,
        "severity": card.severity,
    }


def _boxes(sample: Sample, wanted: Sequence[Box]) -> list[dict[str, Any]]:
    """The truths, then what the card is about that is none of them."""
    truths = sample.truths
    rows: list[dict[str, Any]] = [
        {
            "edges": [round(edge, 1) for edge in truths.boxes[i].tolist()],
            "label": int(label),
            "flags": flags_of(truths, i),
            "line": int(truths.lines[i]),
        }
        for i, label in enumerate(truths.labels.tolist())
    ]
    known = {tuple(row["edges"]): row for row in rows}
    for box in wanted:
        edges = [round(edge, 1) for edge in box]
        row = known.get(tuple(edges))
        if row is None:
            row = {"edges": edges, "label": None, "flags": [], "line": 0}
            rows.append(row)
        row["wanted"] = True
    return rows


def _asset(name: str) -> str:
    return files("boxray.inspection").joinpath(name).read_text("utf-8")
