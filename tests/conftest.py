"""What every test relies on: checked shapes, no network, calm threads, the shared data, loud skips.

jaxtyping's import hook makes beartype check every annotation of boxray, so a wrong shape in a
signature is a failing test. It must be installed before boxray is first imported, hence up here.
"""

import importlib.util
import os
import socket
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("boxray", "beartype.beartype")

settings.register_profile("boxray", derandomize=True, deadline=None)
settings.load_profile("boxray")

# Two cores shared by several test workers: libraries that read these at load time stay calm.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

SHARED = Path(__file__).parents[1].parent / "shared"


class _OneThreadTorch(MetaPathFinder, Loader):
    """Limit torch to one thread when, and only when, something imports it."""

    def __init__(self) -> None:
        self.real: Loader | None = None

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)  # once is enough, and the search below must not meet us again
        spec = importlib.util.find_spec("torch")
        if spec is not None:
            self.real, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.real
        self.real.exec_module(module)
        module.set_num_threads(1)


if "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(1)
else:
    sys.meta_path.insert(0, _OneThreadTorch())


class NetworkUsed(BaseException):
    """A test reached for the network; not an Exception, so that no `except` can hide it."""


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    host = str(address[0])
    return host in {"localhost", "::1", ""} or host.startswith("127.")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite runs offline: connecting anywhere but this machine fails the test at once."""
    for method in ("connect", "connect_ex"):
        original = getattr(socket.socket, method)

        def guarded(self, address, original=original):
            if not _is_local(address):
                raise NetworkUsed(f"a test connected to {address!r}; tests run offline")
            return original(self, address)

        monkeypatch.setattr(socket.socket, method, guarded)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository: real data and oracles that are never copied in."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder 'shared' beside the repository (real data and oracles)")
    return SHARED
