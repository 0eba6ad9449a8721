"""The published networks without their files are what the files say."""

from dataclasses import replace
from functools import partial

import pytest

from boxray.networks import darknet_configuration
from boxray.networks.darknet_layers import coder_of, levels_of
from boxray.networks.yolo_layers import yolov2, yolov2_tiny, yolov3, yolov3_tiny

PUBLISHED = {
    "yolov2": yolov2,
    "yolov2-voc": yolov2,
    "yolov2-tiny": yolov2_tiny,
    "yolov3": yolov3,
    "yolov3-spp": partial(yolov3, spatial_pyramid=True),
    "yolov3-tiny": yolov3_tiny,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_layers_are_those_of_the_published_file(shared, name):
    path = shared / "data" / "darknet" / f"{name}.cfg"
    layers = darknet_configuration.read(path).layers
    coder = coder_of(layers)
    assert layers == PUBLISHED[name](coder.class_count, coder.priors)


def test_other_classes_and_priors_change_the_heads_only():
    priors = (((10.0, 12.0), (20.0, 16.0)), ((30.0, 44.0), (60.0, 40.0)))
    layers = yolov3_tiny(2, priors)
    assert priors == coder_of(layers).priors
    fine, coarse = (level.head for level in levels_of(layers))
    assert [(0, 1), (2, 3)] == [fine.mask, coarse.mask]
    assert fine == replace(coarse, mask=(0, 1))
