"""How this process gives memory back: for a training, hardly ever."""

from __future__ import annotations

import contextlib
import ctypes

# glibc's <malloc.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST = 2**31 - 1
TOP_PAD = 64 * 2**20


def keep_freed_memory() -> None:
    """Let glibc keep what torch frees, as every step asks for the same sizes again.

    By default every large tensor is mapped anew from the system, whose zeroed pages then cost a
    noticeable part of a training step on a CPU (benchmarks/training_step.py). Elsewhere than on
    glibc it has no effect.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, LARGEST)
        mallopt(M_TOP_PAD, TOP_PAD)
