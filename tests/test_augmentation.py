"""Augmentation: boxes stay on their objects, and what is cut away is not asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as torchvision

from boxray import images
from boxray.augmentation import (
    GREY,
    Augmentation,
    Picture,
    Placed,
    _assembled,
    _coloured,
    _resized,
    augment,
    erase,
    flip_and_colour,
    letterbox,
    mixup,
    zoom_and_shift,
)

NUMBERS = Augmentation(
    zoom=(0.6, 1.6),
    mosaic_zoom=(0.4, 1.0),
    mosaic_share=0.5,
    squeeze=1.3,
    colour=0.0,
    visible=0.35,
    mixup_share=0.0,
    erasing=0.0,
)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
BACKGROUND = 60
CHANGES = [(0.8, 1.0, 1.0), (1.0, 1.3, 1.0), (1.0, 0.7, 1.0), (1.0, 1.0, 1.3), (0.9, 1.2, 0.0)]
CANVASES = [(96, 96), (64, 96), (96, 64)]


def picture(label: int = 0, size_hw=(80, 120), box=(30, 20, 75, 60)) -> Picture:
    """A grey picture with one rectangle in the colour of its label."""
    image = np.full((*size_hw, 3), BACKGROUND, np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = COLOURS[label]
    boxes = np.array([box], np.float32)
    return Picture(image, boxes, np.array([label]), np.array([False]))


def without_truths(size_hw=(50, 70)) -> Picture:
    image = np.full((*size_hw, 3), BACKGROUND, np.uint8)
    none = np.zeros(0, np.int64)
    return Picture(image, np.zeros((0, 4), np.float32), none, none.astype(bool))


def seen_bounds(image: np.ndarray, label: int) -> np.ndarray:
    """The box around the pixels of a label's colour, by looking."""
    # a colour is 315 or more away from either grey, 255 or more from the next colour
    near = np.abs(image.astype(int) - COLOURS[label]).sum(2) < 150
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("size_hw", CANVASES)
def test_a_box_stays_on_its_object_when_a_picture_is_zoomed_shifted_and_flipped(size_hw):
    shown = 0
    for seed in range(120):
        canvas = augment([picture()], size_hw, NUMBERS, np.random.default_rng(seed))
        assert size_hw == canvas.image.shape[:2]
        for box, label in zip(canvas.boxes, canvas.labels, strict=True):
            assert np.abs(seen_bounds(canvas.image, label) - box).max() <= 2
            shown += 1
    assert shown > 100


@pytest.mark.parametrize("size_hw", CANVASES)
def test_boxes_stay_on_their_objects_in_a_mosaic(size_hw):
    pictures = [
        picture(0),
        picture(1, (120, 80), (20, 30, 60, 75)),
        picture(2, (60, 60), (5, 5, 55, 40)),
        picture(3, (90, 200), (100, 10, 190, 80)),
    ]
    shown = np.zeros(4, int)
    for seed in range(60):
        canvas = augment(pictures, size_hw, NUMBERS, np.random.default_rng(seed))
        for box, label in zip(canvas.boxes, canvas.labels, strict=True):
            assert np.abs(seen_bounds(canvas.image, label) - box).max() <= 2
            shown[label] += 1
    assert (shown > 25).all()


@pytest.mark.parametrize("pictures", [1, 2, 4])
def test_boxes_stay_on_the_canvas(pictures):
    for seed in range(40):
        canvas = augment([picture()] * pictures, (64, 96), NUMBERS, np.random.default_rng(seed))
        assert (canvas.boxes >= 0).all()
        assert (canvas.boxes <= [96, 64, 96, 64]).all()
        assert (canvas.boxes[:, 2:] - canvas.boxes[:, :2] >= 2).all()


@pytest.mark.parametrize(
    "left, shown, ignored",
    [
        (0, True, False),  # all of it
        (-40, True, False),  # 30..70 of 30..75 minus 40: 35 of 45 columns, 0.78
        (-58, True, False),  # 17 of 45, 0.38: still above 0.35
        (-60, True, True),  # 15 of 45, 0.33
        (-72, True, True),  # 3 columns
        (-74, False, False),  # 1 column: noise
        (-90, False, False),  # none
    ],
)
def test_a_truth_cut_below_the_visible_share_is_ignored_and_a_sliver_dropped(left, shown, ignored):
    one = picture()
    placement = images.Placement((80, 120), (80, 120), (80, 120), (0, left))
    canvas = _assembled([Placed(one, placement, (0, 0, 80, 120))], 0.35)
    assert int(shown) == len(canvas.boxes)
    assert [ignored] * int(shown) == canvas.ignored.tolist()


