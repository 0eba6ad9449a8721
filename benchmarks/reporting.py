"""What every benchmark says beside its numbers, and how it says it. Not a program."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).parent


def machine(*packages: str) -> dict[str, object]:
    """Where, when and with what a benchmark ran; nothing that names a person or a folder."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": _cpu(),
        "instructions": _instructions(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "commit": _commit(),
    }


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, the range of the middle eight tenths, and the worst (largest)."""
    tenths = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else values
    return {
        "median": statistics.median(values),
        "p10": tenths[0],
        "p90": tenths[-1],
        "worst": max(values),
    }


def deliver(
    document: dict[str, object], rows: Sequence[Sequence[object]], *, as_json: bool
) -> None:
    """Print `document` as JSON, or `rows` (the first is the head) and the facts as text."""
    if as_json:
        print(json.dumps(document, indent=2))
        return
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    facts = document["machine"]
    assert isinstance(facts, dict)
    print("\n" + ", ".join(f"{name} {_plain(value)}" for name, value in facts.items()))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _instructions() -> str:
    """Those of the processor on which the speed of networks depends, where the system tells."""
    information = Path("/proc/cpuinfo")
    known = set(information.read_text().split()) if information.exists() else set()
    told = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd"}
    return " ".join(sorted(known & told))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of this clone, with `-dirty` where files differ from it."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"
