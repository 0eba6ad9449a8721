"""Drawing: what is asked for is on the picture, the rest is left alone, nothing crashes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.draw import PALETTE, colour_of, draw

GREY = np.full((120, 160, 3), 90, np.uint8)


def boxes(*rows) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def luminance(colour) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_the_line_lies_on_the_first_and_last_pixel_of_the_box():
    # edges 30 to 100 and 40 to 90: pixels 30 to 99 and 40 to 89
    drawn = draw(GREY, boxes([30, 40, 100, 90]), [""], colours=[(255, 0, 0)])
    for row, column in [(40, 30), (40, 99), (89, 30), (89, 99), (60, 30), (89, 70)]:
        assert drawn[row, column].tolist() == [255, 0, 0]
    assert drawn[60, 70].tolist() == [90, 90, 90]


def test_the_given_image_is_not_changed_and_far_pixels_are_equal():
    before = GREY.copy()
    drawn = draw(GREY, boxes([30, 40, 100, 90]), ["cell 0.91"])
    assert np.array_equal(before, GREY)
    assert drawn.shape == GREY.shape
    assert np.array_equal(drawn[100:], GREY[100:])


def test_without_boxes_the_picture_is_the_same():
    assert np.array_equal(draw(GREY, boxes(), []), GREY)


def test_the_first_box_is_on_top():
    same = boxes([30, 40, 100, 90], [30, 40, 100, 90])
    drawn = draw(GREY, same, ["", ""], colours=[(255, 0, 0), (0, 0, 255)])
    assert drawn[60, 30].tolist() == [255, 0, 0]


def test_a_tag_has_the_colour_of_its_class_and_stays_inside_the_picture():
    for row in ([0, 0, 20, 20], [150, 0, 160, 10], [0, 110, 20, 120], [150, 110, 160, 120]):
        drawn = draw(GREY, boxes(row), ["person 0.98"], colours=[(1, 2, 3)])
        # the tag is larger than the box's outline: width of the text x at least ten rows
        assert (drawn == (1, 2, 3)).all(2).sum() > 400


def test_equal_boxes_do_not_hide_each_others_tags():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    drawn = draw(
        GREY, boxes(*[[40, 40, 120, 100]] * 3), ["a 0.9", "b 0.8", "c 0.7"], colours=colours
    )
    areas = [(drawn == colour).all(2).sum() for colour in colours]
    assert min(areas) > 100


def test_a_tag_is_read_beside_many_others_of_boxes_that_fill_the_picture():
    colours = [(200 - 20 * i, 10, 20 * i) for i in range(7)]
    drawn = draw(GREY, boxes(*[[0, 0, 160, 120]] * 7), ["suppressed 0.57"] * 7, colours=colours)
    # each tag is about 90 x 13 pixels, and covered by no other; letters take up a third
    assert min((drawn == colour).all(2).sum() for colour in colours) > 400


@pytest.mark.parametrize(
    "text",
    ["猫 0.9", "Öl ß", "\ud800", "a\nb\0c", "مرحبا", "🙂", "x" * 5000, "", "<b>bold</b>", "\u202e"],
)
def test_any_text_can_be_drawn(text):
    draw(GREY, boxes([30, 40, 100, 90]), [text])


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.lists(st.tuples(*[st.floats(-100, 200, width=32)] * 4), max_size=4),
)
def test_any_box_can_be_drawn_on_any_picture(size_hw, rows):
    image = np.zeros((*size_hw, 3), np.uint8)
    drawn = draw(image, boxes(*rows), ["thing 0.5"] * len(rows))
    assert drawn.shape == image.shape


def test_lines_grow_with_the_picture():
    small, large = np.zeros((200, 200, 3), np.uint8), np.zeros((2000, 2000, 3), np.uint8)
    red = [(255, 0, 0)]
    thin = draw(small, boxes([50, 50, 150, 150]), [""], colours=red)[100, :100]
    thick = draw(large, boxes([500, 500, 1500, 1500]), [""], colours=red)[1000, :1000]
    # 200 / 210 -> 1 pixel, 2000 / 210 = 9.5 -> 10 pixels
    assert ((thin == red).all(1).sum(), (thick == red).all(1).sum()) == (1, 10)


def test_the_letters_stand_out_from_every_colour_of_the_palette():
    large = np.full((900, 900, 3), 90, np.uint8)  # letters wider than their soft edges
    for label in range(21):
        drawn = draw(large, boxes([30, 100, 400, 400]), ["M"], colours=[colour_of(label)])
        light, dark = (luminance((c, c, c)) for c in (255, 0))
        paper = luminance(colour_of(label))
        ink = light if (drawn == 255).all(2).any() else dark
        high, low = max(paper, ink), min(paper, ink)
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1, level AA


def test_the_first_21_classes_have_colours_of_their_own_that_never_change():
    assert colour_of(0) == PALETTE[0] == (230, 159, 0)
    assert colour_of(21) == colour_of(0)
    # lighter, half way to white: 242.5 -> 242 (half to even), 207, 127.5 -> 128
    assert colour_of(7) == (242, 207, 128)
    colours = [colour_of(label) for label in range(21)]
    nearest = min(np.abs(np.subtract(a, b)).sum() for a, b in itertools.combinations(colours, 2))
    assert nearest >= 40


def test_as_many_texts_as_boxes_are_needed():
    with pytest.raises(ValueError, match="shorter"):
        draw(GREY, boxes([30, 40, 100, 90]), [])
