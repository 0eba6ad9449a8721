"""Linear layers on frozen features: classes by softmax regression, boxes by ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch.nn import functional

from boxray.boxes import Array

ITERATIONS = 100  # of L-BFGS; the loss stands still before


@dataclass(frozen=True)
class Linear:
    """features @ weights.T + biases."""

    weights: Float32[Array, "outputs channels"]
    biases: Float32[Array, "outputs"]

    def __call__(self, features: Float32[Array, "n channels"]) -> Float32[Array, "n outputs"]:
        said: Array = features @ self.weights.T + self.biases
        return said


def fit_classes(
    features: Float32[Array, "n channels"], labels: Int[Array, "n"], count: int, *, decay: float
) -> Linear:
    """Softmax regression: the least mean cross-entropy + decay/2 · |weights|² of scaled features.

    labels: 0 to count - 1. Features are brought to mean 0 and deviation 1 for it, which is undone
    in what comes back, so that one decay suits all. The loss is convex: there is one answer.
    Source: L-BFGS of torch (Liu & Nocedal 1989).
    """
    mean, scale = features.mean(0), features.std(0) + 1e-6
    scaled, truth = torch.from_numpy((features - mean) / scale), torch.from_numpy(labels)
    weights = torch.zeros(count, features.shape[1], requires_grad=True)
    biases = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, biases], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        missed = functional.cross_entropy(scaled @ weights.T + biases, truth)
        cost = missed + decay / 2 * weights.square().sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = weights.detach().numpy() / scale
    return Linear(found, biases.detach().numpy() - found @ mean)


def fit_boxes(
    features: Float32[Array, "n channels"],
    deltas: Float[Array, "n 4"],
    *,
    decay: float,
) -> Linear:
    """Ridge regression: the least |deltas - prediction|² + decay · |weights|²; the bias is free.

    Without rows nothing moves. Source: Girshick et al. 2014, appendix C, equation 5.
    """
    channels = features.shape[1]
    if not len(features):
        return Linear(np.zeros((4, channels), np.float32), np.zeros(4, np.float32))
    mean, middle = features.mean(0), deltas.mean(0)
    centred = (features - mean).astype(np.float64)
    square = centred.T @ centred + decay * np.eye(channels)
    weights = np.linalg.solve(square, centred.T @ (deltas - middle)).T.astype(np.float32)
    return Linear(weights, (middle - weights @ mean).astype(np.float32))


def stacked(layers: list[Linear]) -> Linear:
    """One layer that says what each of these says, one after another."""
    return Linear(
        np.concatenate([layer.weights for layer in layers]),
        np.concatenate([layer.biases for layer in layers]),
    )
