"""A picture whose objects are followed is the one that training's loader shows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from boxray.errors import ImageError
from boxray.recipes.recipe import blueprint
from boxray.records import Sample, Truths
from boxray.training.pictures import TrainingPictures, collate
from boxray.training.schedule import Schedule
from boxray.training.shown import in_training, in_use

SIDE = 128
CORNERS = ((2, 2), (90, 4), (48, 50), (4, 92), (88, 88))  # of squares of 30 pixels
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    """Five pictures, in each of which every square has a colour of its own."""
    folder = tmp_path_factory.mktemp("squares")
    made = []
    for number in range(5):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        for (x, y), colour in zip(CORNERS, COLOURS, strict=True):
            image[y : y + 30, x : x + 30] = np.array(colour) * (1 - 0.13 * number)
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        boxes = np.array([(x, y, x + 30, y + 30) for x, y in CORNERS], np.float64)
        hard = np.arange(5) == number  # one in each counts neither way
        made.append(
            Sample(path, (SIDE, SIDE), Truths.of(boxes, np.arange(5), flags={"difficult": hard}))
        )
    return made


@pytest.fixture(scope="module")
def recipe():
    found = blueprint("grid-lite0")
    sizes = np.geomspace((8, 10), (90, 70), 40)
    built = found.build(5, found.priors(sizes), (SIDE, SIDE), pretrained=False)
    return replace(built, augmentation=replace(built.augmentation, colour=0.0))


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_the_loader_shows(samples, recipe, seed):
    shown = in_training(samples, recipe, seed)
    loader = TrainingPictures(samples, recipe.canvas_hw, recipe.augmentation, 10**8)
    order = Schedule.of(recipe, 5, seed=seed).order(0, 0, 0, 0.7)
    pixels, [(boxes, labels, ignored)], _ = collate([loader[order]])
    assert [samples[which].path for which in order.pictures] == [s.path for s in shown.samples]
    np.testing.assert_array_equal(pixels[0].permute(1, 2, 0), shown.seen.image)
    np.testing.assert_array_equal(boxes, shown.seen.boxes[~shown.seen.ignored])
    np.testing.assert_array_equal(ignored, shown.seen.boxes[shown.seen.ignored])
    # the fifth part of a number is the picture, the rest the label
    assert labels.tolist() == (shown.seen.labels[~shown.seen.ignored] % 5).tolist()


def test_alone_in_pairs_and_in_mosaics_each_at_its_share(samples, recipe):
    counts = [len(in_training(samples, recipe, seed).samples) for seed in range(40)]
    assert {1, 2, 4} == set(counts)
    assert 10 <= counts.count(4) <= 30  # 20 ± 3 standard deviations of 3.2
    assert 1 <= counts.count(2) <= 18  # 8 ± 4 of 2.5


@pytest.mark.parametrize("seed", range(8))
def test_an_object_that_is_lost_shows_nowhere_and_others_where_they_are_said_to(
    samples, recipe, seed
):
    opaque = replace(recipe.augmentation, mixup_share=0.0, erasing=0.0)
    shown = in_training(samples, replace(recipe, augmentation=opaque), seed)
    image = shown.seen.image.astype(int)
    for number in range(5 * len(shown.samples)):
        picture, square = divmod(number, 5)
        of = int(shown.samples[picture].path.stem)
        twice = [one.path for one in shown.samples].count(shown.samples[picture].path) > 1
        colour = (np.array(COLOURS[square]) * (1 - 0.13 * of)).astype(np.uint8)
        here = (np.abs(image - colour) <= 6).all(-1)
        (place,) = np.nonzero(shown.seen.labels == number)
        if not len(place):  # what is narrower than two pixels counts as nothing
            assert twice or not sliding_window_view(here, (3, 3)).all((2, 3)).any()
            continue
        x0, y0, x1, y1 = shown.seen.boxes[place[0]].round().astype(int)
        inside = here[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
        assert inside.size < 9 or inside.mean() > 0.6
    assert len(set(shown.seen.labels.tolist())) == len(shown.seen.labels)


def test_in_use_nothing_is_lost(samples, recipe):
    shown = in_use(samples[3], recipe.canvas_hw)
    assert list(range(5)) == shown.seen.labels.tolist()
    assert [False, False, False, True, False] == shown.seen.ignored.tolist()


def test_a_picture_that_cannot_be_read_is_named(samples, recipe, tmp_path):
    broken = replace(samples[0], path=tmp_path / "broken.jpg")
    broken.path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.jpg.*Another --seed"):
        in_training([broken], recipe, 0)


def test_training_seeds_torch_itself(samples, recipe):
    torch.manual_seed(5)
    one = in_training(samples, recipe, 1).seen.image
    torch.manual_seed(6)
    np.testing.assert_array_equal(one, in_training(samples, recipe, 1).seen.image)
