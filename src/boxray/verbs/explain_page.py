"""What `explain` found, as a page to point at: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from boxray import draw, page
from boxray.explain.decision import Decision
from boxray.explain.misses import KILLERS
from boxray.explain.packing import packed, why_fixed
from boxray.explain.target import Target
from boxray.images import Pixels
from boxray.inspection.pictures import address

SIDE = 1280  # pixels of the picture's longer side: sharp on a screen, and some 200 kB
_SCRIPTS = (
    "elements.js",
    "selection.js",
    "verdict.js",
    "unpacking.js",
    "layers.js",
    "answers.js",
    "explain.js",
)
_HINT = (
    "Point at the picture to see what was said there before anything was selected. "
    "Choose a box, an object or any place to learn why it is there, or why it is not."
)


def document(
    title: str,
    model: str,
    image: Pixels,
    decision: Decision,
    *,
    targets: Sequence[Target] = (),
    start: dict[str, Any] | None = None,
) -> str:
    """The page. targets: annotated objects; start: what is asked first, a `place` or a `point`."""
    whole = packed(decision, targets)
    whole |= {
        "title": title,
        "words": _words(model, decision, whole["floor"]),
        "hint": _HINT,
        "killers": KILLERS,
        "source": address(image, SIDE),
        "classes": [
            {
                "name": name,
                "colour": draw.css_colour(draw.colour_of(label)),
                "ink": draw.css_colour(draw.ink_on(draw.colour_of(label))),
            }
            for label, name in enumerate(decision.classes)
        ],
        "start": start,
    }
    return page.document(
        title,
        body=page.asset("explain.html"),
        styles=page.asset("elements.css", "explain.css"),
        script=page.asset(*_SCRIPTS),
        data=whole,
    )


def _words(model: str, decision: Decision, floor: float) -> list[str]:
    height, width = decision.placement.image_hw
    canvas_height, canvas_width = decision.placement.canvas_hw
    held = f"This page holds every candidate from score {floor:.2g}; its sliders reach no lower."
    fixed = why_fixed(decision)
    if fixed:
        held = f"The sliders are fixed: {fixed}."
    return [
        f"{width}x{height} pixels, seen by {model or 'a model'} on a canvas of "
        f"{canvas_width}x{canvas_height}. {held}"
    ]
