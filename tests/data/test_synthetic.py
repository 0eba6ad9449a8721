"""The made-up data set: exact, repeatable, readable."""

import numpy as np
import pytest

from boxray.boxes import iou
from boxray.data import read, splits
from boxray.data.formats import FORMATS
from boxray.data.synthetic import Dials, make
from boxray.errors import OutputError, SettingError
from boxray.images import load


def test_it_reads_as_voc_with_splits_and_without_a_single_repair(tmp_path):
    folder = make(tmp_path / "shapes", images=12, seed=0)
    assert ("train", "val") == splits(folder)
    assert (10, 2) == (len(read(folder, "train")), len(read(folder, "val")))
    whole = read(folder)
    assert ("circle", "square", "triangle") == whole.classes
    assert () == whole.report.notes


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path):
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = make(tmp_path / name, images=3, seed=seed)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_a_box_is_as_tight_as_the_shape_it_holds(tmp_path):
    for sample in read(make(tmp_path / "s", images=10, seed=4)).samples:
        image = load(sample.path).astype(int)
        colourful = image.max(2) - image.min(2) > 120  # shapes are, the texture is not
        for x0, y0, x1, y1 in sample.truths.boxes.astype(int):
            rows, columns = np.nonzero(colourful[y0:y1, x0:x1])
            inside = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            # JPEG blurs edges: within two pixels
            assert np.abs(np.array(inside) - [0, 0, x1 - x0, y1 - y0]).max() <= 2


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        make(tmp_path, images=1, seed=0)
    assert ["mine.txt"] == [path.name for path in tmp_path.iterdir()]


def boxes_and_labels(folder) -> list[tuple[list, list]]:
    return [(s.truths.boxes.tolist(), s.truths.labels.tolist()) for s in read(folder).samples]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_it_comes_in_every_format_with_the_same_boxes(tmp_path, name):
    one = read(make(tmp_path / "one", images=6, seed=2), "train")
    other = read(make(tmp_path / "other", images=6, seed=2, format=name), "train")
    for mine, theirs in zip(one.samples, other.samples, strict=True):
        assert mine.path.name == theirs.path.name
        np.testing.assert_allclose(mine.truths.boxes, theirs.truths.boxes, atol=1e-9)


def test_sizes_overlap_and_imbalance_are_dials(tmp_path):
    small = Dials(diameters=(8, 10), overlap=0.6, imbalance=5.0)
    dataset = read(make(tmp_path / "s", images=60, seed=0, dials=small))
    boxes = np.concatenate([s.truths.boxes for s in dataset.samples])
    assert (boxes[:, 2:] - boxes[:, :2]).max() <= 10
    counts = np.bincount(np.concatenate([s.truths.labels for s in dataset.samples]), minlength=3)
    assert counts[0] > 3 * counts[1] > 3 * counts[2]  # five times each, give or take chance
    crowded = read(make(tmp_path / "c", images=40, seed=0, dials=Dials(overlap=0.6)))
    tangled = [iou(s.truths.boxes, s.truths.boxes) - np.eye(len(s.truths)) for s in crowded.samples]
    assert 0.1 < max(overlaps.max(initial=0) for overlaps in tangled) < 1


def test_noise_is_in_the_annotations_and_the_same_seed_without_it_gives_the_truth(tmp_path):
    truth = make(tmp_path / "truth", images=30, seed=5)
    noisy = make(tmp_path / "noisy", images=30, seed=5, dials=Dials(label_noise=0.3))
    pictures = [sorted((place / "JPEGImages").iterdir()) for place in (truth, noisy)]
    assert [p.read_bytes() for p in pictures[0]] == [p.read_bytes() for p in pictures[1]]
    true, annotated = boxes_and_labels(truth), boxes_and_labels(noisy)
    total = sum(len(labels) for _, labels in true)
    right = sum(
        sum(pair in zip(*mine, strict=True) for pair in zip(*theirs, strict=True))
        for mine, theirs in zip(true, annotated, strict=True)
    )
    assert 0.55 * total < right < 0.85 * total  # 0.7, give or take chance
    assert () == read(noisy).report.notes  # wrong, and nothing that a reader could see


def test_turned_pictures_look_the_same_and_have_the_same_boxes(tmp_path):
    straight = read(make(tmp_path / "a", images=8, seed=1))
    turned = read(make(tmp_path / "b", images=8, seed=1, dials=Dials(exif=True)))
    assert set(range(1, 9)) == {sample.orientation for sample in turned.samples}
    for one, other in zip(straight.samples, turned.samples, strict=True):
        np.testing.assert_array_equal(one.truths.boxes, other.truths.boxes)
        difference = load(one.path).astype(int) - load(other.path)
        assert np.abs(difference).mean() < 3  # JPEG rounds its blocks differently when turned


@pytest.mark.parametrize(
    "dials", [{"overlap": 2.0}, {"label_noise": -1.0}, {"imbalance": 0.5}, {"diameters": (50, 20)}]
)
def test_a_dial_beyond_its_end_is_refused(dials):
    with pytest.raises(SettingError, match="expected"):
        Dials(**dials)
