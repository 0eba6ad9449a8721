"""Reads weights from Keras' older `.h5` files: layers by name, each with its arrays by name.

The layout, of Keras 1 and 2 and of `model.save("x.h5")` in Keras 3: the root, or its group
`model_weights`, has a list `layer_names` and a group per layer; below that lie the layer's tensors.
Of HDF5 only what Keras writes is read: no links, no filters, no storage outside the file; and
nothing that claims more bytes than the file has. The file is opened for reading alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from boxray.errors import MissingExtra, ModelError

Layers: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]
ENDING = ".h5"
LISTS = ("layer_names", "layer_names0")  # the second where a list was too long for one attribute
INNER = "model_weights"
MOST_MEMBERS, DEEPEST = 20_000, 4  # groups and tensors; InceptionResNetV2 has 2,000, two deep
# what h5py raises for damaged files, depending on where the damage is
FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


def read(path: Path) -> Layers:
    """Every layer that has weights; these by the last part of their names, without its number.

    `conv2d_1/kernel:0` is `kernel`. Arrays are float32, all finite.
    Raises ModelError, naming layer and tensor, for a file that is damaged, foreign or too large
    to be true; MissingExtra without h5py.
    """
    with _opened(path) as root:
        layers = root[INNER] if INNER in _own(root) else root
        if not any(name in layers.attrs for name in LISTS):
            raise ModelError(
                f"it has no list {LISTS[0]!r}: expected Keras' older layout, as in the files of "
                "keras.applications and of model.save('x.h5'); '.weights.h5' has another."
            )
        datasets = list(_datasets(layers, DEEPEST, iter(range(MOST_MEMBERS))))
        claimed = sum(_bytes(one) for one in datasets)
        if claimed > path.stat().st_size:
            raise ModelError(f"its tensors claim {claimed:,} bytes, more than the file has.")
        return _by_layer(layers.name, datasets)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's root. Whatever goes wrong with it becomes a ModelError that names the file."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtra(f'{path.name} needs h5py: pip install "boxray[keras]".') from error
    if not path.is_file():
        raise ModelError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r", locking=False) as root:
            yield root
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except FAULTS as error:
        reason = str(error).strip("\"'") or type(error).__name__
        raise ModelError(f"{path} is no whole HDF5 file: {reason}.") from error


def _own(group: Any) -> list[str]:
    """The members of a group that are in this file: no links to other names or files."""
    import h5py

    return [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]


def _datasets(group: Any, depth: int, left: Iterator[int]) -> Iterator[Any]:
    """All data sets below a group; `left` runs out with the patience for a file in a ring."""
    for name in _own(group):
        member = group[name]
        if depth == 0 or next(left, None) is None:
            raise ModelError("it has more or deeper groups than any network of Keras.")
        if hasattr(member, "shape"):
            yield _plain(member)
        elif hasattr(member, "keys"):
            yield from _datasets(member, depth - 1, left)


def _plain(dataset: Any) -> Any:
    """The data set, if it holds numbers that lie in this file as they are."""
    if dataset.dtype.kind != "f" or dataset.shape is None:
        raise ModelError(f"{dataset.name} holds no floating-point numbers.")
    filters = dataset.id.get_create_plist().get_nfilters()
    elsewhere = dataset.external or dataset.is_virtual
    if filters or elsewhere or dataset.id.get_storage_size() != _bytes(dataset):
        raise ModelError(f"{dataset.name} is not stored whole and plainly, as Keras does it.")
    return dataset


def _bytes(dataset: Any) -> int:
    return int(np.prod(dataset.shape, dtype=object)) * int(dataset.dtype.itemsize)


def _by_layer(top: str, datasets: list[Any]) -> Layers:
    layers: dict[str, dict[str, np.ndarray]] = {}
    for dataset in datasets:
        path = dataset.name.removeprefix(top).strip("/")
        layer, _, rest = path.partition("/")
        weights = layers.setdefault(layer, {})
        name = rest.split("/")[-1].partition(":")[0]
        if name in weights:
            raise ModelError(f"{layer} has two tensors called {name!r}.")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            weights[name] = np.asarray(dataset[()], np.float32)
        if not np.isfinite(weights[name]).all():
            raise ModelError(f"{path} holds numbers that are not finite.")
    return layers
