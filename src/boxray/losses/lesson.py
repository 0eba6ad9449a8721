"""What a loss tells each row of the raw output, and for the sake of which truth.

A loss makes its lessons first and sums them afterwards, so that an explanation of training reads
the numbers that were stepped, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from boxray.assignment import BACKGROUND

NO_TRUTH = BACKGROUND  # in place of a truth: the row is told that there is none


@dataclass(frozen=True)
class Told:
    """One term for one image: what each row cost, weighted and divided as in the sum.

    rows: of the raw output; one may stand here several times. truths: for whose sake, or NO_TRUTH.
    """

    rows: Int[Tensor, "k"]
    truths: Int[Tensor, "k"]
    values: Float[Tensor, "k"]

    def times(self, factor: float) -> Told:
        """The same, weighted."""
        return replace(self, values=self.values * factor)


@dataclass(frozen=True)
class Lesson:
    """What one image taught: its terms by name, and what each row had to do with the truths.

    answers: for each row the truth that it answers for, or BACKGROUND, BETWEEN or SPARED.
    undrawn: rows of the first two kinds that were left out of a sample. boxes: of each row, by
    which this was decided, in canvas pixels: what it starts from, or what it says.
    """

    terms: dict[str, Told]
    answers: Int[Tensor, "rows"]
    undrawn: Bool[Tensor, "rows"]
    boxes: Float[Tensor, "rows 4"]

    @property
    def ignored(self) -> Bool[Tensor, "rows"]:
        """Rows that may say what they like."""
        return (self.answers < BACKGROUND) | self.undrawn

    def times(self, factor: float) -> Lesson:
        """The same, weighted."""
        return replace(self, terms={name: one.times(factor) for name, one in self.terms.items()})


def summed(lessons: Sequence[Lesson]) -> dict[str, Float[Tensor, ""]]:
    """The terms of a batch: what is stepped."""
    return {
        name: torch.stack([one.terms[name].values.sum() for one in lessons]).sum()
        for name in lessons[0].terms
    }
