"""What every model file holds: onnxruntime detects what torch detects, in one stage or two.

To 0.01 pixels and 1e-4 of a score, on pictures of odd sizes and on a canvas never seen before.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from boxray import bundle, export, images
from boxray.boxes import iou
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchEngine, TorchStages, normalise
from boxray.networks.darknet import DarknetNetwork
from boxray.networks.heads import GridHead
from boxray.recipes.recipe import Recipe, blueprint
from boxray.records import Detections
from contracts.test_recipes import SIZES_WH, TRAINED
from test_export import photos

CLASSES = ("ant", "bee", "cat")
CANVAS_HW, OTHER_HW = (96, 128), (160, 64)
SPREAD = 0.5  # of every raw number about 0
SHOWN = 60  # candidates of a picture that reach the threshold


def output_layers(network: nn.Module) -> list[nn.Module]:
    """The layers that say the raw numbers."""
    if isinstance(network, DarknetNetwork):  # all others have batch norm in place of a bias
        return [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    if hasattr(network, "box_head"):
        first, second = network.proposal_head, network.box_head
        return [first.objectness, first.boxes, second.classes, second.boxes]
    if isinstance(network.head, GridHead):
        return [*network.head.where, *network.head.what]
    return [network.head.classes, network.head.boxes]


@torch.no_grad()
def as_if_trained(recipe: Recipe) -> None:
    """Let batch norm know its batches, and every raw number vary, so that scores differ."""
    network = recipe.network
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # its statistics are the mean over what it sees
    pixels = np.stack([images.fit(photo, CANVAS_HW)[0] for photo in photos(4, seed=9)])
    image = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2), recipe.mean, recipe.std)
    network.train()(image)
    network.eval()
    for layer in output_layers(network):
        numbers = said_by(layer, network, image)
        factor = SPREAD / (numbers.std(0) + 1e-12)
        layer.weight *= factor.reshape(-1, *[1] * (layer.weight.ndim - 1))
        layer.bias.copy_((layer.bias - numbers.mean(0)) * factor)
        layer.bias += torch.linspace(-0.2, 0.2, len(layer.bias))  # no two alike


def said_by(layer: nn.Module, network: nn.Module, image: Tensor) -> Tensor:
    """All that one layer says of a batch, a column for each of its outputs."""
    said: list[Tensor] = []
    hook = layer.register_forward_hook(
        lambda _, __, output: said.append(output.movedim(1, -1).flatten(0, -2))
    )
    if hasattr(network, "box_head"):
        features, _ = network.propose(image)
        height, width = CANVAS_HW
        box = torch.tensor([[0.0, 0, width / 2, height], [8, 8, width, height / 2]])
        network.refine(features, [box] * len(image))
    else:
        network(image)
    hook.remove()
    return torch.cat(said)


@pytest.fixture(scope="module", params=TRAINED)
def recipe(request) -> Recipe:
    torch.manual_seed(0)
    chosen = blueprint(request.param)
    recipe = chosen.build(len(CLASSES), chosen.priors(SIZES_WH), CANVAS_HW)
    as_if_trained(recipe)
    return recipe


@pytest.fixture(scope="module")
def pair(recipe, tmp_path_factory) -> tuple[OneStage | TwoStage, OneStage | TwoStage]:
    """The same detector twice: from its files, and on torch."""
    folder = tmp_path_factory.mktemp("model")
    second = recipe.second and bundle.Second(recipe.second.coder, recipe.second.proposals)
    model = bundle.Model(
        *(recipe.name, CLASSES, recipe.coder, CANVAS_HW, recipe.mean, recipe.std),
        *(recipe.thresholds, {}, {}, (), "none", {}),
        second=second,
    )
    if second is not None:
        model, content = export.with_second(model, recipe.network, half=False)
        (folder / model.second.file).write_bytes(content)
    content = export.to_bytes(model, recipe.network, half=False)
    ours = bundle.from_bytes(content, recipe.name, threads=1, beside=folder)
    engine = TorchEngine if recipe.second is None else TorchStages
    return ours, replace(ours, engine=engine(recipe.network, recipe.mean, recipe.std))


def nearest(one: Detections, row: int, other: Detections) -> tuple[float, float]:
    """How far the nearest box of its class is, in pixels, and its score."""
    apart = np.abs(other.boxes - one.boxes[row]).max(1, initial=0)
    apart[other.labels != one.labels[row]] = np.inf
    score = np.abs(other.scores - one.scores[row])
    place = int(np.lexsort((score, apart > 0.01))[0])
    return float(apart[place]), float(score[place])


def is_a_close_call(one: Detections, row: int, other: Detections, detector: OneStage) -> bool:
    """Whether a last digit decides: at the threshold, or against a rival of the other side."""
    limits = detector.thresholds
    overlap = iou(one.boxes[[row]], other.boxes)[0]
    edge = np.abs(overlap - limits.iou_threshold) < 1e-3
    rival = (overlap > limits.iou_threshold) & (np.abs(other.scores - one.scores[row]) < 1e-3)
    return bool(one.scores[row] - limits.score_threshold < 1e-3 or edge.any() or rival.any())


@pytest.mark.parametrize("canvas_hw", [CANVAS_HW, OTHER_HW], ids=str)
def test_torch_and_onnx_detect_the_same(pair, canvas_hw):
    ours, theirs = (replace(one, canvas_hw=canvas_hw) for one in pair)
    compared = close_calls = 0
    for photo in photos(6, seed=2):
        scores = ours.detect_array(photo, score_threshold=0.0).candidates.scores
        threshold = float(np.sort(scores)[-SHOWN:][0])
        one, other = (
            detector.with_thresholds(score_threshold=threshold) for detector in (ours, theirs)
        )
        found, expected = one.detect_array(photo), other.detect_array(photo)
        for here, there in ((found, expected), (expected, found)):
            for row in range(len(here)):
                apart, score = nearest(here, row, there) if len(there) else (np.inf, np.inf)
                if apart <= 0.01 and score <= 1e-4:
                    compared += 1
                else:
                    assert is_a_close_call(here, row, there, one), (apart, score)
                    close_calls += 1
    assert compared > 40  # not vacuous
    assert close_calls <= compared / 20
