"""Boxes on a picture, with tags that can be read at any size and on any background."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from boxray.boxes import Array, clip
from boxray.errors import OutputError
from boxray.files import write_atomically

Colour: TypeAlias = tuple[int, int, int]
Rectangle: TypeAlias = tuple[int, int, int, int]  # first and last pixel: left, top, right, bottom

# Source: Okabe & Ito 2008, told apart with every common kind of colour blindness; without black.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_SAVED_AS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}
_SHADES = ((0, 0.0), (255, 0.5), (0, 0.4))  # once round the palette: as it is, lighter, darker
_CASING = (0, 0, 0, 110)  # a dark rim, so that a line shows on a background of its own colour


def colour_of(label: int) -> Colour:
    """The colour of a class, always the same one: 7 hues, then lighter, then darker (21 in all)."""
    towards, share = _SHADES[label // len(PALETTE) % len(_SHADES)]
    red, green, blue = (
        round(part + (towards - part) * share) for part in PALETTE[label % len(PALETTE)]
    )
    return red, green, blue


def css_colour(colour: Colour) -> str:
    """The colour as a page names it: #rrggbb."""
    return "#" + "".join(f"{part:02x}" for part in colour)


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    boxes: Float[Array, "n 4"],
    texts: Sequence[str],
    *,
    colours: Sequence[Colour] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `image` with each box and its text, the first boxes on top.

    Lines and letters grow with the picture. A tag lies above its box, or where it covers no
    other tag, always inside the picture; a text that is too long for that ends in an ellipsis.
    colours: one per box (see `colour_of`); without it all boxes have the first one's.
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture, "RGBA")
    side = (height * width) ** 0.5
    thickness = max(1, round(side / 210))
    font = ImageFont.load_default(max(10, round(side / 40)))
    assert isinstance(font, ImageFont.FreeTypeFont)  # what a size asks for
    chosen = list(colours) if colours is not None else [colour_of(0)] * len(boxes)
    frames = [_pixels(box) for box in clip(np.asarray(boxes), (float(height), float(width)))]
    for frame, colour in reversed(list(zip(frames, chosen, strict=True))):
        _draw_frame(pen, frame, thickness, colour)
    taken: list[Rectangle] = []
    tags = []
    for frame, colour, text in zip(frames, chosen, texts, strict=True):
        shown = _fitting(text, font, width - 2 * _padding(font))
        place = _free_place(frame, _tag_size(shown, font), (width, height), taken)
        if shown and place is not None:
            taken.append(place)
            tags.append((place, shown, colour))
    for place, shown, colour in reversed(tags):
        _draw_tag(pen, place, shown, font, colour)
    return np.array(picture, dtype=np.uint8)


def save(image: UInt8[np.ndarray, "h w 3"], path: Path) -> None:
    """Write a picture, whole or not at all, as what its ending says: .jpg, .png, .webp or .bmp.

    Raises OutputError for another ending, or where the file cannot be written.
    """
    if path.suffix.lower() not in _SAVED_AS:
        raise OutputError(
            f"cannot write {_printable(path)}: {path.suffix or 'no ending'} is not one of "
            f"{', '.join(_SAVED_AS)}."
        )
    try:
        content = encoded(image, _SAVED_AS[path.suffix.lower()])
    except (OSError, ValueError) as error:  # WEBP ends at 16383 pixels a side
        raise OutputError(f"cannot write {_printable(path)}: {error}. Try .png.") from error
    write_atomically(path, content)


def encoded(image: UInt8[np.ndarray, "h w 3"], kind: str, *, quality: int = 92) -> bytes:
    """The bytes of a picture file; kind is Pillow's word, quality is a JPEG's, 1 to 95."""
    content = io.BytesIO()
    if kind == "JPEG":
        Image.fromarray(image).save(content, kind, quality=quality)
    else:
        Image.fromarray(image).save(content, kind)
    return content.getvalue()


def _printable(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


def _pixels(box: Float[np.ndarray, "4"]) -> Rectangle:
    """The first and last pixel that a box covers, at least one."""
    left, top, right, bottom = (round(edge) for edge in box.tolist())
    return left, top, max(left, right - 1), max(top, bottom - 1)


def _draw_frame(pen: ImageDraw.ImageDraw, frame: Rectangle, thickness: int, colour: Colour) -> None:
    left, top, right, bottom = frame
    rim = max(1, thickness // 3)
    pen.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=_CASING, width=rim)
    inner = thickness  # the inner rim starts where the line ends
    if right - left > 2 * (inner + rim) and bottom - top > 2 * (inner + rim):
        pen.rectangle(
            (left + inner, top + inner, right - inner, bottom - inner), outline=_CASING, width=rim
        )
    pen.rectangle(frame, outline=colour, width=thickness)


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(2, round(font.size * 0.3))


def _tag_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """Width and height of a tag around this text."""
    padding = _padding(font)
    return round(font.getlength(text)) + 2 * padding, round(font.size) + padding


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text in the letters that Pillow's font has, shortened to this many pixels.

    An accent is left out; any other letter outside ASCII becomes a question mark.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in plain[:200])
    if len(plain) <= 200 and font.getlength(shown) <= width:
        return shown
    while shown and font.getlength(shown + "...") > width:
        shown = shown[:-1]
    return shown and shown + "..."


def _free_place(
    frame: Rectangle, size: tuple[int, int], picture: tuple[int, int], taken: list[Rectangle]
) -> Rectangle | None:
    """Where a tag goes: the first place that covers no other tag, or the first; None if too big."""
    width, height = size
    if width > picture[0] or height > picture[1]:
        return None
    places = [
        (
            min(max(0, left), picture[0] - width),
            min(max(0, top), picture[1] - height),
        )
        for left, top in _places(frame, size)
    ]
    rectangles = [(left, top, left + width - 1, top + height - 1) for left, top in places]
    free = (place for place in rectangles if not any(_touch(place, other) for other in taken))
    return next(free, rectangles[0])


def _places(frame: Rectangle, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Left and top of a tag: above the box, inside it, below it, then in steps down its edges."""
    left, top, right, bottom = frame
    width, height = size
    starts = (left, right - width + 1)
    for start in starts:
        above = top - height
        yield start, (above if above >= 0 else top)
        yield start, top
        yield start, bottom + 1
        yield start, bottom - height + 1
    for step in range(top + height, bottom - height + 1, height):
        yield from ((start, step) for start in starts)


def _touch(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _draw_tag(
    pen: ImageDraw.ImageDraw,
    place: Rectangle,
    text: str,
    font: ImageFont.FreeTypeFont,
    colour: Colour,
) -> None:
    left, top, _, bottom = place
    pen.rectangle(place, fill=colour)
    middle = (top + bottom + 1) / 2
    pen.text((left + _padding(font), middle), text, fill=ink_on(colour), font=font, anchor="lm")


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever stands out more. Source: WCAG 2.1, relative luminance."""
    linear = [
        part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in colour
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # contrast with white (1.05 / (L + .05)) against that with black ((L + .05) / .05)
    return (255, 255, 255) if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else (0, 0, 0)
