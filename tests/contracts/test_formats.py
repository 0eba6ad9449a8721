"""What every annotation format keeps: written from any data set, it reads back equal.

A new format joins by its line in the table of formats. What a format cannot say is asked of the
table too, so a format that claims to say it is held to it.
"""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from architecture.source import ROOT
from boxray.boxes import area
from boxray.data import Dataset, Report, merge, read, splits, write
from boxray.data.formats import FORMATS
from boxray.data.parts import AREA, CLASS_LIST, FACTS, UNLABELLED, VERIFIED, WHOLE
from boxray.errors import OutputError, SettingError
from boxray.records import FLAGS, Sample, Truths

EVERY_FORMAT = sorted(FORMATS)
# Pixels. Files hold other numbers than ours (a first pixel of 1, a width, a share of a picture):
# going there and back rounds in the last of 16 digits, which of pictures up to 65,500 wide is less.
TOLERANCE = 1e-9
CLASSES = ("zebra", "a cat", "Ünïcode & <b>'s")


def picture(path: Path, size_wh=(100, 80), orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size_wh, (9, 99, 200)).save(path, exif=exif)
    return path


def sample(path: Path, rows=(), labelled=True, **flags) -> Sample:
    """A picture of 100 x 80 with rows of (label, x0, y0, x1, y1)."""
    truths = Truths.of(
        np.array([row[1:] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[0] for row in rows], np.int64),
        flags={name: np.array(values) for name, values in flags.items()},
    )
    return Sample(path, (80, 100), truths, labelled=labelled)


def dataset(samples, split=WHOLE, root=Path("nowhere"), classes=CLASSES) -> Dataset:
    return Dataset("made", classes, tuple(samples), split, Report(), (root,))


def said(data: Dataset, facts=frozenset()) -> dict[str, list]:
    """By the name of its picture, all that was said of each image; classes by name."""
    found = {}
    for one in data.samples:
        truths = one.truths
        rows = [
            (
                data.classes[truths.labels[i]],
                *truths.boxes[i].tolist(),
                *(bool(getattr(truths, flag)[i]) for flag in FLAGS if flag in facts),
                *((float(truths.area[i]),) if AREA in facts else ()),
            )
            for i in range(len(truths))
        ]
        verified = [
            sorted(data.classes[i] for i in labels)
            for labels in (one.verified_present, one.verified_absent)
        ]
        found[one.path.stem] = [
            one.size_hw,
            sorted(rows),
            one.labelled if UNLABELLED in facts else True,
            verified if VERIFIED in facts else None,
        ]
    return found


def assert_same(expected: dict[str, list], got: dict[str, list]) -> None:
    assert expected.keys() == got.keys()
    for name, (size_hw, rows, *others) in expected.items():
        got_size, got_rows, *got_others = got[name]
        assert (size_hw, others) == (got_size, got_others)
        assert [row[0] for row in rows] == [row[0] for row in got_rows]
        for row, got_row in zip(rows, got_rows, strict=True):
            np.testing.assert_allclose(
                np.array(row[1:], float), np.array(got_row[1:], float), rtol=0, atol=TOLERANCE
            )


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_what_is_written_reads_back_equal_and_without_a_remark(tmp_path, name):
    first = sample(
        picture(tmp_path / "in/a.jpg"), [(1, 0, 0, 100, 80), (0, 10.25, 3.125, 30.5, 79.0625)]
    )
    empty = sample(picture(tmp_path / "in/b.png"))
    thirds = sample(picture(tmp_path / "in/ü c.jpg"), [(2, 100 / 3, 80 / 7, 200 / 3, 80 / 3)])
    made = dataset([first, empty, thirds])
    write(made, tmp_path / "out", name)
    again = read(tmp_path / "out")
    assert [] == [note for note in again.report.notes if note.severity != "warning"]
    assert_same(said(made), said(again))


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_splits_are_written_and_found_again(tmp_path, name):
    parts = [
        dataset([sample(picture(tmp_path / f"in/{split}.jpg"), [(0, 1, 2, 3, 4)])], split)
        for split in ("train", "val", "test")
    ]
    write(parts, tmp_path / "out", name)
    assert ("train", "val", "test") == splits(tmp_path / "out")
    for part in parts:
        assert_same(said(part), said(read(tmp_path / "out", part.split)))
    assert {"train", "val"} == {s.path.stem for s in read(tmp_path / "out", "trainval").samples}


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_part_to_learn_from_with_none_to_check_on_is_divided(tmp_path, name):
    images = [
        sample(picture(tmp_path / f"in/{number}.jpg"), [(0, 1, 2, 3, 4)]) for number in range(5)
    ]
    write(dataset(images, "train"), tmp_path / "out", name)
    train, val = (read(tmp_path / "out", split) for split in splits(tmp_path / "out"))
    assert (4, 1, 5) == (len(train), len(val), len(read(tmp_path / "out")))
    paths = {one.path for part in (train, val) for one in part.samples}
    assert 5 == len(paths)
    assert any("has no splits" in note.reason for note in val.report.notes)


