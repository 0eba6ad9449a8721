"""The JSON document by which a model file says what it is: written by `to_text`, read by `parse`.

Every field is checked on the way in, because a model file may come from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from boxray.bundle import certificates, coders, documents
from boxray.bundle.certificates import Certificate
from boxray.bundle.coders import MAX_SIDE
from boxray.bundle.fields import is_whole, mismatch, numbers, sequence, table, words
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.errors import BoxrayError, ModelError
from boxray.files import UNSEALED
from boxray.protocols import Coder
from boxray.selection import Method, Thresholds, Within

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Second:
    """What a two-stage model has beyond its first graph, whose maps are of proposals.

    proposals: which of them the second graph looks at. digest: the sha256 of that graph's file,
    which lies beside the first under a name that begins with it.
    """

    coder: ProposalDeltas
    proposals: Thresholds
    digest: str = UNSEALED

    @property
    def file(self) -> str:
        """The second graph's file name."""
        return f"refine-{self.digest[:16]}.onnx"


@dataclass(frozen=True)
class Model:
    """What a model file says about itself.

    canvas_hw in pixels; mean and std of red, green, blue on the scale 0 to 255. metrics, recipe,
    training_data and versions are the history as the export wrote it, in JSON's types.
    sha256: of the sealed file; zeros in one that is not sealed yet. second: None for one stage.
    certificate: of the export's comparison with torch, None where there was none.
    """

    name: str
    classes: tuple[str, ...]
    coder: Coder
    canvas_hw: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    thresholds: Thresholds
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    training_data: tuple[Any, ...]
    licence: str
    versions: Mapping[str, Any]
    sha256: str = UNSEALED
    second: Second | None = None
    certificate: Certificate | None = None


def to_text(model: Model) -> str:
    """The metadata of an unsealed file: JSON, in ASCII, with zeros for the sha256.

    Read back by `parse`. Raises ModelError if the model could not be read back.
    """
    document = {
        "schema": documents.SCHEMA,
        "sha256": UNSEALED,
        "name": model.name,
        "kind": documents.DETECTORS[model.second is not None],
        "classes": model.classes,
        "coder": coders.written(model.coder),
        "canvas_hw": model.canvas_hw,
        "normalisation": {"mean": model.mean, "std": model.std},
        "thresholds": asdict(model.thresholds),
        "metrics": model.metrics,
        "recipe": model.recipe,
        "training_data": model.training_data,
        "licence": model.licence,
        "versions": model.versions,
    }
    if model.second is not None:
        document["second"] = {
            "coder": coders.proposal_deltas_written(model.second.coder),
            "proposals": asdict(model.second.proposals),
            "digest": model.second.digest,
        }
    if model.certificate is not None:
        document["certificate"] = certificates.written(model.certificate)
    text = documents.written(document)
    parse(text)
    return text


def parse(text: str) -> Model:
    """The model that a metadata document describes, every field checked.

    Raises ModelError, naming the field, what was expected and what the document says.
    """
    document = documents.parsed(text)
    if document["kind"] == documents.CLASSIFIER:
        raise ModelError(
            "it is a classifier, and a detector is wanted: boxray.load_classifier and "
            "`boxray classify` take it."
        )
    classes = documents.class_names(document)
    two_stages = document["kind"] == documents.DETECTORS[1]
    coder = coders.parsed(table(document, "coder"), 1 if two_stages else len(classes))
    mean, std = documents.normalisation(document)
    certified = document.get("certificate") is not None  # files older than it say nothing
    return Model(
        name=words(document, "name"),
        classes=classes,
        coder=coder,
        canvas_hw=checked_canvas(document.get("canvas_hw"), coder.canvas_multiple, ModelError),
        mean=mean,
        std=std,
        thresholds=parsed_thresholds(table(document, "thresholds")),
        metrics=table(document, "metrics"),
        recipe=table(document, "recipe"),
        training_data=sequence(document, "training_data"),
        licence=words(document, "licence"),
        versions=table(document, "versions"),
        sha256=words(document, "sha256"),
        second=_second(table(document, "second"), len(classes)) if two_stages else None,
        certificate=certificates.parsed(table(document, "certificate")) if certified else None,
    )


def _second(found: dict[str, Any], class_count: int) -> Second:
    digest = words(found, "digest")
    if not _DIGEST.fullmatch(digest):
        raise mismatch("second.digest", "64 hexadecimal digits", digest)
    return Second(
        coder=coders.proposal_deltas_parsed(table(found, "coder"), class_count),
        proposals=parsed_thresholds(table(found, "proposals")),
        digest=digest,
    )


def checked_canvas(found: object, multiple: int, kind: type[BoxrayError]) -> tuple[int, int]:
    """Height and width in pixels, multiples of `multiple`; an error of `kind` if not."""
    if isinstance(found, list | tuple) and len(found) == 2:
        height, width = found
        if _is_side(height, multiple) and _is_side(width, multiple):
            return height, width
    raise kind(
        f"a canvas of {found!r}: expected height and width in pixels, "
        f"multiples of {multiple} up to {MAX_SIDE}."
    )


def _is_side(value: object, multiple: int) -> bool:
    return is_whole(value) and 0 < value <= MAX_SIDE and value % multiple == 0


def parsed_thresholds(table: dict[str, Any]) -> Thresholds:
    """The thresholds that a document's table describes, every field checked."""
    table = {"method": "greedy", **table}  # files older than the choice say nothing of it
    known = {field.name for field in fields(Thresholds)}
    if set(table) != known:
        raise mismatch("thresholds", f"the fields {sorted(known)}", sorted(table))
    shares = [table["score_threshold"], table["iou_threshold"]]
    score_threshold, iou_threshold = numbers(shares, "thresholds", 2, low=0.0, high=1.0)
    limits = [table["limit_before"], table["limit_before_per_group"]]
    for count in (table["max_detections"], *(limit for limit in limits if limit is not None)):
        if not is_whole(count) or count < 1:
            raise mismatch("thresholds", "limits that are whole numbers from 1", count)
    for name, allowed in (("suppress_within", get_args(Within)), ("method", get_args(Method))):
        if table[name] not in allowed:
            raise mismatch(f"thresholds.{name}", f"one of {', '.join(allowed)}", table[name])
    return Thresholds(
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        limit_before=limits[0],
        limit_before_per_group=limits[1],
        suppress_within=table["suppress_within"],
        max_detections=table["max_detections"],
        method=table["method"],
    )
