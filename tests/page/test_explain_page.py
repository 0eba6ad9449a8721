"""The page of one picture, in a real browser: clicks and sliders say what Python says."""

from dataclasses import replace

import numpy as np
import pytest

from boxray import explain
from boxray.explain.misses import verdicts
from boxray.explain.target import targets_of
from boxray.verbs import explain_page, explain_tables
from contracts.families import CLASSES, FAMILIES, IMAGE, two
from page.browser import chromium

NASTY = "<img src=x onerror=alert(1)>"
SHOWN = """() => state.decision.selection.kept.map(
  (one) => [page.table.rows[one], page.table.labels[one]])"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


def asked(seed: int, method: str = "greedy"):
    """A decision with its objects; the first case in which one is found and one is lost."""
    one = FAMILIES["one stage"](seed, method)
    decision = one.decision()
    return decision, targets_of(one.truths, CLASSES, CLASSES)


def opened(browser, tmp_path, decision, targets=(), start=None):
    """The page, and what it complains about."""
    text = explain_page.document(NASTY, "m", IMAGE, decision, targets=targets, start=start)
    assert len(text) < 5_000_000
    path = tmp_path / "page.html"
    path.write_text(text, "utf-8")
    complaints: list[str] = []
    shown = browser.new_page(viewport={"width": 1280, "height": 800})
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("dialog", lambda dialog: complaints.append(dialog.message))
    shown.on("request", lambda one: complaints.append(one.url) if one.url[:4] == "http" else None)
    shown.goto(path.as_uri())
    return shown, complaints


def click(shown, x: float, y: float) -> None:
    """A click on a place of the image, in its pixels."""
    frame = shown.locator("#stage").bounding_box()
    height, width = IMAGE.shape[:2]
    position = {"x": x / width * frame["width"], "y": y / height * frame["height"]}
    shown.locator("#stage").click(position=position)


def test_clicking_a_box_shows_the_numbers_of_python(browser, tmp_path):
    decision, _ = asked(0)
    shown, complaints = opened(browser, tmp_path, decision)
    told = 0
    for number in range(len(decision.places)):
        x0, y0, x1, y1 = explain.of_detection(decision, number).box
        life = explain.at_point(decision, (x0 + x1) / 2, (y0 + y1) / 2)
        click(shown, (x0 + x1) / 2, (y0 + y1) / 2)
        text = shown.locator("#answer").inner_text()
        assert f"{life.label} {life.score:.4f}" in text
        assert explain_tables.where(life.origins[0].where) in text
        for value in life.origins[0].raw.values():
            assert f"{value:.4f}" in text
        for step in life.origins[0].steps:
            assert f"{step.name} = {step.formula} = {step.value:.2f}" in text
        for step in life.to_image:
            assert f"{step.name} = {step.formula} = {step.value:.2f}" in text
        for name, score in life.origins[0].classes:
            assert f"{name}\n{score:.4f}" in text
            logit = life.origins[0].class_logits[CLASSES.index(name)]
            assert f"{name}\n{logit:.4f}" in text
        assert f"by {life.passed_by:.4f}" in text
        assert f"Beat {len(life.beaten)}" in text
        assert f"{len(life.agreeing)} said nearly the same" in text
        for rival in life.beaten[:8]:
            assert f"{rival.iou:.3f}" in text
        told += 1
    assert told
    assert [] == complaints


def test_sliders_and_lists_give_the_set_that_select_gives(browser, tmp_path):
    decision, targets = asked(7)
    shown, complaints = opened(browser, tmp_path, decision, targets)
    chance = np.random.default_rng(2)
    counts = set()
    for _ in range(12):
        score, overlap = (round(float(one), 3) for one in chance.uniform(0.01, 0.6, 2))
        method = str(chance.choice(["greedy", "diou", "soft-linear", "fusion"]))
        within = str(chance.choice(["class", "group", "all"]))
        for name, value in (("score_threshold", score), ("iou_threshold", overlap)):
            shown.locator(f"#{name}").fill(str(value))
        shown.locator("#method").select_option(method)
        shown.locator("#suppress_within").select_option(within)
        then = decision.again(
            replace(
                decision.thresholds,
                score_threshold=score,
                iou_threshold=overlap,
                method=method,
                suppress_within=within,
            )
        )
        kept = then.candidates.take(then.selection.kept)
        wanted = np.stack([kept.row, kept.labels], 1).tolist()
        assert wanted == shown.evaluate(SHOWN)
        counts.add(len(wanted))
        assert shown.locator("#detections button").count() == sum(
            (then.shown[:, 2:] > then.shown[:, :2]).all(1)
        )
    assert len(counts) > 2
    shown.locator("#reset").click()
    kept = decision.candidates.take(decision.selection.kept)
    assert np.stack([kept.row, kept.labels], 1).tolist() == shown.evaluate(SHOWN)
    assert [] == complaints


def test_a_lost_object_names_its_killer_and_the_way_out(browser, tmp_path):
    helped = 0
    for seed in (0, 6, 11, 15):
        decision, targets = asked(seed)
        told = verdicts(decision, targets)
        lost = [which for which, one in enumerate(told) if one.killer]
        shown, complaints = opened(browser, tmp_path, decision, targets)
        for which in lost:
            one = told[which]
            shown.locator("#truths button").nth(which).click()
            text = shown.locator("#answer").inner_text()
            assert f"Lost at {one.killer}" in text
            for stage in one.stages:
                assert f"{stage.name}\n{stage.left}" in text
            for said in one.closest:
                assert f"{said.candidate.label} {said.candidate.score:.4f}" in text
            turning = shown.get_by_role("button", name="Turn them")
            if turning.count():
                turning.first.click()
                assert "Found" in shown.locator("#answer h2").inner_text()
                shown.locator("#reset").click()
                helped += 1
        assert [] == complaints
        shown.close()
    assert helped


def test_a_lost_object_can_be_clicked_in_the_picture(browser, tmp_path):
    decision, targets = asked(1)
    nothing = decision.again(replace(decision.thresholds, score_threshold=1.0))
    shown, complaints = opened(browser, tmp_path, nothing, targets)
    x0, y0, x1, y1 = targets[0].box
    click(shown, (x0 + x1) / 2, (y0 + y1) / 2)
    assert "Lost at" in shown.locator("#answer h2").inner_text()
    assert targets[0].name in shown.locator("#answer").inner_text()
    assert [] == complaints


def test_a_point_without_a_box_names_the_score_that_brings_one(browser, tmp_path):
    chance = np.random.default_rng(4)
    helped = 0
    for seed in (0, 5, 11):
        decision, _ = asked(seed)
        shown, complaints = opened(browser, tmp_path, decision)
        for x, y in chance.uniform((0, 0), (200, 120), (6, 2)).tolist():
            at = explain.at_point(decision, x, y)
            if isinstance(at, explain.Life):
                continue
            change = at.counterfactual and at.counterfactual.score_threshold
            value = change.score_threshold.value if change else 0.0
            told = shown.evaluate("(point) => scoreThatFinds(state.decision, point)", [x, y])
            assert told == (value if value >= 0.01 else None)
            if told is not None:
                shown.evaluate("(point) => ask({ point })", [x, y])
                shown.get_by_role("button", name="Turn them").click()
                assert "Decoded" in shown.locator("#answer").inner_text()
                shown.locator("#reset").click()
                helped += 1
        assert [] == complaints
        shown.close()
    assert helped


def test_two_stages_are_told_through_the_proposals(browser, tmp_path):
    killers = set()
    for seed in range(6):
        one = two(seed)
        decision = one.decision()
        targets = targets_of(one.truths, CLASSES, CLASSES)
        shown, complaints = opened(browser, tmp_path, decision, targets)
        for number in range(min(2, len(decision.places))):
            shown.locator("#detections button").nth(number).click()
            text = shown.locator("#answer").inner_text()
            (origin,) = explain.of_detection(decision, number).origins
            assert "Its proposal" in text
            assert f"score {origin.proposal.score:.4f}" in text
        for which, wanted in enumerate(verdicts(decision, targets)):
            shown.locator("#truths button").nth(which).click()
            text = shown.locator("#answer").inner_text()
            for stage in wanted.stages:
                assert f"{stage.name}\n{stage.left}" in text
            for said in wanted.closest:
                assert f"{said.candidate.label} {said.candidate.score:.4f}" in text
            killers.add(wanted.killer)
        shown.locator("#layer-level").select_option("0")
        assert shown.locator("#grid path").count()
        assert [] == complaints
        shown.close()
    assert len(killers) > 2


def test_the_picture_is_steered_by_keys(browser, tmp_path):
    decision, _ = asked(0)
    shown, complaints = opened(browser, tmp_path, decision)
    shown.locator("#stage").focus()
    for key in ("ArrowLeft", "Shift+ArrowUp", "ArrowRight", "ArrowDown"):
        shown.keyboard.press(key)
    x, y = shown.evaluate("state.cursor")
    shown.keyboard.press("Enter")
    text = shown.locator("#answer").inner_text()
    at = explain.at_point(decision, float(x), float(y))
    assert ("Decoded" if isinstance(at, explain.Life) else f"Lost at {at.killer}") in text
    shown.keyboard.press("Escape")
    assert "Ask" == shown.locator("#answer h2").inner_text()
    assert [] == complaints


def test_layers_show_cells_and_how_sure_they_are(browser, tmp_path):
    decision, _ = asked(0)
    shown, complaints = opened(browser, tmp_path, decision)
    level = decision.coder.levels(decision.raw)[1]
    shown.locator("#layer-level").select_option("1")
    assert int((level.sureness >= 0.01).sum()) == shown.locator("#sureness rect").count()
    assert 2 == shown.locator("#grid path").count()
    shown.locator("#stage").hover()
    assert 2 + 2 * len(level.priors) == shown.locator("#priors rect").count()
    assert "raw candidates" in shown.locator("#under").inner_text()
    assert [] == complaints


@pytest.mark.parametrize("method", ["soft-gaussian", "matrix"])
def test_sliders_that_a_browser_cannot_follow_exactly_are_fixed(browser, tmp_path, method):
    decision, targets = asked(2, method)
    shown, complaints = opened(browser, tmp_path, decision, targets)
    assert shown.locator("#score_threshold").is_disabled()
    assert "The sliders are fixed" in shown.locator("#words").inner_text()
    kept = decision.candidates.take(decision.selection.kept)
    assert np.stack([kept.row, kept.labels], 1).tolist() == shown.evaluate(SHOWN)
    assert [] == complaints


@pytest.mark.parametrize(("width", "scheme"), [(420, "dark"), (1280, "light")])
def test_nothing_is_wider_than_the_window(browser, tmp_path, width, scheme):
    decision, targets = asked(0)
    text = explain_page.document("x" * 200, "m", IMAGE, decision, targets=targets)
    (tmp_path / "page.html").write_text(text, "utf-8")
    shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown.goto((tmp_path / "page.html").as_uri())
    shown.locator("#detections button").first.click()
    assert width >= shown.evaluate("document.documentElement.scrollWidth")


def test_an_answer_is_in_sight_wherever_it_was_asked_for(browser, tmp_path):
    decision, targets = asked(0)
    shown, complaints = opened(browser, tmp_path, decision, targets)
    shown.set_viewport_size({"width": 1000, "height": 420})
    for button in ("#detections button", "#truths button"):
        shown.evaluate("scrollTo(0, document.body.scrollHeight)")
        shown.locator(button).last.evaluate("button => button.click()")  # no scrolling back to it
        assert shown.evaluate("scrollY") > 100
        box = shown.locator("#answer h2").bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 420
    assert [] == complaints
