"""YOLOv2's and YOLOv3's losses against what Darknet itself computed, and by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from boxray.assignment import Targets
from boxray.boxes import edges, iou
from boxray.coders.yolo_grid import YoloGrid
from boxray.errors import ModelError
from boxray.losses.darknet import DarknetLoss, excess_entropy, loss_of
from boxray.networks import darknet_configuration
from boxray.networks.darknet_layers import Convolutional, Layer, Maxpool, Region, Yolo, coder_of

NO_BOXES = torch.zeros(0, 4)
FIXTURES = "darknet_loss_*.npz"


def fixtures() -> list[Path]:
    """What Darknet computed, one file per network; see the folder `shared`."""
    folder = Path(__file__).parents[2].parent / "shared" / "oracles" / "fixtures"
    return sorted(folder.glob(FIXTURES))


def targets_of(truths: np.ndarray, size_hw: tuple[int, int]) -> Targets:
    """Rows of cx, cy, w, h as shares and a class; a row of zeros ends the list."""
    ends = np.flatnonzero(truths[:, 0] == 0)
    rows = truths[: ends[0]] if len(ends) else truths
    height, width = size_hw
    boxes = edges(rows[:, :4].astype(np.float64) * [width, height, width, height])
    return Targets(torch.from_numpy(boxes), torch.from_numpy(rows[:, 4].astype(int)), NO_BOXES)


def gradients(
    loss: DarknetLoss, coder: YoloGrid, raw: list[Tensor], targets: list[Targets], seen: int
) -> list[Tensor]:
    leaves = [level.clone().requires_grad_() for level in raw]
    torch.stack(list(loss(leaves, targets, coder, seen=seen).values())).sum().backward()
    return [leaf.grad for leaf in leaves]


def batched(array: np.ndarray, unbatched: int) -> np.ndarray:
    return array[None] if array.ndim == unbatched else array


@pytest.mark.skipif(not fixtures(), reason="needs 'shared/oracles/fixtures' beside the repository")
@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_minus_the_gradient_is_darknets_delta_and_its_squares_are_darknets_cost(path, shared):
    stored = np.load(path)
    named = path.stem.removeprefix("darknet_loss_")
    configurations = (shared / "data" / "darknet").glob("*.cfg")
    name = max((c for c in configurations if named.startswith(c.stem)), key=lambda c: len(c.stem))
    layers = darknet_configuration.read(name).layers
    loss, coder = loss_of(layers), coder_of(layers)
    size_hw = int(stored["height"]), int(stored["width"])
    heads = sorted({key.partition("_")[0] for key in stored.files if key.endswith("_raw")})
    heads.sort(key=lambda head: -stored[f"{head}_raw"].shape[-1])  # finest first
    raw = [torch.from_numpy(batched(stored[f"{head}_raw"], 3)) for head in heads]
    truths = batched(stored["truths"], 2)
    targets = [targets_of(one, size_hw) for one in truths]
    got = gradients(loss, coder, raw, targets, int(stored["seen"]))
    for head, gradient in zip(heads, got, strict=True):
        delta = batched(stored[f"{head}_delta"], 3)
        assert np.abs(delta).max() > 0.1  # not vacuous
        np.testing.assert_allclose(-gradient.numpy(), delta, atol=1e-4)
        cost = float(gradient.double().square().sum())
        assert float(stored[f"{head}_cost"]) == pytest.approx(cost, rel=1e-4)


PRIORS = ((10.0, 12.0), (20.0, 16.0), (30.0, 44.0), (60.0, 40.0))
LAYERS: tuple[Layer, ...] = (
    *(Maxpool(2, 2) for _ in range(3)),
    Convolutional(16, 1, 1, False, "linear"),
    Yolo(3, PRIORS, (0, 1)),
    Maxpool(2, 2),
    Convolutional(16, 1, 1, False, "linear"),
    Yolo(3, PRIORS, (2, 3)),
)
V3, CODER = loss_of(LAYERS), coder_of(LAYERS)
REGION = (
    *(Maxpool(2, 2) for _ in range(4)),
    Convolutional(16, 1, 1, False, "linear"),
    Region(3, ((1.0, 1.0), (2.0, 1.5))),
)
V2, REGION_CODER = loss_of(REGION), coder_of(REGION)
SIZE_HW = (64, 96)
EVERY_LOSS = pytest.mark.parametrize(
    "loss, coder", [(V3, CODER), (V2, REGION_CODER)], ids=["yolov3", "yolov2"]
)


def targets(*rows: tuple[float, float, float, float, int], ignored: Tensor = NO_BOXES) -> Targets:
    """Truths from centre, size in canvas pixels, and class."""
    array = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return Targets(edges(array[:, :4]), array[:, 4].long(), ignored)


def raw_of(coder: YoloGrid, images: int = 1, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(images, channels, *(side // stride for side in SIZE_HW), generator=generator)
        * 0.3
        for stride, channels in zip(coder.strides, coder.channels, strict=True)
    ]


def deltas(loss: DarknetLoss, coder: YoloGrid, one: Targets, seen: int = 10**6) -> Tensor:
    """Darknet's delta of every row, for raw numbers that are all 0."""
    raw = [torch.zeros_like(level) for level in raw_of(coder)]
    return -coder.flatten(tuple(gradients(loss, coder, raw, [one], seen)))[0]


