"""Boxes counted into bins: the counts, and what k-means makes of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.coders import anchors
from boxray.data import read
from boxray.data.census import BINS, PLACES, Census, Statistics, of_dataset
from boxray.data.report import Report
from boxray.data.table_scan import scan
from boxray.errors import FormatError

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
A, B = "000000000000000a", "000000000000000b"


def closed(census: Census, classes: tuple[str, ...] = ("a",)) -> Statistics:
    images = np.zeros(len(classes), np.int64)
    return census.close("x", classes, image_count=1, images=images, report=Report())


def counted(boxes: list[list[float]], labels: list[int] | None = None, **more) -> Statistics:
    census = Census(aspect_kept=False)
    rows = np.array(labels or [0] * len(boxes), np.int64)
    census.add(rows, np.array(boxes, np.float64), {}, **more)
    return closed(census, tuple("abc"[: rows.max() + 1]))


def random_boxes(seed: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    sizes = np.exp(generator.normal(-2, 0.8, (count, 2))).clip(1e-3, 1)
    corner = generator.random((count, 2)) * (1 - sizes)
    return np.concatenate([corner, corner + sizes], 1)


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "boxes.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


class TestCounting:
    def test_parts_add_up_to_the_whole(self):
        boxes, labels = random_boxes(0, 100), np.arange(100) % 3
        one, two = Census(aspect_kept=False), Census(aspect_kept=False)
        one.add(labels, boxes, {"crowd": labels == 1})
        for part in (slice(0, 1), slice(1, 40), slice(40, 100)):
            two.add(labels[part], boxes[part], {"crowd": labels[part] == 1})
        whole, parts = closed(one, ("a", "b", "c")), closed(two, ("a", "b", "c"))
        for field in ("boxes", "sides", "aspects", "places", "weights"):
            np.testing.assert_array_equal(getattr(whole, field), getattr(parts, field))
        np.testing.assert_allclose(whole.sizes_wh, parts.sizes_wh)
        assert [34, 33, 33] == whole.boxes.tolist()
        assert [0, 33, 0] == parts.flags["crowd"].tolist()

    def test_a_bin_stands_for_the_mean_of_its_sizes_not_for_its_middle(self):
        found = counted([[0, 0, 0.2, 0.4], [0.5, 0.5, 0.7, 0.9], [0, 0, 0.9, 0.9]])
        order = np.argsort(found.sizes_wh[:, 0])
        np.testing.assert_allclose(found.sizes_wh[order], [[0.2, 0.4], [0.9, 0.9]])
        assert [2, 1] == found.weights[order].tolist()

    def test_sides_and_aspects_are_told_by_their_quantiles(self):
        # 0.1 · 0.4 has the side √0.04 = 0.2; 0.5 · 0.5 the side 0.5; aspects 1/4, 1/4, 1
        found = counted([[0, 0, 0.1, 0.4]] * 2 + [[0, 0, 0.5, 0.5]], [0, 0, 1])
        width = 4 / BINS  # of a bin, relative to the side, since a side is a fourth power
        assert 0.2 == pytest.approx(found.side(0, 0.5), rel=width / 0.2**0.25)
        assert 0.5 == pytest.approx(found.side(None, 0.9), rel=width / 0.5**0.25)
        assert 0.25 == pytest.approx(found.aspect(0, 0.5), rel=0.1)
        assert 1 == pytest.approx(found.aspect(1, 0.5), rel=0.1)

    def test_the_centre_is_counted_where_it_lies(self):
        # a centre at 3/4 across and 1/4 down
        places = counted([[0.5, 0, 1, 0.5]]).places
        assert [(PLACES // 4, PLACES * 3 // 4)] == list(zip(*np.nonzero(places), strict=True))

    def test_sizes_keep_the_pictures_aspect_where_it_is_known(self):
        # in a picture of 200 x 100 a half of the height is a quarter of the longer side
        found = counted([[0, 0, 0.5, 0.5]], scale_wh=np.array([[1, 0.5]]))
        np.testing.assert_allclose([[0.5, 0.25]], found.sizes_wh)

    @pytest.mark.parametrize("distance", ["iou", "euclidean"])
    @given(seed=st.integers(0, 50))
    def test_kmeans_on_bins_costs_within_a_thousandth_of_kmeans_on_all_boxes(self, distance, seed):
        boxes = random_boxes(seed, 3000)
        sizes, even = boxes[:, 2:] - boxes[:, :2], np.full(3000, 1 / 3000)
        found = counted(boxes.tolist())
        start = sizes[:5]
        shares = found.weights / found.weights.sum()
        binned = anchors._lloyd(found.sizes_wh, shares, start, distance)
        exact = anchors._lloyd(sizes, even, start, distance)
        costs = [anchors._cost(sizes, even, centres, distance) for centres in (binned, exact)]
        assert costs[0] <= costs[1] * 1.02  # few boxes settle in other places now and then


class TestTheTable:
    def test_rows_are_counted_and_what_is_none_is_told_with_its_line(self, tmp_path):
        path = table(
            tmp_path,
            f"{A},x,/m/a,1,0.1,0.3,0.2,0.4,1",
            f"{A},x,/m/b,1,0.1,0.3,0.2,0.4,0",
            f"{B},x,/m/b,1,-0.1,1.1,0.2,0.4,-1",
            f"{B},x,/m/b,1,oops,0.3,0.2,0.4,0",
            f"{B},x,/m/b,1,120,300,0.2,0.4,0",
            f"{B},x,/m/b,1,0.3,0.1,0.2,0.4,0",
            f"{B},x,,1,0.1,0.3,0.2,0.4,0",
            f"{B},x,/m/b,0,0.1,0.3,0.2,0.4,0",
            "a,b,c",
            f"{B},x,/m/b,1,0.1,nan,0.2,0.4,0",
        )
        found = scan(path)
        per_class = dict(zip(found.classes, found.boxes.tolist(), strict=True))
        assert {"/m/a": 1, "/m/b": 2} == {name: n for name, n in per_class.items() if n}
        assert (2, [1, 2]) == (found.image_count, sorted(found.images[found.boxes > 0].tolist()))
        assert 1 == found.flags["group_of"].sum()
        account = found.report.boxes
        assert (10, 3, 7) == (account.read, account.kept, account.skipped)
        lines = {note.reason.split(":")[0]: (note.line, note.count) for note in found.report.notes}
        assert {
            "a corner is no number": (5, 3),
            "a corner is no share of the picture, 0 to 1": (6, 1),
            "the box has no area in the picture": (7, 1),
            "its LabelName is empty or not in the list of classes": (8, 1),
            "its Confidence is 0": (9, 1),
        } == lines

    def test_an_unclosed_quote_is_refused_near_the_top_and_swallows_nothing_further_down(
        self, tmp_path, monkeypatch
    ):
        row = f"{A},x,/m/a,1,0.1,0.3,0.2,0.4,1"
        path = table(tmp_path, row, '"' + row, row)
        with pytest.raises(FormatError, match="line 3: a quote"):
            scan(path)
        monkeypatch.setattr("boxray.data.table_scan.HEAD", 1)
        assert 3 == scan(path).boxes.sum()

    def test_names_come_from_the_list_of_classes(self, tmp_path):
        path = table(tmp_path, *(f"{A},x,/m/{name},1,0.1,0.3,0.2,0.4,1" for name in "ab"))
        found = scan(path, {"/m/a": "Ant"})
        assert (("Ant",), [1], 1) == (found.classes, found.boxes.tolist(),
                                      found.report.boxes.skipped)  # fmt: skip

    def test_decimal_commas_are_read_as_reading_does(self, tmp_path):
        path = table(tmp_path, f'{A},x,cat,,"0,1","0,3","0,2",1,')
        np.testing.assert_allclose([[0.2, 0.8]], scan(path).sizes_wh)

    def test_what_is_no_table_is_refused(self, tmp_path):
        with pytest.raises(FormatError, match="no column"):
            scan(table(tmp_path, header="a,b"))
        path = tmp_path / "latin.csv"
        path.write_bytes(f"{HEADER}\n{A},x,caf\xe9,1,0.1,0.3,0.2,0.4,1\n".encode("latin-1"))
        with pytest.raises(FormatError, match="UTF-8"):
            scan(path)

    def test_a_table_and_its_data_set_have_the_same_boxes(self, shared):
        folder = shared / "data" / "open_images"
        streamed, whole = scan(folder / "openimages_boxes_0003bb040a62c86f.csv"), read(folder)
        found = of_dataset(whole)
        assert sorted(streamed.boxes.tolist()) == sorted(found.boxes[found.boxes > 0].tolist())
        np.testing.assert_array_equal(streamed.places, found.places)
        assert 24 == found.weights.sum() == streamed.weights.sum()

    def test_voc_2007_comes_near_yolo9000s_table_1_with_its_aspects_kept(self, shared):
        found = of_dataset(read(shared / "data" / "voc07"))
        for count, published in ((5, 0.610), (9, 0.672)):
            ours = anchors.kmeans(found.sizes_wh, count, weights=found.weights)
            assert published == pytest.approx(ours.average_iou, abs=0.005)
