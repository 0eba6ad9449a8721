"""The network behind a model file, in torch, to compare the file with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from boxray import bundle, recipes
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchEngine, TorchStages
from boxray.errors import BoxError, ModelError
from boxray.recipes.recipe import Blueprint, PriorsByLevel, Recipe, blueprint


@dataclass(frozen=True)
class Twin:
    """What a model file was exported from: a detector in torch.

    trained: where its network has its weights from, in single precision; None if it has none, so
    that only the file's own can be put into it.
    """

    detector: OneStage | TwoStage
    trained: str | None = None

    @property
    def engine(self) -> TorchEngine | TorchStages:
        """The learned part in torch."""
        assert isinstance(self.detector.engine, TorchEngine | TorchStages)
        return self.detector.engine

    def holding(self, network: nn.Module) -> Twin:
        """The same detector with the weights of this network."""
        detector, engine = self.detector, self.engine
        if isinstance(detector, OneStage):
            assert isinstance(engine, TorchEngine)
            return Twin(replace(detector, engine=replace(engine, network=network)), self.trained)
        assert isinstance(engine, TorchStages)
        return Twin(replace(detector, engine=replace(engine, network=network)), self.trained)


def of_recipe(recipe: Recipe, classes: tuple[str, ...], trained: str | None = None) -> Twin:
    """The twin of whatever is exported from a recipe's network."""
    if recipe.second is not None:
        two = TwoStage(
            engine=TorchStages(recipe.network, recipe.mean, recipe.std),
            proposal_coder=recipe.coder,
            proposal_thresholds=recipe.second.proposals,
            coder=recipe.second.coder,
            classes=classes,
            canvas_hw=recipe.canvas_hw,
            thresholds=recipe.thresholds,
        )
        return Twin(two, trained)
    one = OneStage(
        engine=TorchEngine(recipe.network, recipe.mean, recipe.std),
        coder=recipe.coder,
        classes=classes,
        canvas_hw=recipe.canvas_hw,
        thresholds=recipe.thresholds,
    )
    return Twin(one, trained)


def of_file(model: bundle.Model) -> Twin | None:
    """The twin of a file that names its recipe, without trained weights; None if it names none.

    It selects as the file does: thresholds are the choice of who exported it.

    Raises ModelError for priors in another order than the recipe's k-means gives.
    """
    name = str(model.recipe.get("recipe")).replace("_", "-")
    if name not in recipes.TABLE:
        return None
    chosen = blueprint(name)
    priors = _priors(chosen, model)
    recipe = chosen.build(len(model.classes), priors, model.canvas_hw, pretrained=False)
    twin = of_recipe(recipe, model.classes)
    return replace(twin, detector=replace(twin.detector, thresholds=model.thresholds))


def _priors(chosen: Blueprint, model: bundle.Model) -> PriorsByLevel:
    """Those that the recipe has for all data, else the file's."""
    try:
        return chosen.priors(np.zeros((0, 2)))
    except BoxError:  # they follow from the data
        priors: PriorsByLevel = getattr(model.coder, "priors", ())
    areas = [width * height for level in priors for width, height in level]
    if areas != sorted(areas):
        raise ModelError(
            f"wrong order of priors: the file's areas are {[round(area) for area in areas]}, and "
            f"a training with {model.recipe['recipe']} has them ascending from the finest level "
            "on. Export the run again."
        )
    return priors