def answering(loss: DarknetLoss, coder: YoloGrid, one: Targets) -> list[int]:
    """The rows that are taught a box."""
    return deltas(loss, coder, one)[:, 5:].abs().sum(1).nonzero()[:, 0].tolist()


@EVERY_LOSS
def test_images_without_truths_are_finite_and_teach_silence_only(loss, coder):
    box = torch.tensor([[10.0, 10.0, 50.0, 40.0]])
    terms = loss(raw_of(coder, 2), [targets(), targets(ignored=box)], coder, seen=10**6)
    assert (0, 0) == (terms["box"].item(), terms["class"].item())
    assert terms["objectness"] > 0
    assert (deltas(loss, coder, targets())[:, 4] <= 0).all()


@EVERY_LOSS
@pytest.mark.parametrize("seen", [0, None])
def test_the_lessons_sum_to_exactly_the_loss(loss, coder, seen):
    wanted = [targets((20, 24, 17, 18, 1), (70, 40, 33, 26, 2)), targets()]
    raw = raw_of(coder, 2)
    lessons = loss.lessons(raw, wanted, coder, seen=seen)
    for name, term in loss(raw, wanted, coder, seen=seen).items():
        assert term == torch.stack([one.terms[name].values.sum() for one in lessons]).sum()
    assert {0, 1} == set(lessons[0].terms["class"].truths.tolist())
    assert not len(lessons[1].terms["class"].rows)
    assert (lessons[0].terms["objectness"].values[lessons[0].ignored] == 0).all()


@EVERY_LOSS
def test_following_the_gradient_finds_the_truths(loss, coder):
    wanted = [targets((20, 24, 17, 18, 1), (70, 40, 33, 26, 2)), targets((50, 30, 60, 44, 0))]
    raw = [level.requires_grad_() for level in raw_of(coder, 2)]
    before = loss(raw, wanted, coder, seen=10**6)
    stepper = torch.optim.Adam(raw, lr=0.1)
    for _ in range(150):
        stepper.zero_grad()
        torch.stack(list(loss(raw, wanted, coder, seen=10**6).values())).sum().backward()
        stepper.step()
    after = loss(raw, wanted, coder, seen=10**6)
    assert all(after[name] < 0.05 * before[name] for name in before)
    for image, one in enumerate(wanted):
        found = coder.decode(tuple(level[image].detach() for level in raw), 0.5)
        assert sorted(one.labels.tolist()) == sorted(found.labels.tolist())
        assert (iou(one.boxes, found.boxes).amax(1) > 0.95).all()


class TestAssignment:
    def test_the_level_of_the_best_of_all_priors_answers_in_the_cell_of_the_centre(self):
        # 31x43 is nearest to the third prior: level of stride 16, 4x6 cells, its first slot;
        # fine rows before it: 2 priors of 8x12 cells; centre (40, 20) is column 2, line 1
        assert [2 * 96 + 1 * 6 + 2] == answering(V3, CODER, targets((40, 20, 31, 43, 0)))
        # 19x17 is the second's: fine level, second slot, column 5, line 2
        assert [96 + 2 * 12 + 5] == answering(V3, CODER, targets((40, 20, 19, 17, 0)))

    def test_a_truth_of_a_prior_that_no_head_uses_has_nobody(self):
        loss = replace(V3, masks=((0, 1), (3,)))
        coder = replace(CODER, priors=(PRIORS[:2], PRIORS[3:]))
        assert [] == answering(loss, coder, targets((40, 20, 31, 43, 0)))

    def test_of_equal_priors_the_first_answers(self):
        loss = replace(V3, priors=(PRIORS[0], PRIORS[0], *PRIORS[2:]))
        assert [0] == answering(loss, CODER, targets((4, 4, 10, 12, 0)))

    def test_a_centre_on_the_far_edge_belongs_to_the_last_cell(self):
        assert [8 * 12 - 1] == answering(V3, CODER, targets((96, 64, 10, 12, 0)))

    def test_a_row_that_overlaps_a_truth_by_more_than_the_limit_is_not_told_to_be_silent(self):
        # σ(0) = ½: every row says its prior in the middle of its cell, and is told 0 - ½
        one = targets((36, 20, 19, 17, 0))  # the cell's very middle: column 4, line 2
        silent = deltas(V3, CODER, one)[:, 4]
        said = CODER.decode(tuple(level[0] * 0 for level in raw_of(CODER))).boxes[::3]
        overlap = iou(said, one.boxes)[:, 0]
        answer = 96 + 2 * 12 + 4
        for row, value in enumerate(silent.tolist()):
            expected = 0.5 if row == answer else 0.0 if overlap[row] > 0.7 else -0.5
            assert expected == pytest.approx(value)
        neighbours = deltas(replace(V3, ignore_iou=0.4), CODER, one)[:, 4]
        assert (neighbours == 0).sum() > (silent == 0).sum()

    def test_a_row_on_an_ignored_object_is_not_told_to_be_silent(self):
        ignored = edges(torch.tensor([[36.0, 20.0, 20.0, 16.0]]))
        silent = deltas(V3, CODER, targets(ignored=ignored))[:, 4]
        assert 0 == silent[96 + 2 * 12 + 4]
        assert -0.5 == silent[0]

    def test_truths_after_the_last_one_allowed_are_not_learned(self):
        two = targets((4, 4, 10, 12, 0), (40, 20, 31, 43, 1))
        assert 2 == len(answering(V3, CODER, two))
        assert [0] == answering(replace(V3, most_truths=1), CODER, two)

    def test_a_row_above_the_truth_limit_answers_too(self):
        one = targets((36, 20, 19, 17, 2))
        rows = answering(replace(V3, truth_iou=0.4), CODER, one)
        assert set(answering(V3, CODER, one)) < set(rows)


