"""What every network holds: raw arrays out, the same in training and in use, at any size."""

import math

import numpy as np
import pytest
import torch

from boxray import recipes
from boxray.recipes.recipe import Recipe, blueprint

SIZES_WH = np.geomspace((8, 10), (90, 70), 40)  # of truths on the canvas


@pytest.fixture(scope="module", params=recipes.TABLE)
def recipe(request) -> Recipe:
    torch.manual_seed(0)
    chosen = blueprint(request.param)
    return chosen.build(4, chosen.priors(SIZES_WH), (96, 96), pretrained=False)


def shapes(recipe: Recipe, batch: int, size_hw: tuple[int, int]) -> list[tuple[int, ...]]:
    """What the coder expects: one map per level, its cells a stride apart, begun ones counted."""
    coder = recipe.coder
    return [
        (batch, channels, -(-size_hw[0] // stride), -(-size_hw[1] // stride))
        for stride, channels in zip(coder.strides, coder.channels, strict=True)
    ]


@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96), (160, 32), (96, 224)])
@pytest.mark.parametrize("batch", [1, 2])
def test_raw_output_fits_the_coder_at_any_size(recipe, batch, size_hw):
    with torch.inference_mode():
        raw = recipe.network.eval()(torch.randn(batch, 3, *size_hw))
    assert shapes(recipe, batch, size_hw) == [tuple(level.shape) for level in raw]


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
    assert len(recipe.coder.strides) == len(recipe.coder.channels)
    assert all(side % recipe.coder.canvas_multiple == 0 for side in recipe.canvas_hw)


def test_before_training_nearly_nothing_is_an_object(recipe):
    if recipe.second is not None:
        pytest.skip("proposals are learned from a balanced sample, which needs no prior")
    with torch.inference_mode():
        raw = recipe.network.eval()(torch.randn(1, 3, 96, 96))
    scores = recipe.coder.decode(tuple(level[0] for level in raw)).scores
    assert math.isfinite(scores.sum())
    # at most the prior probability: σ(ln(0.01 / 0.99)) = 0.01
    assert scores.mean() < 0.02
    assert scores.max() < 0.2
