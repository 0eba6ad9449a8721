"""Lists that divide a data set from outside: written by `data split`, read like the data."""

import json
from pathlib import Path

import pytest

from boxray import cli
from boxray.data import Manner, read, splits, synthetic, write
from boxray.data.formats import FORMATS, kind_of
from boxray.data.split_lists import POINTER
from boxray.errors import FormatError


@pytest.fixture
def photos(tmp_path) -> Path:
    return synthetic.make(tmp_path / "photos", images=10, seed=3)


def point(folder: Path, data: str, **lists: str) -> Path:
    """A folder of lists as a person writes it."""
    folder.mkdir()
    (folder / POINTER).write_text(json.dumps({"data": data}))
    for split, text in lists.items():
        (folder / f"{split}.txt").write_text(text)
    return folder


def stems(dataset) -> list[str]:
    return sorted(sample.path.stem[-1] for sample in dataset.samples)


@pytest.mark.parametrize("whole", [True, False], ids=["one-whole", "own-splits"])
@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_what_split_writes_is_read_as_the_data_so_divided(photos, tmp_path, kind, whole, capfd):
    data = tmp_path / "data"
    write(read(photos) if whole else [read(photos, s) for s in splits(photos)], data, kind)
    lists = tmp_path / "lists"
    words = ["--shares", "60,20,20", "--output", str(lists), "--json"]
    assert 0 == cli.run(["data", "split", str(data), *words])
    counts = {n: one["images"] for n, one in json.loads(capfd.readouterr().out)["splits"].items()}
    assert (("train", "val", "test"), kind) == (splits(lists), kind_of(lists))
    parts = {split: read(lists, split) for split in splits(lists)}
    assert counts == {split: len(part) for split, part in parts.items()}
    everything = read(lists)
    assert {one.path for one in read(data).samples} == {one.path for one in everything.samples}
    assert len(everything) == sum(map(len, parts.values()))
    assert stems(read(lists, "trainval")) == sorted(stems(parts["train"]) + stems(parts["val"]))
    for part in (everything, *parts.values()):
        assert part.classes == everything.classes
        assert part.report.images.adds_up
        assert part.report.boxes.adds_up
        assert len(part) == part.report.images.read
        assert part.report.boxes.read == sum(len(sample.truths) for sample in part.samples)
    own = {one.path: one.truths.boxes.tolist() for one in read(data).samples}
    assert own == {one.path: one.truths.boxes.tolist() for one in everything.samples}


def test_a_person_may_name_pictures_by_path_name_or_stem(photos, tmp_path):
    paths = (
        "JPEGImages/shapes_00001.jpg",
        "",
        "shapes_00002.jpg",
        f"{photos}/JPEGImages/shapes_00003.jpg",
    )
    text = "\ufeff" + "\r\n".join(paths)
    lists = point(tmp_path / "lists", "../photos", train=text, valid="shapes_00004\n")
    assert ("train", "val") == splits(lists)
    assert ["1", "2", "3"] == stems(read(lists, "train"))
    assert ["4"] == stems(read(lists, "valid"))


def test_a_picture_that_the_data_has_not_is_skipped_and_counted(photos, tmp_path):
    text = "shapes_00001.jpg\nshapes_00001.jpg\nshapes_00077.jpg\n"
    lists = point(tmp_path / "lists", str(photos), train=text, val="shapes_00002\n")
    report = read(lists, "train").report
    assert (2, 1, 1) == (report.images.read, report.images.kept, report.images.skipped)
    assert report.images.adds_up
    told = [str(note) for note in report.notes]
    assert any("line 3: the data has no picture 'shapes_00077.jpg'" in line for line in told)
    assert any("'shapes_00001.jpg' is listed twice" in line for line in told)
    with pytest.raises(FormatError, match="is not read as it stands"):
        Manner(strict=True).read(lists, "train")
    assert 1 == len(Manner(strict=True).read(lists, "val"))


def test_the_doctor_finds_a_picture_in_two_lists(photos, tmp_path, capfd):
    lists = point(
        tmp_path / "lists", "../photos", train="shapes_00001\nshapes_00002\n", val="shapes_00002\n"
    )
    words = ["data", "doctor", str(lists), "--only", "leaking-split", "--json"]
    assert 1 == cli.run([*words, "--patch", str(tmp_path / "corrected")])
    (finding,) = json.loads(capfd.readouterr().out)["findings"]
    assert str(photos / "JPEGImages" / "shapes_00002.jpg") in finding["pictures"]
    assert ["train", "val"] == sorted(splits(tmp_path / "corrected"))


def test_lists_may_be_divided_again_and_still_name_the_data(photos, tmp_path):
    for first, second in (("photos", "lists"), ("lists", "again")):
        words = [
            "data",
            "split",
            str(tmp_path / first),
            "--output",
            str(tmp_path / second),
            "--json",
        ]
        assert 0 == cli.run(words)
    assert "../photos" == json.loads((tmp_path / "again" / POINTER).read_text())["data"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "does not say where the data is"),
        (b"[" * 60_000, "does not say where the data is"),
        (b'{"data": "../nowhere"}', "which is not there"),
        (b'{"data": "' + b"9" * 300 + b'"}', "which is not there"),
        (b'{"data": "."}', "holds lists itself"),
        (b'{"data": "../photos"}', "needs one list for each split"),
    ],
)
def test_a_pointer_that_leads_nowhere_is_refused(photos, tmp_path, content, expected, capfd):
    lists = point(tmp_path / "lists", "../photos")
    (lists / POINTER).write_bytes(content)
    assert 2 == cli.run(["data", "show", str(lists), "--json"])
    assert expected in capfd.readouterr().err
