"""What the file of a learned R-CNN says about itself: written by `to_text`, read by `parse`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from boxray.bundle import coders, documents
from boxray.bundle.classifiers import parsed_preprocessing, written_preprocessing
from boxray.bundle.coders import MAX_SIDE
from boxray.bundle.fields import is_whole, mismatch, numbers, sequence, table, words
from boxray.bundle.metadata import checked_canvas, parsed_thresholds
from boxray.classification.preprocessing import Preprocessing
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.engines.proposals import EdgeBoxes, Mode, SelectiveSearch
from boxray.errors import ModelError
from boxray.files import UNSEALED
from boxray.selection import Thresholds

PROPOSERS = {"edge_boxes": EdgeBoxes, "selective_search": SelectiveSearch}
MOST_PROPOSALS = 100_000


@dataclass(frozen=True)
class RcnnModel:
    """What an R-CNN's file says: who proposes, how a crop is seen, how its answer is read.

    limit: so many proposals are looked at. context: how much of a box's size is added on each side
    before it is cut out. Its graph says of crops the logits of background and classes, and deltas
    in the same order. The rest as `Model` has it.
    """

    name: str
    classes: tuple[str, ...]
    coder: ProposalDeltas
    proposer: EdgeBoxes | SelectiveSearch
    limit: int
    context: float
    canvas_hw: tuple[int, int]
    preprocessing: Preprocessing
    thresholds: Thresholds
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    training_data: tuple[Any, ...]
    licence: str
    versions: Mapping[str, Any]
    sha256: str = UNSEALED

    certificate = None  # no network in torch says the same
    second = None  # both steps are in one file: the first has nothing to learn


def to_text(model: RcnnModel) -> str:
    """The metadata of an unsealed file: JSON, in ASCII, with zeros for the sha256.

    Raises ModelError if the model could not be read back.
    """
    seen = model.preprocessing
    text = documents.written(
        {
            "schema": documents.SCHEMA,
            "sha256": UNSEALED,
            "name": model.name,
            "kind": documents.RCNN,
            "classes": model.classes,
            "coder": coders.proposal_deltas_written(model.coder),
            "proposer": _written(model.proposer),
            "limit": model.limit,
            "context": model.context,
            "canvas_hw": model.canvas_hw,
            "preprocessing": written_preprocessing(seen),
            "normalisation": {"mean": seen.mean, "std": seen.std},
            "thresholds": asdict(model.thresholds),
            "metrics": model.metrics,
            "recipe": model.recipe,
            "training_data": model.training_data,
            "licence": model.licence,
            "versions": model.versions,
        }
    )
    parse(text)
    return text


def parse(text: str) -> RcnnModel:
    """The R-CNN that a metadata document describes, every field checked.

    Raises ModelError, naming the field, what was expected and what the document says.
    """
    document = documents.parsed(text)
    if document["kind"] != documents.RCNN:
        raise mismatch("kind", repr(documents.RCNN), document["kind"])
    classes = documents.class_names(document)
    (context,) = numbers([document.get("context")], "context", 1, low=0.0, high=10.0)
    return RcnnModel(
        name=words(document, "name"),
        classes=classes,
        coder=coders.proposal_deltas_parsed(table(document, "coder"), len(classes)),
        proposer=_proposer(table(document, "proposer")),
        limit=_whole(document, "limit", MOST_PROPOSALS),
        context=context,
        canvas_hw=checked_canvas(document.get("canvas_hw"), 1, ModelError),
        preprocessing=parsed_preprocessing(document),
        thresholds=parsed_thresholds(table(document, "thresholds")),
        metrics=table(document, "metrics"),
        recipe=table(document, "recipe"),
        training_data=sequence(document, "training_data"),
        licence=words(document, "licence"),
        versions=table(document, "versions"),
        sha256=words(document, "sha256"),
    )


def _written(proposer: EdgeBoxes | SelectiveSearch) -> dict[str, Any]:
    if isinstance(proposer, SelectiveSearch):
        return {"kind": "selective_search", **asdict(proposer)}
    if proposer.edge_model is not None:
        raise ModelError("a model file follows no path, and cannot name a file of edges.")
    fields = asdict(proposer)
    del fields["edge_model"]
    return {"kind": "edge_boxes", **fields}


def _proposer(found: dict[str, Any]) -> EdgeBoxes | SelectiveSearch:
    kind = found.get("kind")
    if kind not in PROPOSERS:
        raise mismatch("proposer.kind", " or ".join(PROPOSERS), kind)
    side, limit = _whole(found, "side", MAX_SIDE), _whole(found, "limit", MOST_PROPOSALS)
    overlap = _share(found, "overlap")
    if kind == "edge_boxes":
        return EdgeBoxes(side=side, limit=limit, step=_share(found, "step"), overlap=overlap)
    if found.get("mode") not in get_args(Mode):
        raise mismatch("proposer.mode", " or ".join(get_args(Mode)), found.get("mode"))
    seed = _whole(found, "seed", sys.maxsize, least=0)
    return SelectiveSearch(mode=found["mode"], side=side, limit=limit, overlap=overlap, seed=seed)


def _whole(found: dict[str, Any], name: str, most: int, least: int = 1) -> int:
    value = found.get(name)
    if not is_whole(value) or not least <= value <= most:
        raise mismatch(name, f"a whole number from {least} to {most}", value)
    return value


def _share(found: dict[str, Any], name: str) -> float:
    (value,) = numbers([found.get(name)], name, 1, low=0.01, high=1.0)
    return value
