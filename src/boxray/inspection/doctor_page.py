"""The doctor's page: what was found, with the pictures, as one HTML file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from boxray.inspection.cards import Card, Filter, write
from boxray.inspection.doctor import CHECKS, Diagnosis
from boxray.inspection.examination import Examination, Finding
from boxray.records import NO_TRUTHS, Sample

MOST_PER_CHECK = 40  # findings of one check that the page shows; the JSON has all
_ORDER = ("error", "warning", "hint")


def page(diagnosis: Diagnosis) -> str:
    """The page: findings by severity, then in the order of the checks."""
    dataset = diagnosis.examination.dataset
    found = [name for name, findings in diagnosis.found.items() if findings]
    found.sort(key=lambda name: _ORDER.index(CHECKS[name].severity))
    cards = [
        _card(name, finding, diagnosis.examination)
        for name in found
        for finding in diagnosis.found[name][:MOST_PER_CHECK]
    ]
    words = [
        dataset.report.summary(),
        f"{len(diagnosis.found)} checks: " + ", ".join(_counted(diagnosis, s) for s in _ORDER),
    ]
    if any(len(diagnosis.found[name]) > MOST_PER_CHECK for name in found):
        words.append(f"Of each check the first {MOST_PER_CHECK} findings are shown.")
    options = [(name, f"{name} ({len(diagnosis.found[name])})") for name in found]
    severities = [(s, s) for s in _ORDER if diagnosis.count(s)]
    return write(
        f"The doctor on {dataset.name}",
        words,
        cards,
        dataset.classes,
        filters=[
            Filter("severity", tuple(severities)),
            Filter("check", tuple(options)),
            Filter("name"),
        ],
        noun="findings",
        chips=False,
    )


def _counted(diagnosis: Diagnosis, severity: str) -> str:
    count = diagnosis.count(severity)
    return f"{count} {severity}{'' if count == 1 else 's'}"


def _card(name: str, finding: Finding, examination: Examination) -> Card:
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    return Card(
        title=place_of(finding, examination),
        samples=tuple(_sample(path, examination) for path in finding.pictures),
        lines=(finding.reason + times,),
        wanted={} if finding.box is None else {0: (finding.box,)},
        check=name,
        severity=CHECKS[name].severity,
    )


def place_of(finding: Finding, examination: Examination) -> str:
    """The file, told from the data set's folder, and the line."""
    roots = examination.dataset.roots
    told = min((os.path.relpath(finding.path, root) for root in roots), key=len)
    name = examination.dataset.name if told == "." else told
    return f"{name}:{finding.line}" if finding.line else name


def _sample(path: Path, examination: Examination) -> Sample:
    """The picture with its boxes; one that the data set does not hold has none."""
    known = examination.samples.get(path)
    return known or replace(_NOBODYS, path=path)


_NOBODYS = Sample(Path(), (1, 1), NO_TRUTHS)
