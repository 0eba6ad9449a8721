"""Every list of torchvision's keys and shapes that lies in the shared fixtures loads whole."""

import json
from pathlib import Path

import pytest
import torch

from networks.torchvision_models import RECIPES, twin

FIXTURES = Path(__file__).parents[2].parent / "shared" / "oracles" / "fixtures"
PREFIX = "tv_statedict_"
LISTS = sorted(FIXTURES.glob(f"{PREFIX}*.json"))


@pytest.mark.skipif(not LISTS, reason="needs 'shared/oracles/fixtures' beside the repository")
@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem.removeprefix(PREFIX))
def test_its_weights_fill_the_whole_network(path):
    shapes = json.loads(path.read_text())
    weights = {name: torch.full(shape, 0.25) for name, shape in shapes.items()}
    name = path.stem.removeprefix(PREFIX)
    (known,) = [one for one in RECIPES if name == one]
    network = twin(known, weights).network
    filled = network.state_dict().values()
    assert len(weights) == len(filled)
    assert all((value == 0.25).all() for value in filled if value.ndim)
