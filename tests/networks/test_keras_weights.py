"""Keras' files fill timm's networks, in order, and say what Keras says; others are refused."""

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from boxray.errors import ModelError
from boxray.networks import keras_files
from boxray.networks.classifier_files import WithoutBorder, from_keras
from boxray.networks.keras_weights import class_count, load_keras
from networks.keras_layouts import layers_of, write

PEER = Path(__file__).with_name("keras_peer.py")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return timm.create_model("inception_v3.tf_in1k")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("keras"), reason="needs Keras as an oracle: the extra 'dev'")
@pytest.mark.parametrize(
    ("name", "layout"), [("inception_v3", "root"), ("inception_resnet_v2", "nested")]
)
def test_logits_are_those_of_keras_itself(name, layout, tmp_path):
    command = [sys.executable, PEER, "agree", name, layout, tmp_path]
    # Keras reads and writes a folder of settings, which is not to be the user's
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    said = np.load(tmp_path / "said.npz")
    network = from_keras(f"{name}.tf_in1k", tmp_path / "model.h5")
    with torch.inference_mode():
        ours = network(torch.from_numpy(said["pixels"]).permute(0, 3, 1, 2))
    assert said["logits"].std() > 0.1  # two of a thousand numbers that differ would show
    np.testing.assert_allclose(said["logits"], ours.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "layout", "first"),
    [
        ("inception_v3", "root", 1),  # a session's first network in Keras 2
        ("inception_v3", "nested", 0),  # in TensorFlow 2 and Keras 3
        ("inception_v3", "cut", 95),  # a later one
        ("inception_resnet_v2", "root", 1),
    ],
)
def test_layers_are_filled_in_the_order_of_their_creation(name, layout, first, tmp_path):
    path = tmp_path / "model.h5"
    write(path, layers_of(name, first=first), layout)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.chmod(0o444)
    network = from_keras(f"{name}.tf_in1k", path)
    assert before == hashlib.sha256(path.read_bytes()).hexdigest()
    convolutions = [
        module.weight.detach().flatten()[0].item()
        for place, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is None and "conv2d_7b" not in place
    ]
    norms = [
        tuple(float(v.detach()[0]) for v in (module.bias, module.running_mean, module.running_var))
        for place, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and "conv2d_7b" not in place
    ]
    assert [1.0 + number for number in range(len(convolutions))] == convolutions
    assert [(number,) * 3 for number in convolutions] == norms
    assert all((m.weight == 1).all() for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert {1e-3} == {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    head = network.get_classifier()
    assert (head.weight == 1).all()
    assert (head.bias == 1).all()


def test_kernels_are_turned_from_height_width_in_out(network):
    layers = layers_of("inception_v3")
    kernel = np.arange(7 * 128 * 128, dtype=np.float32).reshape(1, 7, 128, 128)
    layers["conv2d_32"]["kernel"] = kernel  # the first of this shape to be created
    load_keras(network, layers)
    ours = network.get_submodule("Mixed_6b.branch7x7_2.conv").weight
    assert (128, 128, 1, 7) == ours.shape
    assert kernel[0, 5, 30, 99] == ours[99, 30, 0, 5]


def test_a_mean_without_the_border_is_torchs_own():
    maps = torch.rand(2, 5, 4, 7)
    counted = functional.avg_pool2d(maps, 3, stride=1, padding=1)
    wanted = functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
    torch.testing.assert_close(wanted, WithoutBorder(nn.Identity())(counted))


def faulty(change) -> dict:
    layers = layers_of("inception_v3", first=1)
    change(layers)
    return layers


def rename(layers, old, new):
    layers[new] = layers.pop(old)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda ls: ls.pop("conv2d_17"), "missing: conv2d_17/kernel"),
        (lambda ls: ls["batch_normalization_9"].pop("beta"), "missing: batch_normalization_9/beta"),
        (lambda ls: rename(ls, "conv2d_17", "conv2d_170"), "unknown: conv2d_170/kernel; missing"),
        (lambda ls: rename(ls, "predictions", "probs"), "unknown: probs/kernel, probs/bias; miss"),
        (lambda ls: ls.update(dense={"kernel": np.ones((2, 2))}), "unknown: dense/kernel"),
        (lambda ls: ls["conv2d_2"].update(bias=np.ones(32)), "unknown: conv2d_2/bias"),
        (lambda ls: ls["batch_normalization_2"].update(gamma=np.ones(32)), "_2/gamma"),
        (
            lambda ls: ls["conv2d_2"].update(kernel=np.ones((3, 3, 32, 33), np.float32)),
            r"of another shape: conv2d_2/kernel is \(3, 3, 32, 33\), not \(3, 3, 32, 32\)",
        ),
        (
            lambda ls: ls["batch_normalization_2"].update(moving_variance=-np.ones(32)),
            "batch_normalization_2/moving_variance is below 0",
        ),
    ],
)
def test_other_tensors_are_named_and_nothing_is_changed(network, change, told):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=told):
        load_keras(network, faulty(change))
    assert all((before[name] == value).all() for name, value in network.state_dict().items())


