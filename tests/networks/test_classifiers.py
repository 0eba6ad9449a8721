"""A classifier as a map says of each window what it says of that piece alone, or is refused."""

import pytest

timm = pytest.importorskip("timm", reason="needs the extra 'train'")
import torch  # noqa: E402
from torch import nn  # noqa: E402

from boxray.errors import ModelError  # noqa: E402
from boxray.networks.classifiers import LogitMap  # noqa: E402

SIZE = (64, 64)


def body(name: str) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = timm.create_model(name, pretrained=False, num_classes=5)
    return made.eval()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv2_035"])
def test_of_a_picture_of_its_size_the_map_says_what_the_classifier_says(name):
    picture = torch.rand(2, 3, *SIZE)
    with torch.inference_mode():
        expected = body(name)(picture)
        logits, features = LogitMap(body(name), SIZE)(picture)
    torch.testing.assert_close(logits[:, :, 0, 0], expected)
    assert (2, 1, 1) == (features.shape[0], *features.shape[2:])


def test_the_map_has_a_place_for_each_window():
    network = LogitMap(body("resnet18"), SIZE)
    with torch.inference_mode():
        logits, _ = network(torch.rand(1, 3, 64 + 2 * 32, 64 + 3 * 32))
    assert 32 == network.stride
    assert (1, 5, 3, 4) == logits.shape


def test_where_nothing_is_outside_of_windows_they_say_what_crops_say():
    """Without padding a window's cells know nothing but the window: the map is exact."""
    network = LogitMap(Unpadded().eval(), (8, 8))
    picture = torch.rand(1, 3, 12, 16)
    with torch.inference_mode():
        logits, _ = network(picture)
        for row in range(3):
            for column in range(5):
                window = picture[..., 2 * row : 2 * row + 8, 2 * column : 2 * column + 8]
                torch.testing.assert_close(logits[..., row, column], network(window)[0][..., 0, 0])


class Unpadded(nn.Module):
    """Two convolutions without padding, in timm's form."""

    feature_info = ({"reduction": 2},)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 6, 2, 2), nn.ReLU(), nn.Conv2d(6, 7, 3))
        self.global_pool = nn.Module()
        self.global_pool.pool_type = "avg"
        self.fc: nn.Module = nn.Linear(7, 5)

    def forward_features(self, image: torch.Tensor) -> torch.Tensor:
        return self.features(image)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def reset_classifier(self, _: int) -> None:
        self.fc = nn.Identity()


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mobilenetv3_small_050", r"blocks\.0\.0\.se\.conv_reduce"),  # squeeze-excite
        ("eca_resnet33ts", r"stages\.0\.0\.attn\.conv"),  # channel attention
    ],
)
def test_a_layer_that_looks_at_the_whole_picture_is_named(name, layer):
    with pytest.raises(ModelError, match=rf"layer '{layer}' \(Conv.d\) looks at the whole picture"):
        LogitMap(body(name), SIZE)


def test_another_end_than_mean_and_linear_is_refused():
    made = body("resnet18")
    made.global_pool.pool_type = "max"
    with pytest.raises(ModelError, match="ends in max and Linear"):
        LogitMap(made, SIZE)
