"""The pictures of a data set with what is annotated on them."""

from __future__ import annotations

import difflib

from boxray import draw, images, page
from boxray.data import Dataset
from boxray.errors import FormatError
from boxray.images import Pixels
from boxray.records import FLAGS, Sample, Truths

QUALITY = 72  # of small pictures on a page


def find(dataset: Dataset, name: str | None = None) -> Sample:
    """The sample whose picture has this path, file name or stem; else the first one with a box.

    Raises FormatError where there is none, or where a stem fits several.
    """
    if not dataset.samples:
        raise FormatError(
            f"{dataset.name} has no images in split {dataset.split!r}.{dataset.report.first_loss()}"
        )
    if name is None:
        with_boxes = (sample for sample in dataset.samples if len(sample.truths))
        return next(with_boxes, dataset.samples[0])
    fitting = [sample for sample in dataset.samples if _fits(sample, name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        paths = ", ".join(str(sample.path) for sample in fitting[:3])
        raise FormatError(f"--image {name} fits {len(fitting)} images: {paths}. Give the path.")
    known = [sample.path.name for sample in dataset.samples]
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise FormatError(f"{dataset.name} has no image {name!r} among its {len(known)}.{hint}")


def _fits(sample: Sample, name: str) -> bool:
    return name in (str(sample.path), sample.path.name, sample.path.stem)


def flags_of(truths: Truths, row: int) -> list[str]:
    """The flags that are set for this row, as words."""
    return [flag.replace("_", " ") for flag in FLAGS if getattr(truths, flag)[row]]


def annotated(sample: Sample, classes: tuple[str, ...]) -> Pixels:
    """The sample's picture with every box and its class beside it."""
    truths = sample.truths
    labels = truths.labels.tolist()
    return draw.draw(
        images.load(sample.path),
        truths.boxes,
        [classes[label] for label in labels],
        colours=[draw.colour_of(label) for label in labels],
    )


def address(pixels: Pixels, side: int) -> str:
    """The picture, its longer side at most `side` pixels, as an address that holds it."""
    hw = pixels.shape[0], pixels.shape[1]
    if max(hw) > side:
        pixels = images.resize(pixels, images.place(hw, (side, side)).resized_hw)
    return page.data_uri(draw.encoded(pixels, "JPEG", quality=QUALITY), "jpeg")
