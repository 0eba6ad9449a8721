"""The confusion table, on cases that can be counted by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from boxray.metrics.confusion import confusion
from boxray.records import Detections, Truths

LEFT, RIGHT, FAR = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (50.0, 50.0, 60.0, 60.0)


def truths(*rows: tuple[tuple[float, ...], int], difficult: tuple[bool, ...] = ()) -> Truths:
    boxes = np.array([box for box, _ in rows]).reshape(-1, 4)
    flags = {"difficult": np.array(difficult)} if difficult else None
    return Truths.of(boxes, np.array([label for _, label in rows], np.int64), flags=flags)


def found(*rows: tuple[tuple[float, ...], int, float]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows]).reshape(-1, 4),
        np.array([label for _, label, _ in rows], np.int64),
        np.array([score for _, _, score in rows]),
    )


def test_a_hit_a_mistaken_class_a_miss_and_a_false_alarm():
    counts = confusion(
        [truths((LEFT, 0), (RIGHT, 0), (FAR, 1))],
        [found((LEFT, 0, 0.9), (RIGHT, 1, 0.8), ((80.0, 80.0, 90.0, 90.0), 1, 0.7))],
        2,
    )
    # cat: one found, one called dog; dog: one missed; one dog where nothing is
    assert [[1, 1, 0], [0, 0, 1], [0, 1, 0]] == counts.tolist()


def test_the_better_score_claims_and_the_second_is_a_false_alarm():
    counts = confusion([truths((LEFT, 0))], [found((LEFT, 1, 0.4), (LEFT, 0, 0.9))], 2)
    assert [[1, 0, 0], [0, 0, 0], [0, 1, 0]] == counts.tolist()


def test_difficult_objects_and_what_finds_them_do_not_count():
    counts = confusion(
        [truths((LEFT, 0), (RIGHT, 1), difficult=(True, True))], [found((LEFT, 0, 0.9))], 2
    )
    assert 0 == counts.sum()


def test_pictures_without_truths_or_without_detections():
    counts = confusion([truths(), truths((LEFT, 1))], [found((LEFT, 0, 0.5)), found()], 2)
    assert [[0, 0, 0], [0, 0, 1], [1, 0, 0]] == counts.tolist()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=6), st.data())
def test_rows_add_up_to_the_truths_and_columns_to_the_detections(objects, data):
    boxes = [((float(x), 0.0, x + 10.0, 10.0), label) for x, label in objects]
    said = data.draw(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.floats(0, 1)), max_size=6)
    )
    counts = confusion(
        [truths(*boxes)],
        [found(*(((float(x), 0.0, x + 10.0, 10.0), label, score) for x, label, score in said))],
        3,
    )
    assert np.bincount([label for _, label in objects], minlength=3).tolist() == (
        counts[:3].sum(1).tolist()
    )
    assert np.bincount([label for _, label, _ in said], minlength=3).tolist() == (
        counts[:, :3].sum(0).tolist()
    )
