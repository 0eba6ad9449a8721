"""The torch engine normalises channel by channel, however the pixels lie in memory."""

import numpy as np
import pytest
import torch

from boxray.engines.pytorch import normalise

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 5.0)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7)).astype(np.uint8)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_normalised_channel_by_channel(kind, memory_format):
    pixels = torch.from_numpy(PIXELS).to(kind).contiguous(memory_format=memory_format)
    found = normalise(pixels, MEAN, STD)
    expected = [(PIXELS[:, i].astype(np.float32) - MEAN[i]) / STD[i] for i in range(3)]
    np.testing.assert_array_equal(np.stack(expected, axis=1).astype(np.float32), found)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(PIXELS, pixels)  # not changed in place
