"""Cells and priors of a picture: who answers for which object."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray import data
from boxray.data import synthetic
from boxray.errors import FormatError
from boxray.inspection import grid, pictures

PRIORS = np.array([[10.0, 10.0], [40.0, 20.0]])


def boxes(*rows) -> np.ndarray:
    return np.array(rows, np.float64)


def test_the_cell_is_the_one_that_the_centre_lies_in():
    # 90 x 60 pixels in 3 x 3 cells of 30 x 20; the centre (50, 15) is in column 1, row 0,
    # 20 of 30 pixels across and 15 of 20 down
    who = grid.responsible(boxes((45, 10, 55, 20)), (60, 90), 3, PRIORS)
    assert [[0, 1]] == who.cells.tolist()
    assert [20 / 30, 15 / 20] == pytest.approx(who.places[0].tolist())
    assert ([0], [1.0]) == (who.priors.tolist(), who.overlap.tolist())


def test_the_prior_is_the_one_of_the_most_similar_size():
    # 30 x 20 against 40 x 20: shared 600, union 800
    who = grid.responsible(boxes((0, 0, 30, 20)), (60, 90), 3, PRIORS)
    assert ([1], [600 / 800]) == (who.priors.tolist(), who.overlap.tolist())


@given(st.integers(1, 20), st.integers(0, 2**32))
def test_every_centre_lies_in_its_cell(cell_count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.random((20, 2)) * 50
    some = np.concatenate([corner, corner + rng.random((20, 2)) * 10 + 1e-3], 1)
    who = grid.responsible(some, (61, 61), cell_count, PRIORS)
    assert ((0 <= who.cells) & (who.cells < cell_count)).all()
    assert ((0 <= who.places) & (who.places <= 1)).all()
    again = (who.cells[:, ::-1] + who.places) * 61 / cell_count
    np.testing.assert_allclose(again, (some[:, :2] + some[:, 2:]) / 2)


def test_objects_that_want_the_same_prior_of_the_same_cell_are_told():
    twice = boxes((45, 10, 55, 20), (0, 0, 10, 10), (46, 10, 56, 20))
    assert [[0, 2]] == grid.responsible(twice, (60, 90), 3, PRIORS).shared


def test_the_centre_is_a_red_dot_in_a_marked_cell(tmp_path):
    dataset = data.read(synthetic.make(tmp_path / "d", images=3, seed=1))
    sample = pictures.find(dataset)
    height, width = sample.size_hw
    priors_wh = grid.unit_priors(dataset, 2).sizes_wh * [width, height]
    who = grid.responsible(sample.truths.boxes, sample.size_hw, 4, priors_wh)
    drawn = grid.picture(sample, dataset.classes, 4, who)
    assert 1280 == max(drawn.shape)
    scale = drawn.shape[1] / width
    for x0, y0, x1, y1 in (sample.truths.boxes * scale).tolist():
        assert grid._RED == tuple(drawn[round((y0 + y1) / 2), round((x0 + x1) / 2)])


def test_priors_need_a_box(tmp_path):
    dataset = data.read(
        synthetic.make(tmp_path / "d", images=2, seed=1), classes=data.ClassMap(("x",))
    )
    with pytest.raises(FormatError, match="no box to find priors from"):
        grid.unit_priors(dataset, 2)


def test_the_course_picture(shared):
    dataset = data.read(shared / "data" / "open_images")
    sample = pictures.find(dataset)
    who = grid.responsible(sample.truths.boxes, sample.size_hw, 9, PRIORS)
    assert "Tree" == dataset.classes[sample.truths.labels[0]]
    # x: (0.280625 + 0.658125) / 2 x 9 = 4.22; y: (0.021174 + 0.347449) / 2 x 9 = 1.66
    assert [1, 4] == who.cells[0].tolist()
