"""Any of timm's classifiers runs with weights from a file, and is fed as timm feeds it."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from boxray.classification import imagenet
from boxray.errors import ModelError
from boxray.networks.classifier_files import feeding
from boxray.recipes.patches import classifier, from_file

NAME = "test_resnet.r160_in1k"  # of half a million weights: timm has it for tests


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def saved(path: Path, name: str = NAME, *, drop=(), add=None, **arguments):
    """A network with random weights, and its file."""
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, **arguments).eval()
    weights = {key: value for key, value in network.state_dict().items() if key not in drop}
    save_file({**weights, **(add or {})}, path)
    return network


@pytest.mark.parametrize(
    "name", [NAME, "test_vit.r160_in1k", "test_efficientnet.r160_in1k", "test_convnext.r160_in1k"]
)
def test_it_says_what_timm_says(name, tmp_path):
    path = tmp_path / "model.safetensors"
    theirs = saved(path, name)
    ours = classifier(name, path, threads=1)
    photo = noise(210, 300)
    transform = create_transform(**resolve_data_config(pretrained_cfg=feeding(name)))
    with torch.inference_mode():
        logits = theirs(transform(Image.fromarray(photo))[None]).numpy()
    np.testing.assert_allclose(logits, ours.logits([photo]), atol=1e-4)
    assert (name, imagenet.classes().names) == (ours.name, ours.classes)


def test_of_1001_outputs_the_first_is_no_class(tmp_path):
    path = tmp_path / "model.safetensors"
    saved(path, num_classes=1001)
    ours = classifier(NAME, path, threads=1)
    assert (1, 1001) == ours.logits([noise(9, 9)]).shape
    assert (1, 1000) == ours.probabilities([noise(9, 9)]).shape
    assert "tench" == ours.classes[0]


def test_other_classes_want_names(tmp_path):
    path = tmp_path / "model.safetensors"
    saved(path, num_classes=3)
    with pytest.raises(ModelError, match=r"tells 3 classes apart, and there are 1,000 names"):
        from_file(NAME, path)
    model, _ = from_file(NAME, path, classes=("cat", "dog", "bird"))
    assert (("cat", "dog", "bird"), ()) == (model.classes, model.wnids)


def test_counters_and_an_auxiliary_classifier_are_not_needed(tmp_path):
    path = tmp_path / "model.safetensors"
    saved(path, drop=("bn1.num_batches_tracked",), add={"AuxLogits.fc.weight": torch.ones(2)})
    from_file(NAME, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"drop": ("conv1.0.weight", "bn1.weight")}, "missing: conv1.0.weight, bn1.weight"),
        ({"add": {"more": torch.ones(1)}}, "unknown: more"),
        ({"add": {"bn1.weight": torch.ones(7)}}, r"of another shape: bn1.weight is \(7,\), not"),
    ],
)
def test_another_networks_file_is_refused_by_tensor(tmp_path, change, told):
    path = tmp_path / "model.safetensors"
    saved(path, **change)
    with pytest.raises(ModelError, match=rf"model\.safetensors, for {NAME}.*{told}"):
        from_file(NAME, path)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for content in (b"", b"\xff" * 8 + b"{}", b"\x80\x02."):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"no whole \.safetensors file"):
            from_file(NAME, path)
    with pytest.raises(ModelError, match=r"absent.safetensors: no such file"):
        from_file(NAME, tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match=r"Pickles .* are not opened"):
        from_file(NAME, tmp_path / "model.pth")
    with pytest.raises(ModelError, match=r"Keras' weights are read for inception_v3.tf_in1k and"):
        from_file(NAME, tmp_path / "model.h5")


@pytest.mark.parametrize("name", ["hf-hub:timm/inception_v3.tf_in1k", "local-dir:/etc", "", "*"])
def test_a_name_is_never_an_address(name, tmp_path):
    with pytest.raises(ModelError, match="timm has no network"):
        from_file(name, tmp_path / "model.safetensors")


def test_a_misspelt_name_is_told_the_nearest(tmp_path):
    with pytest.raises(ModelError, match=r"Did you mean inception_v3\.tf_in1k"):
        from_file("inception_v3.tf_in2k", tmp_path / "model.safetensors")


def test_every_pretrained_classifier_of_imagenet_can_be_fed():
    from boxray.recipes import patches

    names = [name for name in timm.list_pretrained() if feeding(name)["num_classes"] == 1000]
    assert len(names) > 1000
    for name in names:
        patches._preprocessing(name, feeding(name))
