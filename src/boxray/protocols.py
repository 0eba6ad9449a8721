"""What a coder, an engine and a detector must be able to do. Nothing inherits from these."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float, Int, UInt8

from boxray.boxes import Array
from boxray.records import Candidates, Detections, Level, Trace

Raw: TypeAlias = tuple[Array, ...]  # one array per pyramid level, (channels, rows, columns)


@runtime_checkable
class Coder(Protocol):
    """An inverse pair between boxes and the numbers a network is trained to say.

    strides: canvas pixels per cell of each level, finest first. channels: of each level's map.
    canvas_multiple: the sides of a canvas, in pixels, must be multiples of this.
    """

    @property
    def strides(self) -> tuple[int, ...]: ...

    @property
    def channels(self) -> tuple[int, ...]: ...

    @property
    def canvas_multiple(self) -> int: ...

    def encode(
        self, boxes: Float[Array, "n 4"], rows: Int[Array, "n"], size_hw: tuple[int, int]
    ) -> Float[Array, "n numbers"]:
        """The numbers that rows `rows` of the raw output should hold to mean `boxes`.

        Four of each; none where a row's box is fixed.
        """

    def decode(self, raw: Raw, score_floor: float = 0.0) -> Candidates:
        """Everything the raw output of one image means with a score of at least `score_floor`."""

    def where(self, raw: Raw, row: int) -> dict[str, Any]:
        """Where a row of the raw output stands: `Trace.where`, without reading what it said."""

    def trace(self, raw: Raw, row: int, label: int = 0) -> Trace:
        """Where a row of the raw output stands, what it said, and what that means.

        label: the class whose box is meant, where a row has one for each.
        """

    def nearest(self, box: Float[Array, "4"], raw: Raw) -> Float[Array, "rows 4"]:
        """For every row of this raw output the box nearest to `box` that it could say."""


@runtime_checkable
class Explaining(Protocol):
    """All that explanations ask of a coder; `raw` is whatever its `decode` takes."""

    def decode(self, raw: Any, score_floor: float = 0.0) -> Candidates:
        """Every (row, class) of one image with a score of at least `score_floor`."""

    def where(self, raw: Any, row: int) -> dict[str, Any]:
        """Where a row stands, in words that JSON can say."""

    def trace(self, raw: Any, row: int, label: int = 0) -> Trace:
        """Where a row stands, what it said, and the box of class `label` that it means."""

    def nearest(self, box: Float[Array, "4"], raw: Any) -> Float[Array, "rows 4"]:
        """For every row the box nearest to `box`, in canvas pixels, that it could say."""


@runtime_checkable
class TrainedCoder(Coder, Protocol):
    """A coder of maps whose rows start from boxes that are known beforehand, so of a recipe.

    class_count: of the classes that it names.
    """

    @property
    def class_count(self) -> int: ...

    def starts(self, size_hw: tuple[int, int]) -> Float[Array, "rows 4"]:
        """The box that each row of the raw output is measured from, on a canvas of this size."""

    def flatten(self, raw: Raw) -> Float[Array, "... rows numbers"]:
        """Maps (…, channels, rows, columns), one per level, as one row of numbers per trace."""


@runtime_checkable
class Layered(Protocol):
    """A coder whose rows stand in the cells of levels."""

    def levels(self, raw: Raw) -> tuple[Level, ...]:
        """The levels of one image's raw output, finest first."""


@runtime_checkable
class Engine(Protocol):
    """Runs the learned step: a batch of canvases in, raw arrays out, the same in every mode."""

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Array, ...]:
        """float32, (n, channels, rows, columns) per level; of a classifier (n, classes)."""


@runtime_checkable
class StagedEngine(Protocol):
    """Runs the two learned steps of a two-stage detector; somebody else decides in between."""

    def propose(
        self, canvases: UInt8[Array, "n h w 3"]
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Feature maps for `refine`, and one raw array per level as an `Engine` gives them."""

    def refine(
        self, features: tuple[Array, ...], boxes: Float[Array, "k 4"]
    ) -> Float[Array, "k numbers"]:
        """What the box head says of these boxes, in canvas pixels, of one image's features."""


@runtime_checkable
class Detector(Protocol):
    """Anything that turns one RGB picture into detections in its pixels."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that labels index."""

    def detect_array(
        self,
        image: UInt8[Array, "h w 3"],
        *,
        score_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> Detections:
        """The detections of one decoded picture; None means the detector's own threshold."""
