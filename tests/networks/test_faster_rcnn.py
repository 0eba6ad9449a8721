"""Faster R-CNN is torchvision's: with its weights the same proposals, boxes and losses."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.image_list import ImageList

from boxray import bundle, export
from boxray.boxes import iou
from boxray.detectors import TwoStage, propose
from boxray.engines.pytorch import TorchStages
from boxray.networks.published import load_torchvision
from boxray.recipes.faster_rcnn import detections, faster_rcnn_lite0
from boxray.recipes.recipe import Recipe, blueprint
from boxray.records import Truths
from boxray.selection import select
from boxray.training.objective import losses
from networks.torchvision_models import SIZES_WH, canvas, their_targets, theirs, truths, twin

TESTS = str(Path(__file__).parents[1])
NAME = "fasterrcnn_resnet50_fpn"
SIZES = [(128, 128), (192, 128)]
EVERYTHING = 10**6  # sampled: nothing is left to chance


def spread(layer: torch.nn.Module, said: Tensor, deviation: float) -> None:
    """Let each output vary by so much about 0: nothing is saturated, and nothing ties."""
    factor = deviation / said.std(0)
    layer.weight *= factor.reshape(-1, *[1] * (layer.weight.ndim - 1))
    layer.bias.copy_((layer.bias - said.mean(0)) * factor)


@pytest.fixture(scope="module")
def pair() -> tuple[FasterRCNN, Recipe]:
    model = theirs(NAME)
    image = canvas((128, 128))
    with torch.no_grad():
        images = ImageList(image, [(128, 128)])
        features = model.eval().backbone(image)
        objectness, deltas = model.rpn.head(list(features.values()))
        spread(model.rpn.head.cls_logits, objectness[0].movedim(1, -1).flatten(0, -2), 1.5)
        spread(model.rpn.head.bbox_pred, deltas[0].movedim(1, -1).flatten(0, -2), 0.3)
        proposals, _ = model.rpn(images, features)
        pooled = model.roi_heads.box_roi_pool(features, proposals, [(128, 128)])
        hidden = model.roi_heads.box_head(pooled)
        predictor = model.roi_heads.box_predictor
        spread(predictor.cls_score, predictor.cls_score(hidden), 2.0)
        spread(predictor.bbox_pred, predictor.bbox_pred(hidden), 1.0)
    for sampler in (model.rpn.fg_bg_sampler, model.roi_heads.fg_bg_sampler):
        sampler.batch_size_per_image, sampler.positive_fraction = EVERYTHING, 0.5
    recipe = twin(NAME, model.state_dict())
    loss = replace(recipe.loss, sampled=EVERYTHING)
    second = replace(
        recipe.second,
        loss=replace(recipe.second.loss, sampled=EVERYTHING, positive_share=0.5),
    )
    return model, replace(recipe, loss=loss, second=second)


def unmatched(ours: np.ndarray, expected: np.ndarray) -> int:
    """How many boxes of either have none of the other within a hundredth of a pixel."""
    apart = np.abs(ours[:, None] - expected[None]).max(-1)
    return int((apart.min(0) > 0.01).sum() + (apart.min(1) > 0.01).sum())


@pytest.mark.parametrize("size_hw", SIZES)
def test_proposals_and_detections_are_the_same(pair, size_hw):
    model, recipe = pair
    image = canvas(size_hw)
    images = ImageList(image, [size_hw])
    with torch.inference_mode():
        their_features = model.eval().backbone(image)
        objectness, deltas = model.rpn.head(list(their_features.values()))
        (their_proposals,), _ = model.rpn(images, their_features)
        (expected,), _ = model.roi_heads(their_features, [their_proposals], [size_hw])
        features, raw = recipe.network.eval().propose(image)
    for level, logits, moves in zip(raw, objectness, deltas, strict=True):
        torch.testing.assert_close(torch.cat([moves, logits], 1), level, rtol=1e-4, atol=1e-4)
    candidates = recipe.coder.decode(tuple(level[0].numpy() for level in raw))
    limits = recipe.second.proposals
    proposals = propose(candidates, limits).boxes
    assert len(their_proposals) == len(proposals) > 300
    assert 0 == unmatched(proposals, their_proposals.numpy())

    with torch.inference_mode():
        numbers = recipe.network.refine(features, [torch.from_numpy(proposals)]).numpy()
    found = recipe.second.coder.at(proposals, size_hw).decode(numbers, 0.05)
    kept = select(found, detections(0.05)).kept
    assert len(expected["boxes"]) == len(kept) >= 50
    for box, label, score in zip(*(expected[n].numpy() for n in expected), strict=True):
        near = np.abs(found.boxes[kept] - box).max(1) + 1e3 * (found.labels[kept] + 1 != label)
        assert near.min() <= 0.01
        assert abs(found.scores[kept][near.argmin()] - score) <= 1e-4


@pytest.mark.parametrize("counts", [(3, 6), (2, 0), (0, 0)], ids=str)
def test_the_losses_are_the_same(pair, counts):
    model, recipe = pair
    size_hw = (192, 128)
    image = canvas(size_hw, images=2)
    targets = [truths(size_hw, count, seed) for seed, count in enumerate(counts)]
    images = ImageList(image, [size_hw] * 2)
    with torch.no_grad():
        features = model.eval().backbone(image)  # batch norm as in use
        model.rpn.train()
        model.roi_heads.train()
        wanted = their_targets(targets, 1)
        proposals, first = model.rpn(images, features, wanted)
        _, second = model.roi_heads(features, proposals, [size_hw] * 2, wanted)
        got = losses(recipe, recipe.network.eval(), image, targets)
    expected = {
        "proposal objectness": first["loss_objectness"],
        "proposal box": first["loss_rpn_box_reg"],
        "class": second["loss_classifier"],
        "box": second["loss_box_reg"],
    }
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert value.item() == pytest.approx(got[name].item(), rel=1e-4, abs=1e-7)
    assert (got["proposal box"] > 0) == (sum(counts) > 0)


class TestWeights:
    def network(self) -> torch.nn.Module:
        chosen = blueprint("faster-rcnn-resnet50")
        return chosen.build(90, chosen.priors(SIZES_WH), (64, 64), pretrained=False).network

    def weights(self, shared) -> dict[str, Tensor]:
        keys = shared / "oracles" / "fixtures" / "tv_statedict_fasterrcnn_resnet50_fpn.json"
        shapes = json.loads(keys.read_text())
        return {name: torch.full(shape, 0.5) for name, shape in shapes.items()}

    def test_the_published_keys_load_whole_and_are_as_many_parameters(self, shared):
        network = self.network()
        load_torchvision(network, self.weights(shared))
        assert all((value == 0.5).all() for value in network.state_dict().values() if value.ndim)
        assert 41_808_406 == sum(p.numel() for p in network.parameters())

    def test_a_proposal_head_of_an_older_file_loads_too(self, shared):
        old = {k.replace("conv.0.0.", "conv."): v for k, v in self.weights(shared).items()}
        assert "rpn.head.conv.weight" in old
        load_torchvision(self.network(), old)


CLASSES = ("ant", "bee")
CANVAS_HW = (96, 128)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    torch.manual_seed(0)
    priors = blueprint("faster-rcnn-lite0").priors(SIZES_WH)
    recipe = faster_rcnn_lite0(2, priors, CANVAS_HW)
    with torch.no_grad():  # sure of something
        recipe.network.proposal_head.objectness.weight *= 30
        recipe.network.box_head.classes.weight *= 6
    return recipe


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs")
    settings = {"data": ["photos"]}
    export.export_run(recipe, recipe.network, run, classes=CLASSES, settings=settings, metrics={})
    return run


class TestTwoGraphs:
    def photos(self) -> list[np.ndarray]:
        random = np.random.default_rng(0)
        sizes = [(75, 110), (200, 31), (96, 128), (301, 299)]
        return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]

    @pytest.mark.parametrize("canvas_hw", [CANVAS_HW, (160, 64)], ids=str)
    def test_onnx_and_torch_detect_the_same(self, recipe, tmp_path, canvas_hw):
        model = bundle.Model(
            *("whole", CLASSES, recipe.coder, CANVAS_HW, recipe.mean, recipe.std),
            *(recipe.thresholds, {}, {}, (), "none", {}),
            second=bundle.Second(recipe.second.coder, recipe.second.proposals),
        )
        model, second = export.with_second(model, recipe.network, half=False)
        (tmp_path / model.second.file).write_bytes(second)
        content = export.to_bytes(model, recipe.network, half=False)
        ours = bundle.from_bytes(
            content, "whole", size=canvas_hw, threads=1, beside=tmp_path
        ).with_thresholds(score_threshold=0.4)
        assert isinstance(ours, TwoStage)
        stages = TorchStages(recipe.network, recipe.mean, recipe.std)
        torchs = replace(ours, engine=stages)
        compared = 0
        for photo in self.photos():
            one, other = ours.detect_array(photo), torchs.detect_array(photo)
            overlap = iou(one.boxes, other.boxes) * (one.labels[:, None] == other.labels)
            for row, place in enumerate(overlap.argmax(1) if len(other) else ()):
                assert np.abs(one.boxes[row] - other.boxes[place]).max() <= 0.01
                assert abs(one.scores[row] - other.scores[place]) <= 1e-4
                compared += 1
            assert len(one) == len(other)
        assert compared > 20  # not vacuous

    def test_the_first_graph_names_the_second_by_its_hash(self, run):
        model = bundle.describe(*bundle.read(run))
        assert {"model.onnx", model.second.file} == {path.name for path in run.iterdir()}
        assert isinstance(bundle.load(run, threads=1), TwoStage)

    def test_its_boxes_and_its_misses_are_explained(self, run):
        detector, (photo, *_) = bundle.load(run, threads=1), self.photos()
        result = detector.with_thresholds(score_threshold=0.01).detect(photo)
        life = result.explain(0)
        assert result.boxes[0].tolist() == list(life.box)
        assert {"level", "stride", "cell", "prior"} == set(
            life.origins[0].proposal.origins[0].where
        )
        truth = Truths.of(np.array([[1.0, 1.0, 9.0, 9.0]]), np.array([0]))
        (verdict,) = detector.explain_truth(photo, truth)
        assert verdict.killer is not None

    def test_detect_walks_within_the_budget_of_two_stages(self, run, tmp_path):
        Image.fromarray(self.photos()[0]).save(tmp_path / "photo.jpg")
        done = subprocess.run(
            [sys.executable, "-m", "architecture.walk", str(tmp_path / "photo.jpg"), str(run)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *sys.path])},
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stderr
        walk = json.loads(done.stdout.splitlines()[-1])
        measured = (len(walk["files"]), walk["functions"], walk["lines"], walk["depth"])
        budget = (10, 45, 450, 6)
        assert all(used <= most for used, most in zip(measured, budget, strict=True)), measured

    def test_a_missing_or_exchanged_second_graph_is_refused(self, run, tmp_path):
        model = bundle.describe(*bundle.read(run))
        (tmp_path / "model.onnx").write_bytes((run / "model.onnx").read_bytes())
        with pytest.raises(bundle.ModelError, match="half of this two-stage model is missing"):
            bundle.load(tmp_path)
        (tmp_path / model.second.file).write_bytes((run / "model.onnx").read_bytes())
        with pytest.raises(bundle.ModelError, match="another model's"):
            bundle.load(tmp_path)
