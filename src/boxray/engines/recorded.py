"""Plays back what a network has already said, so that a detector can be run on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import UInt8

from boxray.boxes import Array


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
