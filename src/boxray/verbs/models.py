"""`boxray models`: which models there are, and what one of them says about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxray import bundle, from_classifier

SCHEMA = "boxray.models/1"


@dataclass(frozen=True)
class Listing:
    """A model, a detector or a classifier, and the size of its file in bytes."""

    model: bundle.AnyModel
    size_bytes: int

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width in pixels of what the network is given."""
        model = self.model
        if isinstance(model, bundle.ClassifierModel):
            return model.preprocessing.size_hw
        return model.canvas_hw

    def to_dict(self) -> dict[str, Any]:
        """The model's entry in the document `boxray.models/1`."""
        model = self.model
        return {
            "name": model.name,
            "size_bytes": self.size_bytes,
            "classes": list(model.classes),
            **_of_its_kind(model),
            "metrics": dict(model.metrics),
            "training_data": list(model.training_data),
            "recipe": dict(model.recipe),
            "licence": model.licence,
            "versions": dict(model.versions),
            "sha256": model.sha256,
        }


def _of_its_kind(model: bundle.AnyModel) -> dict[str, Any]:
    """What only detectors have, or only classifiers."""
    if isinstance(model, bundle.ClassifierModel):
        return {
            "kind": "classifier",
            "wnids": list(model.wnids),
            "stride": model.stride,
            "preprocessing": asdict(model.preprocessing),
        }
    return {
        "kind": "detector",
        "canvas_hw": list(model.canvas_hw),
        "thresholds": asdict(model.thresholds),
        "certificate": None if model.certificate is None else asdict(model.certificate),
    }


def models() -> tuple[Listing, ...]:
    """The models that have a name: the files that come with boxray, then what is made of them."""
    return tuple(model(name) for name in (*bundle.shipped(), *from_classifier.NAMES))


def model(name_or_path: str | Path) -> Listing:
    """One model: a name, an `.onnx` file, or a run folder. Raises ModelError."""
    content, _ = bundle.read(bundle.file_of(name_or_path))
    return Listing(bundle.described(name_or_path), len(content))


def to_dict(listings: tuple[Listing, ...]) -> dict[str, Any]:
    """The document `boxray.models/1`, ready for json.dumps."""
    return {"schema": SCHEMA, "models": [listing.to_dict() for listing in listings]}
