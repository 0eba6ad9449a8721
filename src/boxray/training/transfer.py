"""A training begins where a trained detector is: its weights, for other classes and priors.

What is copied: every weight that has its place in the new network, so backbone, pyramid and the
towers. What is carried over: the box branch, for priors of another size; a class's row, for a
class of the same name. What is new: the rows of all other classes. A network that shares no more
than the backbone gets that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from boxray import bundle, export
from boxray.augmentation import letterbox
from boxray.coders.yolo_grid import YoloGrid
from boxray.data import Dataset
from boxray.engines.pytorch import normalise
from boxray.errors import SettingError
from boxray.networks.backbones import Lite0
from boxray.networks.heads import GridHead
from boxray.recipes.recipe import PriorsByLevel, Recipe
from boxray.training.pictures import readable_picture

IMAGENET = "imagenet"  # in place of a model: the backbone's own weights, the rest random
SHOWN = 32  # pictures from which batch norm is found again


@dataclass(frozen=True)
class Start:
    """A trained model to begin with, and its weights by their names in the folded network."""

    model: bundle.Model
    weights: dict[str, Tensor]


def read_start(name_or_path: str) -> Start:
    """The model of that name, file or run folder, with its weights.

    Raises ModelError for what is no model, SettingError for a classifier or two stages.
    """
    content, label = bundle.read(name_or_path)
    model = bundle.describe(content, label)
    if not isinstance(model, bundle.Model) or model.second is not None:
        kind = "is a classifier" if isinstance(model, bundle.ClassifierModel) else "has two stages"
        raise SettingError(
            f"{label} {kind}; a training can start from a model of one stage, or from "
            f"--start {IMAGENET}."
        )
    if model.certificate is not None and model.certificate.integers is not None:
        raise SettingError(f"{label} is on 8-bit integers; start from the model before.")
    return Start(model, export.stored_weights(content))


def start_from(start: Start, recipe: Recipe, train: Dataset) -> tuple[str, ...] | None:
    """Fill the recipe's network with the model's weights, in place; the classes it knows already.

    Where the model's batch norms were folded into convolutions, they are found again from the
    first pictures of the data. A model of another recipe on the same backbone gives that alone:
    None. Raises SettingError for a model of another backbone.
    """
    network = recipe.network
    norms = list(_norms(network))
    unfolded = {f"{norm}.{part}" for norm, _ in norms for part in _PARTS}
    wanted = {k: v for k, v in network.state_dict().items() if k not in unfolded}
    theirs = _coder_of(start.model, recipe)
    of_any_class = {k: v for k, v in wanted.items() if not k.startswith("head.what.")}
    if theirs is None or _lacking(start.weights, of_any_class) is not None:
        _fill_backbone(start, recipe, wanted)
        return None
    rows = dict(_carried_rows(start, theirs.priors, recipe, train.classes))
    filled = {name: rows.get(name, start.weights.get(name)) for name in wanted}
    network.load_state_dict(filled, strict=False)
    for name, convolution in norms:
        _open_norm(network.get_submodule(name), start.weights[f"{convolution}.bias"])
    _find_norms(recipe, [network.get_submodule(name) for name, _ in norms], train)
    return tuple(name for name in train.classes if name in start.model.classes)


def _fill_backbone(start: Start, recipe: Recipe, wanted: Mapping[str, Tensor]) -> None:
    """The backbone's weights alone, which has no batch norm and sees the same pixels."""
    backbone = {name: value for name, value in wanted.items() if name.startswith("backbone.")}
    is_lite0 = isinstance(getattr(recipe.network, "backbone", None), Lite0)  # Darknet's has none
    alike = is_lite0 and (start.model.mean, start.model.std) == (recipe.mean, recipe.std)
    lacking = _lacking(start.weights, backbone)
    if lacking is not None or not alike:
        why = f"it has no weights for {lacking}" if lacking else "its pixels or backbone differ"
        raise SettingError(
            f"the model {start.model.name!r} has nothing for recipe {recipe.name}: {why}. Start "
            f"from a model of this recipe, or with --start {IMAGENET}."
        )
    recipe.network.load_state_dict({name: start.weights[name] for name in backbone}, strict=False)


