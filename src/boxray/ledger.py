"""The ledger of trainings: what a run folder says of itself, read without torch.

A run folder holds the settings with their origins, who trained with what (`provenance.json`: one
entry for the training and one for each resume), a row for each validation, and its models.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import boxray
from boxray.errors import FormatError

SETTINGS, METRICS, PROVENANCE = "settings.json", "metrics.jsonl", "provenance.json"
MODEL, REPORT, SPLIT = "model.onnx", "report.html", "split.json"
PACKAGES = ("torch", "torchvision", "timm", "lightning-fabric", "onnx", "numpy", "pillow")
STATES = ("done", "stopped", "unfinished")


@dataclass(frozen=True)
class Resolved:
    """Every value a training runs with, and where it came from: default, user or derived."""

    values: dict[str, Any]
    origins: dict[str, str]

    def over(self, earlier: Resolved) -> Resolved:
        """These values, and of earlier ones those that are not worked out again.

        A value that is the same as earlier has its origin from then.
        """
        kept = {
            name: origin
            for name, origin in earlier.origins.items()
            if name not in self.values
            or json.dumps(self.values[name]) == json.dumps(earlier.values[name])
        }
        return Resolved(earlier.values | self.values, self.origins | kept)

    def to_json(self) -> str:
        """The text of a run folder's settings.json."""
        document = {
            name: {"value": value, "origin": self.origins[name]}
            for name, value in self.values.items()
        }
        return json.dumps({"schema": "boxray.settings/1", "settings": document}, indent=1) + "\n"


def learned_from(run: Path) -> set[Path]:
    """The pictures that a run learned from; none where it does not say, or is no run."""
    try:
        names = json.loads((run / SPLIT).read_text(encoding="utf-8"))["train"]
        roots = [Path(root).resolve() for root in read_resolved(run / SETTINGS).values["data"]]
        return {(root / name).resolve() for root in roots for name in names}
    except (OSError, ValueError, KeyError, TypeError, FormatError):
        return set()


def read_resolved(path: Path) -> Resolved:
    """The settings that a run folder was started with. FormatError if they are not readable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))["settings"]
        return Resolved(
            {name: entry["value"] for name, entry in document.items()},
            {name: entry["origin"] for name, entry in document.items()},
        )
    except OSError as error:
        raise FormatError(
            f"nothing to resume in {path.parent}: {path.name} is missing. "
            "Give the folder that `boxray train` wrote."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a run's settings: {error}.") from error


@dataclass(frozen=True)
class Session:
    """One process that trained: a training's first, or a resume.

    command: as it was typed, or the program that called. began: in UTC. versions: of Python and
    packages. source: the first digits of a hash over boxray's own code, which tells a change that
    no version tells. commit: of the git checkout that boxray lies in, None where it is installed.
    """

    command: str
    began: str
    versions: dict[str, str]
    source: str
    commit: str | None


def this_session() -> Session:
    """The session of this process, now."""
    versions = {"python": platform.python_version(), "boxray": boxray.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    package = Path(__file__).parent
    return Session(
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        versions=versions,
        source=_source(package),
        commit=_commit(package),
    )


@cache
def _source(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _commit(folder: Path) -> str | None:
    """The commit that is checked out around a folder, read from git's files."""
    try:
        git = next(p / ".git" for p in folder.resolve().parents if (p / ".git").exists())
        if git.is_file():  # a worktree: the file names its folder, and that the common one
            git = Path(git.read_text().removeprefix("gitdir:").strip())
        link = git / "commondir"
        shared = git / link.read_text().strip() if link.exists() else git
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        for place in (git / name, shared / name):
            if place.exists():
                return place.read_text().strip()
        packed = (shared / "packed-refs").read_text().splitlines()
        return next(line.split()[0] for line in packed if line.endswith(f" {name}"))
    except (OSError, StopIteration, ValueError):
        return None


def with_session(text: str | None, session: Session) -> str:
    """The text of provenance.json with one more session; text: as it was, None if new."""
    earlier = [] if text is None else json.loads(text)["sessions"]
    document = {"schema": "boxray.provenance/1", "sessions": [*earlier, asdict(session)]}
    return json.dumps(document, indent=1) + "\n"


@dataclass(frozen=True)
class Run:
    """A training in its folder.

    rows: one for each validation, oldest first. state: "done" if it came to its own end, "stopped"
    if it left a model before, "unfinished" if it was killed or is running.
    """

    path: Path
    resolved: Resolved
    sessions: tuple[Session, ...]
    rows: tuple[dict[str, Any], ...]
    state: str

    @property
    def best(self) -> float | None:
        """The highest AP50 on validation."""
        return max((r["AP50"] for r in self.rows if r.get("AP50") is not None), default=None)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds of training up to the last validation."""
        return self.rows[-1].get("elapsed_s") if self.rows else None


def read_run(path: Path) -> Run:
    """The run in a folder. Raises FormatError where there is none, or not a whole one."""
    if not (path / SETTINGS).is_file():
        raise FormatError(f"{path} is no run folder: it holds no {SETTINGS}.")
    ends = [(REPORT, "done"), (MODEL, "stopped")]
    state = next((state for name, state in ends if (path / name).exists()), "unfinished")
    return Run(path, read_resolved(path / SETTINGS), _sessions(path), tuple(rows_of(path)), state)


def find_runs(folder: Path) -> tuple[Run, ...]:
    """The runs in a folder, at any depth, by path; FormatError if the folder is not there."""
    if not folder.is_dir():
        raise FormatError(f"there is no folder {folder} to look for runs in.")
    return tuple(read_run(path.parent) for path in sorted(folder.rglob(SETTINGS)))


def _sessions(path: Path) -> tuple[Session, ...]:
    """Those of provenance.json; runs older than it have none."""
    file = path / PROVENANCE
    if not file.exists():
        return ()
    try:
        return tuple(Session(**one) for one in json.loads(file.read_text("utf-8"))["sessions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{file} is not a run's provenance: {error}.") from error


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """What a run's validations found, oldest first; a torn last line is left out."""
    file = path / METRICS
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def differences(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """What is not the same in all runs, by name: settings, then versions and code.

    None stands for what a run does not have. Where its own output lies is no difference.
    """
    facts = [_facts(run) for run in runs]
    names = dict.fromkeys(name for one in facts for name in one)
    found = {name: tuple(one.get(name) for one in facts) for name in names}
    return {name: values for name, values in found.items() if any(v != values[0] for v in values)}


def _facts(run: Run) -> dict[str, Any]:
    """All that a run could differ in, as of its last session."""
    facts = {name: value for name, value in run.resolved.values.items() if name != "output"}
    if run.sessions:
        last = run.sessions[-1]
        facts |= {f"version of {name}": version for name, version in last.versions.items()}
        facts |= {"boxray's source": last.source, "boxray's commit": last.commit}
    return facts
