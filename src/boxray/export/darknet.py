"""From Darknet's two files to one .onnx file."""

from __future__ import annotations

from pathlib import Path

from boxray import bundle
from boxray.detectors import OneStage
from boxray.engines.pytorch import TorchEngine
from boxray.errors import SettingError
from boxray.export import legible, to_bytes, versions
from boxray.export.twins import Twin
from boxray.networks import darknet_configuration, darknet_weights
from boxray.networks.darknet import DarknetNetwork, load
from boxray.networks.darknet_layers import coder_of
from boxray.selection import Thresholds

# with which Darknet shows its detections
THRESHOLDS = Thresholds(score_threshold=0.25, iou_threshold=0.45)


def from_darknet(
    configuration: Path, weights: Path, *, classes: tuple[str, ...] | None = None
) -> tuple[bytes, Twin]:
    """A sealed model file of a `.cfg` and its `.weights`, in single precision, and its twin.

    classes: their names; `class 0`, `class 1` … where nobody says. Raises ModelError for files that
    are damaged or of different networks, SettingError for another number of names.
    """
    described = darknet_configuration.read(configuration)
    stored = darknet_weights.read(weights, described.layers)
    coder = coder_of(described.layers)
    names = classes or tuple(f"class {label}" for label in range(coder.class_count))
    if len(names) != coder.class_count:
        raise SettingError(
            f"{configuration} tells {coder.class_count} classes apart, the class file names "
            f"{len(names)}."
        )
    network = DarknetNetwork(described.layers)
    load(network, stored)
    model = bundle.Model(
        name=legible(configuration.stem),
        classes=names,
        coder=coder,
        canvas_hw=described.canvas_hw,
        mean=(0.0, 0.0, 0.0),  # Darknet's pixels go from 0 to 1
        std=(255.0, 255.0, 255.0),
        thresholds=THRESHOLDS,
        metrics={},
        recipe={"darknet": legible(configuration.name), "images_seen": stored.header.seen},
        training_data=(),
        licence="unstated",
        versions=versions(),
    )
    engine = TorchEngine(network, model.mean, model.std)
    detector = OneStage(engine, coder, names, model.canvas_hw, THRESHOLDS)
    return to_bytes(model, network, half=False), Twin(detector, trained=legible(weights.name))
