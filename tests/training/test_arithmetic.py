"""Training in bfloat16: when, and how near it is to 32 bits."""

import numpy as np
import pytest
import torch

from boxray.recipes.recipe import Recipe, blueprint
from boxray.training.arithmetic import BFLOAT16, FLOAT32, precision_of
from boxray.training.starting import learner_of
from boxray.training.step import Learner

PRIORS = (((8.0, 8.0),) * 3, ((24.0, 24.0),) * 3, ((60.0, 60.0),) * 3)
SIDE = 64


def grid() -> Recipe:
    torch.manual_seed(0)
    return blueprint("grid-lite0").build(2, PRIORS, (SIDE, SIDE))


def learner(precision: str) -> Learner:
    asked = {"device": "cpu", "learning_rate": 2e-3, "accumulate": 1, "precision": precision}
    return learner_of(grid(), asked)


def batch():
    """Four noisy pictures with one square each."""
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (4, 3, SIDE, SIDE), dtype=np.uint8))
    box = np.array([[16, 16, 48, 48]], np.float32)
    truths = (box, np.zeros(1, np.int64), np.zeros((0, 4), np.float32))
    return pixels, [truths] * 4, []


@pytest.mark.parametrize(
    ("known", "device", "expected"),
    [
        ({"avx512_bf16": True}, "cpu", BFLOAT16),
        ({"avx512_bf16": False}, "cpu", FLOAT32),
        ({}, "cpu", FLOAT32),
        ({"avx512_bf16": True}, "cuda", FLOAT32),
    ],
)
def test_it_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, known, device, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert expected == precision_of(grid(), device)


def test_a_torch_that_does_not_tell_means_32_bits(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert FLOAT32 == precision_of(grid(), "cpu")


@pytest.mark.parametrize("name", ["retinanet-lite0", "faster-rcnn-lite0", "yolov3-lite0"])
def test_other_recipes_stay_in_32_bits(monkeypatch, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    chosen = blueprint(name)
    sizes = np.array([[20.0, 20.0], [50.0, 50.0]] * 9)
    recipe = chosen.build(2, chosen.priors(sizes), (SIDE, SIDE), pretrained=False)
    assert FLOAT32 == precision_of(recipe, "cpu")


def test_losses_and_gradients_in_bfloat16_are_nearly_those_in_32_bits():
    exact, mixed = learner(FLOAT32), learner(BFLOAT16)
    wanted, found = (one._learn(batch(), 1.0, 0) for one in (exact, mixed))
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert value == pytest.approx(found[name], rel=0.02)  # bfloat16 keeps 8 bits, 0.4 %
    # noise, and a new head that says next to nothing: far more rounding than in a training
    for part, least in (("backbone", 0.6), ("neck", 0.7), ("head", 0.9)):
        a, b = (gradients(one.network.module.get_submodule(part)) for one in (exact, mixed))
        assert (torch.float32, torch.float32) == (a.dtype, b.dtype)
        assert least < torch.cosine_similarity(a, b, dim=0)


def gradients(layers: torch.nn.Module) -> torch.Tensor:
    return torch.cat([w.grad.flatten() for w in layers.parameters() if w.requires_grad])


def test_what_is_kept_of_a_training_in_bfloat16_is_in_32_bits():
    mixed = learner(BFLOAT16)
    mixed.step(batch(), rate=1.0, seed=0, number=0)
    kept = [*mixed.network.state_dict().values(), *mixed.average.state_dict().values()]
    moments = [m for state in mixed.optimizer.state.values() for m in state.values()]
    floats = {value.dtype for value in (*kept, *moments) if value.is_floating_point()}
    assert {torch.float32} == floats


def test_the_same_steps_in_bfloat16_give_the_same_weights():
    runs = []
    for _ in range(2):
        mixed = learner(BFLOAT16)
        for number in range(2):
            mixed.step(batch(), rate=1.0, seed=0, number=number)
        runs.append([value.clone() for value in mixed.network.state_dict().values()])
    assert all(a.equal(b) for a, b in zip(*runs, strict=True))
