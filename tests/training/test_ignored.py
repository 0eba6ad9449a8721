"""Every option of `train`, with every recipe: it changes something, or it is refused."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from boxray import data, recipes
from boxray.data.synthetic import make
from boxray.errors import SettingError
from boxray.networks.backbones import freeze, frozen_stages
from boxray.recipes.recipe import blueprint
from boxray.training import TrainSettings
from boxray.training.ignored import refuse_ignored

SIZES_WH = np.geomspace((8, 10), (90, 70), 40)
BATCH, VALIDATIONS = 4, 6
# Each of the rest is read by what `used` names, whatever the recipe and the data.
USED = {
    "data": "read_data", "output": "RunFolder", "recipe": "blueprint", "classes": "read_data",
    "split": "read_data", "val_split": "read_data", "epochs": "total_steps", "minutes": "Clock",
    "batch": "Schedule", "size": "canvas_of", "learning_rate": "adamw", "log": "opened",
    "validations": "the loop", "seed": "Schedule", "threads": "torch.set_num_threads",
    "workers": "DataLoader", "device": "Fabric", "checkpoint_s": "the loop", "format": "read_data",
    "strict": "read_data", "cache": "read_data",
}  # fmt: skip
CHECKED = {
    "start", "freeze", "accumulate", "patience", "balance", "multi_scale",
    "voc_zero_based", "segments", "merge_names",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("data") / "shapes", images=10, seed=0)


@pytest.fixture(params=recipes.TABLE)
def recipe(request):
    found = blueprint(request.param)
    return found.build(3, found.priors(SIZES_WH), (64, 64), pretrained=False)


def refusal(pictures: Path, recipe, resolved=None, **asked: object) -> str | None:
    """What is said about these settings, None where they are taken."""
    settings = replace(TrainSettings(data=(pictures,), output=Path("run")), **asked)
    values = {"batch": BATCH, "validations": VALIDATIONS, **(resolved or {})}
    try:
        refuse_ignored(settings, recipe, data.read(pictures, "train"), values)
    except SettingError as error:
        return str(error)
    return None


def test_every_option_is_accounted_for():
    assert {field.name for field in fields(TrainSettings)} == CHECKED | USED.keys()


def test_backbone_options_are_refused_where_there_is_no_such_backbone(pictures, recipe):
    has_stages = frozen_stages(recipe.network) is not None
    assert has_stages == recipe.name.endswith("-lite0")
    assert has_stages == (refusal(pictures, recipe, start="imagenet") is None)
    if has_stages:
        freeze(recipe.network, 2)
        assert 2 == frozen_stages(recipe.network)
    else:
        with pytest.raises(SettingError, match="--freeze is for recipes on EfficientNet-Lite0"):
            freeze(recipe.network, 2)


class TestOneRecipe:
    @pytest.fixture
    def recipe(self):
        found = blueprint("grid-lite0")
        return found.build(3, found.priors(SIZES_WH), (64, 64), pretrained=False)

    def test_nothing_asked_is_nothing_refused(self, pictures, recipe):
        assert refusal(pictures, recipe) is None

    def test_more_portions_than_pictures(self, pictures, recipe):
        assert refusal(pictures, recipe, accumulate=BATCH) is None
        assert "a batch has only 4 pictures" in refusal(pictures, recipe, accumulate=BATCH + 1)

    def test_patience_that_never_ends(self, pictures, recipe):
        assert refusal(pictures, recipe, patience=VALIDATIONS - 1) is None
        assert "validates 6 times" in refusal(pictures, recipe, patience=VALIDATIONS)

    def test_balance_where_no_class_is_rare(self, pictures, recipe):
        assert "no class is in fewer" in refusal(pictures, recipe, balance=True)

    def test_another_scale_on_a_canvas_that_has_none(self, pictures, recipe):
        # a quarter of 32 pixels rounds to nothing, of 64 to 32 pixels at most
        tiny = replace(recipe, canvas_hw=(32, 32))
        assert "too small to change" in refusal(pictures, tiny, multi_scale=True)
        assert refusal(pictures, replace(recipe, canvas_hw=(320, 320)), multi_scale=True) is None

    def test_how_files_of_another_format_are_read(self, pictures, recipe):
        assert refusal(pictures, recipe, voc_zero_based=True) is None
        for option, wanted in (("segments", "yolo and coco"), ("merge_names", "coco")):
            told = refusal(pictures, recipe, **{option: True})
            assert f"--{option.replace('_', '-')} is for {wanted} files; the data is in voc" in told
