"""Every check of the preflight by its id and severity, and what they say of a training.

The checks come in stages. Where one of them finds an error, those of later stages are not run:
what they would say follows from it. A finding of an error means that the training would be in vain
as it stands; of a warning, that it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch

from boxray.data.report import Cause
from boxray.inspection import doctor
from boxray.inspection.doctor import ERROR, WARNING
from boxray.preflight import classes, first_steps, geometry
from boxray.preflight.findings import Said, Subject


class Check(NamedTuple):
    """One check. what: for people, what it finds. stage: see above. slow: not in the quick form."""

    severity: str
    what: str
    stage: int
    run: Callable[[Subject], Said]
    slow: bool = False


def _of_doctor(name: str, subject: Subject) -> Said:
    """What the doctor's check of this name finds in the parts that are used."""
    found = tuple(doctor.CHECKS[name].run(subject.examination))
    count = sum(one.count for one in found)
    return Said(f"{count} found" if found else "none found", found)


CHECKS = {
    Cause.OTHER_LAYOUT: Check(
        ERROR,
        doctor.CHECKS[Cause.OTHER_LAYOUT].what,
        0,
        partial(_of_doctor, Cause.OTHER_LAYOUT),
    ),
    Cause.TURNED: Check(
        WARNING, doctor.CHECKS[Cause.TURNED].what, 1, partial(_of_doctor, Cause.TURNED)
    ),
    "missing-labels": Check(
        WARNING,
        doctor.CHECKS["missing-labels"].what,
        1,
        partial(_of_doctor, "missing-labels"),
    ),
    "class-without-boxes": Check(
        WARNING,
        "classes that are in the list and that no box has",
        1,
        partial(_of_doctor, "class-without-boxes"),
    ),
    "class-missing-in-split": Check(
        WARNING,
        doctor.CHECKS["class-missing-in-split"].what,
        1,
        partial(_of_doctor, "class-missing-in-split"),
    ),
    "round-trip": Check(
        ERROR, "truths that do not come back from the coder", 2, geometry.round_trip
    ),
    "unreached-truth": Check(
        ERROR, "truths whose size no prior comes near", 2, geometry.unreached_truth
    ),
    "cell-collision": Check(
        WARNING, "truths that want the same prior of the same cell", 2, geometry.cell_collision
    ),
    "small-object": Check(
        WARNING, "truths smaller than a cell of the finest level", 2, geometry.small_object
    ),
    "head-classes": Check(
        ERROR, "classes that the head is taught as others", 2, classes.head_classes
    ),
    "metric-classes": Check(
        ERROR, "classes that the metric takes for others", 2, classes.metric_classes
    ),
    "initial-loss": Check(
        WARNING, "terms of the loss that begin far from the expected", 3, first_steps.initial_loss
    ),
    "learning-rate": Check(
        ERROR, "a learning rate at which the loss runs away", 3, first_steps.learning_rate
    ),
    "overfit": Check(
        ERROR, "a few pictures that cannot be learned by heart", 4, first_steps.overfit, slow=True
    ),
}
QUICK = tuple(name for name, check in CHECKS.items() if not check.slow)
QUICK_PICTURES = 64  # of each part


@dataclass(frozen=True)
class Inspection:
    """What the checks said: id → what it measured and found, None if an earlier error spared it."""

    said: dict[str, Said | None]

    def count(self, severity: str) -> int:
        """How many checks of this severity found something."""
        return sum(
            bool(said and said.findings)
            for name, said in self.said.items()
            if CHECKS[name].severity == severity
        )

    @property
    def found(self) -> tuple[str, ...]:
        """The ids of the checks that found something."""
        return tuple(name for name, said in self.said.items() if said and said.findings)


def inspect(
    subject: Subject,
    checks: Sequence[str] = tuple(CHECKS),
    *,
    on_check: Callable[[str], None] | None = None,
) -> Inspection:
    """Run these checks, stage after stage. on_check: told the id of each before it runs."""
    said: dict[str, Said | None] = {}
    failed_at: int | None = None
    for name in sorted(checks, key=lambda one: CHECKS[one].stage):
        check = CHECKS[name]
        if failed_at is not None and check.stage > failed_at:
            said[name] = None
            continue
        if on_check is not None:
            on_check(name)
        with nullcontext() if check.slow else _one_thread():
            said[name] = now = check.run(subject)
        if check.severity == ERROR and now.findings:
            failed_at = check.stage
    return Inspection(said)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Short work is hardly faster on more threads, and much slower where these must wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
