"""How the program behaves as a process: exit codes, streams, signals."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def prepare_process() -> None:
    """Streams that take every path and may be closed; an end by signal that tidies up."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before we began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  open to the end
        getattr(sys, name).reconfigure(errors="backslashreplace")
    when_nobody_reads(signal.SIG_DFL)  # `boxray … | head` ends quietly, like any program
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), _stop)


def when_nobody_reads(action: signal.Handlers) -> None:
    """What a closed pipe does to this process, where the system has pipes that close."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, action)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through every `finally`, so that no half-written file stays."""
    del number, frame
    sys.exit(TERMINATED)
