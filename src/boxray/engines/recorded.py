"""Remembers what a network said, how often and how long it took, and plays it back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8

from boxray.boxes import Array
from boxray.engines.proposed_crops import ProposedCrops
from boxray.protocols import Engine, StagedEngine


@dataclass(frozen=True)
class Recorded:
    """The learned step, said before: whatever the canvases, the next of `outputs`.

    outputs: what an engine gave, or would give, for each call, in the order of the calls.
    """

    outputs: Iterator[tuple[Array, ...]]

    def __call__(
        self,
        canvases: UInt8[Array, "n h w 3"],  # noqa: ARG002  # the answer is known already
    ) -> tuple[Array, ...]:
        return next(self.outputs)


@dataclass(frozen=True)
class RecordedStages:
    """The two learned steps, said before: whatever is asked, the next of what was said to each."""

    proposing: Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]
    refining: Iterator[Float[Array, "k numbers"]]

    def propose(
        self,
        canvases: UInt8[Array, "n h w 3"],  # noqa: ARG002
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        return next(self.proposing)

    def refine(
        self,
        features: tuple[Array, ...],  # noqa: ARG002
        boxes: Float[Array, "k 4"],  # noqa: ARG002
    ) -> Float[Array, "k numbers"]:
        return next(self.refining)


@runtime_checkable
class Repeated(Protocol):
    """An engine whose network runs more than once for a canvas."""

    def passes(self, size_hw: tuple[int, int]) -> int:
        """How many pictures its network is given for one canvas of this size."""


@dataclass
class Recording:
    """An engine that is listened to.

    outputs: what it said, in order. passes: pictures that its network was given, which are the
    canvases for most. seconds: inside it.
    """

    engine: Engine
    outputs: list[tuple[Array, ...]] = field(default_factory=list)
    passes: int = 0
    seconds: float = 0.0
    proposing_s: float = 0.0  # nothing is proposed

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Array, ...]:
        start = time.perf_counter()
        said = self.engine(canvases)
        self.seconds += time.perf_counter() - start
        each = self.engine.passes(canvases.shape[1:3]) if isinstance(self.engine, Repeated) else 1
        self.passes += each * len(canvases)
        self.outputs.append(said)
        return said

    def played(self) -> Recorded:
        """The same again, from the first call on."""
        return Recorded(iter(self.outputs))


@dataclass
class RecordingStages:
    """The engine of two stages, listened to.

    passes: each step is one, but of R-CNN, whose network sees crops: each crop is one. seconds:
    inside the network; proposing_s: inside what proposes without one.
    """

    engine: StagedEngine
    proposing: list[tuple[tuple[Array, ...], tuple[Array, ...]]] = field(default_factory=list)
    refining: list[Array] = field(default_factory=list)
    passes: int = 0
    seconds: float = 0.0
    proposing_s: float = 0.0

    def propose(
        self, canvases: UInt8[Array, "n h w 3"]
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        start = time.perf_counter()
        said = self.engine.propose(canvases)
        spent_s = time.perf_counter() - start
        if isinstance(self.engine, ProposedCrops):
            self.proposing_s += spent_s
        else:
            self.seconds += spent_s
            self.passes += len(canvases)
        self.proposing.append(said)
        return said

    def refine(
        self, features: tuple[Array, ...], boxes: Float[Array, "k 4"]
    ) -> Float[Array, "k numbers"]:
        start = time.perf_counter()
        said = self.engine.refine(features, boxes)
        self.seconds += time.perf_counter() - start
        self.passes += len(boxes) if isinstance(self.engine, ProposedCrops) else 1
        self.refining.append(said)
        return said

    def played(self) -> RecordedStages:
        """The same again, from the first call on."""
        return RecordedStages(iter(self.proposing), iter(self.refining))
