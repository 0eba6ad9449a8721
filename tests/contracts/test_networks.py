"""What every network holds: raw arrays out, the same in training and in use, at any size."""

import math

import pytest
import torch

from boxray.networks.one_stage import OneStageNetwork
from boxray.recipes import Recipe
from boxray.recipes.grid_lite0 import grid_lite0

PRIORS = (((10.0, 14.0),) * 3, ((37.0, 58.0),) * 3, ((135.0, 169.0),) * 3)


def default() -> Recipe:
    torch.manual_seed(0)
    return grid_lite0(4, PRIORS, (96, 96), pretrained=False)


EVERY_RECIPE = {"grid_lite0": default}


@pytest.fixture(scope="module", params=EVERY_RECIPE.values(), ids=EVERY_RECIPE)
def recipe(request) -> Recipe:
    return request.param()


def shapes(recipe: Recipe, batch: int, size_hw: tuple[int, int]) -> list[tuple[int, ...]]:
    """What the coder expects: one map of A·(5 + C) channels per level."""
    coder = recipe.coder
    return [
        (batch, len(priors) * coder.numbers, size_hw[0] // stride, size_hw[1] // stride)
        for stride, priors in zip(coder.strides, coder.priors, strict=True)
    ]


@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96), (160, 32), (96, 224)])
@pytest.mark.parametrize("batch", [1, 2])
def test_raw_output_fits_the_coder_at_any_size(recipe, batch, size_hw):
    with torch.inference_mode():
        raw = recipe.network.eval()(torch.randn(batch, 3, *size_hw))
    assert shapes(recipe, batch, size_hw) == [tuple(level.shape) for level in raw]
    assert recipe.coder.flatten(raw).shape[-2] == len(recipe.coder.grid(size_hw).level)


def test_training_and_use_give_the_same_kind_of_output(recipe):
    image = torch.randn(2, 3, 64, 64)
    trained, used = recipe.network.train()(image), recipe.network.eval()(image)
    assert type(trained) is type(used) is tuple
    assert [(t.shape, t.dtype) for t in trained] == [(u.shape, u.dtype) for u in used]
    assert all(t.requires_grad for t in trained)


def test_an_image_means_the_same_alone_and_in_a_batch(recipe):
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        together = recipe.network.eval()(images)
        alone = recipe.network(images[:1])
    for level, one in zip(together, alone, strict=True):
        torch.testing.assert_close(level[:1], one, rtol=1e-4, atol=1e-5)


def test_the_coder_and_the_network_agree_about_levels(recipe):
    assert isinstance(recipe.network, OneStageNetwork)
    assert len(recipe.coder.strides) == len(recipe.coder.priors)
    assert all(side % max(recipe.coder.strides) == 0 for side in recipe.canvas_hw)


def test_before_training_nearly_nothing_is_an_object(recipe):
    with torch.inference_mode():
        raw = recipe.network.eval()(torch.randn(1, 3, 96, 96))
    objectness = recipe.coder.flatten(raw)[0, :, 4].sigmoid()
    # the prior probability: σ(ln(0.01 / 0.99)) = 0.01
    assert 0.01 == pytest.approx(objectness.mean().item(), abs=0.01)
    assert objectness.max() < 0.2
    assert math.isfinite(objectness.sum())
