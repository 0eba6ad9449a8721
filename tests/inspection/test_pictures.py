"""One image of a data set: found by its name, drawn with its boxes."""

import numpy as np
import pytest

from boxray import data, draw, images
from boxray.data import synthetic
from boxray.errors import FormatError
from boxray.inspection import pictures


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return data.read(synthetic.make(tmp_path_factory.mktemp("s") / "d", images=4, seed=3))


@pytest.mark.parametrize("part", ["path", "name", "stem"])
def test_an_image_is_found_by_its_path_name_or_stem(dataset, part):
    wanted = dataset.samples[2]
    name = {"path": str(wanted.path), "name": wanted.path.name, "stem": wanted.path.stem}[part]
    assert wanted is pictures.find(dataset, name)


def test_a_name_that_is_none_is_answered_with_the_nearest(dataset):
    with pytest.raises(FormatError, match=r"Did you mean 'shapes_0000\d.jpg'"):
        pictures.find(dataset, "shapes_00009.jpg")


def test_without_a_name_it_is_the_first_with_a_box(tmp_path):
    root = synthetic.make(tmp_path / "d", images=3, seed=3)
    first = sorted((root / "Annotations").iterdir())[0]
    first.write_text("<annotation></annotation>")
    assert "shapes_00001" == pictures.find(data.read(root)).path.stem


def test_every_box_has_the_colour_of_its_class(dataset):
    sample = pictures.find(dataset)
    drawn = pictures.annotated(sample, dataset.classes)
    assert drawn.shape == images.load(sample.path).shape
    for box, label in zip(sample.truths.boxes, sample.truths.labels, strict=True):
        x0, y0, x1, y1 = box.astype(int).tolist()
        frame = np.concatenate([drawn[y1 - 1, x0:x1], drawn[y0:y1, x1 - 1]])
        assert (frame == draw.colour_of(int(label))).all(1).any()
