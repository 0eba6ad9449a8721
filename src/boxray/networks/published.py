"""Weights that torchvision publishes, for boxray's networks of the same architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from boxray.networks.backbones import freeze_batch_norm
from boxray.networks.fitting import require_fit

FROZEN_EPSILON = 0.0  # with which torchvision trained those of its weights that are frozen
COUNTER = "num_batches_tracked"  # what a batch norm that learns has beside its four tensors

# (theirs, ours), the first that matches; files of before 2022 name the towers without the last .0
NAMES = (
    (r"backbone\.body\.", "backbone.body."),
    (r"backbone\.fpn\.", "neck.fpn."),
    (r"head\.classification_head\.conv\.(\d+)\.(?=\d)", r"head.class_tower.\1."),
    (r"head\.regression_head\.conv\.(\d+)\.(?=\d)", r"head.box_tower.\1."),
    (r"head\.classification_head\.conv\.(\d+)\.(?!\d)", r"head.class_tower.\1.half."),
    (r"head\.regression_head\.conv\.(\d+)\.(?!\d)", r"head.box_tower.\1.half."),
    (r"head\.classification_head\.cls_logits\.", "head.classes."),
    (r"head\.regression_head\.bbox_reg\.", "head.boxes."),
    (r"rpn\.head\.conv\.(0\.0\.)?", "proposal_head.tower.0.0."),
    (r"rpn\.head\.cls_logits\.", "proposal_head.objectness."),
    (r"rpn\.head\.bbox_pred\.", "proposal_head.boxes."),
    (r"roi_heads\.box_head\.fc6\.", "box_head.first."),
    (r"roi_heads\.box_head\.fc7\.", "box_head.second."),
    (r"roi_heads\.box_predictor\.cls_score\.", "box_head.classes."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "box_head.boxes."),
)


def load_torchvision(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Fill a RetinaNet or Faster R-CNN on ResNet-50 with torchvision's state dict, whole.

    Weights without batch norm's counters were published for frozen batch norm: the network's is
    frozen, too, with the epsilon that torchvision sets for them, 0.
    Raises ModelError, naming what is unknown, missing or of another shape; then nothing is changed.
    """
    ours = {_named(name): (name, value) for name, value in weights.items()}
    frozen = not any(name.endswith(COUNTER) for name in ours)
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if not (frozen and name.endswith(COUNTER))
    }
    require_fit(
        {name: tuple(value.shape) for name, (_, value) in ours.items()},
        {name: tuple(value.shape) for name, value in wanted.items()},
        called={name: theirs for name, (theirs, _) in ours.items()},
    )
    if frozen:
        freeze_batch_norm(network, FROZEN_EPSILON)
    with torch.no_grad():
        network.load_state_dict({name: value for name, (_, value) in ours.items()})


def _named(theirs: str) -> str:
    """What we call a tensor of theirs; its own name if it is none that we know."""
    for pattern, ours in NAMES:
        if re.match(pattern, theirs):
            return _halved(re.sub(f"^{pattern}", ours, theirs))
    return theirs


def _halved(name: str) -> str:
    """An old file counts the towers' activations, too: its layers are 0, 2, 4 and 6."""
    return re.sub(r"tower\.(\d+)\.half\.", lambda m: f"tower.{int(m[1]) // 2}.0.", name)
