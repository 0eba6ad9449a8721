"""Checkpoints: a training's whole state in one sealed .safetensors file, the previous one kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from boxray.errors import ModelError
from boxray.files import UNSEALED, seal, verify_seal, write_atomically

SCHEMA = "boxray.checkpoint/1"
LAST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"
NEXT = "next.safetensors"  # the last one to be; seen only if a training is killed while renaming
KEY = "boxray"

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `state["step"]` steps.

    tensors: weights under "network.", their average under "average.", the optimiser's moments
    under "optimizer.<parameter>.". Pictures, augmentations and learning rate follow from the
    seed, the step and the elapsed time in `state`, so no generator's state is needed.
    """

    tensors: Tensors
    state: dict[str, Any]

    def part(self, prefix: str) -> Tensors:
        """The tensors below a prefix, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def pack(
    network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> Checkpoint:
    """A checkpoint of these, ready to write."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    return Checkpoint(tensors, state)


def unpack(
    checkpoint: Checkpoint,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put a checkpoint's tensors back where `pack` found them.

    Raises ModelError if they do not fit the network or its optimiser.
    """
    try:
        network.load_state_dict(checkpoint.part("network."))
        average.load_state_dict(checkpoint.part("average."))
    except RuntimeError as error:
        raise ModelError(f"the checkpoint does not fit this network: {error}") from error
    moments: dict[int, Tensors] = {}
    for name, tensor in checkpoint.part("optimizer.").items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = tensor
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    _require_fit(moments, weights)
    state = {
        number: {name: _laid_out(moment, weights[number]) for name, moment in kept.items()}
        for number, kept in moments.items()
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(moment: Tensor, weight: Tensor) -> Tensor:
    """A moment as its weight lies in memory, which is how a fused optimiser goes through both."""
    return moment if moment.ndim == 0 else torch.empty_like(weight).detach().copy_(moment)


def _require_fit(moments: dict[int, Tensors], weights: list[Tensor]) -> None:
    """Moments are kept by their weight's number: in another order they would be another's."""
    fits = max(moments, default=-1) < len(weights) and all(
        moment.ndim == 0 or moment.shape == weights[number].shape
        for number, kept in moments.items()
        for moment in kept.values()
    )
    if not fits:
        raise ModelError(
            "the checkpoint's optimiser does not fit: it was written by another version of boxray. "
            "Resume with that version, or start a new training."
        )


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Seal a checkpoint and write it whole or not at all."""
    header = {"schema": SCHEMA, "sha256": UNSEALED, "state": checkpoint.state}
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    write_atomically(path, seal(save(tensors, metadata={KEY: json.dumps(header)})))


def write_last(folder: Path, checkpoint: Checkpoint) -> None:
    """Make this the newest checkpoint of a run; the newest so far becomes the previous one.

    The older ones are not touched before the new one is whole and on the disk.
    """
    write(folder / NEXT, checkpoint)
    _name_last(folder)


def _name_last(folder: Path) -> None:
    if (folder / LAST).exists():
        (folder / LAST).replace(folder / PREVIOUS)
    (folder / NEXT).replace(folder / LAST)


def read(path: Path) -> Checkpoint:
    """A checkpoint from its file. ModelError if it is missing, damaged or of another kind."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}.") from error
    verify_seal(content, str(path))
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])["__metadata__"][KEY]
        document = json.loads(header)
        if document["schema"] != SCHEMA:
            raise ModelError(f"{path} is a {document['schema']}; expected a {SCHEMA}.")
        return Checkpoint(load(content), document["state"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a checkpoint of boxray: {error}.") from error


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, and what was wrong with any newer one.

    One that was killed before it got its name gets it now. Needs the run's lock.
    """
    complaints: list[str] = []
    for name in (NEXT, LAST, PREVIOUS):
        if not (folder / name).exists():
            continue
        try:
            found = read(folder / name)
        except ModelError as error:
            complaints.append(str(error))
            continue
        if name == NEXT:
            _name_last(folder)
        return found, complaints
    return None, complaints
