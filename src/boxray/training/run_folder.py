"""The run folder: settings, metrics per validation, curves as a picture, a lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray.errors import OutputError, SettingError
from boxray.files import write_atomically
from boxray.ledger import METRICS, PROVENANCE, SETTINGS, SPLIT, rows_of, this_session, with_session

CURVES, LOCK = "curves.png", ".lock"
HALF_WRITTEN = ".*.tmp"  # the neighbours of boxray.files.write_atomically


@dataclass(frozen=True)
class RunFolder:
    """Where a training leaves everything it makes."""

    path: Path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second training out while this one runs; a dead owner's lock counts for nothing.

        Raises OutputError if the folder cannot be written, SettingError if it is in use.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK).open("a+")
        except OSError as error:
            raise OutputError(f"cannot write in {self.path}: {error.strerror}.") from error
        with file:
            try:
                # not flock: that is inherited by the loader's processes, which outlive a killed
                # training by seconds in which nobody could resume it
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise SettingError(
                    f"{self.path} is in use by a training, process {file.read().strip() or '?'}. "
                    "Choose another --output, or wait for it."
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def require_new(self) -> None:
        """SettingError if something is in the folder already."""
        if self.path.exists() and not self.path.is_dir():
            raise SettingError(f"--output {self.path} is a file; a training needs a folder.")
        if self.path.exists() and any(not _is_trace(p) for p in self.path.iterdir()):
            raise SettingError(
                f"--output {self.path} is not empty. Choose another folder, "
                f"or go on with what is there: boxray resume {self.path}"
            )

    def sweep(self) -> None:
        """Remove what a killed training left half written."""
        for path in self.path.glob(HALF_WRITTEN):
            path.unlink()

    def write_settings(self, text: str) -> None:
        """Record what the training runs with."""
        write_atomically(self.path / SETTINGS, text.encode())

    def begin_session(self) -> None:
        """Record who trains from now on, with which code and versions."""
        path = self.path / PROVENANCE
        earlier = path.read_text(encoding="utf-8") if path.exists() else None
        write_atomically(path, with_session(earlier, this_session()).encode())

    def write_split(self, parts: Mapping[str, Sequence[Path]], roots: Sequence[Path]) -> None:
        """Record which pictures are learned from and which are checked on, seen from the data."""
        relative = {
            name: [min((os.path.relpath(path, root) for root in roots), key=len) for path in paths]
            for name, paths in parts.items()
        }
        text = json.dumps({"schema": "boxray.split/1", **relative}, indent=1)
        write_atomically(self.path / SPLIT, f"{text}\n".encode())

    def rows(self) -> list[dict[str, Any]]:
        """What was recorded so far, oldest first; a torn last line is left out."""
        return list(rows_of(self.path))

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Replace the record of metrics and draw its curves."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.path / METRICS, text.encode())
        draw_curves(rows, self.path / CURVES)


def _is_trace(path: Path) -> bool:
    """Whether a file is what a training leaves that never began."""
    return path.name == LOCK or path.match(HALF_WRITTEN)


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Losses of training and validation, and AP50, against images seen, as one picture."""
    import io

    from matplotlib.figure import Figure

    seen = [row["images"] for row in rows]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, name in enumerate(rows[0]["train_loss"] if rows else ()):
        colour = f"C{number}"
        left.plot(seen, [r["train_loss"][name] for r in rows], "o-", color=colour, label=name, ms=3)
        checked = [r["val_loss"].get(name) for r in rows]
        left.plot(seen, checked, "o--", color=colour, label=f"{name}, validation", ms=3)
    left.set(xlabel="images seen", ylabel="loss", title="Loss (augmented when training)")
    left.set_ylim(bottom=0)
    right.plot(seen, [row["AP50"] for row in rows], "o-", color="C3", label="AP50", ms=3)
    right.set(xlabel="images seen", ylabel="AP50", ylim=(0, 1), title="Validation, IoU 0.5")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if rows:
            axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomically(path, picture.getvalue())
