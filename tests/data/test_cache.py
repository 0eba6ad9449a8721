"""A reading that is kept is the same reading, until anything it depends on changes."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.data import ClassMap, Conventions, Dataset, read, write
from boxray.data.cache import MOST_KEPT, Cache, default_cache, key_of
from boxray.data.synthetic import make
from boxray.errors import OutputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set with something to remark: a box over the edge."""
    place = make(tmp_path / "shapes", images=5, seed=1)
    path = sorted((place / "Annotations").iterdir())[0]
    path.write_text(path.read_text().replace("<xmax>", "<xmax>9", 1))
    return place


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a data set is never read from its files."""
    monkeypatch.setattr("boxray.data.reading._read", lambda *_: pytest.fail("it was read again"))


def values(dataset: Dataset) -> dict:
    rows = [
        {name: np.asarray(value).tolist() for name, value in vars(sample.truths).items()}
        | {name: value for name, value in vars(sample).items() if name != "truths"}
        for sample in dataset.samples
    ]
    return {**vars(dataset), "samples": rows}


@pytest.mark.parametrize("name", ["voc", "coco", "yolo"])
def test_a_kept_reading_is_the_reading(tmp_path, folder, cache, monkeypatch, name):
    write(read(folder), tmp_path / "data", name)
    first = read(tmp_path / "data", cache=cache)
    unread(monkeypatch)
    again = read(tmp_path / "data", cache=cache)
    assert values(first) == values(again)
    assert first.fingerprint() == again.fingerprint()


def test_remarks_are_kept_too(folder, cache, monkeypatch):
    first = read(folder, cache=cache)
    assert 1 == first.report.boxes.repaired == len(first.report.notes)
    unread(monkeypatch)
    assert first.report == read(folder, cache=cache).report


def edit_a_label(folder: Path) -> None:
    path = next((folder / "Annotations").iterdir())
    state = path.stat()
    path.write_text(path.read_text().replace("<truncated>0", "<truncated>1"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def swap_a_picture(folder: Path) -> None:
    """For one of the same number of bytes, with the old times."""
    path = next((folder / "JPEGImages").iterdir())
    state = path.stat()
    Image.new("RGB", (31, 17)).save(path)
    with path.open("ab") as file:
        file.write(b"\0" * (state.st_size - path.stat().st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert state.st_size == path.stat().st_size


def move_to_the_other_split(folder: Path) -> None:
    lists = folder / "ImageSets" / "Main"
    (lists / "val.txt").write_text((lists / "train.txt").read_text())


@pytest.mark.parametrize(
    "change",
    [
        edit_a_label,
        swap_a_picture,
        move_to_the_other_split,
        lambda folder: next((folder / "JPEGImages").iterdir()).unlink(),
        lambda folder: next((folder / "Annotations").iterdir()).unlink(),
        lambda folder: Image.new("RGB", (9, 9)).save(folder / "JPEGImages" / "new.jpg"),
    ],
    ids=["label", "picture", "split", "picture-gone", "label-gone", "picture-new"],
)
def test_any_change_of_the_files_is_seen(folder, change):
    before = key_of([folder], ())
    assert before == key_of([folder], ())
    change(folder)
    assert before != key_of([folder], ())


def test_another_way_of_reading_is_another_reading(folder, cache):
    read(folder, cache=cache)
    assert ("circle",) == read(folder, classes=ClassMap(("circle",)), cache=cache).classes
    mapped = read(folder, classes=ClassMap(("circle",), {"square": "circle"}), cache=cache)
    assert not mapped.report.unmatched_classes.get("square")
    assert (4, 1) == tuple(len(read(folder, part, cache=cache)) for part in ("train", "val"))
    from_zero = read(folder, conventions=Conventions(zero_based=True), cache=cache)
    assert from_zero.fingerprint() != read(folder, cache=cache).fingerprint()


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "other", "one bit"])
def test_a_damaged_one_is_read_anew(folder, cache, damage):
    first = read(folder, cache=cache)
    (kept,) = cache.folder.iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(bytes(content) if damage is None else damage)
    assert values(first) == values(read(folder, cache=cache))


def test_it_is_never_in_the_data(folder):
    with pytest.raises(OutputError, match="never changed"):
        read(folder, cache=Cache(folder / "cache"))
    Cache(folder / "cache", automatic=True).put("0" * 64, read(folder), 9.0)  # nor is it an error
    assert not (folder / "cache").exists()


def test_old_ones_make_room(folder, cache):
    dataset = read(folder)
    for number in range(MOST_KEPT + 3):
        cache.put(f"{number:064d}", dataset, 1.0)
    assert MOST_KEPT == len(list(cache.folder.iterdir()))


def test_the_users_own_keeps_slow_readings_only_and_may_be_out_of_reach(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    cache = default_cache()
    assert Cache(tmp_path / "home" / "boxray", automatic=True) == cache
    read(folder, cache=cache)
    assert not (tmp_path / "home").exists()
    (tmp_path / "home").write_text("a file is in the way")
    cache.put("0" * 64, read(folder), 9.0)  # no error: nobody asked for it
    with pytest.raises(OutputError, match="cannot write the cache"):
        Cache(tmp_path / "home" / "boxray").put("0" * 64, read(folder), 9.0)
