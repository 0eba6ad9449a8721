"""The knobs of selection, as model files store them, and the form of a method of suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.errors import SettingError
from boxray.records import Outcome

Within: TypeAlias = Literal["class", "group", "all"]
Method: TypeAlias = Literal["greedy", "diou", "soft-linear", "soft-gaussian", "matrix", "fusion"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The knobs of `select`, as model files store them.

    score_threshold: a candidate needs at least this score, 0 to 1. iou_threshold: a candidate
    that overlaps a kept, better one by more than this is suppressed, 0 to 1; 1 suppresses
    nothing. limit_before: how many candidates enter suppression, and limit_before_per_group how
    many of each group (pyramid level or class, as the coder says); None is no limit.
    suppress_within: who competes with whom. max_detections: how many may remain.
    method: what becomes of candidates that overlap; `soft-gaussian` and `matrix` look at every
    overlap, so that iou_threshold says nothing to them.

    Raises SettingError, naming the field, for a value outside its range.
    """

    score_threshold: float
    iou_threshold: float
    limit_before: int | None = 1000
    limit_before_per_group: int | None = None
    suppress_within: Within = "class"
    max_detections: int = 100
    method: Method = "greedy"

    def __post_init__(self) -> None:
        _require_share("score_threshold", self.score_threshold)
        _require_share("iou_threshold", self.iou_threshold)
        _require_count("max_detections", self.max_detections)
        if self.limit_before is not None:
            _require_count("limit_before", self.limit_before)
        if self.limit_before_per_group is not None:
            _require_count("limit_before_per_group", self.limit_before_per_group)
        for name, kind in (("suppress_within", Within), ("method", Method)):
            if getattr(self, name) not in get_args(kind):
                raise SettingError(
                    f"{name} is {getattr(self, name)!r}; "
                    f"expected one of {', '.join(get_args(kind))}."
                )


class Suppress(Protocol):
    """A method of suppression."""

    def __call__(
        self,
        boxes: Float[Array, "n 4"],
        scores: Float[Array, "n"],
        rivals: Int[Array, "n"],
        thresholds: Thresholds,
    ) -> Outcome:
        """Candidates come best first; only those with the same number in `rivals` compete."""


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:  # NaN compares False
        raise SettingError(f"{name} is {value}; expected a number from 0 to 1.")


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise SettingError(f"{name} is {value}; expected a whole number of at least 1.")
