"""ImageNet's classes as others': judged by hand on a sample, complete for VOC, plain to use."""

from pathlib import Path

import numpy as np

from boxray.classification import alignment, imagenet

VERDICTS = Path(__file__).with_name("alignment_verdicts.tsv")
VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
NAMES = imagenet.classes().names


def test_of_50_rows_drawn_and_judged_by_hand_48_are_right():
    lines = VERDICTS.read_text("utf-8").splitlines()[1:]
    judged = [tuple(line.split("\t")) for line in lines]
    rows = alignment.rows()
    matched = [label for label, row in enumerate(rows) if set(row) != {alignment.NONE}]
    drawn = np.random.default_rng(2008).choice(matched, 50, replace=False)
    assert [(NAMES[i], "/".join(rows[i])) for i in drawn] == [line[:2] for line in judged]
    assert all(verdict in ("right", "wrong") and reason for *_, verdict, reason in judged)
    assert 48 <= sum(verdict == "right" for *_, verdict, _ in judged)


def test_every_class_of_voc_is_covered():
    assert [] == [name for name, count in alignment.coverage(VOC).items() if count == 0]


def test_names_are_found_by_their_synonyms_and_a_name_that_nobody_has_is_covered_by_nothing():
    labels = alignment.to(["motorcycle", "dog", "cathedral organist"])
    assert (1000,) == labels.shape
    assert 1 == labels[NAMES.index("Rottweiler")]
    assert 0 == labels[NAMES.index("moped")]
    assert -1 == labels[NAMES.index("tench")]
    assert 2 not in labels


def test_the_list_that_knows_most_of_the_names_decides_what_they_mean():
    # Open Images knows all five, COCO and VOC three
    labels = alignment.to(["Fish", "Dog", "Bird", "Owl", "Bottle"])
    expected = {"tench": 0, "Italian greyhound": 1, "jay": 2, "great grey owl": 3}
    assert expected == {name: labels[NAMES.index(name)] for name in expected}
