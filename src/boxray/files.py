"""Files that are either whole or absent, and that can tell whether they were changed.

A sealed file carries its own sha256: 64 hexadecimal digits behind the key `sha256` somewhere in
its text, computed over the file's bytes with those digits set to '0'.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from boxray.errors import ModelError, OutputError

UNSEALED = "0" * 64
_SEAL = re.compile(rb'"sha256": ?"([0-9a-f]{64})"|\\"sha256\\": ?\\"([0-9a-f]{64})\\"')


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, so that a reader or a power cut sees all of it or nothing.

    Written to a temporary neighbour, flushed to the disk, then renamed.
    Raises OutputError where the folder is missing, not writable or full; the neighbour is removed.
    """
    neighbour = path.with_name(f".{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with neighbour.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            neighbour.unlink()


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes `folder` at the end, or goes without a trace on an error.

    `folder` must be new or empty. Raises OutputError where it is not, or where something in it
    cannot be written.
    """
    unfinished = folder.with_name(f".{folder.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder} is in use: give a new or an empty folder.")
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def seal(content: bytes) -> bytes:
    """`content` with its `"sha256": "000…"` placeholder filled in."""
    start, end = _find_seal(content, "the new file")
    if content[start:end] != UNSEALED.encode():
        raise ValueError("the sha256 field of an unsealed file holds 64 zeros")
    return content[:start] + hashlib.sha256(content).hexdigest().encode() + content[end:]


def verify_seal(content: bytes, name: str) -> str:
    """The seal's digits, once they are found to be right.

    Raises ModelError if the file has no seal or its bytes are not those that were sealed.
    """
    start, end = _find_seal(content, name)
    digest = hashlib.sha256(content[:start])
    digest.update(UNSEALED.encode())
    digest.update(memoryview(content)[end:])
    if digest.hexdigest() != content[start:end].decode():
        raise ModelError(
            f"{name} is damaged: its sha256 is {digest.hexdigest()[:12]}…, "
            f"the file says {content[start : start + 12].decode()}…. Copy or export it again."
        )
    return digest.hexdigest()


def _find_seal(content: bytes, name: str) -> tuple[int, int]:
    """First and last byte of the 64 digits; ModelError unless there is exactly one seal."""
    found = [match.span(match.lastindex or 0) for match in _SEAL.finditer(content)]
    if len(found) != 1:
        raise ModelError(
            f"{name} carries {len(found)} sha256 fields, a file of boxray carries one. "
            "Is it a model that `boxray export` or `boxray train` wrote?"
        )
    return found[0]
