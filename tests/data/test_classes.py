"""Class lists, and how names in data sets are matched to them."""

from pathlib import Path

import pytest

from boxray.data import ClassMap, merge, read, read_class_file
from boxray.data.classes import SYNONYMS, fold
from boxray.data.synthetic import make
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


def test_the_account_shows_which_names_were_matched_how_and_which_were_not(tmp_path):
    make(tmp_path / "a", images=6, seed=0, classes=("Sofa", "kitten", "lamp"))
    wanted = ClassMap(("couch", "cat"), {"kitten": "cat"})
    report = read(tmp_path / "a", classes=wanted).report
    assert {"Sofa": ("couch", "synonym"), "kitten": ("cat", "class file")} == report.matched_classes
    matched, unmatched = report.class_lines()
    assert "Sofa as couch (synonym)" in matched
    assert f"not matched: lamp ({report.unmatched_classes['lamp']})" == unmatched


def test_merging_takes_other_names_of_a_class_for_that_class(tmp_path):
    names = {"a": ("tvmonitor", "dog"), "b": ("bird", "television")}
    made = [read(make(tmp_path / n, images=4, seed=0, classes=c)) for n, c in names.items()]
    both = merge(made)
    assert ("dog", "tvmonitor", "bird") == both.classes  # VOC gives classes by name
    assert {"television": ("tvmonitor", "synonym")} == both.report.matched_classes
    wanted = [
        s.truths.labels.tolist().count(made[1].classes.index("television")) for s in made[1].samples
    ]
    assert wanted == [s.truths.labels.tolist().count(1) for s in both.samples[4:]]


def test_no_line_of_the_table_of_synonyms_shares_a_name_with_another():
    names = [fold(name) for line in SYNONYMS for name in line]
    assert len(names) == len(set(names)) + 2  # diningtable, pottedplant: two spellings of one line