def _lacking(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """The first wanted tensor that is not stored in its shape, if any."""
    for name, value in wanted.items():
        if name not in stored or stored[name].shape != value.shape:
            return name
    return None


_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _coder_of(model: bundle.Model, recipe: Recipe) -> YoloGrid | None:
    """The model's coder, if it is the recipe's but for classes and prior sizes."""
    ours, theirs = recipe.coder, model.coder
    if (
        isinstance(ours, YoloGrid)
        and isinstance(theirs, YoloGrid)
        and isinstance(getattr(recipe.network, "head", None), GridHead)
        and replace(theirs, class_count=ours.class_count, priors=ours.priors) == ours
        and [len(level) for level in theirs.priors] == [len(level) for level in ours.priors]
        and (model.mean, model.std) == (recipe.mean, recipe.std)
    ):
        return theirs
    return None


def _carried_rows(
    start: Start, their_priors: PriorsByLevel, recipe: Recipe, classes: Sequence[str]
) -> Iterator[tuple[str, Tensor]]:
    """The last layers: the box branch for these priors, and a row for each class."""
    head, ours = recipe.network.get_submodule("head"), recipe.coder
    assert isinstance(head, GridHead)
    assert isinstance(ours, YoloGrid)
    for level, priors in enumerate(zip(their_priors, ours.priors, strict=True)):
        bias = start.weights[f"head.where.{level}.bias"]
        yield f"head.where.{level}.bias", _for_priors(bias, *map(np.array, priors))
        for part, new in head.what[level].state_dict().items():
            name = f"head.what.{level}.{part}"
            yield name, _for_classes(start.weights[name], start.model.classes, new, classes)


def _for_priors(
    bias: Float[Tensor, "numbers"],
    theirs_wh: Float[np.ndarray, "priors 2"],
    ours_wh: Float[np.ndarray, "priors 2"],
) -> Float[Tensor, "numbers"]:
    """The bias with which priors of another size say the same boxes.

    p'·exp(t') = p·exp(t) for t' = t + ln(p / p').
    """
    shifted = bias.view(len(ours_wh), -1).clone()
    shifted[:, 2:4] += torch.from_numpy(np.log(theirs_wh / ours_wh)).float()
    return shifted.flatten()


def _for_classes(
    theirs: Tensor, their_classes: Sequence[str], ours: Tensor, our_classes: Sequence[str]
) -> Tensor:
    """Per prior the rows of our classes: the model's, where it knows the name, else the new ones.

    theirs and ours: prior by prior, class by class along the first axis.
    """
    old = theirs.view(-1, len(their_classes), *theirs.shape[1:])
    rows = ours.clone().view(-1, len(our_classes), *ours.shape[1:])
    for label, name in enumerate(our_classes):
        if name in their_classes:
            rows[:, label] = old[:, their_classes.index(name)]
    return rows.flatten(0, 1)


def _norms(network: nn.Module) -> Iterator[tuple[str, str]]:
    """The names of each batch norm and of the convolution before it, into which it is folded."""
    for parent_name, parent in network.named_modules():
        for (first, layer), (second, following) in itertools.pairwise(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                yield f"{parent_name}.{second}", f"{parent_name}.{first}"


def _open_norm(norm: nn.Module, bias: Float[Tensor, "c"]) -> None:
    """A batch norm that only adds the bias of the convolution it was folded into."""
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        nn.init.ones_(norm.weight)
        norm.bias.copy_(bias)
        nn.init.zeros_(norm.running_mean)  # type: ignore[arg-type]  # they keep statistics
        nn.init.constant_(norm.running_var, 1 - norm.eps)  # type: ignore[arg-type]


def _find_norms(recipe: Recipe, norms: Sequence[nn.Module], train: Dataset) -> None:
    """Give each batch norm the statistics of what it sees, and the scale and shift to undo them.

    In use nothing changes: y = b + x = (b + μ) + √(σ² + ε)·(x - μ)/√(σ² + ε). In training, where a
    batch is normalised by its own statistics, it now says nearly the same.
    """
    shown = [readable_picture(sample, recipe.canvas_hw)[0] for sample in train.samples[:SHOWN]]
    pixels = np.stack([letterbox(picture, recipe.canvas_hw)[0].image for picture in shown])
    image = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2), recipe.mean, recipe.std)
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    trained = recipe.network.training
    with torch.no_grad():
        recipe.network.eval()(image)
    recipe.network.train(trained)
    for hook in hooks:
        hook.remove()


def _take_statistics(norm: nn.Module, inputs: tuple[Float[Tensor, "n c h w"]]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.add_(mean)
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
    norm.running_var.copy_(variance)  # type: ignore[union-attr]
