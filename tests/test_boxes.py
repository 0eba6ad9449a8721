"""Box geometry: golden values, laws, numpy against torch, and torchvision as the oracle."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from boxray import boxes

EDGE = st.floats(-500, 500, width=32)
SIDE = st.floats(0, 400, width=32)
FULL_SIDE = st.floats(0.5, 400, width=32)


def box(*values: float) -> np.ndarray:
    return np.array([values], np.float64)


def _rows(count: st.SearchStrategy[int], width: int, elements: st.SearchStrategy[float]):
    return count.flatmap(lambda n: arrays(np.float64, (n, width), elements=elements))


FEW = st.integers(1, 6)
ANY_ROWS = _rows(st.integers(0, 6), 4, EDGE)  # edges in any order, so inverted boxes too


@st.composite
def proper_boxes(draw: st.DrawFn, side=FULL_SIDE, count=FEW) -> np.ndarray:
    n = draw(count)
    corner = draw(arrays(np.float64, (n, 2), elements=EDGE))
    size = draw(arrays(np.float64, (n, 2), elements=side))
    return np.concatenate([corner, corner + size], 1)


@st.composite
def paired_boxes(draw: st.DrawFn, side=SIDE) -> tuple[np.ndarray, np.ndarray]:
    a = draw(proper_boxes(side=side))
    return a, draw(proper_boxes(side=side, count=st.just(len(a))))


ONE_ARGUMENT: dict[str, Callable] = {
    "area": boxes.area,
    "centre_size": boxes.centre_size,
    "edges": boxes.edges,
    "from_xywh": boxes.from_xywh,
    "to_xywh": boxes.to_xywh,
    "clip": lambda rows: boxes.clip(rows, (100.0, 150.5)),
    "upright": lambda rows: boxes.upright(rows, 7, (100.0, 150.5)),
    "sigmoid": boxes.sigmoid,
    "softmax": boxes.softmax,
}
TWO_ARGUMENTS: dict[str, Callable] = {
    "intersection": boxes.intersection,
    "iou": boxes.iou,
    "intersection_over_area": boxes.intersection_over_area,
    "size_iou": lambda a, b: boxes.size_iou(abs(a[:, :2]), abs(b[:, :2])),
}
IN_PAIRS: dict[str, Callable] = {
    "paired_iou": boxes.paired_iou,
    "paired_giou": boxes.paired_giou,
}


class TestGoldenValues:
    def test_the_area_of_a_box_is_width_times_height(self):
        # (5 - 2) * (7 - 3) = 12
        assert [12] == boxes.area(box(2, 3, 5, 7)).tolist()

    def test_the_area_of_an_inverted_box_is_zero_even_if_both_sides_are_negative(self):
        assert [0] == boxes.area(box(5, 7, 2, 3)).tolist()

    def test_a_line_a_point_an_inverted_box_and_one_without_a_number_have_no_inside(self):
        rows = [(2, 3, 5, 7), (2, 3, 2, 7), (2, 3, 5, 3), (2, 3, 2, 3), (5, 7, 2, 3)]
        rows += [(2, 3, np.nan, 7), (2, 3, np.inf, 7)]
        found = boxes.has_inside(np.array(rows, float))
        assert [True, False, False, False, False, False, True] == found.tolist()

    def test_half_overlapping_squares_share_a_third_of_their_union(self):
        # 2x2 squares, one pixel apart: shared 2, union 4 + 4 - 2 = 6
        assert 2 / 6 == pytest.approx(boxes.iou(box(0, 0, 2, 2), box(1, 0, 3, 2)).item())

    def test_touching_boxes_share_nothing(self):
        assert 0 == boxes.iou(box(0, 0, 2, 2), box(2, 0, 4, 2)).item()

    def test_an_empty_box_has_no_overlap_even_with_itself(self):
        assert 0 == boxes.iou(box(3, 3, 3, 3), box(3, 3, 3, 3)).item()

    def test_giou_of_two_unit_squares_one_apart_is_minus_a_third(self):
        # shared 0, union 2, hull 3 x 1: 0 - (3 - 2) / 3
        distant = boxes.paired_giou(box(0, 0, 1, 1), box(2, 0, 3, 1))
        assert -1 / 3 == pytest.approx(distant.item())

    def test_intersection_over_area_is_the_share_of_the_first_box(self):
        # 2 of the 4 square pixels of the first, 2 of the 20 of the second
        first, second = box(0, 0, 2, 2), box(1, 0, 11, 2)
        assert 2 / 4 == pytest.approx(boxes.intersection_over_area(first, second).item())
        assert 2 / 20 == pytest.approx(boxes.intersection_over_area(second, first).item())

    def test_size_iou_puts_boxes_on_one_centre(self):
        # 2x4 and 4x2 share 2x2: 4 / (8 + 8 - 4)
        tall, wide = np.array([[2.0, 4.0]]), np.array([[4.0, 2.0]])
        assert 4 / 12 == pytest.approx(boxes.size_iou(tall, wide).item())

    def test_centre_and_size_of_a_box(self):
        # centre (2 + 5) / 2, (3 + 7) / 2; size 3 x 4
        assert [[3.5, 5, 3, 4]] == boxes.centre_size(box(2, 3, 5, 7)).tolist()
        assert [[2, 3, 5, 7]] == boxes.edges(box(3.5, 5, 3, 4)).tolist()

    def test_left_top_width_height_of_a_box(self):
        assert [[2, 3, 3, 4]] == boxes.to_xywh(box(2, 3, 5, 7)).tolist()
        assert [[2, 3, 5, 7]] == boxes.from_xywh(box(2, 3, 3, 4)).tolist()

    def test_clip_takes_height_before_width(self):
        # a picture 10 high and 20 wide
        assert [[0, 0, 20, 10]] == boxes.clip(box(-5, -5, 25, 25), (10.0, 20.0)).tolist()

    def test_sigmoid_at_its_landmarks(self):
        # 1 / (1 + e^0) = 1/2; 1 / (1 + e^-ln 3) = 1 / (1 + 1/3) = 3/4; no overflow at the ends
        x = np.array([0.0, np.log(3.0), -1e4, 1e4])
        assert [0.5, 0.75, 0, 1] == pytest.approx(boxes.sigmoid(x).tolist())

    def test_a_small_sigmoid_keeps_its_digits_in_single_precision(self):
        # σ(-14) = 1 / (1 + 1202604.28) = 8.3153e-07
        assert 8.315280276641321e-07 == pytest.approx(
            boxes.sigmoid(np.array([-14.0], np.float32)).item(), rel=1e-6
        )

    def test_softmax_shares_out_one_and_does_not_overflow(self):
        # e^0 : e^ln 3 = 1 : 3
        shares = boxes.softmax(np.array([[0.0, np.log(3.0)], [1e4, 1e4], [-1e4, 1e4]]))
        np.testing.assert_allclose([[0.25, 0.75], [0.5, 0.5], [0, 1]], shares)


class TestInversePairs:
    @given(ANY_ROWS)
    def test_edges_undoes_centre_size(self, rows):
        np.testing.assert_allclose(boxes.edges(boxes.centre_size(rows)), rows, atol=1e-9)

    @given(ANY_ROWS)
    def test_from_xywh_undoes_to_xywh(self, rows):
        np.testing.assert_allclose(boxes.from_xywh(boxes.to_xywh(rows)), rows, atol=1e-9)

    @given(_rows(st.integers(0, 6), 1, st.floats(-15, 15)))
    def test_logit_undoes_sigmoid(self, x):
        np.testing.assert_allclose(boxes.logit(boxes.sigmoid(x)), x, atol=1e-8)

    def test_logit_is_infinite_at_the_ends(self):
        with np.errstate(divide="ignore"):
            assert [-np.inf, np.inf] == boxes.logit(np.array([0.0, 1.0])).tolist()


class TestLaws:
    @given(ANY_ROWS, ANY_ROWS)
    def test_iou_is_symmetric(self, a, b):
        np.testing.assert_array_equal(boxes.iou(a, b), boxes.iou(b, a).T)

    @given(ANY_ROWS, ANY_ROWS)
    def test_iou_lies_between_0_and_1_whatever_the_boxes(self, a, b):
        overlap = boxes.iou(a, b)
        assert np.isfinite(overlap).all()
        assert ((overlap >= 0) & (overlap <= 1)).all()

    @given(proper_boxes())
    def test_a_box_overlaps_itself_wholly(self, rows):
        np.testing.assert_array_equal(boxes.iou(rows, rows).diagonal(), 1)
        np.testing.assert_array_equal(boxes.paired_giou(rows, rows), 1)

    @given(proper_boxes(), st.integers(-1000, 1000), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
    def test_iou_does_not_change_with_place_and_scale(self, rows, shift, scale):
        moved = rows * scale + shift
        np.testing.assert_allclose(boxes.iou(moved, moved), boxes.iou(rows, rows), atol=1e-6)

    @given(paired_boxes())
    def test_giou_is_at_most_iou_and_above_minus_1(self, pair):
        iou, giou = boxes.paired_iou(*pair), boxes.paired_giou(*pair)
        assert (giou <= iou + 1e-12).all()
        assert (giou >= -1).all()

    @given(paired_boxes())
    def test_paired_iou_is_the_diagonal_of_iou(self, pair):
        expected = boxes.iou(*pair).diagonal()
        np.testing.assert_allclose(boxes.paired_iou(*pair), expected, atol=1e-12)

    @given(proper_boxes(), proper_boxes())
    def test_size_iou_is_the_iou_of_boxes_moved_to_one_centre(self, a, b):
        a_wh, b_wh = boxes.centre_size(a)[:, 2:], boxes.centre_size(b)[:, 2:]
        a_still, b_still = (boxes.edges(np.concatenate([0 * wh, wh], 1)) for wh in (a_wh, b_wh))
        expected = boxes.iou(a_still, b_still)
        np.testing.assert_allclose(boxes.size_iou(a_wh, b_wh), expected, atol=1e-12)

    @given(proper_boxes(), proper_boxes())
    def test_iou_follows_from_the_two_shares(self, a, b):
        # 1/iou = 1/share_a + 1/share_b - 1, wherever they overlap
        share_a = boxes.intersection_over_area(a, b)
        share_b = boxes.intersection_over_area(b, a).T
        overlap = boxes.iou(a, b)
        assume((share_a > 1e-6).any())
        some = share_a > 1e-6
        expected = 1 / (1 / share_a[some] + 1 / share_b[some] - 1)
        np.testing.assert_allclose(overlap[some], expected, rtol=1e-6)

    @given(ANY_ROWS)
    def test_a_clipped_box_lies_inside_and_clipping_again_changes_nothing(self, rows):
        once = boxes.clip(rows, (30.0, 40.0))
        assert ((once >= 0) & (once <= [40, 30, 40, 30])).all()
        np.testing.assert_array_equal(boxes.clip(once, (30.0, 40.0)), once)


class TestUpright:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_box_turns_as_pillow_turns_the_pixels_inside_it(self, orientation):
        # a picture 5 high and 7 wide, white in x 1 to 3 and y 2 to 5
        stored = np.zeros((5, 7), np.uint8)
        stored[2:5, 1:3] = 255
        picture = Image.fromarray(stored)
        picture.getexif()[0x0112] = orientation
        rows, columns = np.nonzero(np.asarray(ImageOps.exif_transpose(picture)))
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [expected] == boxes.upright(box(1, 2, 3, 5), orientation, (5.0, 7.0)).tolist()


class TestTorch:
    """The same lines on tensors: the same numbers, and gradients that can be stepped on."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    @pytest.mark.parametrize("name", ONE_ARGUMENT)
    @settings(max_examples=30)
    @given(ANY_ROWS)
    def test_one_argument_gives_the_same_as_numpy(self, name, rows):
        ours = ONE_ARGUMENT[name](self.torch.from_numpy(rows))
        np.testing.assert_allclose(ours.numpy(), ONE_ARGUMENT[name](rows), atol=1e-9)

    @pytest.mark.parametrize("name", TWO_ARGUMENTS)
    @settings(max_examples=30)
    @given(ANY_ROWS, ANY_ROWS)
    def test_two_arguments_give_the_same_as_numpy(self, name, a, b):
        ours = TWO_ARGUMENTS[name](self.torch.from_numpy(a), self.torch.from_numpy(b))
        np.testing.assert_allclose(ours.numpy(), TWO_ARGUMENTS[name](a, b), atol=1e-9)

    @pytest.mark.parametrize("name", IN_PAIRS)
    @settings(max_examples=30)
    @given(paired_boxes())
    def test_pairs_give_the_same_as_numpy(self, name, pair):
        ours = IN_PAIRS[name](*map(self.torch.from_numpy, pair))
        np.testing.assert_allclose(ours.numpy(), IN_PAIRS[name](*pair), atol=1e-9)

    @settings(max_examples=30)
    @given(_rows(st.integers(0, 6), 1, st.floats(0.001, 0.999)))
    def test_logit_gives_the_same_as_numpy(self, shares):
        ours = boxes.logit(self.torch.from_numpy(shares))
        np.testing.assert_allclose(ours.numpy(), boxes.logit(shares), atol=1e-9)

    def test_what_has_an_inside_is_the_same_as_in_numpy(self):
        rows = self.torch.tensor([[2.0, 3, 5, 7], [2, 3, 2, 7], [2, 3, np.nan, 7]])
        assert [True, False, False] == boxes.has_inside(rows).tolist()

    @pytest.mark.parametrize("name", ONE_ARGUMENT)
    @settings(max_examples=30)
    @given(ANY_ROWS)
    def test_gradients_of_one_argument_are_finite(self, name, rows):
        leaf = self.torch.from_numpy(rows).requires_grad_()
        ONE_ARGUMENT[name](leaf).sum().backward()
        assert self.torch.isfinite(leaf.grad).all()

    @pytest.mark.parametrize("name", TWO_ARGUMENTS)
    @settings(max_examples=30)
    @given(ANY_ROWS, ANY_ROWS)
    def test_gradients_of_two_arguments_are_finite_even_for_empty_boxes(self, name, a, b):
        leaf = self.torch.from_numpy(a).requires_grad_()
        TWO_ARGUMENTS[name](leaf, self.torch.from_numpy(b)).sum().backward()
        assert self.torch.isfinite(leaf.grad).all()

    @pytest.mark.parametrize("name", IN_PAIRS)
    @settings(max_examples=30)
    @given(paired_boxes())
    def test_gradients_of_pairs_are_finite_even_for_empty_boxes(self, name, pair):
        leaf = self.torch.from_numpy(pair[0]).requires_grad_()
        IN_PAIRS[name](leaf, self.torch.from_numpy(pair[1])).sum().backward()
        assert self.torch.isfinite(leaf.grad).all()

    def test_giou_pulls_boxes_that_do_not_touch_towards_each_other(self):
        near = self.torch.tensor([[0.0, 0.0, 1.0, 1.0]], requires_grad=True)
        boxes.paired_giou(near, self.torch.tensor([[5.0, 0.0, 6.0, 1.0]])).sum().backward()
        assert near.grad[0, 2] > 0  # moving the right edge right improves it

    @settings(max_examples=30)
    @given(proper_boxes(), proper_boxes())
    def test_iou_agrees_with_torchvision(self, a, b):
        ops = pytest.importorskip("torchvision.ops")
        expected = ops.box_iou(self.torch.from_numpy(a), self.torch.from_numpy(b))
        np.testing.assert_allclose(boxes.iou(a, b), expected.numpy(), atol=1e-9)

    @settings(max_examples=30)
    @given(paired_boxes(side=FULL_SIDE))
    def test_giou_agrees_with_torchvision(self, pair):
        ops = pytest.importorskip("torchvision.ops")
        expected = ops.generalized_box_iou(*map(self.torch.from_numpy, pair)).diagonal()
        np.testing.assert_allclose(boxes.paired_giou(*pair), expected.numpy(), atol=1e-9)


def test_values_become_what_the_array_beside_them_is():
    torch = pytest.importorskip("torch")
    values = np.arange(3.0)
    assert values is boxes.like(values, np.zeros(1))
    assert torch.equal(torch.arange(3.0).double(), boxes.like(values, torch.zeros(1)))


def test_a_list_is_refused_with_its_type_named():
    with pytest.raises(TypeError, match="list"):
        boxes.namespace([1.0, 2.0])
