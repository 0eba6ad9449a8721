"""The made-up data set: exact, repeatable, readable."""

import numpy as np
import pytest

from boxray.data import read, splits
from boxray.data.synthetic import make
from boxray.errors import OutputError
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
