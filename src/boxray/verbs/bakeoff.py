"""`boxray bakeoff`: models of every family on the same pictures, by what they reach and cost.

Each model is measured in a process of its own, which is this verb with that model alone, and leaves
its numbers in the output folder: a bake-off that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import boxray
from boxray import bakeoff as contest
from boxray import bundle
from boxray.bundle.contents import contents
from boxray.data import Dataset, Manner
from boxray.data.classes import read_class_file
from boxray.detectors import TwoStage
from boxray.errors import BoxrayError, FormatError, OutputError, SettingError
from boxray.evaluation import labels_in_dataset, rules_of
from boxray.files import write_atomically
from boxray.inspection import plots
from boxray.verbs.reading import PLAIN, PREFERRED_SPLITS
from boxray.verbs.sources import make_parent, require_outside

SCHEMA = "boxray.bakeoff/1"
DEFAULT_OUTPUT = Path("boxray-bakeoff")
DOCUMENT, PICTURE, MEASURED = "bakeoff.json", "bakeoff.png", "measured"
REASON = ".why"  # of the file in which a model's own process says why it has no numbers

Entry: TypeAlias = dict[str, Any]  # one model's part of the document


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What every model is measured on, and how.

    split: `test` where there is one, else `val`, if not given. classes: a class file whose classes
    are judged in place of the data's own, and whose synonyms say what the data's names mean.
    limit: so many pictures of it, drawn by `seed`; all if None. threads: how many work on one
    picture, None for all processors.
    """

    split: str | None = None
    protocol: str = "coco"
    classes: Path | None = None
    limit: int | None = None
    seed: int = 0
    threads: int | None = None
    manner: Manner = PLAIN


