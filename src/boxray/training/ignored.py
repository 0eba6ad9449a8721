"""Settings that would be ignored: each is an error, so that nobody believes it did something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boxray.data import Dataset
from boxray.data.formats import formats_of
from boxray.errors import SettingError
from boxray.networks.backbones import frozen_stages
from boxray.recipes.recipe import Recipe
from boxray.training.balance import repeat_factors
from boxray.training.schedule import Schedule
from boxray.training.settings import TrainSettings
from boxray.training.transfer import IMAGENET

# which files an option about their reading is for
READ_BY = {
    "voc_zero_based": ("voc",),
    "segments": ("yolo", "coco"),
    "merge_names": ("coco",),
}


def refuse_ignored(
    settings: TrainSettings, recipe: Recipe, train: Dataset, resolved: dict[str, Any]
) -> None:
    """SettingError for the first setting that was asked for and would change nothing.

    resolved: what the training runs with.
    """
    for reason in _ignored(settings, recipe, train, resolved):
        raise SettingError(f"{reason} Leave it out.")


def _ignored(
    settings: TrainSettings, recipe: Recipe, train: Dataset, resolved: dict[str, Any]
) -> Iterator[str]:
    batch, validations = resolved["batch"], resolved["validations"]
    if settings.start == IMAGENET and frozen_stages(recipe.network) is None:
        yield f"--start {IMAGENET}: recipe {recipe.name} has no weights of ImageNet."
    if settings.accumulate is not None and settings.accumulate > batch:
        yield f"--accumulate {settings.accumulate}: a batch has only {batch} pictures."
    if settings.patience is not None and settings.patience >= validations:
        yield (
            f"--patience {settings.patience}: this training validates {validations} times in all, "
            "so it could never end early."
        )
    if settings.balance and (repeat_factors(train) <= 1).all():
        yield "--balance: no class is in fewer than a tenth of the pictures."
    if settings.multi_scale and len(_last_sizes(recipe)) == 1:
        yield f"--multi-scale: a canvas of {recipe.canvas_hw} is too small to change its size."
    found = {name for folder in settings.data for name in formats_of(folder, settings.format)}
    for option, wanted in READ_BY.items():
        if getattr(settings, option) and not found.intersection(wanted):
            flag = option.replace("_", "-")
            read, there = " and ".join(wanted), ", ".join(sorted(found))
            yield f"--{flag} is for {read} files; the data is in {there}."


def _last_sizes(recipe: Recipe) -> set[tuple[int, int]]:
    """The canvases of many steps at the end of a training that changes them."""
    schedule = Schedule.of(recipe, 1, multi_scale=True)
    return {schedule.size_hw(1.0, step) for step in range(0, 1000, 10)}
