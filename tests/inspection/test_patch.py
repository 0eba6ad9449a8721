"""The corrected copy: the doctor finds no error in it, and it says what it left out."""

import pytest

from boxray import data
from boxray.data import synthetic
from boxray.inspection import doctor
from boxray.inspection.patch import write_copy
from inspection import test_doctor as faults


@pytest.fixture
def root(tmp_path):
    return synthetic.make(tmp_path / "shapes", images=10, seed=6)


def patched(root, tmp_path):
    copy = write_copy(doctor.diagnose(root), tmp_path / "copy", "voc")
    return copy, doctor.diagnose(tmp_path / "copy")


def test_nothing_is_left_out_of_a_clean_data_set(root, tmp_path):
    copy, after = patched(root, tmp_path)
    assert {} == copy.left_out
    assert set() == faults.places(after)
    for split in ("train", "val"):
        assert data.read(root, split).samples[0].truths.boxes.tolist() == (
            data.read(tmp_path / "copy", split).samples[0].truths.boxes.tolist()
        )


def test_the_doctor_finds_nothing_wrong_in_the_copy(root, tmp_path):
    faults.saved_again_in_another_split(root)  # also the file of VAL's list
    for plant in (faults.outside, faults.swapped, faults.far_over_the_edge, faults.nearly_twice):
        plant(root)
    content = faults.jpg(root, "shapes_00006").read_bytes()
    faults.jpg(root, "shapes_00006").write_bytes(content[: len(content) // 2])
    faults.append(root / "ImageSets/Main/val.txt", "shapes_00002\n")
    before = len(data.read(root))
    copy, after = patched(root, tmp_path)
    assert {
        "unreadable pictures": 1,
        "near-duplicates of a picture in another split": 1,
        "in two splits": 1,
        "boxes that cannot be, or were there already": 2,
        "boxes drawn twice": 1,
    } == copy.left_out
    assert 0 == after.count(doctor.ERROR)
    assert {"class-missing-in-split"} >= {name for name, some in after.found.items() if some}
    assert before - 2 == len(after.examination.dataset)


def test_of_two_copies_the_one_that_judges_stays(root, tmp_path):
    faults.same_file_in_another_split(root)
    copy, after = patched(root, tmp_path)
    assert {"copies of another picture": 1} == copy.left_out
    names = {sample.path.stem for sample in after.examination.dataset.samples}
    assert "copied" in names, "it is in val"
    assert faults.TRAIN not in names
