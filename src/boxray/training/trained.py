"""A run folder's trained network, to compare its exported file with."""

from __future__ import annotations

from pathlib import Path

from boxray.errors import ModelError
from boxray.export.twins import Twin, of_recipe
from boxray.ledger import SETTINGS, read_resolved
from boxray.recipes.recipe import blueprint
from boxray.training import checkpoints


def twin_of_run(run: Path) -> Twin | None:
    """What the run's model.onnx was exported from: its best checkpoint, else its newest.

    None without any. Raises FormatError for damaged settings, ModelError for a damaged checkpoint
    or one of another network.
    """
    paths = [run / name for name in (checkpoints.BEST, checkpoints.LAST)]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        return None
    values = read_resolved(run / SETTINGS).values
    chosen = blueprint(values["recipe"])
    priors = tuple(tuple(tuple(prior) for prior in level) for level in values["priors"])
    height, width = values["canvas_hw"]
    classes = tuple(values["classes_found"])
    recipe = chosen.build(len(classes), priors, (height, width), pretrained=False)
    try:
        recipe.network.load_state_dict(checkpoints.read(path).part("average."))
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit recipe {recipe.name}: {error}.") from error
    return of_recipe(recipe, classes, trained=path.name)
