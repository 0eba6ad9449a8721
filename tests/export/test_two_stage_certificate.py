"""The certificate of two stages: a network that knows nothing gets one, each planted fault none."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from boxray import bundle, export
from boxray.errors import ModelError
from boxray.export.certificate import certify
from boxray.export.twins import Twin, of_recipe
from boxray.recipes.recipe import Recipe, blueprint
from export.test_certificate import (
    before_all,
    from_0_to_1,
    half_a_pixel,
    metadata,
    put_before,
    resealed,
)

NAME = "faster-rcnn-lite0"
CLASSES = ("ant", "bee", "cat")
CANVAS_HW = (64, 96)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Nothing was learned, so that a thousand proposals are in near ties."""
    torch.manual_seed(0)
    chosen = blueprint(NAME)
    recipe = chosen.build(len(CLASSES), chosen.priors(np.zeros((0, 2))), CANVAS_HW)
    recipe.network.eval()
    return recipe


@pytest.fixture(scope="module")
def twin(recipe) -> Twin:
    return of_recipe(recipe, CLASSES, trained="best.safetensors")


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    settings = {"data": [], "recipe": NAME}
    export.export_run(
        recipe, recipe.network, folder, classes=CLASSES, settings=settings, metrics={}
    )
    return folder


@pytest.fixture(scope="module")
def content(run) -> bytes:
    return (run / bundle.MODEL_FILE).read_bytes()


def test_near_ties_among_proposals_are_no_difference(content, twin, run):
    found = certify(content, twin, beside=run)
    assert found.pixels < 0.01
    assert found.score < 1e-4
    assert found.pairs > 100
    assert 0 < found.trained_pixels < 5


def test_half_a_pixel_is_told(content, twin, run):
    spoilt = half_a_pixel(content, np.full((1, 2), 0.5), (0, 1, 0, 0))
    with pytest.raises(ModelError, match=r"wrong letterbox.*half a pixel too far right"):
        certify(spoilt, twin, beside=run)


def test_blue_green_red_is_told(content, twin, run):
    spoilt = before_all(content, "Gather", np.array([2, 1, 0]), axis=1)
    with pytest.raises(ModelError, match="wrong order of channels"):
        certify(spoilt, twin, beside=run)


def test_another_normalisation_in_the_graph_is_told(content, twin, run):
    with pytest.raises(ModelError, match=r"another normalisation.*pixels from 0 to 1"):
        certify(from_0_to_1(content), twin, beside=run)


@pytest.mark.parametrize(
    ("field", "key", "value", "what"),
    [
        ("normalisation", "mean", [123.675, 116.28, 103.53], "normalisation"),
        ("coder", "priors", None, "priors of proposals"),
        ("second", "coder", {"kind": "proposal_deltas", "weights": [5.0] * 4, "smallest": 0.01},
         "priors or coder"),
    ],
)  # fmt: skip
def test_what_the_metadata_say_otherwise_is_told(content, twin, run, field, key, value, what):
    said = metadata(content)[field]
    value = value or [level[::-1] for level in said[key]]
    spoilt = resealed(onnx.load_from_string(content), **{field: {**said, key: value}})
    with pytest.raises(ModelError, match=f"wrong {what}"):
        certify(spoilt, twin, beside=run)


def test_another_choice_of_proposals_is_told(content, twin, run):
    second = metadata(content)["second"]
    fewer = {**second["proposals"], "max_detections": 100}
    spoilt = resealed(onnx.load_from_string(content), second={**second, "proposals": fewer})
    with pytest.raises(ModelError, match="wrong choice of proposals"):
        certify(spoilt, twin, beside=run)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("boxes", ("Add", np.full(4, 0.5, np.float32))),
        ("feature_0", ("Mul", np.array(1.01, np.float32))),
    ],
)
def test_a_second_graph_that_looks_elsewhere_is_told(content, twin, run, tmp_path, name, fault):
    second = metadata(content)["second"]
    (file,) = run.glob("refine-*.onnx")
    graph = onnx.load(file)
    put_before(graph, name, *fault)
    spoilt = graph.SerializeToString()
    digest = hashlib.sha256(spoilt).hexdigest()
    first = resealed(onnx.load_from_string(content), second={**second, "digest": digest})
    model = bundle.describe(first, "it")
    (tmp_path / model.second.file).write_bytes(spoilt)
    with pytest.raises(ModelError, match="the export is refused: its boxes are up to"):
        certify(first, twin, beside=tmp_path)
