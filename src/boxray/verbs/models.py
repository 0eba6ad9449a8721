"""`boxray models`: which models there are, and what one of them says about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxray import bundle

SCHEMA = "boxray.models/1"


@dataclass(frozen=True)
class Listing:
    """A model and the size of its file in bytes."""

    model: bundle.Model
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The model's entry in the document `boxray.models/1`."""
        model = self.model
        return {
            "name": model.name,
            "size_bytes": self.size_bytes,
            "classes": list(model.classes),
            "canvas_hw": list(model.canvas_hw),
            "thresholds": asdict(model.thresholds),
            "metrics": dict(model.metrics),
            "training_data": list(model.training_data),
            "recipe": dict(model.recipe),
            "licence": model.licence,
            "versions": dict(model.versions),
            "sha256": model.sha256,
        }


def models() -> tuple[Listing, ...]:
    """The models that come with boxray, by name."""
    return tuple(model(name) for name in bundle.shipped())


def model(name_or_path: str | Path) -> Listing:
    """One model: a shipped one's name, an `.onnx` file, or a run folder. Raises ModelError."""
    content, label = bundle.read(name_or_path)
    return Listing(bundle.describe(content, label), len(content))


def to_dict(listings: tuple[Listing, ...]) -> dict[str, Any]:
    """The document `boxray.models/1`, ready for json.dumps."""
    return {"schema": SCHEMA, "models": [listing.to_dict() for listing in listings]}