def test_what_was_ignored_before_stays_ignored():
    difficult = replace(picture(), ignored=np.array([True]))
    for pictures in ([difficult], [difficult] * 4):
        canvas = augment(pictures, (96, 96), NUMBERS, np.random.default_rng(0))
        assert canvas.ignored.all()


def test_the_same_generator_gives_the_same_canvas_and_another_does_not():
    for pictures in ([picture()], [picture(label) for label in range(4)]):
        colourful = replace(NUMBERS, colour=0.3)
        first, again, other = (
            augment(pictures, (64, 96), colourful, np.random.default_rng(seed))
            for seed in (5, 5, 6)
        )
        np.testing.assert_array_equal(first.image, again.image)
        np.testing.assert_array_equal(first.boxes, again.boxes)
        assert not np.array_equal(first.image, other.image)


def test_pixels_stay_bytes_and_pictures_are_not_changed_in_place():
    one = picture()
    before = one.image.copy()
    for pictures in ([one], [one] * 2, [one] * 4):
        canvas = augment(pictures, (64, 64), replace(NUMBERS, colour=0.4), np.random.default_rng(1))
        assert canvas.image.dtype == np.uint8
        assert canvas.boxes.dtype == np.float32
        assert canvas.image.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(before, one.image)


@pytest.mark.parametrize("pictures", [1, 2, 4])
def test_a_picture_without_truths_is_fine(pictures):
    canvas = augment([without_truths()] * pictures, (64, 96), NUMBERS, np.random.default_rng(0))
    assert (0, 4) == canvas.boxes.shape
    assert (0,) == canvas.labels.shape == canvas.ignored.shape


@pytest.mark.parametrize("size_hw", [(1, 400), (400, 1), (1, 1)])
def test_a_picture_of_one_pixel_in_height_or_width_is_fine(size_hw):
    for pictures in (1, 2, 4):
        canvas = augment(
            [without_truths(size_hw)] * pictures, (64, 96), NUMBERS, np.random.default_rng(0)
        )
        assert (64, 96, 3) == canvas.image.shape


sides = st.integers(1, 150)


@given(sides, sides, sides, sides)
def test_pictures_are_resized_as_for_the_detector(height, width, rows, columns):
    noise = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3))
    image = noise.astype(np.uint8)
    expected = images.resize(image, (rows, columns)).astype(int)
    assert np.abs(expected - _resized(image, (rows, columns))).max() <= 1


def test_a_mixup_is_about_half_of_each_picture_with_the_truths_of_both():
    pair = [picture(0), picture(1, (120, 80), (20, 30, 60, 75))]
    for seed in range(20):
        canvas = mixup(pair, (64, 96), NUMBERS, np.random.default_rng(seed))
        random = np.random.default_rng(seed)
        first, second = (zoom_and_shift(one, (64, 96), NUMBERS, random) for one in pair)
        assert [*first.boxes.tolist(), *second.boxes.tolist()] == canvas.boxes.tolist()
        assert [*first.labels, *second.labels] == canvas.labels.tolist()
        # of each 0.4 to 0.6, rounded: at most 0.1 of their distance, and a half, from the middle
        middle = (first.image.astype(float) + second.image) / 2
        apart = np.abs(first.image.astype(float) - second.image)
        assert (np.abs(canvas.image - middle) <= 0.1 * apart + 0.51).all()


def test_erasing_hides_up_to_a_third_of_an_object_and_nothing_else():
    for seed in range(60):
        canvas = picture()  # a box of 45 x 40 pixels
        before = canvas.image.copy()
        erase(canvas, 1.0, np.random.default_rng(seed))
        changed = (canvas.image != before).any(2)
        # 0.1 to 0.35 of 1800 pixels, and a pixel of rounding around 60 x 60 at most
        assert 100 < changed.sum() < 0.35 * 1800 + 130
        changed[20:60, 30:75] = False
        assert not changed.any()


