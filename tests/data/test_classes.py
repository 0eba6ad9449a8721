"""Class lists, and how names in data sets are matched to them."""

from pathlib import Path

import pytest

from boxray.data import ClassMap, read, read_class_file
from boxray.errors import FormatError

VOC_FILE = Path(__file__).parents[2] / "benchmarks" / "voc_classes.txt"


def write(folder: Path, text: str) -> Path:
    path = folder / "classes.txt"
    path.write_bytes(text.encode())
    return path


def test_a_class_file_has_names_synonyms_comments_and_blank_lines(tmp_path):
    text = "\ufeff# pets\ncat: kitten, tom cat\n\ndog  # the barking one\r\nC#\n"
    assert ClassMap(("cat", "dog", "C#"), {"kitten": "cat", "tom cat": "cat"}) == read_class_file(
        write(tmp_path, text)
    )


@pytest.mark.parametrize("text", ["cat\ndog\nCat\n", "cat\ndog\nbird: cat\n", "cat: dog\n\nDog\n"])
def test_a_name_given_twice_is_refused_with_both_lines(tmp_path, text):
    with pytest.raises(FormatError, match=r"line 3: .* line 1"):
        read_class_file(write(tmp_path, text))


@pytest.mark.parametrize(
    "text, words",
    [("", "names no class"), (": cat\n", "no class name"), ("c\0t\n", "control characters")],
)
def test_a_file_without_usable_names_is_refused(tmp_path, text, words):
    with pytest.raises(FormatError, match=words):
        read_class_file(write(tmp_path, text))


def test_a_file_in_another_encoding_is_refused_with_the_place(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes(b"cat\ncaf\xe9\n")
    with pytest.raises(FormatError, match="byte 7 is 0xe9"):
        read_class_file(path)


@pytest.mark.parametrize(
    "given, meant",
    [
        ("traffic light", "traffic light"),
        ("Traffic_Light", "traffic light"),
        ("traffic-light", "traffic light"),
        ("stoplight", "traffic light"),
        ("motorcycle", "motorbike"),
        ("Dining Table", "diningtable"),
        ("lamp", None),
    ],
)
def test_names_match_exactly_then_folded_then_by_synonym_then_by_known_pairs(given, meant):
    classes = ClassMap(
        ("traffic light", "motorbike", "diningtable"), {"stoplight": "traffic light"}
    )
    label = classes.label_of(given)
    assert meant == (None if label is None else classes.names[label])


def test_the_very_name_wins_over_a_folded_one_and_two_folded_ones_match_none():
    classes = ClassMap(("Cat", "cat"))
    assert (1, 0, None) == tuple(map(classes.label_of, ("cat", "Cat", "CAT")))


def test_the_voc_classes_are_those_of_the_voc_data(shared):
    assert read_class_file(VOC_FILE).names == read(shared / "data" / "formats" / "voc").classes
