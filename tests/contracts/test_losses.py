"""What every loss holds: finite on nothing, falling when followed, fair to what is ignored."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from boxray.assignment import Targets
from boxray.coders.yolo_grid import YoloGrid
from boxray.losses import GridLoss, quality_focal

SIZE_HW = (64, 96)
CODER = YoloGrid(
    3, (8, 16, 32), (((10.0, 14.0), (23.0, 17.0)), ((37.0, 30.0),) * 2, ((60.0, 50.0),) * 2), 2.0
)
EVERY_LOSS = {
    "grid": GridLoss(box=2.5, objectness=1.0, classification=1.0, focus=1.5),
    "grid-smoothed": GridLoss(2.5, 1.0, 1.0, 1.5, smoothing=0.1),
    "grid-without-focus": GridLoss(box=1.0, objectness=1.0, classification=1.0, focus=0.0),
}
NO_BOXES = torch.zeros(0, 4)
EMPTY = Targets(NO_BOXES, torch.zeros(0, dtype=torch.int64), NO_BOXES)
ONE = Targets(torch.tensor([[30.0, 20.0, 52.0, 38.0]]), torch.tensor([1]), NO_BOXES)
IGNORED = Targets(NO_BOXES, EMPTY.labels, ONE.boxes)

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=EVERY_LOSS)


def raw_of(images: int, seed: int = 0, objectness: float = -3.0) -> list[Tensor]:
    """Raw maps as an untrained network says them; leaves that a gradient can reach."""
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for stride, priors in zip(CODER.strides, CODER.priors, strict=True):
        shape = (images, len(priors), CODER.numbers, SIZE_HW[0] // stride, SIZE_HW[1] // stride)
        level = torch.randn(shape, generator=generator) * 0.3
        level[:, :, 4] += objectness
        maps.append(level.flatten(1, 2).requires_grad_())
    return maps


def random_targets(seed: int, count: int) -> Targets:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 40, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(6, 24, (count, 2))], 1)
    labels = torch.from_numpy(random.integers(0, 3, count))
    return Targets(torch.from_numpy(boxes).float(), labels, NO_BOXES)


def total(loss: GridLoss, raw: list[Tensor], targets: list[Targets]) -> Tensor:
    return torch.stack(list(loss(raw, targets, CODER).values())).sum()


@every_loss
@pytest.mark.parametrize(
    "targets",
    [[EMPTY], [IGNORED], [EMPTY, EMPTY], [EMPTY, IGNORED], [ONE, EMPTY]],
    ids=["empty", "all ignored", "a batch of empties", "empty and ignored", "one and empty"],
)
def test_an_image_without_truths_trains_without_nan(loss, targets):
    raw = raw_of(len(targets))
    terms = loss(raw, targets, CODER)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(level.grad).all() for level in raw)
    if all(len(t.boxes) == 0 for t in targets):
        assert (0, 0) == (terms["box"].item(), terms["class"].item())
        assert terms["objectness"] > 0


@every_loss
def test_the_lessons_sum_to_exactly_the_loss_and_each_names_its_truth(loss):
    raw, targets = raw_of(3), [random_targets(3, 4), EMPTY, random_targets(5, 1)]
    terms, lessons = loss(raw, targets, CODER), loss.lessons(raw, targets, CODER)
    assert len(targets) == len(lessons)
    for name, term in terms.items():
        assert term == torch.stack([one.terms[name].values.sum() for one in lessons]).sum()
    for lesson, target in zip(lessons, targets, strict=True):
        for told in lesson.terms.values():
            assert len(told.rows) == len(told.truths) == len(told.values)
        assert set(range(len(target.boxes))) == set(lesson.terms["box"].truths.tolist())
        assert (lesson.terms["objectness"].values[lesson.ignored] == 0).all()


@every_loss
def test_following_the_gradient_on_one_batch_brings_every_term_down(loss):
    raw = raw_of(2)
    targets = [random_targets(3, 4), random_targets(4, 2)]
    before = loss(raw, targets, CODER)
    stepper = torch.optim.Adam(raw, lr=0.1)
    for _ in range(60):
        stepper.zero_grad()
        total(loss, raw, targets).backward()
        stepper.step()
    after = loss(raw, targets, CODER)
    assert all(after[name] < 0.35 * before[name] for name in before)
    found = CODER.decode(tuple(level[0].detach() for level in raw), 0.3)
    for box, label in zip(targets[0].boxes, targets[0].labels, strict=True):
        near = (found.boxes - box).abs().amax(1) < 3
        assert label in found.labels[near]


@every_loss
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 6))
def test_the_order_of_the_truths_does_not_matter(loss, seed, count):
    raw = [level.detach() for level in raw_of(1, seed)]
    targets = random_targets(seed, count)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    shuffled = Targets(targets.boxes[order], targets.labels[order], NO_BOXES)
    expected, got = loss(raw, [targets], CODER), loss(raw, [shuffled], CODER)
    for name in expected:
        assert expected[name].item() == pytest.approx(got[name].item(), rel=1e-5)


@every_loss
def test_a_confident_row_on_an_ignored_object_is_not_told_that_it_is_wrong(loss):
    raw = [level.detach() for level in raw_of(1)]
    level = raw[0].view(2, CODER.numbers, 8, 12)
    level[1, :5, 3, 5] = torch.tensor([0.0, 0.0, 0.0, 0.0, 6.0])  # sure, in the middle of cell 5, 3
    x, y, width, height = 44.0, 28.0, 23.0, 17.0  # cells of 8 pixels; its prior
    said = torch.tensor([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])
    blamed = loss(raw, [EMPTY], CODER)["objectness"]
    excused = loss(raw, [Targets(NO_BOXES, EMPTY.labels, said)], CODER)["objectness"]
    # BCE(σ(6), 0) = 6.0025, times σ(6)^focus = 0.9975^focus: nearly all of the difference
    assert 6.0025 * 0.9975**loss.focus == pytest.approx((blamed - excused).item(), abs=0.05)


@every_loss
def test_a_row_that_answers_for_a_truth_is_asked_even_on_an_ignored_object(loss):
    raw = [level.detach() for level in raw_of(1)]
    both = Targets(ONE.boxes, ONE.labels, ONE.boxes)
    assert loss(raw, [ONE], CODER)["box"] == loss(raw, [both], CODER)["box"]
    assert loss(raw, [both], CODER)["objectness"] > 0


@every_loss
def test_terms_are_sums_over_the_batch_per_positive_row(loss):
    raw = raw_of(1)
    twice = [torch.cat([level, level]) for level in raw]
    one, two = loss(raw, [ONE], CODER), loss(twice, [ONE, ONE], CODER)
    for name in one:  # twice the sum over twice the rows
        assert one[name].item() == pytest.approx(two[name].item(), rel=1e-5)


def test_weights_multiply_their_own_term():
    raw = raw_of(1)
    plain = GridLoss(1.0, 1.0, 1.0, 1.5)(raw, [ONE], CODER)
    weighed = GridLoss(2.0, 3.0, 5.0, 1.5)(raw, [ONE], CODER)
    for name, weight in (("box", 2), ("objectness", 3), ("class", 5)):
        assert weight * plain[name].item() == pytest.approx(weighed[name].item(), rel=1e-6)


def test_smoothing_spreads_a_share_of_the_label_over_all_classes():
    raw = [torch.zeros_like(level) for level in raw_of(1)]
    with torch.no_grad():
        for level in raw:  # every class logit says ln 3, so σ = ¾
            level.view(2, CODER.numbers, -1)[:, 5:] = np.log(3)
    # of three classes 0.3 · ⅓ each: the named 0.7 + 0.1, the other two 0.1
    # BCE(¾, y) = -y ln ¾ - (1 - y) ln ¼
    named, other = (-y * np.log(0.75) - (1 - y) * np.log(0.25) for y in (0.8, 0.1))
    smoothed = GridLoss(1.0, 1.0, 1.0, 1.5, smoothing=0.3)(raw, [ONE], CODER)
    assert named + 2 * other == pytest.approx(smoothed["class"].item(), rel=1e-5)
    # plain: -ln ¾ - 2 ln ¼
    plain = GridLoss(1.0, 1.0, 1.0, 1.5)(raw, [ONE], CODER)
    assert -np.log(0.75) - 2 * np.log(0.25) == pytest.approx(plain["class"].item(), rel=1e-5)


class TestQualityFocal:
    def test_by_hand(self):
        # σ(0) = ½. y = 0: ln 2 · ½^1.5; y = 0.8: BCE is ln 2 whatever y, |0.8 - ½|^1.5 = 0.3^1.5
        got = quality_focal(torch.zeros(2), torch.tensor([0.0, 0.8]), 1.5)
        expected = [np.log(2) * 0.5**1.5, np.log(2) * 0.3**1.5]
        assert expected == pytest.approx(got.tolist())
        # σ(ln 3) = ¾, y = 1, focus 2: -ln ¾ · (¼)²
        got = quality_focal(torch.tensor([np.log(3)], dtype=torch.float32), torch.ones(1), 2.0)
        assert -np.log(0.75) / 16 == pytest.approx(got.item())

    def test_a_focus_of_zero_is_plain_cross_entropy(self):
        logits, wanted = torch.randn(50), torch.rand(50)
        plain = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, wanted, reduction="none"
        )
        torch.testing.assert_close(plain, quality_focal(logits, wanted, 0.0))

    def test_saying_exactly_what_is_wanted_costs_nothing(self):
        logits = torch.linspace(-5, 5, 11)
        assert 0 == pytest.approx(quality_focal(logits, logits.sigmoid(), 1.5).abs().max().item())

    @pytest.mark.parametrize("focus", [0.0, 1.0, 1.5, 2.0])
    def test_its_gradient_is_finite_where_it_is_extreme(self, focus):
        logits = torch.tensor([-100.0, 100.0, 0.0, 0.0], requires_grad=True)
        quality_focal(logits, torch.tensor([1.0, 0.0, 0.5, 1.0]), focus).sum().backward()
        assert torch.isfinite(logits.grad).all()


class TestGradients:
    """Each term pushes where it should: a step against the gradient is a better answer."""

    def gradient(self, name: str, targets: Targets = ONE) -> Tensor:
        raw = raw_of(1)
        EVERY_LOSS["grid"](raw, [targets], CODER)[name].backward()
        zero = [torch.zeros_like(level) if level.grad is None else level.grad for level in raw]
        return CODER.flatten(tuple(zero))[0]

    def test_the_box_term_moves_only_boxes_and_of_few_rows(self):
        gradient = self.gradient("box")
        assert gradient[:, :4].abs().sum() > 0
        assert 0 == gradient[:, 4:].abs().sum()
        assert 1 <= (gradient.abs().sum(1) > 0).sum() <= 10

    def test_the_box_term_makes_small_boxes_larger(self):
        wide = Targets(torch.tensor([[2.0, 2.0, 94.0, 62.0]]), torch.tensor([0]), NO_BOXES)
        raw = [level.detach() for level in raw_of(1)]
        for level in raw:
            numbers = level.view(2, CODER.numbers, *level.shape[-2:])
            numbers[:, :4], numbers[:, 2:4] = 0, -1  # e⁻¹ of the prior: too small all round
            level.requires_grad_()
        EVERY_LOSS["grid"](raw, [wide], CODER)["box"].backward()
        gradient = CODER.flatten(tuple(level.grad for level in raw))[0]
        numbers = CODER.flatten(tuple(level.detach() for level in raw))[0]
        said = CODER.boxes(numbers[:, :4], *CODER.places(CODER.grid(SIZE_HW), numbers))
        low, high = wide.boxes[:, :2], wide.boxes[:, 2:]
        inside = ((said[:, :2] > low) & (said[:, 2:] < high)).all(1) & (gradient != 0).any(1)
        assert inside.any()
        assert (gradient[inside, 2:4] < 0).all()

    def test_the_objectness_term_quiets_rows_without_an_object(self):
        gradient = self.gradient("objectness", EMPTY)
        assert (gradient[:, 4] > 0).all()
        assert 0 == gradient[:, :4].abs().sum() + gradient[:, 5:].abs().sum()

    def test_the_objectness_term_encourages_a_row_that_says_a_truth(self):
        gradient = self.gradient("objectness")[:, 4]
        assert 1 <= (gradient < 0).sum() <= 10

    def test_the_class_term_raises_the_truths_class_and_lowers_the_others(self):
        gradient = self.gradient("class")
        asked = gradient[:, 5:].abs().sum(1) > 0
        assert (gradient[asked, 5 + 1] < 0).all()
        assert (gradient[asked][:, [5, 7]] > 0).all()
        assert 0 == gradient[:, :5].abs().sum()
