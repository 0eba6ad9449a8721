"""Reads and writes Darknet's `.weights` files, without torch.

    int32 major, minor, revision
    seen: the images trained on; uint64 from version 0.2 on, int32 before
    for each convolution, in float32:
        biases (filters)
        with batch norm: scales, means, variances (filters each)
        weights (filters, channels / groups, size, size)

All little-endian, without names or padding: only the configuration says what is what, so a file of
any other length than it asks for belongs to another network.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from boxray.boxes import Array
from boxray.errors import ModelError
from boxray.networks.darknet_layers import Convolutional, Layer, maps_of

NEWEST_VERSION = 1000  # from here on Darknet reads transposed weights, which nobody published


@dataclass(frozen=True)
class Header:
    """Of a weights file. seen: how many images the network was trained on."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0

    def to_bytes(self) -> bytes:
        """The first 20 bytes of a file, or 16 before version 0.2."""
        version = struct.pack("<iii", self.major, self.minor, self.revision)
        return version + struct.pack(_seen_form(self.major, self.minor), self.seen)


@dataclass(frozen=True)
class Convolution:
    """The numbers of one convolution; scale, mean and variance are there with batch norm only.

    The order of the fields is that of the file.
    """

    bias: Float32[Array, "filters"]
    scale: Float32[Array, "filters"] | None
    mean: Float32[Array, "filters"] | None
    variance: Float32[Array, "filters"] | None
    weight: Float32[Array, "filters channels size size"]

    def arrays(self) -> list[Float32[Array, "..."]]:
        """Those that are there, in the order of the file."""
        found = [getattr(self, field.name) for field in fields(self)]
        return [array for array in found if array is not None]


@dataclass(frozen=True)
class Weights:
    """A whole weights file: its header, and one entry for each convolution of the network."""

    header: Header
    convolutions: tuple[Convolution, ...]

    def to_bytes(self) -> bytes:
        """The file, byte for byte what `parse` read."""
        arrays = [array for one in self.convolutions for array in one.arrays()]
        return self.header.to_bytes() + b"".join(a.astype("<f4").tobytes() for a in arrays)


def read(path: Path | str, layers: Sequence[Layer]) -> Weights:
    """The weights in a file for a network of these layers. Raises ModelError as `parse` does."""
    path = Path(path)
    most = len(Header().to_bytes()) + 4 * sum(map(_length, _shapes(layers)))
    try:
        if not path.is_file():
            raise ModelError(f"there is no weights file {str(path)!r}.")
        with path.open("rb") as file:
            content = file.read(most + 1)  # one more than can be right, and no gigabytes of another
            size = max(len(content), path.stat().st_size)
    except (OSError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"cannot read the weights {str(path)!r}: {reason}.") from error
    return parse(content, layers, str(path), size=size)


def parse(
    content: bytes, layers: Sequence[Layer], name: str, *, size: int | None = None
) -> Weights:
    """The weights in the bytes of a file; `name` is what errors call it.

    size: of the file, where `content` is only its beginning. Raises ModelError for another length
    than the layers need, a version that no network has, and numbers that are not finite.
    """
    header = _header(content, name)
    start = len(header.to_bytes())
    shapes = _shapes(layers)
    wanted = start + 4 * sum(map(_length, shapes))
    got = len(content) if size is None else size
    if got != wanted:
        raise ModelError(
            f"{name}: the configuration needs weights of {wanted} bytes, the file has {got} "
            f"({got - wanted:+d}): the two belong to different networks, or the file is damaged."
        )
    numbers = np.frombuffer(content, "<f4", offset=start).astype(np.float32)
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ModelError(
            f"{name}: the number at byte {start + 4 * place} is {numbers[place]}; weights are "
            "finite. The file is damaged, or its training diverged."
        )
    found = []
    for convolution in shapes:
        arrays = np.split(numbers, np.cumsum([np.prod(shape) for shape in convolution]))
        numbers = arrays.pop()
        found.append(_convolution([a.reshape(s) for a, s in zip(arrays, convolution, strict=True)]))
    _require_variances(found, name)
    return Weights(header, tuple(found))


def _header(content: bytes, name: str) -> Header:
    version = content[:12]
    if len(version) < 12:
        raise ModelError(f"{name} has {len(content)} bytes, too few for Darknet's header.")
    major, minor, revision = struct.unpack("<iii", version)
    if not (0 <= major < NEWEST_VERSION and 0 <= minor < NEWEST_VERSION and revision >= 0):
        raise ModelError(
            f"{name} starts with the version {major}.{minor}.{revision}, which no Darknet has: "
            "it is not a little-endian .weights file."
        )
    form = _seen_form(major, minor)
    if len(content) < 12 + struct.calcsize(form):
        raise ModelError(f"{name} ends within its header, after {len(content)} bytes.")
    (seen,) = struct.unpack_from(form, content, 12)
    if seen < 0:
        raise ModelError(f"{name} says that {seen} images were seen; expected none or more.")
    return Header(major, minor, revision, seen)


def _seen_form(major: int, minor: int) -> str:
    # as Darknet decides it: 10·major + minor ≥ 2
    return "<Q" if 10 * major + minor >= 2 else "<i"


def _shapes(layers: Sequence[Layer]) -> list[list[tuple[int, ...]]]:
    """The arrays of each convolution, in the order of the file."""
    maps = maps_of(layers)
    return [
        [(layer.filters,)] * (4 if layer.batch_normalize else 1)
        + [(layer.filters, maps[place].channels // layer.groups, layer.size, layer.size)]
        for place, layer in enumerate(layers)
        if isinstance(layer, Convolutional)
    ]


def _length(shapes: list[tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _convolution(arrays: list[Float32[Array, "..."]]) -> Convolution:
    if len(arrays) == 2:
        return Convolution(arrays[0], None, None, None, arrays[1])
    return Convolution(*arrays)


def _require_variances(convolutions: list[Convolution], name: str) -> None:
    for number, one in enumerate(convolutions):
        if one.variance is not None and one.variance.min() < 0:
            raise ModelError(
                f"{name}: convolution {number} has a variance of {one.variance.min():g}; none is "
                "below 0. The configuration belongs to another network."
            )
