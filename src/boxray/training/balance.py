"""Class-balanced sampling: pictures of rare classes are shown more often."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from boxray.data import Dataset

RARE = 0.1  # a class in fewer than this share of the pictures is rare


def repeat_factors(dataset: Dataset) -> Float[np.ndarray, "pictures"]:
    """How often each picture is shown against one without a rare class: at least once.

    A class in a share f of the pictures asks for √(0.1 / f), a picture follows its rarest class.
    Source: Gupta, Dollár & Girshick 2019 (LVIS), section 5.1, whose limit for 1,203 classes is
    0.001.
    """
    classes = [np.unique(sample.truths.labels) for sample in dataset.samples]
    pictures_of = np.bincount(np.concatenate(classes), minlength=len(dataset.classes))
    share = np.maximum(pictures_of, 1) / len(classes)
    wanted = np.maximum(1.0, np.sqrt(RARE / share))
    return np.array([wanted[labels].max(initial=1.0) for labels in classes])
