"""The browser's selection is Python's: the same sets, suppressors and numbers, to the last bit."""

from itertools import product

import numpy as np

from boxray import page as pages
from boxray.records import Candidates
from boxray.selection import Thresholds, select
from page.browser import chromium

METHODS = ("greedy", "diou", "soft-linear", "fusion")
WITHIN = ("class", "group", "all")
CASES = 600

RUN = """(cases) => cases.map(({ table, thresholds }) => {
  const arrays = {
    boxes: Float32Array.from(table.boxes.flat()), scores: Float32Array.from(table.scores),
    labels: table.labels, rows: table.rows, groups: table.groups,
  };
  const { kept, boxes, scores, fate, beatenBy, scoreLost, origins } = select(arrays, thresholds);
  const plain = (values) => Array.from(values, Number);
  return {
    kept, boxes: boxes.map(plain), scores: plain(scores), origins,
    fate: plain(fate), beaten_by: plain(beatenBy), score_lost: plain(scoreLost),
  };
})"""


def candidates(chance: np.random.Generator) -> Candidates:
    """Heaps of boxes; some equal in score or box, some without an inside, some beyond bounds."""
    count = int(chance.integers(0, 70))
    heaps = chance.uniform(0, 100, (4, 4))[chance.integers(0, 4, count)]
    corner = heaps[:, :2] + chance.normal(0, 4, (count, 2))
    boxes = np.concatenate([corner, corner + heaps[:, 2:] / 2 + chance.normal(4, 4, (count, 2))], 1)
    if chance.random() < 0.5:
        boxes = boxes.round()  # exact overlaps, among them those of a threshold
    scores = chance.uniform(0, 1, count)
    if chance.random() < 0.5:
        scores = (scores * 20).round() / 20
    odd = chance.random(count)
    boxes[odd < 0.02] *= 1e19  # an area beyond single precision
    boxes[odd > 0.99, 0] = np.nan
    scores[(odd > 0.5) & (odd < 0.51)] = np.inf
    return Candidates(
        boxes=boxes.astype(np.float32),
        labels=chance.integers(0, 3, count),
        scores=scores.astype(np.float32),
        row=chance.permutation(count),
        group=chance.integers(0, 3, count),
    )


def knobs(chance: np.random.Generator, method: str, within: str) -> dict:
    return {
        "score_threshold": float(chance.choice([0.0, 0.05, 0.25, 0.3, chance.random()])),
        "iou_threshold": float(chance.choice([0.0, 0.3, 1 / 3, 0.5, 1.0, chance.random()])),
        "limit_before": [None, 5, 30][chance.integers(0, 3)],
        "limit_before_per_group": [None, 4, 12][chance.integers(0, 3)],
        "suppress_within": within,
        "max_detections": int(chance.choice([1, 4, 100])),
        "method": method,
    }


def as_json(found: Candidates) -> dict:
    """A table as JSON has it; a number that JSON does not have becomes a word that JS reads."""
    words = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    boxes = [[words.get(str(edge), edge) for edge in box] for box in found.boxes.tolist()]
    scores = [words.get(str(score), score) for score in found.scores.tolist()]
    return {
        "boxes": boxes,
        "scores": scores,
        "labels": found.labels.tolist(),
        "rows": found.row.tolist(),
        "groups": found.group.tolist(),
    }


def test_the_browser_selects_what_python_selects():
    chance = np.random.default_rng(11)
    asked = []
    for _, method, within in product(range(CASES // 12), METHODS, WITHIN):
        asked.append((candidates(chance), knobs(chance, method, within)))
    script = pages.asset("selection.js")
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=script)
        told = page.evaluate(
            RUN, [{"table": as_json(found), "thresholds": knob} for found, knob in asked]
        )
    fates = np.zeros(5, int)
    for (found, knob), answer in zip(asked, told, strict=True):
        wanted = select(found, Thresholds(**knob))
        assert wanted.kept.tolist() == answer["kept"], knob
        assert wanted.fate.tolist() == answer["fate"], knob
        assert wanted.beaten_by.tolist() == answer["beaten_by"], knob
        assert [list(one) for one in wanted.origins] == answer["origins"], knob
        assert wanted.scores.tolist() == answer["scores"], knob
        told_boxes = [[float(edge) for edge in box] for box in answer["boxes"]]
        assert wanted.boxes.tolist() == told_boxes, knob
        lost = wanted.score_lost
        same = np.isfinite(lost)
        assert lost[same].tolist() == np.array(answer["score_lost"])[same].tolist(), knob
        fates += np.bincount(wanted.fate, minlength=5)
    assert fates.min() > 100  # every fate was met


def test_methods_that_a_browser_cannot_repeat_exactly_are_named():
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=pages.asset("selection.js"))
        assert list(METHODS) == page.evaluate("LIVE_METHODS")
