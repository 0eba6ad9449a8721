"""Starting from a trained detector: the same function, for other classes and other priors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from boxray import bundle, data
from boxray.coders.yolo_grid import YoloGrid
from boxray.data.synthetic import make
from boxray.engines.pytorch import TorchEngine
from boxray.errors import ModelError, SettingError
from boxray.protocols import Raw
from boxray.recipes.recipe import Recipe, blueprint
from boxray.training.transfer import Start, read_start, start_from

CANVAS_HW = (96, 128)
OTHER_PRIORS = (
    ((8.0, 9.0), (14.0, 20.0), (30.0, 22.0)),
    ((40.0, 44.0), (50.0, 90.0), (80.0, 77.0)),
    ((90.0, 95.0), (110.0, 140.0), (200.0, 210.0)),
)
CLASSES = ("square", "cat")  # the shipped detector knows the second


@pytest.fixture(scope="module")
def shipped() -> Start:
    return read_start("default")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> data.Dataset:
    folder = make(tmp_path_factory.mktemp("data") / "shapes", images=8, seed=0, classes=CLASSES)
    read = data.read(folder, "train")
    return replace(read, classes=CLASSES)


@pytest.fixture(scope="module")
def canvases() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *CANVAS_HW, 3), np.uint8)


def recipe_of(class_count, priors, name="grid-lite0") -> Recipe:
    """A recipe whose network is still random."""
    torch.manual_seed(0)
    return blueprint(name).build(class_count, priors, CANVAS_HW, pretrained=False)


def said_by(recipe: Recipe, canvases: np.ndarray) -> Raw:
    return TorchEngine(recipe.network, recipe.mean, recipe.std)(canvases)


def every_box(coder: YoloGrid, raw: Raw) -> np.ndarray:
    """The box of every row, whatever its score."""
    grid = coder.grid(CANVAS_HW)
    return coder.boxes(coder.flatten(raw)[..., :4], grid.cell, grid.stride, grid.prior)


@pytest.fixture(scope="module")
def said(canvases) -> Raw:
    """What the shipped model's file says, run without torch."""
    return bundle.load("default").engine(canvases)


def test_with_its_own_classes_and_priors_a_network_says_what_the_model_says(
    shipped, pictures, canvases, said
):
    recipe = recipe_of(len(shipped.model.classes), shipped.model.coder.priors)

    known = start_from(shipped, recipe, replace(pictures, classes=shipped.model.classes))

    assert shipped.model.classes == known
    for expected, got in zip(said, said_by(recipe, canvases), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-3)


def test_priors_of_another_size_say_the_same_boxes(shipped, pictures, canvases, said):
    recipe = recipe_of(len(CLASSES), OTHER_PRIORS)

    start_from(shipped, recipe, pictures)

    np.testing.assert_allclose(
        every_box(recipe.coder, said_by(recipe, canvases)),
        every_box(shipped.model.coder, said),
        rtol=1e-3,
        atol=0.05,
    )


def test_a_class_of_the_same_name_keeps_its_rows_and_the_others_are_new(
    shipped, pictures, canvases, said
):
    recipe = recipe_of(len(CLASSES), OTHER_PRIORS)
    untaught = recipe.network.head.what[0].weight.detach().clone().unflatten(0, (3, 2))

    known = start_from(shipped, recipe, pictures)

    assert ("cat",) == known
    cat = 5 + shipped.model.classes.index("cat")
    theirs = said[0].reshape(2, 3, 25, *said[0].shape[2:])[:, :, cat]
    ours = said_by(recipe, canvases)[0].reshape(2, 3, 7, *said[0].shape[2:])[:, :, 5 + 1]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)
    rows = recipe.network.head.what[0].weight.unflatten(0, (3, 2))
    assert torch.equal(untaught[:, 0], rows[:, 0])


def test_in_training_each_batch_norm_starts_by_undoing_itself(shipped, pictures):
    recipe = recipe_of(len(CLASSES), OTHER_PRIORS)

    start_from(shipped, recipe, pictures)

    norms = [m for m in recipe.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) > 10
    for norm in norms:
        assert torch.equal((norm.running_var + norm.eps).sqrt(), norm.weight)
        assert norm.training


def test_a_network_of_another_kind_gets_the_backbone_alone(shipped, pictures):
    recipe = recipe_of(2, OTHER_PRIORS, "retinanet-lite0")
    before = {name: value.clone() for name, value in recipe.network.state_dict().items()}

    known = start_from(shipped, recipe, pictures)

    assert known is None
    for name, value in recipe.network.state_dict().items():
        wanted = shipped.weights[name] if name.startswith("backbone.") else before[name]
        assert torch.equal(wanted, value), name


def test_a_pyramid_of_another_width_gets_the_backbone_alone(shipped, pictures):
    recipe = recipe_of(len(CLASSES), OTHER_PRIORS)
    narrow = {k: v[:4] if k.startswith("neck.") else v for k, v in shipped.weights.items()}

    known = start_from(replace(shipped, weights=narrow), recipe, pictures)

    assert known is None
    assert torch.equal(
        shipped.weights["backbone.stages.0.0.conv.weight"],
        recipe.network.backbone.stages[0][0].conv.weight,
    )


def test_a_model_of_another_backbone_is_refused_before_any_work(shipped, pictures):
    recipe = recipe_of(2, OTHER_PRIORS, "retinanet-lite0")
    few = {k: v for k, v in shipped.weights.items() if not k.startswith("backbone.stages.3")}

    with pytest.raises(SettingError, match=r"no weights for backbone\.stages\.3.*--start imagenet"):
        start_from(replace(shipped, weights=few), recipe, pictures)
    with pytest.raises(SettingError, match=r"pixels or backbone differ"):
        start_from(shipped, replace(recipe, mean=(0.0, 0.0, 0.0)), pictures)
    with pytest.raises(SettingError, match=r"pixels or backbone differ.*--start imagenet"):
        start_from(shipped, recipe_of(2, OTHER_PRIORS[1:], "yolov3-tiny"), pictures)
    with pytest.raises(ModelError, match="no model 'nowhere'"):
        read_start("nowhere")