class TestTwoTruthsOfOneRow:
    PAIR = (36.0, 20.0, 19.0, 17.0, 0), (37.0, 20.0, 20.0, 17.0, 2)

    def test_the_later_box_counts_and_in_version_3_both_classes(self):
        both = deltas(V3, CODER, targets(*self.PAIR))
        later = deltas(V3, CODER, targets(self.PAIR[1]))
        row = 96 + 2 * 12 + 4
        torch.testing.assert_close(both[row, :5], later[row, :5])
        assert [0.5, -0.5, 0.5] == both[row, 5:].tolist()
        assert [-0.5, -0.5, 0.5] == later[row, 5:].tolist()

    def test_in_version_2_the_later_class_replaces_the_earlier(self):
        both = deltas(V2, REGION_CODER, targets(*self.PAIR))
        later = deltas(V2, REGION_CODER, targets(self.PAIR[1]))
        torch.testing.assert_close(both, later, atol=1e-6, rtol=0)


class TestNumbers:
    def test_a_box_weighs_two_minus_its_share_of_the_canvas(self):
        # centre (37, 20): 5/8 across cell 4, 4/8 down cell 2; 40x8 of 96x64 is 320/6144
        row = deltas(V3, CODER, targets((37, 20, 20, 16, 0)))[96 + 2 * 12 + 4]
        weight = 2 - 320 / 6144
        expected = [weight * (5 / 8 - 0.5), 0.0, 0.0, 0.0]  # its prior is 20x16: log 1 = 0
        assert expected == pytest.approx(row[:4].tolist(), abs=1e-6)
        row = deltas(V3, CODER, targets((36, 20, 10, 12 * np.e, 0)))[2 * 12 + 4]
        assert 2 - 120 * np.e / 6144 == pytest.approx(row[3].item(), rel=1e-5)  # log(12e / 12) = 1

    def test_version_2_teaches_objectness_the_iou_five_times_as_strongly(self):
        # the row says 32x24 in the middle of its cell, (40, 24); the truth is 32x12: IoU ½
        row = deltas(V2, REGION_CODER, targets((40, 24, 32, 12, 0)))[24 + 1 * 6 + 2]
        assert 5 * (0.5 - 0.5) == pytest.approx(row[4].item(), abs=1e-6)
        plain = deltas(replace(V2, rescore=False), REGION_CODER, targets((40, 24, 32, 12, 0)))
        assert 5 * (1 - 0.5) == pytest.approx(plain[24 + 1 * 6 + 2, 4].item())

    def test_version_2_draws_boxes_to_their_priors_before_12800_images(self):
        raw = [torch.full_like(level, 1.0) for level in raw_of(REGION_CODER)]
        (early,) = gradients(V2, REGION_CODER, raw, [targets()], 12_799)
        (late,) = gradients(V2, REGION_CODER, raw, [targets()], 12_800)
        row = -REGION_CODER.flatten((early,))[0, 0, :4]
        middle = 0.01 * (0.5 - 1 / (1 + np.exp(-1)))
        assert [middle, middle, -0.01, -0.01] == pytest.approx(row.tolist())
        assert 0 == REGION_CODER.flatten((late,))[..., :4].abs().sum()

    def test_excess_entropy_is_zero_where_all_is_said_and_its_gradient_is_the_difference(self):
        logits = torch.linspace(-4, 4, 9, requires_grad=True)
        most = excess_entropy(logits, logits.sigmoid()).abs().max().item()
        assert 0 == pytest.approx(most, abs=1e-6)
        excess_entropy(logits, torch.tensor([0.0, 1.0, 0.25] * 3)).sum().backward()
        expected = logits.detach().sigmoid() - torch.tensor([0.0, 1.0, 0.25] * 3)
        torch.testing.assert_close(expected, logits.grad)


def test_heads_that_are_taught_differently_are_refused():
    layers = (*LAYERS[:-1], replace(LAYERS[-1], ignore_iou=0.5))
    with pytest.raises(ModelError, match="the heads differ in ignore_thresh"):
        loss_of(layers)
