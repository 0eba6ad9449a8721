"""A two-stage network: proposals from anchors, then a second look at each proposal."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import MultiScaleRoIAlign

POOLED = 7  # rows and columns of what is cut out for one proposal
SAMPLES = 2  # points per row and column of a pooled cell


class TwoStageNetwork(nn.Module):
    """Normalised pixels to feature maps and raw proposals; these maps and boxes to raw answers.

    Between both, somebody else decides which boxes are looked at again. The maps that the box head
    reads are all of the neck's but the coarsest.
    Source: Ren et al. 2015; Lin et al. 2017 (feature pyramid), sections 4.1 and 4.2.
    """

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, proposal_head: nn.Module, box_head: nn.Module
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.proposal_head = proposal_head
        self.box_head = box_head

    def propose(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Feature maps for `refine`, and one raw array per level, finest first."""
        maps = self.neck(self.backbone(image))
        raw: tuple[Tensor, ...] = self.proposal_head(maps)
        return tuple(maps[:-1]), raw

    def refine(
        self, features: tuple[Tensor, ...], boxes: list[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "k numbers"]:
        """Raw answers for the boxes of every image, one image after another."""
        answers: Tensor = self.box_head(features, boxes)
        return answers

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The first stage's raw arrays."""
        return self.propose(image)[1]


class BoxHead(nn.Module):
    """RoIAlign to 7×7 cells, two fully connected layers, then deltas and logits of each class.

    A proposal of √area s is cut out of the level 4 + log2(s / canonical), stride 16 being level 4
    (Lin et al. 2017, feature pyramid, equation 1). strides: of the maps, finest first.
    Numbers per proposal: 4 deltas of background and of each class, then as many logits (the order
    of `ProposalDeltas`).
    Source: He et al. 2017 (Mask R-CNN), section 3, for RoIAlign; Girshick 2015, section 2.
    """

    def __init__(
        self,
        width: int,
        *,
        strides: tuple[int, ...],
        hidden: int,
        class_count: int,
        canonical: int = 224,
    ) -> None:
        super().__init__()
        self.finest = strides[0]
        self.levels = [str(level) for level in range(len(strides))]
        self.pool = MultiScaleRoIAlign(self.levels, POOLED, SAMPLES, canonical_scale=canonical)
        self.first = nn.Linear(width * POOLED**2, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.classes = nn.Linear(hidden, class_count + 1)
        self.boxes = nn.Linear(hidden, 4 * (class_count + 1))

    def forward(
        self, features: tuple[Tensor, ...], boxes: list[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "k numbers"]:
        """Raw answers for the boxes of every image, one image after another."""
        maps = dict(zip(self.levels, features, strict=True))
        height, width = (int(side) * self.finest for side in features[0].shape[-2:])
        pooled = self.pool(maps, boxes, [(height, width)] * len(boxes))
        hidden = functional.relu(self.first(pooled.flatten(1)))
        hidden = functional.relu(self.second(hidden))
        return torch.cat([self.boxes(hidden), self.classes(hidden)], 1)
