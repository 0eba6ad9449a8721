"""The waterfall: every truth is counted once, found or lost, in all and in each kind of group."""

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray import bundle, explain
from boxray.explain.stages import PROPOSAL_STAGES, TWO_STAGES
from boxray.records import Sample, Truths
from contracts.families import CLASSES, IMAGE, found_by, two

NAMES = (*tiny_model.CLASSES, "whale")


@pytest.fixture(scope="module")
def detector():
    return bundle.from_bytes(tiny_model.sealed(), "tiny", threads=1)


@pytest.fixture(scope="module")
def samples(tmp_path_factory, detector) -> tuple[Sample, ...]:
    """Truths that lie on detections, near them, and anywhere."""
    folder, chance = tmp_path_factory.mktemp("images"), np.random.default_rng(5)
    made = []
    for number in range(6):
        pixels = chance.integers(0, 256, (75, 110, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        seen = detector.detect_array(pixels)
        corner = chance.uniform(0, 60, (3, 2))
        boxes = np.concatenate([seen.boxes[:4], np.concatenate([corner, corner + 15], 1)])
        labels = np.concatenate([seen.labels[:4], chance.integers(0, 4, 3)])
        flags = {"difficult": chance.random(len(boxes)) < 0.3}
        made.append(Sample(path, (75, 110), Truths.of(boxes, labels, flags=flags)))
    made.append(Sample(folder / "absent.png", (75, 110), made[0].truths))
    made.append(Sample(folder / "nobody.png", (75, 110), made[0].truths, labelled=False))
    return tuple(made)


@pytest.fixture(scope="module")
def fallen(detector, samples):
    return explain.waterfall(detector, samples, NAMES)


def test_the_found_and_the_lost_are_the_truths(fallen, samples):
    expected = sum(len(sample.truths) for sample in samples if sample.labelled)
    assert expected == fallen.truths == sum(fallen.outcomes.values())
    assert 0 < fallen.outcomes["found"] < expected
    assert len(samples[0].truths) == fallen.outcomes["unreadable"]


def test_every_kind_of_group_leaves_nobody_out(fallen):
    assert {"class", "size", "flag"} == set(fallen.groups)
    for groups in fallen.groups.values():
        for outcome, count in fallen.outcomes.items():
            assert count == sum(counts[outcome] for counts in groups.values())


def test_groups_stand_in_the_order_of_the_classes_of_size_and_of_flags(fallen):
    assert [n for n in NAMES if n in fallen.groups["class"]] == list(fallen.groups["class"])
    assert ["small", "medium"] == [*fallen.groups["size"]][:2]
    assert ["difficult", "none"] == list(fallen.groups["flag"])


def test_what_is_counted_is_what_each_explanation_says(fallen, detector, samples):
    killers = [
        verdict.killer or "found"
        for sample in samples[:6]
        for verdict in detector.explain_truth(sample.path, sample.truths, NAMES)
    ]
    for outcome, count in fallen.outcomes.items():
        if outcome != "unreadable":
            assert killers.count(outcome) == count


def test_the_curves_are_what_the_detector_shows_with_such_thresholds(fallen, detector, samples):
    for turned in fallen.curves["score_threshold"][6::5]:
        changed = detector.with_thresholds(score_threshold=turned.value)
        shown = found = 0
        for sample in samples[:6]:
            shown += len(changed.detect(sample.path))
            verdicts = changed.explain_truth(sample.path, sample.truths, NAMES)
            found += sum(verdict.killer is None for verdict in verdicts)
        assert found == turned.found
        # a box wholly in the padding is not shown, but is none of the image's truths either
        assert shown <= turned.found + turned.false_alarms


def test_the_curves_pass_through_the_thresholds_where_they_stand(fallen, detector):
    for knob, curve in fallen.curves.items():
        (now,) = [turned for turned in curve if turned.now]
        assert getattr(detector.thresholds, knob) == now.value
        assert f"{now.value:g}, as it is" == now.told
        assert fallen.outcomes["found"] == now.found
        assert sorted(turned.value for turned in curve) == [turned.value for turned in curve]


def test_the_worst_images_come_first(fallen):
    lost = [count for _, count in fallen.worst]
    assert lost == sorted(lost, reverse=True)
    assert sum(lost) == fallen.truths - fallen.outcomes["found"]


def test_of_two_stages_the_losses_of_the_first_are_columns_of_their_own(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "photo.png")
    lost = set()
    for seed in range(12):
        one = two(seed)
        sample = Sample(tmp_path / "photo.png", IMAGE.shape[:2], one.truths)
        fallen = explain.waterfall(one.detector, [sample], CLASSES)
        assert ("found", "unreadable", *TWO_STAGES) == tuple(fallen.outcomes)
        assert len(one.truths) == fallen.truths == sum(fallen.outcomes.values())
        assert (
            sum(number >= 0 for number in found_by(one.detections(), one.truths))
            == (fallen.outcomes["found"])
        )
        lost |= {name for name, count in fallen.outcomes.items() if count}
    assert lost & set(PROPOSAL_STAGES)