def test_erasing_spares_what_is_ignored_or_not_drawn():
    ignored = replace(picture(), ignored=np.array([True]))
    for canvas, share in ((ignored, 1.0), (picture(), 0.0), (without_truths(), 1.0)):
        before = canvas.image.copy()
        erase(canvas, share, np.random.default_rng(0))
        np.testing.assert_array_equal(before, canvas.image)


def test_erasing_reaches_its_share_of_the_objects():
    one = picture()
    changed = 0
    for seed in range(400):
        canvas = replace(one, image=one.image.copy())
        erase(canvas, 0.3, np.random.default_rng(seed))
        changed += not np.array_equal(one.image, canvas.image)
    assert 84 < changed < 156  # 120 ± 4 standard deviations of 9


def test_flipping_happens_half_of_the_time_and_mirrors_about_the_canvas():
    one = picture(size_hw=(64, 96), box=(10, 5, 30, 25))
    mirrored = [96 - 30, 5, 96 - 10, 25]
    seen = [
        flip_and_colour(one, NUMBERS, np.random.default_rng(seed)).boxes[0].tolist()
        for seed in range(200)
    ]
    flips = sum(box == mirrored for box in seen)
    assert len(seen) == flips + sum(box == [10, 5, 30, 25] for box in seen)
    assert 70 < flips < 130  # 100 ± 4 standard deviations of 7


def test_nothing_is_mirrored_where_that_would_change_names():
    one = picture(size_hw=(64, 96), box=(10, 5, 30, 25))
    for seed in range(20):
        seen = flip_and_colour(one, replace(NUMBERS, mirror=0.0), np.random.default_rng(seed))
        assert [10, 5, 30, 25] == seen.boxes[0].tolist()


@pytest.mark.parametrize("change", CHANGES)
def test_colours_change_as_torchvision_changes_them(change):
    brightness, contrast, saturation = change
    image = np.random.default_rng(0).integers(70, 170, (48, 32, 3)).astype(np.uint8)
    expected = torch.from_numpy(image).permute(2, 0, 1)
    expected = torchvision.adjust_brightness(expected, brightness)
    expected = torchvision.adjust_contrast(expected, contrast)
    expected = torchvision.adjust_saturation(expected, saturation).permute(1, 2, 0).numpy()
    found = np.array(_coloured(Image.fromarray(image), *change))
    # torchvision cuts off what is behind the point, three times
    assert np.abs(found.astype(int) - expected).max() <= 3


def test_the_changes_of_colour_are_one_by_hand():
    # grey of (100, 50, 150): 0.299 * 100 + 0.587 * 50 + 0.114 * 150 = 76.35, which is also the mean
    # saturation 1.2: red is 1.2 * 100 - 0.2 * 76.35 = 104.73; contrast 0.9: 94.257 + 7.635;
    # brightness 1.1: 112.08
    image = np.full((16, 16, 3), (100, 50, 150), np.uint8)
    assert 112 == np.array(_coloured(Image.fromarray(image), 1.1, 0.9, 1.2))[3, 5, 0]


def test_without_change_colours_stay():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    np.testing.assert_array_equal(image, _coloured(Image.fromarray(image), 1.0, 1.0, 1.0))


def test_a_picture_smaller_than_the_canvas_lies_on_grey():
    small = replace(NUMBERS, zoom=(0.5, 0.5), squeeze=1.0)
    canvas = augment([picture()], (96, 96), small, np.random.default_rng(0))
    grey = (canvas.image == GREY).all(2).mean()
    # 80 x 120 on 96 is 64 x 96, and half of that 32 x 48: 1536 of 9216 pixels are the picture's
    assert 1 - 1536 / 9216 == pytest.approx(grey, abs=0.01)


def test_letterboxing_is_what_the_detector_does():
    canvas, placement = letterbox(picture(), (64, 64))
    # 120 wide to 64: scale 0.5333; 80 high to 43, 10 rows above and 11 below
    assert np.abs(seen_bounds(canvas.image, 0) - canvas.boxes[0]).max() <= 1
    np.testing.assert_allclose(placement.to_image(canvas.boxes)[0], [30, 20, 75, 60], atol=1e-3)
