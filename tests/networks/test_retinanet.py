"""RetinaNet is torchvision's: with its weights the same raw heads, boxes and losses."""

import json

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet

from boxray.errors import ModelError
from boxray.networks.published import load_torchvision
from boxray.recipes.recipe import Recipe, blueprint
from boxray.selection import Thresholds, select
from networks.torchvision_models import (
    RECIPES,
    SIZES_WH,
    canvas,
    their_targets,
    theirs,
    truths,
    twin,
)

NAMES = [name for name in RECIPES if name.startswith("retinanet")]
SIZES = [(224, 224), (320, 224), (160, 352)]
# as torchvision detects
THRESHOLDS = Thresholds(
    score_threshold=0.05,
    iou_threshold=0.5,
    limit_before=None,
    limit_before_per_group=1000,
    max_detections=300,
)


@pytest.fixture(scope="module", params=NAMES)
def pair(request) -> tuple[RetinaNet, Recipe]:
    model = theirs(request.param)
    head, image = model.head, canvas((224, 224))
    with torch.no_grad():  # from the prior probability to what training makes of it: some, sure
        said, _, _ = their_outputs(model.eval(), image)
        head.classification_head.cls_logits.weight *= 1.2 / said["cls_logits"].std()
        head.classification_head.cls_logits.bias += 0.5
        head.regression_head.bbox_reg.weight *= 0.4 / said["bbox_regression"].std()
    return model, twin(request.param, model.state_dict())


def their_outputs(model: RetinaNet, image: torch.Tensor):
    """Heads and anchors of torchvision's model from a canvas that is ready."""
    features = list(model.backbone(image).values())
    images = ImageList(image, [tuple(image.shape[-2:])] * len(image))
    return model.head(features), model.anchor_generator(images, features), features