@dataclass(frozen=True)
class BakeoffReport:
    """The numbers of every model; metric: the one that the picture shows, against milliseconds.

    failed: of each model that could not be measured, why.
    """

    data: Path
    terms: Terms
    images: int
    metric: str
    entries: tuple[Entry, ...]
    output: Path
    failed: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.bakeoff/1`, ready for json.dumps."""
        terms = self.terms
        return {
            "schema": SCHEMA,
            "data": str(self.data),
            "split": terms.split,
            "protocol": terms.protocol,
            "images": self.images,
            "limit": terms.limit,
            "seed": terms.seed,
            "threads": terms.threads,
            "metric": self.metric,
            "models": list(self.entries),
            "failed": self.failed,
            "picture": str(self.output / PICTURE),
        }


def bakeoff(
    models: Sequence[str | Path],
    folder: Path,
    *,
    terms: Terms | None = None,
    output: Path = DEFAULT_OUTPUT,
    on_model: Callable[[str, int, int], None] | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> BakeoffReport:
    """Measure models on annotated data, and write bakeoff.json and bakeoff.png.

    A single model is measured in this very process. on_model: told the name, number and count of
    models when each has its turn; on_image: how many pictures of how many are done.
    What the output folder says of the same model on the same terms is not measured again. A model
    that fails while it is measured does not stop the others.
    Raises FormatError, SettingError or ModelError before any work where the parts do not fit,
    MissingExtra where no picture can be drawn, and OutputError where no model could be measured.
    """
    plots.require()
    terms = terms or Terms()
    _require_different(models)
    rules_of(terms.protocol)
    known = [bundle.described(name).classes for name in models]
    terms, dataset = _drawn(terms, folder)
    for classes in known:
        labels_in_dataset(classes, dataset.classes)  # or say so before the work
    _prepare(output, folder)
    entries: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    for number, name in enumerate(models, 1):
        place = output / MEASURED / f"{_key(name, dataset, terms)}.json"
        if on_model is not None:
            on_model(str(name), number, len(models))
        if not place.exists():
            if len(models) > 1:
                why = _in_its_own_process(name, folder, terms, place)
                if why is not None:
                    failed[str(name)] = why
                    continue
            else:
                _measure_here(name, dataset, terms, place, on_image)
        entries[str(name)] = _read(place, str(name))
    return _told(folder, terms, len(dataset), _told_apart(entries), failed, output)


def _told_apart(entries: dict[str, Entry]) -> list[Entry]:
    """The entries; those of one name, as of a run and what it was exported to, go by their key."""
    names = [entry["model"] for entry in entries.values()]
    return [
        {**entry, "model": key} if names.count(entry["model"]) > 1 else entry
        for key, entry in entries.items()
    ]


def _told(
    folder: Path,
    terms: Terms,
    images: int,
    entries: Sequence[Entry],
    failed: dict[str, str],
    output: Path,
) -> BakeoffReport:
    """The report, after its document and picture."""
    if not entries:
        raise OutputError(
            f"no model could be measured: {'; '.join(f'{k}: {why}' for k, why in failed.items())}"
        )
    metric = "AP" if "AP" in entries[0]["metrics"] else "AP50"
    report = BakeoffReport(Path(folder), terms, images, metric, tuple(entries), output, failed)
    points = [(e["model"], sum(e["milliseconds"].values()), e["metrics"][metric]) for e in entries]
    write_atomically(output / DOCUMENT, json.dumps(report.to_dict(), indent=1).encode())
    plots.save_bakeoff(points, metric, output / PICTURE)
    return report


def _require_different(models: Sequence[str | Path]) -> None:
    if not models:
        raise SettingError("a bake-off needs models: --models default runs/mine.")
    twice = sorted({str(name) for name in models if list(map(str, models)).count(str(name)) > 1})
    if twice:
        raise SettingError(f"{', '.join(twice)}: named twice; a bake-off takes each model once.")


def _drawn(terms: Terms, folder: Path) -> tuple[Terms, Dataset]:
    """The pictures that count, and the terms with the split that they are of."""
    there = terms.manner.splits(folder)
    split = terms.split or next((name for name in PREFERRED_SPLITS if name in there), None)
    if split is None:
        raise FormatError(f"{folder} has neither test nor val, but {there}: add --split NAME.")
    classes = read_class_file(terms.classes) if terms.classes else None
    dataset = terms.manner.read(folder, split, classes)
    samples = [sample for sample in dataset.samples if sample.labelled]
    if not samples:
        raise FormatError(f"the split {split!r} of {folder} has no annotated images.")
    if terms.limit is not None and terms.limit < len(samples):
        drawn = np.random.default_rng(terms.seed).choice(len(samples), terms.limit, replace=False)
        samples = [samples[place] for place in sorted(drawn.tolist())]
    return replace(terms, split=split), replace(dataset, samples=tuple(samples))


def _prepare(output: Path, folder: Path) -> None:
    """A new or empty folder, or that of an earlier bake-off, outside the data."""
    require_outside(output, [folder])
    if output.is_dir() and any(output.iterdir()) and not (output / MEASURED).is_dir():
        raise SettingError(
            f"--output {output} holds something else than a bake-off. Choose another folder."
        )
    make_parent(output / MEASURED / "any")


def _key(name: str | Path, dataset: Dataset, terms: Terms) -> str:
    """A number for this model's bytes on these pictures and terms, as this boxray measures it."""
    content, _ = bundle.read(bundle.file_of(name))
    told = [hashlib.sha256(content).hexdigest(), dataset.fingerprint(), dataset.split]
    told += [terms.protocol, str(terms.threads)]
    told += [boxray.__version__, *contest.STAGES]
    if bundle.file_of(name) != name:  # several are made of one file
        told.append(repr(bundle.described(name)))
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _measured(
    name: str | Path,
    dataset: Dataset,
    terms: Terms,
    on_image: Callable[[int, int], None] | None,
) -> Entry:
    detector = bundle.load(name, threads=terms.threads)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if on_image is not None:
            on_image(done, len(dataset))

    found = contest.measure(detector, dataset, protocol=terms.protocol, on_image=count)
    told, judged = contents(name), found.evaluation
    return {
        "model": detector.name,
        "stages": "two" if isinstance(detector, TwoStage) else "one",
        "canvas_hw": list(detector.canvas_hw),
        "metrics": judged.metrics,
        "intervals": {metric: list(ends) for metric, ends in judged.intervals.items()},
        "per_class": judged.per_class,
        "truths": found.truths,
        "recall_ceiling": found.recall_ceiling,
        "forward_passes": found.passes,
        "milliseconds": found.milliseconds,
        "peak_memory_bytes": found.memory,
        "parameters": told.parameters,
        "size_bytes": told.size_bytes,
        "errors": list(judged.errors),
    }


def _measure_here(
    name: str | Path,
    dataset: Dataset,
    terms: Terms,
    place: Path,
    on_image: Callable[[int, int], None] | None,
) -> None:
    """Write the numbers of a model, or why there are none beside them."""
    why = place.with_suffix(REASON)
    why.unlink(missing_ok=True)
    try:
        entry = _measured(name, dataset, terms, on_image)
    except Exception as error:
        text = str(error) if isinstance(error, BoxrayError) else f"{type(error).__name__}: {error}"
        write_atomically(why, (text.strip().splitlines() or ["?"])[0].encode("utf-8", "replace"))
        raise
    write_atomically(place, json.dumps(entry, indent=1, allow_nan=False).encode())


def _in_its_own_process(name: str | Path, folder: Path, terms: Terms, place: Path) -> str | None:
    """Run this verb with one model; what it says to people goes where ours goes.

    It works in a folder of its own, so that what is told of all models is never told of one alone.
    Returns why there are no numbers, None where there are.
    """
    own = place.with_suffix(".running")
    command = _command(name, folder, terms, own)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    measured = own / MEASURED / place.name
    why = None
    if done.returncode != 0:
        why = _reason(done.returncode, measured.with_suffix(REASON))
    elif not measured.exists():
        why = "it or the data changed while it was measured: try again"
    else:
        measured.replace(place)
    shutil.rmtree(own, ignore_errors=True)
    return why


def _reason(code: int, said: Path) -> str:
    """Why a process ended without numbers: what it left behind, else how it ended."""
    if said.exists():
        return said.read_text(encoding="utf-8")
    if code < 0:
        return f"its process was ended by signal {-code}" + (
            ", as by a system that has no memory left" if code == -signal.SIGKILL else ""
        )
    return f"its process ended with exit code {code}"


def _command(name: str | Path, folder: Path, terms: Terms, output: Path) -> list[str]:
    """What a person would type to measure one model."""
    manner = terms.manner
    values = {
        "--output": output,
        "--split": terms.split,
        "--protocol": terms.protocol,
        "--classes": terms.classes,
        "--limit": terms.limit,
        "--seed": terms.seed,
        "--threads": terms.threads,
        "--format": manner.format,
        "--cache": None if manner.cache is None or manner.cache.automatic else manner.cache.folder,
    }
    conventions = manner.conventions
    flags = {
        "--voc-zero-based": conventions.zero_based,
        "--segments": conventions.segments,
        "--merge-names": conventions.merge_names,
        "--strict": manner.strict,
    }
    options = [f"{option}={value}" for option, value in values.items() if value is not None]
    options += [flag for flag, given in flags.items() if given]
    return [sys.executable, "-m", "boxray", "bakeoff", *options, "--", str(folder), str(name)]


def _read(place: Path, name: str) -> Entry:
    try:
        entry: Entry = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{place}, the numbers of {name}, cannot be read: {error}. Delete it and try again."
        ) from error
    return entry