@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_survives_or_is_reported(tmp_path, name, flag):
    one = sample(
        picture(tmp_path / "in/a.jpg"),
        [(0, 1, 2, 30, 40), (0, 5, 6, 70, 80)],
        **{flag: [True, False]},
    )
    written = write(dataset([one]), tmp_path / "out", name)
    truths = read(tmp_path / "out").samples[0].truths
    says = flag in FORMATS[name].says
    assert ({} if says else {flag: 1}) == {k: v for k, v in written.lost.items() if k in FLAGS}
    assert [says, False] == getattr(truths, flag)[np.argsort(truths.boxes[:, 0])].tolist()
    for other in set(FLAGS) - {flag}:
        assert not getattr(truths, other).any()


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_area_of_a_segment_survives_or_is_reported(tmp_path, name):
    one = sample(picture(tmp_path / "in/a.jpg"), [(0, 10, 10, 30, 30)])
    one = replace(one, truths=replace(one.truths, area=np.array([123.5])))
    written = write(dataset([one]), tmp_path / "out", name)
    says = AREA in FORMATS[name].says
    assert (None if says else 1) == written.lost.get(AREA)
    assert [123.5 if says else 400] == pytest.approx(read(tmp_path / "out").samples[0].truths.area)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_picture_that_nobody_annotated_never_becomes_an_empty_one(tmp_path, name):
    samples = [
        sample(picture(tmp_path / "in/a.jpg"), [(0, 1, 2, 30, 40)]),
        sample(picture(tmp_path / "in/b.jpg"), labelled=False),
    ]
    written = write(dataset(samples), tmp_path / "out", name)
    again = {one.path.stem: one.labelled for one in read(tmp_path / "out").samples}
    if UNLABELLED in FORMATS[name].says:
        assert ({"a": True, "b": False}, None) == (again, written.lost.get(UNLABELLED))
    else:
        assert ({"a": True}, 1) == (again, written.lost[UNLABELLED])


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_verified_classes_survive_or_are_reported(tmp_path, name):
    one = sample(picture(tmp_path / "in/a.jpg"), [(0, 1, 2, 30, 40)])
    one = replace(one, verified_present=frozenset({0}), verified_absent=frozenset({1, 2}))
    written = write(dataset([one]), tmp_path / "out", name)
    again = read(tmp_path / "out")
    if VERIFIED in FORMATS[name].says:
        assert_same(said(dataset([one]), {VERIFIED}), said(again, {VERIFIED}))
    else:
        assert 3 == written.lost[VERIFIED]


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_list_of_classes_keeps_its_order_or_that_is_reported(tmp_path, name):
    one = sample(picture(tmp_path / "in/a.jpg"), [(1, 1, 2, 30, 40)])
    written = write(dataset([one]), tmp_path / "out", name)
    if CLASS_LIST in FORMATS[name].says:
        assert CLASSES == read(tmp_path / "out").classes
    else:
        assert 2 == written.lost[CLASS_LIST]


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_boxes_on_a_turned_picture_stay_on_what_is_seen(tmp_path, name):
    turned = picture(tmp_path / "in/a.jpg", (100, 80), orientation=6)  # displayed 80 wide, 100 high
    one = sample(turned, [(0, 5, 60, 30, 95)])
    made = dataset([replace(one, size_hw=(100, 80), orientation=6)])
    write(made, tmp_path / "out", name)
    assert_same(said(made), said(read(tmp_path / "out")))
    assert 6 == read(tmp_path / "out").samples[0].orientation


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_pictures_of_one_name_get_names_of_their_own(tmp_path, name):
    names = ("x/a.jpg", "y/a.jpg", "z/A.png", "a.jpg.jpg", " b .jpg", "new\nline.jpg")
    samples = [sample(picture(tmp_path / "in" / n), [(0, 1, 2, 3, 4)]) for n in names]
    written = write(dataset(samples), tmp_path / "out", name)
    assert 6 == len(read(tmp_path / "out")) == written.images
    assert 5 == len(written.renamed)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_data_is_never_written_to_and_stays_as_it_was(tmp_path, name):
    source = tmp_path / "in"
    made = dataset([sample(picture(source / "a.jpg"), [(0, 1, 2, 3, 4)])], root=source)
    before = hashes(source)
    for inside in (source, source / "out"):
        with pytest.raises(OutputError, match=r"never changed|in use"):
            write(made, inside, name)
    write(made, tmp_path / "out", name)
    assert before == hashes(source)
    with pytest.raises(OutputError, match="in use"):
        write(made, tmp_path / "out", name)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_writing_that_fails_leaves_nothing_behind(tmp_path, name):
    made = dataset([sample(tmp_path / "in/gone.jpg", [(0, 1, 2, 3, 4)])])
    with pytest.raises(OutputError, match=r"No such file"):
        write(made, tmp_path / "out", name)
    assert [] == list(tmp_path.iterdir())


