"""What a classifier's model file says about itself: written by `to_text`, read by `parse`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from boxray.bundle import documents
from boxray.bundle.coders import MAX_SIDE
from boxray.bundle.fields import is_whole, mismatch, numbers, sequence, table, words
from boxray.classification.preprocessing import Fit, Preprocessing
from boxray.errors import ModelError
from boxray.files import UNSEALED
from boxray.images import Interpolation

_WNID = re.compile("n[0-9]{8}")


@dataclass(frozen=True)
class ClassifierModel:
    """What a classifier's file says: its classes, their WordNet ids or none, its preprocessing.

    stride: pixels from one window of a map of logits to the next, where the graph gives such a map
    of a picture larger than its input; None where it gives one row of logits whatever the size.
    The rest as `Model` has it.
    """

    name: str
    classes: tuple[str, ...]
    wnids: tuple[str, ...]
    preprocessing: Preprocessing
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    training_data: tuple[Any, ...]
    licence: str
    versions: Mapping[str, Any]
    stride: int | None = None
    sha256: str = UNSEALED

    second = None  # no classifier has a second graph


def to_text(model: ClassifierModel) -> str:
    """The metadata of an unsealed file: JSON, in ASCII, with zeros for the sha256."""
    found = model.preprocessing
    text = documents.written(
        {
            "schema": documents.SCHEMA,
            "sha256": UNSEALED,
            "name": model.name,
            "kind": documents.CLASSIFIER,
            "classes": model.classes,
            "wnids": model.wnids,
            "preprocessing": written_preprocessing(found),
            "stride": model.stride,
            "normalisation": {"mean": found.mean, "std": found.std},
            "metrics": model.metrics,
            "recipe": model.recipe,
            "training_data": model.training_data,
            "licence": model.licence,
            "versions": model.versions,
        }
    )
    parse(text)
    return text


def parse(text: str) -> ClassifierModel:
    """The classifier that a metadata document describes, every field checked.

    Raises ModelError, naming the field, what was expected and what the document says.
    """
    document = documents.parsed(text)
    if document["kind"] != documents.CLASSIFIER:
        raise ModelError(
            f"it is a detector ({document['kind']}), and a classifier is wanted: boxray.load "
            "and `boxray detect` take it."
        )
    classes = documents.class_names(document)
    return ClassifierModel(
        name=words(document, "name"),
        classes=classes,
        wnids=_wnids(document, len(classes)),
        preprocessing=parsed_preprocessing(document),
        metrics=table(document, "metrics"),
        recipe=table(document, "recipe"),
        training_data=sequence(document, "training_data"),
        licence=words(document, "licence"),
        versions=table(document, "versions"),
        sha256=words(document, "sha256"),
        stride=_stride(document),
    )


def _wnids(document: dict[str, Any], count: int) -> tuple[str, ...]:
    found = sequence(document, "wnids")
    if not all(isinstance(wnid, str) and _WNID.fullmatch(wnid) for wnid in found):
        raise mismatch("wnids", "ids of an n and eight digits", found)
    if found and not len(set(found)) == len(found) == count:
        raise mismatch("wnids", f"none, or {count} that differ", found)
    return found


def _stride(document: dict[str, Any]) -> int | None:
    found = document.get("stride")  # absent from the first files
    if found is None or (is_whole(found) and 0 < found <= MAX_SIDE):
        return found
    raise mismatch("stride", f"none, or a whole number from 1 to {MAX_SIDE}", found)


def written_preprocessing(of: Preprocessing) -> dict[str, Any]:
    """What a document says of it but for the normalisation, which stands where detectors' does."""
    return {
        "size_hw": of.size_hw,
        "fit": of.fit,
        "crop_share": of.crop_share,
        "interpolation": of.interpolation,
    }


def parsed_preprocessing(document: dict[str, Any]) -> Preprocessing:
    """The preprocessing that a document describes, every field checked."""
    found, (mean, std) = table(document, "preprocessing"), documents.normalisation(document)
    size_hw = sequence(found, "size_hw")
    if len(size_hw) != 2 or not all(is_whole(s) and 0 < s <= MAX_SIDE for s in size_hw):
        raise mismatch("preprocessing.size_hw", f"two sides from 1 to {MAX_SIDE}", size_hw)
    for name, allowed in (("fit", get_args(Fit)), ("interpolation", get_args(Interpolation))):
        if found.get(name) not in allowed:
            expected = f"one of {', '.join(allowed)}"
            raise mismatch(f"preprocessing.{name}", expected, found.get(name))
    share = [found.get("crop_share")]
    (crop_share,) = numbers(share, "preprocessing.crop_share", 1, low=0.1, high=1.0)
    return Preprocessing(
        size_hw=(size_hw[0], size_hw[1]),
        mean=mean,
        std=std,
        interpolation=found["interpolation"],
        crop_share=crop_share,
        fit=found["fit"],
    )
