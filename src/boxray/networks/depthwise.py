"""Depthwise convolution, whose filters a CPU can learn in no more time than it takes to use them.

oneDNN, which computes torch's convolutions on a CPU, has fast kernels for the gradient of filters
of up to three columns; wider ones take ten times as long for each weight, in bfloat16 thirty
times. And it has none for what a strided convolution hands back in bfloat16
(docs/decisions, 32). So the backward pass goes by stripes of three columns, or in 32 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

WIDEST = 3  # columns of a filter for whose gradient there are fast kernels


class DepthwiseConv(nn.Module):
    """`nn.Conv2d` with one square filter per channel: the same names, the same numbers.

    conv: whose weight and bias it takes, with its stride and padding.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.kernel_size, self.stride, self.padding = conv.kernel_size, conv.stride, conv.padding

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c p q"]:
        assert not isinstance(self.padding, str)
        convolve = _Learned.apply if self.training else _convolved
        convolved: Tensor = convolve(
            features, self.weight, self.bias, self.stride[0], self.padding[0]
        )
        return convolved


def _convolved(
    features: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    return functional.conv2d(features, weight, bias, stride, padding, groups=len(weight))


class _Learned(torch.autograd.Function):
    """The convolution, with a backward pass of our own."""

    @staticmethod
    def forward(
        context: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        padding: int,
    ) -> Tensor:
        context.save_for_backward(features, weight)
        context.stride, context.padding = stride, padding
        return _convolved(features, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = context.saved_tensors
        stride, padding = context.stride, context.padding
        if stride > 1:
            gradient = gradient.float()
        ours: list[Tensor | None] = [None, None, None]
        if context.needs_input_grad[0]:
            ours[0] = _gradient(0, features, weight, gradient, stride, (padding, padding))
        if context.needs_input_grad[1]:
            ours[1] = _of_filters(features, weight, gradient, stride, padding)
        if context.needs_input_grad[2]:
            ours[2] = gradient.float().sum((0, 2, 3))
        return *ours, None, None


def _of_filters(
    features: Tensor, weight: Tensor, gradient: Tensor, stride: int, padding: int
) -> Tensor:
    """The gradient of the filters, from a few columns of them at a time."""
    stripes = []
    for first in range(0, weight.shape[3], WIDEST):
        columns = weight[..., first : first + WIDEST]
        needed = (gradient.shape[3] - 1) * stride + columns.shape[3]
        left = padding - first  # where it is below 0, columns that these filters do not see
        seen = functional.pad(features, (left, needed - left - features.shape[3]))
        stripes.append(_gradient(1, seen, columns, gradient, stride, (padding, 0)))
    return torch.cat(stripes, 3)


def _gradient(
    which: int,
    features: Tensor,
    weight: Tensor,
    gradient: Tensor,
    stride: int,
    padding: tuple[int, int],
) -> Tensor:
    """Of features (0) or filters (1), by torch's own kernels in the numbers of `gradient`."""
    kind, told = gradient.dtype, (features, weight)
    found = torch.ops.aten.convolution_backward(
        gradient, features.to(kind), weight.to(kind), None, (stride, stride), padding, (1, 1),
        False, (0, 0), len(weight), (which == 0, which == 1, False),
    )[which]  # fmt: skip
    wanted: Tensor = found.to(told[which].dtype)
    return wanted
