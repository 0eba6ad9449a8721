"""The streaming reader of COCO documents gives what json.loads gives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.data.coco_json import load
from boxray.errors import FormatError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FORMS = ({}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False})


@given(st.lists(VALUES), st.lists(VALUES), VALUES, st.sampled_from(FORMS), st.booleans())
def test_annotations_are_those_of_the_whole_document(
    tmp_path_factory, images, rows, more, form, rows_first
):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    parts = {"images": images, "info": more, "annotations": rows, "categories": [{}]}
    ordered = dict(sorted(parts.items())) if rows_first else parts
    path.write_text(f" {json.dumps(ordered, **form)}\n", "utf-8")
    document = load(path)
    assert (images, [{}], True) == (document.images, document.categories, document.labelled)
    assert rows == list(document.annotations())


def test_of_two_lists_of_annotations_the_last_one_counts_as_in_json(tmp_path):
    path = tmp_path / "a.json"
    text = '{"annotations": [1], "images": [], "annotations": [2, 3], "categories": []}'
    path.write_text(text)
    assert json.loads(text)["annotations"] == list(load(path).annotations())


@pytest.mark.parametrize(
    "text",
    [
        '{"images": [], "categories": [], "annotations": [{"id": 1} {"id": 2}]}',
        '{"images": [], "categories": [], "annotations": [{"id": 1},]}',
        '{"images": [], "categories": [], "annotations": [{"id": 1}',
        '{"images": [], "categories": [], "annotations": []} and more',
        '{"images": [], "categories": [] "annotations": []}',
        '{"images": [], "categories": [],}',
        '{"images": [], "categories" []}',
        '{"images": [], categories: []}',
        '{"images": []',
        "{",
        "",
    ],
)
def test_what_json_refuses_is_refused_before_any_row_is_read(tmp_path, text):
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"is not JSON: .*line 1 column \d+"):
        load(tmp_path / "a.json")
