"""Depthwise convolution beside torch's own: the same numbers, forwards and backwards."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from boxray.networks.depthwise import DepthwiseConv

CHANNELS = 3


def pair(kernel: int, stride: int, padding: int) -> tuple[nn.Conv2d, DepthwiseConv]:
    """Torch's layer and ours, of equal weights."""
    torch.manual_seed(0)
    theirs = nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, groups=CHANNELS)
    ours = DepthwiseConv(nn.Conv2d(CHANNELS, CHANNELS, kernel, stride, padding, groups=CHANNELS))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def learned(layer: nn.Module, features: torch.Tensor) -> list[torch.Tensor]:
    """What it says, and the gradients of features, weight and bias."""
    leaf = features.clone().requires_grad_()
    said = layer(leaf)
    said.backward(torch.linspace(-1, 1, said.numel()).reshape(said.shape).to(said.dtype))
    return [said.detach(), leaf.grad, layer.weight.grad, layer.bias.grad]


@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    padded=st.booleans(),
    height=st.integers(7, 12),
    width=st.integers(7, 12),
)
def test_it_learns_as_torchs_own_does(kernel, stride, padded, height, width):
    theirs, ours = pair(kernel, stride, kernel // 2 if padded else 0)
    features = torch.randn(2, CHANNELS, height, width)
    for expected, found in zip(learned(theirs, features), learned(ours, features), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_in_mixed_precision_it_is_near_and_keeps_its_weights_in_32_bits(kernel, stride):
    theirs, ours = pair(kernel, stride, kernel // 2)
    features = torch.randn(2, CHANNELS, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = learned(ours, features.bfloat16())
    assert [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32] == [
        f.dtype for f in found
    ]
    for expected, one in zip(learned(theirs, features), found, strict=True):
        near = (one.float() - expected).norm() / expected.norm()
        assert near < 0.02  # bfloat16 keeps 8 bits, 0.4 % of a number


def test_what_is_frozen_gets_no_gradient():
    _, ours = pair(5, 1, 2)
    ours.requires_grad_(False)
    leaf = torch.randn(1, CHANNELS, 6, 6, requires_grad=True)
    ours(leaf).sum().backward()
    assert leaf.grad is not None
    assert (None, None) == (ours.weight.grad, ours.bias.grad)


def test_in_use_it_is_torchs_own_convolution():
    theirs, ours = pair(5, 2, 2)
    features = torch.randn(1, CHANNELS, 9, 9)
    assert theirs(features).equal(ours.eval()(features))
    assert "convolution" in ours(features).grad_fn.name().lower()
