"""Numbers of training that several recipes share; the default has its own."""

from __future__ import annotations

from boxray.augmentation import Augmentation
from boxray.recipes.recipe import Optimisation

AUGMENTATION = Augmentation(
    zoom=(0.6, 1.6),
    mosaic_zoom=(0.4, 1.0),
    mosaic_share=0.5,
    squeeze=1.3,
    colour=0.3,
    visible=0.35,
)
LITE0 = Optimisation(  # new layers on a backbone that ImageNet taught
    learning_rate=2e-3,
    backbone_share=0.025,
    weight_decay=0.02,
    warm_up=0.03,
    final_share=0.02,
    clip_norm=20.0,
    sizes=((0.0, 0.6), (0.35, 0.8), (0.7, 1.0)),
    mosaic_until=0.8,
    average_share=0.1,
)
RESNET50 = Optimisation(  # everything at one rate
    learning_rate=1e-4,
    backbone_share=1.0,
    weight_decay=1e-4,
    warm_up=0.03,
    final_share=0.01,
    clip_norm=10.0,
    sizes=((0.0, 0.7), (0.4, 1.0)),
    mosaic_until=0.8,
    average_share=0.1,
)
