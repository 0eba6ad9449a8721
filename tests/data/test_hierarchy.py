"""What an annotation of one class says about broader and narrower ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxray import data
from boxray.data import merge
from boxray.data.hierarchy import Hierarchy, expand, read_hierarchy
from boxray.errors import FormatError
from boxray.records import NO_TRUTHS, Sample, Truths


def node(name: str, *below: dict) -> dict:
    return {"LabelName": name, **({"Subcategory": list(below)} if below else {})}


# a and b at the top; c above d, e, f; f above d: the example of the challenge's own expansion tool
TREE = node(
    "a", node("b"), node("c", node("d"), node("e"), node("f", node("d"))), node("f", node("d"))
)
CLASSES = ("b", "c", "d", "e", "f")


def read(folder: Path, tree: object) -> Hierarchy:
    path = folder / "hierarchy.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return read_hierarchy(path)


def sample(*labels: str, present: str = "", absent: str = "") -> Sample:
    boxes = np.array([[i, 0.0, i + 10, 10] for i, _ in enumerate(labels)]).reshape(-1, 4)
    truths = Truths.of(boxes, np.array([CLASSES.index(name) for name in labels], np.int64))
    index = [frozenset(CLASSES.index(name) for name in names) for names in (present, absent)]
    return Sample(Path("a.jpg"), (100, 100), truths, 1, *index)


def told(one: Sample) -> tuple[list[str], str, str]:
    present, absent = (
        "".join(sorted(CLASSES[i] for i in labels))
        for labels in (one.verified_present, one.verified_absent)
    )
    return [CLASSES[label] for label in one.truths.labels], present, absent


class TestReading:
    def test_the_outermost_entry_is_no_class_and_a_class_may_have_two_parents(self, tmp_path):
        hierarchy = read(tmp_path, node("r", node("a", node("d")), node("b", node("d"))))
        assert {"a", "b"} == hierarchy.ancestors("d")
        assert {"d"} == hierarchy.descendants("a")
        assert not hierarchy.ancestors("a")
        assert not hierarchy.descendants("r")

    @pytest.mark.parametrize(
        "tree",
        [
            node("a", node("b", node("a"))),
            node("r", node("a", node("b", node("a")))),
            node("r", node("a", node("b")), node("b", node("a"))),
        ],
    )
    def test_a_ring_is_refused(self, tmp_path, tree):
        with pytest.raises(FormatError, match="is a kind of itself"):
            read(tmp_path, tree)

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"Subcategory": 1}', '{"Subcategory": [1]}', "[" * 100_000]
    )
    def test_what_is_no_hierarchy_is_refused_in_one_line(self, tmp_path, text):
        with pytest.raises(FormatError) as error:
            read(tmp_path, text)
        assert "\n" not in str(error.value)

    def test_a_hierarchy_too_deep_is_refused(self, tmp_path):
        tree = node("x65")
        for number in range(64, -1, -1):
            tree = node(f"x{number}", tree)
        with pytest.raises(FormatError, match="more than 64 deep"):
            read(tmp_path, tree)

    def test_the_published_one_knows_that_a_person_may_be_a_girl(self, shared):
        folder = shared / "data" / "open_images"
        hierarchy = read_hierarchy(folder / "bbox_labels_600_hierarchy.json")
        assert "/m/01g317" in hierarchy.ancestors("/m/05r655")
        assert "/m/0bl9f" not in hierarchy.parents  # Entity, which only holds the others


class TestADataSet:
    def test_it_knows_its_hierarchy_and_keeps_it_when_its_splits_are_merged(self, tmp_path):
        header = "ImageID,LabelName,XMin,XMax,YMin,YMax"
        for number, split in enumerate(("train", "validation")):
            image = f"{number:016x}"
            row = f"{image},/m/d,0.1,0.3,0.2,0.4"
            (tmp_path / f"{split}-annotations-bbox.csv").write_text(f"{header}\n{row}\n")
            (tmp_path / split).mkdir()
            Image.new("RGB", (20, 10)).save(tmp_path / split / f"{image}.jpg")
        (tmp_path / "class-descriptions.csv").write_text("/m/c,C\n/m/d,D\n")
        tree = node("r", node("/m/c", node("/m/d")))
        (tmp_path / "hierarchy.json").write_text(json.dumps(tree))
        both = merge([data.read(tmp_path, split) for split in ("train", "val")])
        assert {"C"} == both.hierarchy.ancestors("D")
        samples = expand(both.samples, both.classes, both.hierarchy)
        assert [[1, 0], [1, 0]] == [one.truths.labels.tolist() for one in samples]


class TestExpansion:
    def expanded(self, folder: Path, one: Sample) -> Sample:
        return expand([one], CLASSES, read(folder, TREE))[0]

    def test_a_box_also_stands_for_every_broader_class(self, tmp_path):
        # d → c and f; e → c; b has nothing above it
        labels, _, _ = told(self.expanded(tmp_path, sample("d", "e", "b")))
        assert ["d", "c", "f", "e", "c", "b"] == labels

    def test_copies_keep_box_flags_and_line(self, tmp_path):
        one = sample("e")
        one = replace(
            one, truths=replace(one.truths, group_of=np.array([True]), lines=np.array([7]))
        )
        truths = self.expanded(tmp_path, one).truths
        assert [True, True] == truths.group_of.tolist()
        assert [7, 7] == truths.lines.tolist()
        assert truths.boxes[0].tolist() == truths.boxes[1].tolist()

    def test_a_label_found_goes_up_and_one_not_found_goes_down(self, tmp_path):
        assert ([], "cdf", "") == told(self.expanded(tmp_path, sample(present="d")))
        assert ([], "", "cdef") == told(self.expanded(tmp_path, sample(absent="c")))

    def test_what_was_found_is_not_absent(self, tmp_path):
        assert ([], "cdf", "e") == told(self.expanded(tmp_path, sample(present="d", absent="c")))

    def test_a_parent_that_is_annotated_already_is_not_doubled(self, tmp_path):
        one = sample("e")
        both = Truths.of(np.repeat(one.truths.boxes, 2, 0), np.array([3, 1]))
        assert ["e", "c"] == told(self.expanded(tmp_path, replace(one, truths=both)))[0]

    @given(st.lists(st.sampled_from(CLASSES), max_size=6), st.sets(st.sampled_from(CLASSES)))
    def test_expanding_twice_changes_nothing(self, tmp_path_factory, labels, absent):
        hierarchy = Hierarchy({"c": frozenset(), "d": frozenset("cf"), "e": frozenset("c")})
        (once,) = expand([sample(*labels, absent="".join(absent))], CLASSES, hierarchy)
        (twice,) = expand([once], CLASSES, hierarchy)
        assert told(once) == told(twice)

    def test_an_image_without_truths_stays_one(self, tmp_path):
        one = replace(sample(), truths=NO_TRUTHS)
        assert 0 == len(self.expanded(tmp_path, one).truths)
