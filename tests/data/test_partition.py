"""Dividing data that has no splits: a fifth, the same everywhere, likes together."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxray.data import Conventions, Dataset, near_duplicates, read, write
from boxray.data.cache import Cache
from boxray.data.partition import held_out
from boxray.data.synthetic import make
from boxray.images import header, load

FORMATS = ("voc", "coco", "yolo", "open-images")
IMAGES, TWINS = 20, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty pictures, six of them saved again, brighter, in another size and quality."""
    place = make(tmp_path / "shapes", images=IMAGES + TWINS, seed=1)
    pictures = sorted((place / "JPEGImages").iterdir())
    for original, twin in zip(pictures[:TWINS], pictures[IMAGES:], strict=True):
        lighter = np.minimum(load(original).astype(int) + 9, 255).astype(np.uint8)
        Image.fromarray(lighter).resize(size_wh(twin)).save(twin, quality=60)
    for lists in (place / "ImageSets" / "Main").glob("*.txt"):
        lists.unlink()
    return place


def size_wh(path: Path) -> tuple[int, int]:
    (height, width), _ = header(path)
    return width, height


def parts(folder: Path, seed: int = 0, cache: Cache | None = None) -> tuple[list[int], list[int]]:
    """The numbers of the pictures in train and in val, in the order of their names."""
    conventions = Conventions(split_seed=seed)
    train, val = (
        read(folder, name, conventions=conventions, cache=cache) for name in ("train", "val")
    )
    return numbers(train), numbers(val)


def numbers(dataset: Dataset) -> list[int]:
    names = sorted(path.name for path in dataset.samples[0].path.parent.iterdir())
    return sorted(names.index(sample.path.name) for sample in dataset.samples)


def test_the_basis_is_the_hash_of_names_in_any_order():
    names = [f"image {number}" for number in range(101)]
    every = range(101)
    val = held_out(names, every)
    assert 20 == len(val)
    assert val == held_out(names[::-1], every)
    hashes = {name: hashlib.sha256(name.encode()).digest() for name in names}
    assert set(sorted(names, key=hashes.get)[:20]) == val
    assert (set(), 1) == (held_out(["a"], [0]), len(held_out(["a", "b"], [0, 1])))


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 9))
def test_groups_are_whole_and_a_fifth_is_held_out_but_for_less_than_a_group(groups, seed):
    names = [str(number) for number in range(len(groups))]
    val = held_out(names, groups, seed=seed)
    alone = len(set(groups)) == 1
    inside = {group for name, group in zip(names, groups, strict=True) if name in val}
    outside = {group for name, group in zip(names, groups, strict=True) if name not in val}
    assert alone or not inside & outside
    largest = 1 if alone else max(map(groups.count, groups))
    assert abs(len(val) - max(1, round(len(names) / 5))) < largest
    assert val
    assert len(val) < len(names)


@pytest.mark.parametrize("name", FORMATS)
def test_near_duplicates_are_never_on_two_sides_in_any_format(tmp_path, folder, name):
    write(read(folder), tmp_path / "data", name)
    for seed in range(5):
        train, val = parts(tmp_path / "data", seed)
        assert list(range(IMAGES + TWINS)) == sorted(train + val)
        assert abs(len(val) - 5) < 2  # a fifth of 26, but for less than a pair
        for original in range(TWINS):
            assert (original in val) == (original + IMAGES in val)


def test_the_seed_alone_decides_wherever_the_data_lies(tmp_path, folder):
    write(read(folder), tmp_path / "here", "yolo")
    write(read(folder), tmp_path / "there" / "again", "yolo")
    assert parts(tmp_path / "here", 3) == parts(tmp_path / "there" / "again", 3)
    assert 10 == len({str(parts(tmp_path / "here", seed)) for seed in range(10)})


def test_a_picture_that_cannot_be_decoded_is_on_its_own(folder):
    pictures = sorted((folder / "JPEGImages").iterdir())
    content = pictures[0].read_bytes()
    pictures[0].write_bytes(content[: len(content) // 2])  # its header is whole
    train, val = parts(folder)
    assert list(range(IMAGES + TWINS)) == sorted(train + val)


def test_the_remark_says_how_many_stay_together(folder):
    notes = [note.reason for note in read(folder, "val").report.notes]
    assert 1 == len(notes)
    assert notes[0].endswith("; 6 near-duplicates stay with their likes")


def test_pictures_that_are_all_alike_are_divided_all_the_same_and_that_is_said(tmp_path, folder):
    for path in (folder / "JPEGImages").iterdir():
        Image.new("RGB", size_wh(path)).save(path)
    train, val = parts(folder)
    assert (21, 5) == (len(train), len(val))
    assert "all pictures are alike" in read(folder, "val").report.notes[0].reason


def test_pictures_are_decoded_once_until_one_changes(tmp_path, folder, monkeypatch):
    decoded = []

    def counted(path: Path):
        decoded.append(path)
        return load(path)

    monkeypatch.setattr(near_duplicates, "load", counted)
    cache = Cache(tmp_path / "cache")
    first = parts(folder, cache=cache)
    assert IMAGES + TWINS == len(decoded)
    assert first == parts(folder, cache=cache)
    assert first != parts(folder, seed=1, cache=cache)
    assert IMAGES + TWINS == len(decoded)
    picture = decoded[0]
    picture.write_bytes(picture.read_bytes())
    assert first == parts(folder, cache=cache)
    assert 2 * (IMAGES + TWINS) == len(decoded)


def test_nothing_is_decoded_where_no_split_is_made(folder, monkeypatch):
    monkeypatch.setattr(near_duplicates, "load", lambda path: pytest.fail(str(path)))
    assert IMAGES + TWINS == len(read(folder))


def test_whoever_waits_is_told(folder):
    told = []
    read(folder, "val", on_picture=lambda done, total: told.append((done, total)))
    assert [(done, 26) for done in range(1, 27)] == told
