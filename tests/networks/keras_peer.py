"""Keras itself, run as a program of its own: it builds a network, saves it, and says what it says.

python keras_peer.py agree NETWORK root|nested FOLDER   model.h5 and said.npz
python keras_peer.py layout NETWORK                     what such a file holds, for tests/golden
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

NETWORKS = {
    "inception_v3": keras.applications.InceptionV3,
    "inception_resnet_v2": keras.applications.InceptionResNetV2,
}
SIDE = 107  # odd maps at every stage, and borders that are most of the last ones
random = np.random.default_rng(0)


def network(name: str) -> keras.Model:
    return NETWORKS[name](
        weights=None, input_shape=(SIDE, SIDE, 3), classes=1000, classifier_activation=None
    )


def drawn(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that keep what a network says near 1, and that leave no statistic at its default."""
    if weight == "kernel":
        gain = 0.3 if layer.endswith("_conv") else 1.3  # sums of many blocks would grow
        return random.normal(0, gain / np.sqrt(np.prod(shape[:-1])), shape)
    if weight == "moving_variance":
        return random.uniform(0.5, 1.5, shape)
    return random.normal(0, 0.1, shape)


def agree(name: str, layout: str, folder: Path) -> None:
    keras.backend.clear_session()
    model = network(name)
    for layer in model.layers:
        layer.set_weights([drawn(layer.name, w.name, tuple(w.shape)) for w in layer.weights])
    if layout == "nested":
        model.save(folder / "model.h5")
    else:
        with h5py.File(folder / "model.h5", "w") as file:
            save_weights_to_hdf5_group(file, model)
    pixels = random.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    logits = model(pixels, training=False).detach().cpu().numpy()
    np.savez(folder / "said.npz", pixels=pixels, logits=logits)


def layout(name: str) -> None:
    print(f"# keras.applications, Keras {keras.__version__}: layer, tensor, shape")
    for layer in network(name).layers:
        for weight in layer.weights:
            print(layer.name, weight.name, "x".join(map(str, weight.shape)), sep="\t")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["agree", name, kind, folder]:
            agree(name, kind, Path(folder))
        case ["layout", name]:
            layout(name)