@pytest.mark.parametrize("size_hw", SIZES)
def test_the_raw_heads_are_the_same(pair, size_hw):
    model, recipe = pair
    image = canvas(size_hw)
    with torch.inference_mode():
        heads, anchors, _ = their_outputs(model.eval(), image)
        raw = recipe.network.eval()(image)
    numbers = recipe.coder.flatten(raw)
    torch.testing.assert_close(heads["bbox_regression"], numbers[..., :4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(heads["cls_logits"], numbers[..., 4:], rtol=1e-4, atol=1e-4)
    assert heads["cls_logits"].std() > 0.1  # not all alike
    np.testing.assert_array_equal(anchors[0], recipe.coder.anchors(size_hw).boxes)


@pytest.mark.parametrize("size_hw", SIZES)
def test_the_boxes_after_selection_are_the_same(pair, size_hw):
    model, recipe = pair
    image = canvas(size_hw)
    with torch.inference_mode():
        heads, anchors, features = their_outputs(model.eval(), image)
        counts = [feature.shape[-2] * feature.shape[-1] * 9 for feature in features]
        heads = {name: list(value.split(counts, 1)) for name, value in heads.items()}
        by_level = [list(anchors[0].split(counts))]
        (expected,) = model.postprocess_detections(heads, by_level, [size_hw])
        raw = recipe.network.eval()(image)
    candidates = recipe.coder.decode(tuple(level[0].numpy() for level in raw), 0.05)
    kept = select(candidates, THRESHOLDS).kept
    assert len(expected["boxes"]) >= 100  # not vacuous
    assert len(expected["boxes"]) == len(kept)
    boxes = candidates.boxes[kept]
    for box, label, score in zip(
        expected["boxes"].numpy(), expected["labels"], expected["scores"], strict=True
    ):
        near = np.abs(boxes - box).max(1) + 1e3 * (candidates.labels[kept] != int(label))
        assert near.min() <= 0.01
        assert abs(candidates.scores[kept][near.argmin()] - score) <= 1e-4


@pytest.mark.parametrize("size_hw", SIZES[1:])
@pytest.mark.parametrize("counts", [(4, 9), (3, 0), (0, 0)], ids=str)
def test_the_losses_are_the_same(pair, size_hw, counts):
    model, recipe = pair
    image = canvas(size_hw, images=2)
    targets = [truths(size_hw, count, seed) for seed, count in enumerate(counts)]
    with torch.no_grad():
        heads, anchors, _ = their_outputs(model.eval(), image)
        expected = model.compute_loss(their_targets(targets, 0), heads, anchors)
        got = recipe.loss(recipe.network.eval()(image), targets, recipe.coder)
    assert expected["classification"].item() == pytest.approx(got["class"].item(), rel=1e-4)
    assert expected["bbox_regression"].item() == pytest.approx(got["box"].item(), rel=1e-4)
    assert got["class"] > 0
    assert (got["box"] > 0) == (sum(counts) > 0)


def test_the_losses_are_the_same_in_training_mode_where_batch_norm_follows_the_batch(pair):
    model, recipe = pair
    image, targets = (
        canvas((160, 224), images=2),
        [truths((160, 224), 5, 7), truths((160, 224), 1, 8)],
    )
    with torch.no_grad():
        heads, anchors, _ = their_outputs(model.train(), image)
        expected = model.compute_loss(their_targets(targets, 0), heads, anchors)
        got = recipe.loss(recipe.network.train()(image), targets, recipe.coder)
    assert expected["classification"].item() == pytest.approx(got["class"].item(), rel=1e-4)
    assert expected["bbox_regression"].item() == pytest.approx(got["box"].item(), rel=1e-4)
    load_torchvision(recipe.network, model.state_dict())  # its statistics have moved


def test_parameters_are_as_many_as_torchvisions(pair):
    counts = {"retinanet-resnet50": 34_068_119, "retinanet-resnet50-v2": 38_198_935}
    _, recipe = pair
    assert counts[recipe.name] == sum(p.numel() for p in recipe.network.parameters())


class TestWeights:
    def network(self):
        chosen = blueprint("retinanet-resnet50")
        return chosen.build(91, chosen.priors(SIZES_WH), (64, 64), pretrained=False).network

    def weights(self, shared) -> dict[str, torch.Tensor]:
        keys = shared / "oracles" / "fixtures" / "tv_statedict_retinanet_resnet50_fpn.json"
        return {
            name: torch.full(shape, 0.5) for name, shape in json.loads(keys.read_text()).items()
        }

    def test_the_published_keys_load_whole(self, shared):
        network = self.network()
        load_torchvision(network, self.weights(shared))
        assert all((value == 0.5).all() for value in network.state_dict().values() if value.ndim)

    def test_weights_for_frozen_batch_norm_freeze_it_with_an_epsilon_of_0(self, shared):
        network = self.network()
        weights = {k: v for k, v in self.weights(shared).items() if "num_batches" not in k}
        load_torchvision(network, weights)
        # 34 068 119 parameters, but the 53 120 of batch norm's scales and shifts are fixed now
        assert 34_014_999 == sum(p.numel() for p in network.parameters())
        norms = [layer for layer in network.modules() if "BatchNorm" in type(layer).__name__]
        assert {0.0} == {layer.eps for layer in norms}
        assert 53 == len(norms)

    def test_files_that_count_the_towers_activations_load_too(self, shared):
        old = {}
        for name, value in self.weights(shared).items():
            head, found, rest = name.partition(".conv.")
            if "head" in name and found:
                number, _, rest = rest.partition(".0.")
                name = f"{head}.conv.{2 * int(number)}.{rest}"
            old[name] = value
        assert "head.regression_head.conv.6.bias" in old
        load_torchvision(self.network(), old)

    def test_what_is_unknown_missing_or_misshapen_is_named_and_nothing_is_changed(self, shared):
        network, weights = self.network(), self.weights(shared)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        del weights["backbone.body.conv1.weight"]
        weights["backbone.body.fc.weight"] = torch.zeros(1000, 2048)
        weights["head.regression_head.bbox_reg.bias"] = torch.zeros(12)
        with pytest.raises(ModelError) as caught:
            load_torchvision(network, weights)
        for told in (
            "unknown: backbone.body.fc.weight",
            "missing: backbone.body.conv1.weight",
            "head.regression_head.bbox_reg.bias is (12,), not (36,)",
        ):
            assert told in str(caught.value)
        assert all((before[name] == value).all() for name, value in network.state_dict().items())
