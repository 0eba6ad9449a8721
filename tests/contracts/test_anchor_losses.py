"""Anchors and proposals: who answers for what, who is asked, and what each is told."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from boxray.assignment import (
    BACKGROUND,
    BETWEEN,
    SPARED,
    Targets,
    balanced_sample,
    match_by_overlap,
)
from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas
from boxray.coders.anchors import scaled
from boxray.losses import Loss
from boxray.losses.anchors import AnchorLoss, BoxHeadLoss, ProposalLoss, focal, smooth_l1

SIZE_HW = (64, 96)
STRIDES = (8, 16, 32)
SIDES = ((12,), (24,), (48,))
NO_BOXES, NO_LABELS = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
EMPTY = Targets(NO_BOXES, NO_LABELS, NO_BOXES)
ONE = Targets(torch.tensor([[30.0, 20.0, 52.0, 42.0]]), torch.tensor([0]), NO_BOXES)
IGNORED = Targets(NO_BOXES, NO_LABELS, ONE.boxes)
EVERY_LOSS = {  # with the number of classes that its coder has
    "retinanet": (AnchorLoss(), 3),
    "retinanet-smooth": (AnchorLoss(beta=0.1), 3),
    "retinanet-giou": (AnchorLoss(beta=None), 3),
    "proposals": (ProposalLoss(), 1),
}
every_loss = pytest.mark.parametrize("loss,classes", EVERY_LOSS.values(), ids=EVERY_LOSS)


def coder_of(classes: int) -> AnchorDeltas:
    return AnchorDeltas(classes, STRIDES, scaled(SIDES, (0.5, 1.0, 2.0)))


def raw_of(coder: AnchorDeltas, images: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (images, channels, SIZE_HW[0] // stride, SIZE_HW[1] // stride)
        for channels, stride in zip(coder.channels, STRIDES, strict=True)
    ]
    return [(torch.randn(s, generator=generator) * 0.3 - 1).requires_grad_() for s in shapes]


class TestMatching:
    BOXES = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 4.5], [0, 0, 10, 2], [50, 0, 60, 10]]
    )

    def matched(self, targets: Targets, every_truth: bool = False) -> list[int]:
        """Overlaps with a truth of 10x10 are 1, 0.6, 0.45, 0.2 and 0."""
        return match_by_overlap(
            targets, self.BOXES, positive=0.5, negative=0.4, every_truth=every_truth
        ).tolist()

    def test_by_hand(self):
        target = Targets(self.BOXES[:1], torch.tensor([0]), NO_BOXES)
        assert [0, 0, BETWEEN, BACKGROUND, BACKGROUND] == self.matched(target)

    def test_the_best_rows_of_a_truth_answer_however_little_they_overlap_and_all_that_tie(self):
        # 0.25 of each of the last box's halves: 10x10 with 5x5 in it, twice as good as nothing
        target = Targets(torch.tensor([[52.0, 2, 57, 7]]), torch.tensor([0]), NO_BOXES)
        assert [BACKGROUND] * 5 == self.matched(target)
        assert [BACKGROUND] * 4 + [0] == self.matched(target, every_truth=True)
        twice = Targets(torch.tensor([[52.0, 2, 57, 7]]), torch.tensor([0]), NO_BOXES)
        doubled = torch.cat([self.BOXES, self.BOXES[4:]])
        match = match_by_overlap(twice, doubled, positive=0.5, negative=0.4, every_truth=True)
        assert [BACKGROUND] * 4 + [0, 0] == match.tolist()

    def test_background_near_an_ignored_object_is_not_asked_and_a_positive_row_stays(self):
        targets = Targets(self.BOXES[:1], torch.tensor([0]), self.BOXES[[0, 4]])
        assert [0, 0, BETWEEN, BACKGROUND, SPARED] == self.matched(targets)

    def test_without_truths_all_is_background(self):
        assert [BACKGROUND] * 5 == self.matched(EMPTY, every_truth=True)

    def test_it_is_torchvisions_matcher(self, shared):
        with np.load(shared / "oracles" / "fixtures" / "tv_ops.npz") as stored:
            a, b, expected = (torch.from_numpy(stored[name]) for name in ("a", "b", "match"))
        targets = Targets(a, torch.zeros(len(a), dtype=torch.int64), NO_BOXES)
        match = match_by_overlap(targets, b, positive=0.5, negative=0.4, every_truth=True)
        assert expected.tolist() == match.tolist()


class TestSampling:
    def test_positives_are_at_most_their_share_and_background_fills_up(self):
        match = torch.tensor([0] * 40 + [BACKGROUND] * 60 + [BETWEEN] * 20)
        asked = balanced_sample(match, 32, 0.25)
        assert (8, 24) == ((match[asked] >= 0).sum(), (match[asked] == BACKGROUND).sum())
        assert asked.tolist() == sorted(set(asked.tolist()))

    def test_where_there_are_few_all_are_asked_but_those_between(self):
        match = torch.tensor([0, BETWEEN, BACKGROUND, 1])
        assert [0, 2, 3] == balanced_sample(match, 64, 0.5).tolist()

    def test_the_generator_decides(self):
        match = torch.full((1000,), BACKGROUND)
        drawn = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            drawn.append(balanced_sample(match, 10, 0.5).tolist())
        assert drawn[0] == drawn[1] != drawn[2]


class TestEveryLoss:
    @every_loss
    def test_it_is_a_loss(self, loss, classes):
        assert isinstance(loss, Loss)

    @every_loss
    @pytest.mark.parametrize("targets", [[EMPTY], [IGNORED], [EMPTY, IGNORED], [ONE, EMPTY]])
    def test_an_image_without_truths_trains_without_nan(self, loss, classes, targets):
        coder = coder_of(classes)
        raw = raw_of(coder, len(targets))
        terms = loss(raw, targets, coder)
        torch.stack(list(terms.values())).sum().backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert all(torch.isfinite(level.grad).all() for level in raw)

    @every_loss
    def test_following_the_gradient_on_one_batch_brings_every_term_down(self, loss, classes):
        coder = coder_of(classes)
        raw = raw_of(coder, 1)
        before = loss(raw, [ONE], coder)
        stepper = torch.optim.Adam(raw, lr=0.1)
        for _ in range(80):
            stepper.zero_grad()
            torch.stack(list(loss(raw, [ONE], coder).values())).sum().backward()
            stepper.step()
        after = loss(raw, [ONE], coder)
        assert all(after[name] < 0.35 * before[name] for name in before)
        found = coder.decode(tuple(level[0].detach() for level in raw), 0.5)
        assert (found.boxes - ONE.boxes).abs().amax(1).min() < 1.5

    @every_loss
    def test_background_on_an_ignored_object_costs_nothing(self, loss, classes):
        coder = coder_of(classes)
        raw = [torch.full_like(level, -20.0) for level in raw_of(coder, 1)]
        numbers = coder.flatten(tuple(raw))[0]
        anchors = torch.from_numpy(coder.anchors(SIZE_HW).boxes)
        # an anchor of 24x24 in the middle of the canvas says: an object, surely
        row = int(((anchors - torch.tensor([36.0, 20, 60, 44])).abs().amax(1) < 1e-3).nonzero())
        numbers[row, 4:] = 20.0
        level = coder.anchors(SIZE_HW).level[row]
        within = row - int(np.searchsorted(coder.anchors(SIZE_HW).level, level))
        line, column = divmod(within // 3, raw[level].shape[-1])
        start = 12 + classes * (within % 3)
        raw[level][0, start : start + classes, line, column] = 20
        blamed = sum(loss(raw, [EMPTY], coder).values())
        excused = Targets(NO_BOXES, NO_LABELS, anchors[row : row + 1])
        assert blamed > 0.01 > sum(loss(raw, [excused], coder).values())


class TestFocal:
    def test_by_hand(self):
        # σ(0) = ½: -ln ½ · ½² · ¼ for an object, · ¾ for none
        got = focal(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 0.25, 2.0)
        assert [math.log(2) / 16, 3 * math.log(2) / 16] == pytest.approx(got[0].tolist())

    def test_it_is_torchvisions_with_and_without_alpha(self, shared):
        with np.load(shared / "oracles" / "fixtures" / "tv_ops.npz") as stored:
            ops = {name: torch.from_numpy(stored[name]) for name in stored}
        for name, alpha in (("focal", 0.25), ("focal_noalpha", -1.0)):
            got = focal(ops["logits"], ops["targets"], alpha, 2.0)
            torch.testing.assert_close(ops[name], got, rtol=1e-5, atol=1e-6)

    def test_its_gradient_is_finite_where_it_is_extreme(self):
        logits = torch.tensor([[-200.0, 200.0, 0.0]], requires_grad=True)
        focal(logits, torch.tensor([[1.0, 0.0, 1.0]]), 0.25, 2.0).sum().backward()
        assert torch.isfinite(logits.grad).all()


@every_loss
def test_the_lessons_sum_to_exactly_the_loss_and_each_names_its_truth(loss, classes):
    coder, wanted = coder_of(classes), [ONE, EMPTY, IGNORED]
    raw = raw_of(coder, len(wanted))
    torch.manual_seed(0)  # of the sample
    terms = loss(raw, wanted, coder)
    torch.manual_seed(0)
    lessons = loss.lessons(raw, wanted, coder)
    for name, term in terms.items():
        assert term == torch.stack([one.terms[name].values.sum() for one in lessons]).sum()
    box = next(name for name in terms if "box" in name)
    assert {0} == set(lessons[0].terms[box].truths.tolist())
    assert not len(lessons[1].terms[box].rows)
    told = next(one for name, one in lessons[2].terms.items() if name != box)
    assert not set(told.rows.tolist()) & set(torch.where(lessons[2].ignored)[0].tolist())


def test_smooth_l1_is_a_parabola_that_goes_over_into_a_line():
    # β = ½: at ¼ it is ½·(1/16)/½ = 1/16; at 2 it is 2 - ¼
    said, wanted = torch.tensor([[0.25, 2.0, 0.0, 0.0]]), torch.zeros(1, 4)
    assert 1 / 16 + 1.75 == pytest.approx(smooth_l1(said, wanted, 0.5).item())
    assert 2.25 == pytest.approx(smooth_l1(said, wanted, 0.0).item())


class TestBoxHead:
    CODER = ProposalDeltas(3)
    PROPOSALS = torch.tensor([[28.0, 18, 50, 40], [0, 0, 20, 20], [60, 30, 90, 60]])

    def test_truths_are_among_the_proposals_and_labels_start_behind_the_background(self):
        chosen = BoxHeadLoss().choose(self.PROPOSALS, ONE)
        # the first overlaps by 400 of 568, the last is the truth itself
        assert [1, 0, 0, 1] == chosen.labels.tolist()
        assert [0, BACKGROUND, BACKGROUND, 0] == chosen.match.tolist()

    @pytest.mark.parametrize("targets", [EMPTY, IGNORED, ONE], ids=["empty", "ignored", "one"])
    @pytest.mark.parametrize("count", [0, 3])
    def test_any_image_trains_without_nan(self, targets, count):
        loss = BoxHeadLoss()
        chosen = loss.choose(self.PROPOSALS[:count], targets)
        numbers = torch.randn(len(chosen.boxes), self.CODER.numbers, requires_grad=True)
        terms = loss(numbers, [chosen], self.CODER)
        torch.stack(list(terms.values())).sum().backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert torch.isfinite(numbers.grad).all()

    def test_the_lessons_sum_to_exactly_the_loss_and_tell_who_was_not_drawn(self):
        loss = BoxHeadLoss(sampled=4)
        torch.manual_seed(0)
        chosen = [loss.choose(self.PROPOSALS.repeat(3, 1), wanted) for wanted in (ONE, IGNORED)]
        numbers = torch.randn(sum(len(one.rows) for one in chosen), self.CODER.numbers)
        lessons = loss.lessons(numbers, chosen, self.CODER)
        for name, term in loss(numbers, chosen, self.CODER).items():
            assert term == torch.stack([one.terms[name].values.sum() for one in lessons]).sum()
        # of ten, four answer for the truth, and a quarter of four may; one and three are asked
        assert [0, -1, -1] * 3 + [0] == lessons[0].answers.tolist()
        assert (6, 3) == (lessons[0].undrawn.sum(), lessons[0].undrawn[[0, 3, 6, 9]].sum())
        # of nine, three lie on the ignored object; the rest is background
        assert [SPARED, -1, -1] * 3 == lessons[1].answers.tolist()
        assert not lessons[1].undrawn[[0, 3, 6]].any()
        assert set(lessons[1].terms["class"].rows.tolist()) <= {1, 2, 4, 5, 7, 8}

    def test_following_the_gradient_brings_both_terms_down_to_the_truth(self):
        loss = BoxHeadLoss()
        chosen = loss.choose(self.PROPOSALS, ONE)
        numbers = torch.zeros(len(chosen.boxes), self.CODER.numbers, requires_grad=True)
        before = loss(numbers, [chosen], self.CODER)
        stepper = torch.optim.Adam([numbers], lr=0.1)
        for _ in range(80):
            stepper.zero_grad()
            torch.stack(list(loss(numbers, [chosen], self.CODER).values())).sum().backward()
            stepper.step()
        after = loss(numbers, [chosen], self.CODER)
        assert all(after[name] < 0.2 * before[name] for name in before)
        found = self.CODER.at(chosen.boxes, SIZE_HW).decode(numbers.detach(), 0.5)
        assert {0} == set(found.labels.tolist())
        assert (found.boxes - ONE.boxes).abs().max() < 1
