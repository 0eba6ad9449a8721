"""A network of timm's and a file of weights become one model that says the same, or none at all."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import boxray
from boxray.errors import ModelError
from boxray.export import classifiers as exporting
from boxray.recipes.patches import classifier
from boxray.verbs.export import export


def saved(name, folder, **arguments):
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_file(timm.create_model(name, **arguments).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("name", "stride"), [("test_resnet.r160_in1k", 32), ("test_vit.r160_in1k", None)]
)
def test_it_becomes_a_model_that_says_the_same(name, stride, tmp_path):
    weights = saved(name, tmp_path)
    report = export(name, tmp_path / "it.onnx", weights=weights)
    assert report.logits_apart < 1e-5
    assert (name, stride, 1000) == (
        report.model.name,
        report.model.stride,
        len(report.model.classes),
    )
    assert "logits at most" in report.summary()[1]
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    ours = boxray.load_classifier(tmp_path / "it.onnx", threads=1).logits([photo, photo])
    theirs = classifier(name, weights, threads=1).logits([photo, photo])
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_classes_of_ones_own_are_named(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    weights = saved("test_resnet.r160_in1k", tmp_path, num_classes=2)
    out = tmp_path / "it.onnx"
    export("test_resnet.r160_in1k", out, weights=weights, classes=tmp_path / "names.txt")
    assert ("cat", "dog") == boxray.load_classifier(out, threads=1).classes


def test_a_file_that_says_something_else_is_refused(tmp_path, monkeypatch):
    weights = saved("test_resnet.r160_in1k", tmp_path)
    whole = exporting.classifier_bytes

    def without_mean(model, network, **half):
        fed = replace(model.preprocessing, mean=(0.0, 0.0, 0.0))
        network.head.bias.data += 1.0
        return whole(replace(model, preprocessing=fed), network, **half)

    monkeypatch.setattr(exporting, "classifier_bytes", without_mean)
    with pytest.raises(ModelError, match=r"its logits are up to 1 from those of test_resnet"):
        export("test_resnet.r160_in1k", tmp_path / "it.onnx", weights=weights)
    assert not (tmp_path / "it.onnx").exists()
