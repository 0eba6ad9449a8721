"""torchvision's own detectors with seeded random weights, and boxray's twins filled from them."""

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from boxray.assignment import Targets
from boxray.networks.published import load_torchvision
from boxray.recipes.recipe import Recipe, blueprint

SIZES_WH = np.array([[30.0, 40.0]])  # of truths; the papers' anchors do not look
NO_BOXES = torch.zeros(0, 4)
RECIPES = {
    "fasterrcnn_resnet50_fpn": "faster-rcnn-resnet50",
    "retinanet_resnet50_fpn": "retinanet-resnet50",
    "retinanet_resnet50_fpn_v2": "retinanet-resnet50-v2",
}


def theirs(name: str) -> nn.Module:
    """torchvision's model of 91 classes; scores are spread so that hundreds of boxes are told."""
    torch.manual_seed(0)
    model = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.2, generator=generator)
                layer.running_var.uniform_(0.5, 2, generator=generator)
    return model


def twin(name: str, weights: dict[str, Tensor], canvas_hw: tuple[int, int] = (320, 224)) -> Recipe:
    """boxray's recipe of the same network, with these weights."""
    chosen = blueprint(RECIPES[name])
    # torchvision counts a background among RetinaNet's classes, too, which is never taught
    class_count = 91 if name.startswith("retinanet") else 90
    recipe = chosen.build(class_count, chosen.priors(SIZES_WH), canvas_hw, pretrained=False)
    load_torchvision(recipe.network, weights)
    return recipe


def truths(size_hw: tuple[int, int], count: int, seed: int) -> Targets:
    """Boxes anywhere on the canvas, from a few pixels to half of it."""
    random = np.random.default_rng(seed)
    height, width = size_hw
    low = random.uniform(0, 0.6, (count, 2)) * (width, height)
    size = random.uniform(0.03, 0.4, (count, 2)) * (width, height)
    boxes = torch.from_numpy(np.concatenate([low, low + size], 1)).float()
    return Targets(boxes, torch.from_numpy(random.integers(0, 90, count)), NO_BOXES)


def their_targets(targets: list[Targets], first_label: int) -> list[dict[str, Tensor]]:
    """The same truths as torchvision takes them."""
    return [{"boxes": t.boxes, "labels": t.labels + first_label} for t in targets]


def canvas(size_hw: tuple[int, int], images: int = 1, seed: int = 3) -> Tensor:
    """Normalised pixels with some structure: coarse noise, enlarged."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(images, 3, 9, 7, generator=generator)
    return functional.interpolate(coarse, size_hw, mode="bilinear", align_corners=False)
