"""A classifier: pictures or pieces of them in, a probability for each class out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from boxray import images
from boxray.boxes import Array, softmax
from boxray.classification.preprocessing import Preprocessing
from boxray.errors import ModelError, SettingError
from boxray.images import Pixels, Source
from boxray.protocols import Engine

BATCH = 16  # patches that the engine is given at once; more are no quicker on a CPU


@dataclass(frozen=True)
class Guess:
    """A class that a classifier holds possible. wnid: its WordNet 3.0 id, if it has one."""

    wnid: str | None
    name: str
    probability: float


@dataclass(frozen=True)
class Classifier:
    """Preprocessing, engine, and names for what the engine says.

    engine: gives logits, (n, classes), and perhaps the features (n, channels) that they are linear
    in; either may be a map of one place, (n, classes, 1, 1). Where it gives one more logit than
    there are classes, the first stands for "something else", as in TensorFlow's 1,001.
    wnids: a WordNet id per class, or none at all. name: of the model, for reports. stride: of the
    map that it gives of a larger picture, in pixels; None if it gives none.
    """

    engine: Engine
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    wnids: tuple[str, ...] = ()
    name: str = ""
    stride: int | None = None

    def probabilities(self, patches: Sequence[Pixels]) -> Float32[Array, "n classes"]:
        """For every patch the probability of every class; a row adds up to 1.

        Where the network knows "something else" its share is left out, and rows add up to less.
        """
        rows = [self.logits(patches[at : at + BATCH]) for at in range(0, len(patches), BATCH)]
        if not rows:
            return np.zeros((0, len(self.classes)), np.float32)
        logits = np.concatenate(rows).astype(np.float32, copy=False)
        return softmax(logits)[:, -len(self.classes) :]

    def logits(self, patches: Sequence[Pixels]) -> Float32[Array, "n outputs"]:
        """What the network says of a batch of patches, before any meaning."""
        return self.said(patches)[0]

    def said(self, patches: Sequence[Pixels]) -> tuple[Float32[Array, "n numbers"], ...]:
        """Logits of a batch of patches, then their features if the engine gives them."""
        canvases = np.stack([self.preprocessing.pixels(patch) for patch in patches])
        said = tuple(_in_one_place(array) for array in self.engine(canvases))
        if said[0].ndim != 2 or said[0].shape[1] - len(self.classes) not in (0, 1):
            raise ModelError(
                f"{self.name or 'the classifier'} has {len(self.classes)} classes and says "
                f"{said[0].shape[1:]} numbers per picture; expected one per class, or one more."
            )
        return said

    def classify(
        self, source: Source, boxes: Float[Array, "n 4"] | None = None, *, top: int = 5
    ) -> list[list[Guess]]:
        """The `top` most probable classes of every patch of a picture, or of the whole of it.

        boxes: the patches, in pixels of the picture; each is stretched to the network's input as
        a whole. Raises ImageError for a picture that cannot be read, BoxError for a patch outside.
        """
        image = images.load(source)
        if boxes is None:
            return self.guesses(self.probabilities([image]), top)
        patches = [images.crop(image, box) for box in boxes]
        return self.guesses(self.of_whole().probabilities(patches), top)

    def guesses(self, probabilities: Float[Array, "n classes"], top: int = 5) -> list[list[Guess]]:
        """The `top` most probable classes of each row, best first, ties in the order of classes."""
        if top < 1:
            raise SettingError(f"top is {top}; expected at least 1.")
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        return [
            [self._guess(int(label), row) for label in labels]
            for labels, row in zip(order, probabilities, strict=True)
        ]

    def of_whole(self) -> Classifier:
        """The same for pieces of which nothing may be cut off; see `Preprocessing.of_whole`."""
        return replace(self, preprocessing=self.preprocessing.of_whole())

    def _guess(self, label: int, row: Float[Array, "classes"]) -> Guess:
        wnid = self.wnids[label] if self.wnids else None
        return Guess(wnid, self.classes[label], float(row[label]))


def _in_one_place(said: Float32[Array, "n ..."]) -> Float32[Array, "n ..."]:
    """Without the rows and columns of a map that has one of each."""
    return said[:, :, 0, 0] if said.shape[2:] == (1, 1) else said
