"""In which numbers a training computes: 32-bit floats, or bfloat16 where a processor has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from boxray.recipes.recipe import Recipe

FLOAT32, BFLOAT16 = "float32", "bfloat16"


def precision_of(recipe: Recipe, device: str) -> str:
    """What a recipe is trained in: `BFLOAT16` on a processor that multiplies it, else `FLOAT32`.

    In mixed precision convolutions and what lies between them are computed in bfloat16, with 8
    bits of every number and twice as many at a time; weights, their gradients and average, the
    loss, validation and the exported model stay 32-bit floats. So do recipes not known to bear it.
    Source: Kalamkar et al. 2019, "A study of BFLOAT16 for deep learning training".
    """
    # not in every torch that we allow
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    native = device == "cpu" and known.get("avx512_bf16", False)
    return BFLOAT16 if native and recipe.mixed else FLOAT32


def fabric_of(device: str, precision: str) -> Fabric:
    """What moves a network to a device and runs it in these numbers."""
    accelerator = "cuda" if device == "cuda" else "cpu"
    # as a plugin, for of a precision that it is told by name Fabric prints a line
    mixed = MixedPrecision("bf16-mixed", device) if precision == BFLOAT16 else None
    return Fabric(accelerator=accelerator, devices=1, plugins=mixed)