def test_one_networks_file_is_not_the_others(network):
    with pytest.raises(ModelError, match="unknown: block35_1_conv/kernel"):
        load_keras(network, layers_of("inception_resnet_v2"))


def test_a_file_without_its_top_is_told_so():
    layers = layers_of("inception_v3")
    del layers["predictions"]
    with pytest.raises(ModelError, match="A file 'notop' is without"):
        class_count(layers)


def small(path: Path, values: np.ndarray | None = None) -> Path:
    """A file of one layer."""
    kernel = np.arange(24.0).reshape(2, 3, 4) if values is None else values
    write(path, {"dense": {"kernel": kernel, "bias": np.ones(4)}}, "root")
    return path


def test_tensors_are_found_by_layer_and_short_name(tmp_path):
    layers = keras_files.read(small(tmp_path / "it.h5"))
    assert ["dense"] == list(layers)
    assert {"kernel", "bias"} == set(layers["dense"])
    np.testing.assert_array_equal(np.arange(24.0).reshape(2, 3, 4), layers["dense"]["kernel"])
    assert all(value.dtype == np.float32 for value in layers["dense"].values())


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = small(tmp_path / "it.h5")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"it\.h5 is no whole HDF5 file"):
        keras_files.read(path)


def test_what_is_no_file_or_no_hdf5_is_refused(tmp_path):
    for content in (b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(500)):
        path = tmp_path / "it.h5"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="no whole HDF5 file"):
            keras_files.read(path)
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("pipe.h5", "absent.h5", "."):
        with pytest.raises(ModelError, match="no such file"):
            keras_files.read(tmp_path / name)


def _claim(group, h5py):
    group.create_dataset("huge", (1 << 40,), "f4")  # four terabytes, none of them written


def _compress(group, h5py):
    group.create_dataset("bomb", data=np.zeros(1 << 20, "f4"), compression="gzip")


def _link_out(group, h5py):
    group["away"] = h5py.ExternalLink("/etc/passwd", "/")


def _store_out(group, h5py):
    group.create_dataset("outside", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def _virtual(group, h5py):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    group.create_virtual_dataset("virtual", layout)


def _ring(group, h5py):
    for number in range(9):
        group[f"again{number}"] = group


def _twice(group, h5py):
    group["a/kernel:0"], group["b/kernel:0"] = np.ones(2), np.ones(2)


def _alias(group, h5py):
    group["long"] = np.ones(5000, "f4")
    for number in range(50):
        group[f"alias{number}"] = group["long"]


def _not_finite(group, h5py):
    group["nan"] = np.array([1.0, np.nan])


def _whole_numbers(group, h5py):
    group["whole"] = np.arange(3)


def _empty(group, h5py):
    group["empty"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (_claim, "huge is not stored whole and plainly"),
        (_compress, "bomb is not stored whole and plainly"),
        (_store_out, "outside is not stored whole and plainly"),
        (_virtual, "virtual is not stored whole and plainly"),
        (_ring, "more or deeper groups"),
        (_twice, "two tensors called 'kernel'"),
        (_alias, "claim 1,020,000 bytes, more than the file has"),
        (_not_finite, "hold"),
        (_whole_numbers, "holds no floating-point numbers"),
        (_empty, "holds no floating-point numbers"),
    ],
)
def test_what_keras_never_writes_is_refused(tmp_path, add, told):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "it.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["dense"], "S")
        add(file.create_group("dense"), h5py)
    with pytest.raises(ModelError, match=told):
        keras_files.read(path)


def test_links_are_not_followed(tmp_path):
    import h5py

    path = small(tmp_path / "it.h5")
    with h5py.File(path, "r+") as file:
        file["dense"]["soft"] = h5py.SoftLink("/dense/dense/kernel:0")
        _link_out(file["dense"], h5py)
    assert {"kernel", "bias"} == set(keras_files.read(path)["dense"])


def test_keras_newer_layout_is_told_apart(tmp_path):
    import h5py

    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
    with pytest.raises(ModelError, match=r"no list 'layer_names'.*'\.weights\.h5' has another"):
        keras_files.read(path)


def test_damage_anywhere_ends_in_an_error_or_in_finite_numbers(tmp_path):
    content = small(tmp_path / "whole.h5").read_bytes()
    path, random = tmp_path / "it.h5", np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            layers = keras_files.read(path)
        except ModelError:
            continue
        assert all(np.isfinite(v).all() for weights in layers.values() for v in weights.values())
