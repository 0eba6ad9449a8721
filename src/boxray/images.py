"""Images: read safely, resized in one way, laid on a canvas and back.

An image is uint8 (height, width, 3), RGB, as a person sees it: the EXIF orientation is applied.
`load` refuses what is damaged, too large or of another format; it never guesses.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from boxray import boxes as geometry
from boxray.boxes import Array
from boxray.errors import BoxError, ImageError

Source: TypeAlias = str | Path | bytes | Image.Image | np.ndarray
AnySource = TypeVar("AnySource", bound=Source)
Pixels: TypeAlias = UInt8[np.ndarray, "_ _ 3"]  # height, width, and red, green, blue
File: TypeAlias = io.BytesIO | io.BufferedReader
Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

# Named to Pillow, so that no other decoder (Ghostscript among them) is ever tried.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 64_000_000
MAX_SIDE = 65_500  # what a JPEG can hold; Pillow's own resize and save break soon after
MAX_FILE_BYTES = 256 * 2**20  # a 64-megapixel image without compression has 192 MB
_MAX_JPEG_SEGMENTS, _SCAN = 10_000, 0xDA
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue. Source: ITU-R BT.601, as Pillow's mode L
PADDING = 127  # the grey that the default normalisation turns into zero

# Where the stored rows and columns are seen. Source: Exif 2.32, tag 274, in Pillow's words.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_TOO_LARGE = (
    f"is too large: at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} pixels a side. "
    "Make it smaller or cut it into tiles."
)

# Python's list of warning filters belongs to the whole process: one thread at a time changes it,
# and a process is never forked while one does.
_quiet = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_quiet.acquire, after_in_parent=_quiet.release, after_in_child=_quiet.release
    )


def load(source: Source, *, allow_truncated: bool = False) -> Pixels:
    """The pixels of a path, an encoded file's bytes, a PIL image, or an RGB array (as it is).

    Size is judged by the header, before anything is decoded. 16-bit grey is scaled to 8 bits;
    transparency is dropped, which shows the colours that it hid; of several frames the first
    is taken. `allow_truncated` accepts a JPEG whose end is missing: the rest is grey or coarse.
    Raises ImageError, and nothing else, for whatever is not a whole and harmless image.
    """
    if isinstance(source, np.ndarray):
        return _checked(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source)
    if isinstance(source, bytes):
        data, name = source, f"image of {len(source)} bytes"
    else:
        with _reading(source) as (file, name):
            data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name} is larger than {MAX_FILE_BYTES >> 20} MB. Make it smaller.")
    if data.startswith(b"\xff\xd8"):
        _refuse_broken_jpeg(data, name, allow_truncated=allow_truncated)
        data += b"\xff\xd9" if allow_truncated else b""
    with _opened(io.BytesIO(data), name) as image:
        return _pixels(image, name)


def several(sources: Iterable[AnySource]) -> Iterable[AnySource]:
    """The same sources; ImageError for what is none, and for an open file, which has lines."""
    if hasattr(sources, "read") or not hasattr(sources, "__iter__"):
        raise ImageError(
            "expected a path, the bytes of an image file, a PIL image or an RGB uint8 array, got "
            f"{type(sources).__name__}. Of an open file: file.read(); of a tensor: tensor.numpy()."
        )
    return sources


def header(path: str | Path) -> tuple[tuple[int, int], int]:
    """Height and width as displayed, and the EXIF orientation (1 to 8), without decoding.

    Raises ImageError as `load` does, but cannot see damage behind the header.
    """
    with _reading(path) as (file, name), _opened(file, name) as image:
        if image.format == "PNG" and "exif" not in image.info:
            image.info["exif"] = b"Exif\0\0" + _late_exif(file)
        width, height = image.size
        if image.format == "TIFF":  # newer Pillows turn the size, not yet the pixels
            tags = image.tag_v2  # type: ignore[attr-defined]
            width, height = int(tags[256]), int(tags[257])
        orientation = _orientation(image)
        return ((width, height) if orientation >= 5 else (height, width)), orientation


def resize(image: Pixels, size_hw: tuple[int, int], by: Interpolation = "bilinear") -> Pixels:
    """`image` in another size, averaging over what it shrinks (Pillow's BILINEAR or BICUBIC).

    Detection, evaluation and training see the same pixels by it; only where pictures are augmented
    torch's resize stands for it, to within one level of 255 (docs/decisions, 37). Detectors use
    "bilinear", a classifier what it was trained with.
    """
    if image.shape[:2] == size_hw:
        return image
    picture = Image.fromarray(image).resize(size_hw[::-1], Image.Resampling[by.upper()])
    return np.array(picture, dtype=np.uint8)


def crop(image: Pixels, box: Float[Array, "4"]) -> Pixels:
    """The piece of `image` inside a box, whose edges go to the nearest whole pixel.

    Clipped to the image; raises BoxError where nothing is left.
    """
    edges = geometry.clip(np.asarray(box, np.float64)[None], (image.shape[0], image.shape[1]))[0]
    x0, y0, x1, y1 = np.floor(edges + 0.5).astype(int)
    if x0 >= x1 or y0 >= y1:
        shown = ", ".join(f"{edge:g}" for edge in np.asarray(box, float))
        raise BoxError(
            f"the box ({shown}) holds no pixel of an image of {image.shape[1]}x{image.shape[0]} "
            "pixels; expected x0, y0, x1, y1 with x0 < x1 and y0 < y1, inside it."
        )
    return image[y0:y1, x0:x1]


@dataclass(frozen=True)
class Placement:
    """How an image lies on a canvas: enlarged or shrunk to `resized_hw`, shifted by `offset`.

    Everything in pixels. offset: (top, left), how far the image's corner is from the canvas's.
    The scale of each axis is resized / image, so that `to_image` exactly undoes `to_canvas`
    although the resized size was rounded to whole pixels.
    """

    image_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    offset: tuple[int, int]

    @property
    def scale_yx(self) -> tuple[float, float]:
        """Canvas pixels per image pixel, down and across."""
        return self.resized_hw[0] / self.image_hw[0], self.resized_hw[1] / self.image_hw[1]

    def to_canvas(self, boxes: Float[Array, "n 4"]) -> Float64[Array, "n 4"]:
        """Boxes of the image in canvas pixels. Undone by `to_image`."""
        (scale_y, scale_x), (top, left) = self.scale_yx, self.offset
        corner = np.array([left, top, left, top], np.float64)
        return boxes * np.array([scale_x, scale_y, scale_x, scale_y]) + corner

    def to_image(self, boxes: Float[Array, "n 4"], *, clip: bool = False) -> Float64[Array, "n 4"]:
        """Boxes of the canvas in image pixels. Undone by `to_canvas`.

        A box may reach out of the image, into the padding, unless `clip`.
        """
        scale_yx = np.divide(self.resized_hw, self.image_hw)
        corner, scale = np.tile(self.offset[::-1], 2), np.tile(scale_yx[::-1], 2)
        moved = (boxes - geometry.like(corner, boxes)) / geometry.like(scale, boxes)
        return geometry.clip(moved, self.image_hw) if clip else moved


def place(image_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> Placement:
    """The largest placement of an image inside a canvas with its aspect kept, in the middle.

    Sides round half up in whole numbers; where the padding is odd, the extra row or column is
    below or to the right.
    """
    (height, width), (rows, columns) = image_hw, canvas_hw
    if min(height, width, rows, columns) < 1:
        raise ImageError(f"cannot place an image of {image_hw} on a canvas of {canvas_hw} pixels.")
    # the smaller of both ratios canvas / image, as two whole numbers
    above, below = (rows, height) if rows * width <= columns * height else (columns, width)
    resized_hw = (
        max(1, (2 * height * above + below) // (2 * below)),
        max(1, (2 * width * above + below) // (2 * below)),
    )
    offset = (rows - resized_hw[0]) // 2, (columns - resized_hw[1]) // 2
    return Placement(image_hw, canvas_hw, resized_hw, offset)


def fit(image: Pixels, canvas_hw: tuple[int, int]) -> tuple[Pixels, Placement]:
    """The image on a grey canvas, as large as it fits, and the exact way back."""
    placement = place((image.shape[0], image.shape[1]), canvas_hw)
    (top, left), (height, width) = placement.offset, placement.resized_hw
    canvas = np.full((*canvas_hw, 3), PADDING, np.uint8)
    canvas[top : top + height, left : left + width] = resize(image, placement.resized_hw)
    return canvas, placement


def _checked(array: np.ndarray) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"expected an RGB array, uint8 (height, width, 3), got {array.dtype} {array.shape}. "
            "Grey: np.stack([grey] * 3, -1); floats from 0 to 1: (255 * image).astype(np.uint8); "
            "with transparency: image[..., :3]; channels first: image.transpose(1, 2, 0)."
        )
    if 0 in array.shape:
        raise ImageError(f"expected at least one pixel, got an array of shape {array.shape}.")
    _refuse_too_large((array.shape[1], array.shape[0]), "the array")
    return array


def _from_pillow(image: Image.Image) -> Pixels:
    name = f"the PIL image ({image.mode}, {image.width}x{image.height})"
    with _opened(image, name):
        return _pixels(image.copy(), name)


@contextlib.contextmanager
def _reading(path: str | Path) -> Iterator[tuple[io.BufferedReader, str]]:
    """The file, if it is one, and its path as text that any terminal and log can take.

    A pipe would block for ever, a device never end.
    """
    name = os.fspath(path).encode("utf-8", "backslashreplace").decode() or "''"
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise ImageError(f"{name} is not a file but a folder, pipe or device. Name an image.")
        with os.fdopen(number, "rb") as file:
            yield file, name
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageError(f"cannot read {name}: {_reason(error)}.") from error


@contextlib.contextmanager
def _opened(source: File | Image.Image, name: str) -> Iterator[Image.Image]:
    """The image with its header read and its size accepted, nothing decoded yet.

    Whatever a decoder raises, here or in the body, becomes an ImageError.
    """
    try:
        # no warnings of Pillow's: what matters becomes an error
        with _quiet, warnings.catch_warnings(action="ignore"):
            image = source if isinstance(source, Image.Image) else Image.open(source, "r", FORMATS)
        _refuse_too_large(image.size, name)
        yield image
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} {_TOO_LARGE}") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image, or its header is damaged. Known: {', '.join(FORMATS)}."
        ) from error
    except Exception as error:
        raise ImageError(
            f"{name} is damaged or cut off: {_reason(error)}. Copy or download it again."
        ) from error


def _pixels(image: Image.Image, name: str) -> Pixels:
    """Decoded, as 8-bit RGB, turned as a person sees it."""
    image.load()
    turn = _TURNS.get(_orientation(image))  # after the load: Pillow has turned a TIFF by then
    if image.mode.startswith("I;16") and image.format != "TIFF":
        # To the nearest of 256 greys; Pillow's own conversion would cut off at 255.
        image = Image.fromarray(((np.array(image, np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(
            f"{name} has pixels of mode {image.mode}; expected 8 bits per colour. "
            "Convert it to an 8-bit PNG or JPEG."
        )
    if image.mode != "RGB":
        image.info.pop("transparency", None)  # else Pillow warns about what is dropped here
        image = image.convert("RGB")
    return np.array(image if turn is None else image.transpose(turn), np.uint8)


def _refuse_too_large(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels: its header says {width}x{height}.")
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        raise ImageError(f"{name} ({width}x{height}) {_TOO_LARGE}")


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said.strip(" .\n") or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where it is missing, damaged or not between 1 and 8."""
    try:
        with _quiet, warnings.catch_warnings(action="ignore"):
            # not image.getexif(): a PNG would decode its pixels in search of it
            found = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _late_exif(file: File) -> bytes:
    """What the eXIf chunk of a PNG holds when it stands behind the pixels."""
    file.seek(8)
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        if kind == b"eXIf":
            return file.read(length)
        file.seek(length + 4, os.SEEK_CUR)
    return b""


def _refuse_broken_jpeg(data: bytes, name: str, *, allow_truncated: bool) -> None:
    """What Pillow lets pass: no end mark (it fills the rest with grey), or endless junk."""
    position, code = 2, 0
    for _ in range(_MAX_JPEG_SEGMENTS):
        position = data.find(b"\xff", position, position + 65_536)
        code = data[position + 1] if 0 <= position < len(data) - 1 else -1
        if code in (_SCAN, -1):
            break
        position += 1 if code in (0, 255) else 2 + int.from_bytes(data[position + 2 : position + 4])
    if code != _SCAN or (data.find(b"\xff\xd9", position) < 0 and not allow_truncated):
        raise ImageError(f"{name} is cut off or damaged. Copy or download it again.")
