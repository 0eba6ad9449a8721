"""A page made of blocks, one below the other: words, tables, pictures with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from boxray import page

_BODY = '<header><h1 id="title"></h1></header>\n<main id="blocks"></main>'


@dataclass(frozen=True)
class Words:
    """Paragraphs."""

    lines: tuple[str, ...]
    kind: str = "words"


@dataclass(frozen=True)
class Table:
    """Rows under a head. shade: for each cell a number from 0 to 1, how dark it is; None: plain."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shade: tuple[tuple[float, ...], ...] | None = None
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """One picture. source: its address, as `page.data_uri` makes it; words: what it shows."""

    source: str
    words: str
    kind: str = "picture"


@dataclass(frozen=True)
class Outline:
    """A box on a picture, in its pixels.

    label: its kind, which is listed once for all of the kind; name: what is said of this one.
    dashed: for what was annotated, where detections are solid.
    """

    edges: tuple[float, float, float, float]
    label: str
    name: str
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Shot:
    """A picture of a gallery. size_hw: the frame of its boxes, in pixels."""

    title: str
    source: str
    size_hw: tuple[int, int]
    outlines: tuple[Outline, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures beside each other."""

    shots: tuple[Shot, ...]
    kind: str = "gallery"


Block: TypeAlias = Words | Table | Picture | Gallery


def document(title: str, sections: Sequence[tuple[str, Sequence[Block]]]) -> str:
    """The page: each section a heading and its blocks."""
    data = {
        "title": title,
        "sections": [
            {"heading": heading, "blocks": [asdict(block) for block in blocks]}
            for heading, blocks in sections
        ],
    }
    return page.document(
        title,
        body=_BODY,
        styles=page.asset("elements.css", "blocks.css"),
        script=page.asset("elements.js", "blocks.js"),
        data=data,
    )
