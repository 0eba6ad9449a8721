"""Selective Search and Edge Boxes: boxes around what stands out, the same each time."""

import sys
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("cv2.ximgproc", reason="needs OpenCV: pip install 'boxray[proposals]'")

from boxray.boxes import iou
from boxray.engines import proposals
from boxray.engines.proposals import EdgeBoxes, SelectiveSearch, by_size_and_chance, gradient_edges
from boxray.errors import MissingExtra, ModelError

BOX = np.array([[40.0, 30.0, 110.0, 90.0]])
PROPOSERS = [
    SelectiveSearch(side=160),
    SelectiveSearch("quality", side=160),
    EdgeBoxes(side=160),
]
every_proposer = pytest.mark.parametrize(
    "proposer", PROPOSERS, ids=["fast", "quality", "edge boxes"]
)


def a_red_thing(height: int = 120, width: int = 160) -> np.ndarray:
    """A red rectangle at `BOX` on noisy green."""
    image = np.random.default_rng(0).integers(90, 110, (height, width, 3), dtype=np.uint8)
    image[..., 0] //= 3
    image[30:90, 40:110] = (200, 40, 40)
    return image


@every_proposer
def test_what_stands_out_is_among_the_proposals(proposer):
    assert iou(BOX, proposer(a_red_thing())).max() > 0.8


@every_proposer
def test_the_same_picture_has_the_same_proposals_in_the_same_order(proposer):
    np.testing.assert_array_equal(proposer(a_red_thing()), proposer(a_red_thing()))


@every_proposer
def test_proposals_lie_inside_the_picture_and_have_an_inside(proposer):
    boxes = proposer(a_red_thing())
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= 160).all()
    assert (boxes[:, 3] <= 120).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize("side", [80, 320])
def test_boxes_are_in_the_pixels_of_the_picture_at_whatever_size_it_was_searched(side):
    assert iou(BOX, SelectiveSearch(side=side)(a_red_thing())).max() > 0.8


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 1), (2, 2)])
@every_proposer
def test_the_smallest_pictures_have_proposals_or_none(proposer, size_hw):
    boxes = proposer(np.zeros((*size_hw, 3), np.uint8))
    assert (0 if isinstance(proposer, EdgeBoxes) else 1) == len(boxes)


def test_no_more_than_the_limit_are_proposed_and_they_are_the_first():
    every = SelectiveSearch(side=160)(a_red_thing())
    np.testing.assert_array_equal(every[:3], SelectiveSearch(side=160, limit=3)(a_red_thing()))


def test_what_nearly_is_an_earlier_proposal_is_left_out():
    every = SelectiveSearch(side=160, overlap=1.0)(a_red_thing())
    boxes = SelectiveSearch(side=160, overlap=0.7)(a_red_thing())
    assert len(boxes) < len(every)
    assert np.triu(iou(boxes, boxes), 1).max() <= 0.7 + 1e-6
    np.testing.assert_array_equal(every[0], boxes[0])


def test_the_order_depends_on_the_boxes_alone_and_larger_ones_tend_to_come_first():
    random = np.random.default_rng(1)
    corner = random.uniform(0, 100, (500, 2))
    boxes = np.concatenate([corner, corner + random.uniform(1, 100, (500, 2))], 1)
    ordered = boxes[by_size_and_chance(boxes, 0)]
    mixed = boxes[random.permutation(500)]
    np.testing.assert_array_equal(ordered, mixed[by_size_and_chance(mixed, 0)])
    area = (ordered[:, 2:] - ordered[:, :2]).prod(1)
    assert area[:100].mean() > 2 * area[-100:].mean()
    assert not np.array_equal(ordered, boxes[by_size_and_chance(boxes, 1)]), "another seed"


def test_the_edge_of_a_step_is_one_line_and_its_direction_goes_across():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:, 1] = 200  # green alone
    strength, direction = gradient_edges(image)
    assert {9, 10} >= set(np.flatnonzero(strength[10]))
    assert 1 == pytest.approx(strength[10].max())
    assert 0 == pytest.approx(direction[10, strength[10].argmax()])
    strength, direction = gradient_edges(image.transpose(1, 0, 2).copy())
    assert np.pi / 2 == pytest.approx(direction[strength[:, 10].argmax(), 10])


def test_a_file_that_holds_no_structured_edges_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no file"):
        EdgeBoxes(tmp_path / "model.yml.gz")(a_red_thing())
    for content in (b"", b"junk", b"%YAML:1.0\n", b"%YAML:1.0\noptions:\n  numberOfTrees: 1\n"):
        (tmp_path / "model.yml").write_bytes(content)
        with pytest.raises(ModelError, match="holds no structured edges"):
            EdgeBoxes(tmp_path / "model.yml")(a_red_thing())


def test_without_opencv_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"not installed: pip install 'boxray\[proposals\]'"):
        SelectiveSearch()(a_red_thing())


def test_an_opencv_without_its_contributed_modules_is_named_as_the_one_to_remove(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    with pytest.raises(MissingExtra, match="uninstall that one first"):
        proposals.EdgeBoxes()(a_red_thing())