def test_links_are_told_from_copies(tmp_path):
    made = dataset([sample(picture(tmp_path / "in/a.jpg"), [(0, 1, 2, 3, 4)])])
    write(made, tmp_path / "out", "coco", link=True)
    assert (tmp_path / "in/a.jpg") == (tmp_path / "out/images/a.jpg").readlink()
    assert 1 == len(read(tmp_path / "out"))


def test_parts_that_do_not_go_together_are_refused(tmp_path):
    one, other = dataset([]), dataset([], classes=("dog",))
    with pytest.raises(SettingError, match="different classes"):
        write([one, other], tmp_path / "out", "voc")
    with pytest.raises(SettingError, match="names of their own"):
        write([one, one], tmp_path / "out", "voc")
    with pytest.raises(SettingError, match="no format 'vok'"):
        write(one, tmp_path / "out", "vok")


def test_the_reference_says_how_a_format_is_recognised_and_what_it_says():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for name, line in FORMATS.items():
        row = next(
            row for row in text.splitlines() if row.startswith(f"| `{name}` | {line.expected}")
        )
        assert set(line.says) == set(row.rpartition("|")[0].rpartition("| ")[2].strip().split(", "))


def test_every_fact_that_a_format_says_is_one():
    for line in FORMATS.values():
        assert line.says <= set(FACTS)


@pytest.mark.parametrize("first, second", list(itertools.product(EVERY_FORMAT, repeat=2)))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_format_written_from_another_reads_back_equal(tmp_path_factory, first, second, data):
    """Through two formats, with all that both can say: random boxes, areas and flags."""
    folder = tmp_path_factory.mktemp("formats")
    facts = (FORMATS[first].says & FORMATS[second].says) - {UNLABELLED, CLASS_LIST, VERIFIED}
    flags = sorted(facts & set(FLAGS))
    side = st.integers(0, 640).map(lambda n: n / 16) | st.floats(0, 40)
    row = st.tuples(
        st.integers(0, 2), side, side, st.floats(1, 40), st.floats(1, 40), st.floats(1, 1600),
        *(st.booleans() for _ in flags),
    )  # fmt: skip
    images = data.draw(st.lists(st.lists(row, max_size=4, unique_by=lambda r: r[:5]), max_size=2))
    assume(any(images))  # a data set without any box has no classes to VOC
    samples = []
    for number, rows in enumerate(images):
        one = sample(
            picture(folder / f"in/{number}.png"),
            [(label, x, y, x + width, y + height) for label, x, y, width, height, *_ in rows],
            **{flag: [r[6 + i] for r in rows] for i, flag in enumerate(flags) if rows},
        )
        if AREA in facts and rows:
            areas = np.array([r[5] for r in rows])
            one = replace(one, truths=replace(one.truths, area=areas))
        samples.append(one)
    made = dataset(samples)
    write(made, folder / "one", first)
    write(read(folder / "one"), folder / "two", second)
    again = read(folder / "two")
    assert_same(said(made, facts), said(again, facts))
    assert again.report.boxes.kept == sum(len(one.truths) for one in samples)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_same_photos_as_files_of_others_survive_each_format(tmp_path, shared, name):
    found = merge([read(shared / "data" / "formats" / "voc")])
    write(found, tmp_path / "out", name, link=True)
    facts = FORMATS[name].says & {*FLAGS, AREA}
    again = read(tmp_path / "out")
    assert_same(said(found, facts), said(again, facts))
    assert 273 == sum(len(area(one.truths.boxes)) for one in again.samples)
