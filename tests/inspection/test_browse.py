"""The page of a data set: it holds what was chosen, and its filters work in a real browser."""

import json
import re

import pytest

from boxray import data
from boxray.data import synthetic
from boxray.inspection import browse
from page.browser import chromium

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("s") / "d"
    synthetic.make(root, images=12, seed=3, classes=("circle", "square", NASTY))
    (root / "Annotations" / "shapes_00002.xml").write_text("<annotation></annotation>")
    (root / "Annotations" / "shapes_00005.xml").unlink()
    return data.read(root)


def content(text: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_holds_every_image_and_box(dataset):
    inside = content(browse.page(dataset))
    assert [sample.path.name for sample in dataset.samples] == [c["title"] for c in inside["cards"]]
    shown = [len(card["pictures"][0]["boxes"]) for card in inside["cards"]]
    assert [len(sample.truths) for sample in dataset.samples] == shown
    states = {card["title"]: card["state"] for card in inside["cards"]}
    assert ("no object", "not labelled") == (states["shapes_00002.jpg"], states["shapes_00005.jpg"])
    assert all(source.startswith("data:image/jpeg;base64,") for source in inside["sources"])


def test_a_limit_chooses_evenly_and_says_so(dataset):
    inside = content(browse.page(dataset, 3))
    titles = [card["title"] for card in inside["cards"]]
    assert [dataset.samples[i].path.name for i in (0, 6, 11)] == titles
    assert "This page shows 3 of them, evenly chosen." in inside["words"]


def test_the_filters_work_and_names_are_text(dataset, tmp_path):
    (tmp_path / "page.html").write_text(browse.page(dataset), "utf-8")
    with_nasty = sum(
        NASTY in [dataset.classes[label] for label in sample.truths.labels.tolist()]
        for sample in dataset.samples
    )
    complaints: list[str] = []
    with chromium() as browser:
        shown = browser.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("dialog", lambda dialog: complaints.append(dialog.message))
        shown.goto((tmp_path / "page.html").as_uri())
        assert 12 == shown.locator(".card").count()
        shown.locator("#filter-class").select_option(NASTY)
        assert 0 < with_nasty == shown.locator(".card").count() < 12
        assert f"{with_nasty} of 12 images" == shown.locator("#status").inner_text()
        shown.locator(".picture").first.click()
        assert NASTY in shown.locator("dialog td").first.inner_text()
        assert 0 == shown.locator("img[src=x]").count()
    assert [] == complaints
