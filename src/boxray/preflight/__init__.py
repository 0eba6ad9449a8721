"""Will it learn? Everything about a training that can be tried before its first epoch.

`checks` is the table; `geometry`, `classes` and `first_steps` hold the checks; `answers` writes
raw output that is known. A `Prepared` training is looked at and left as it is.
"""

from boxray.preflight.checks import CHECKS, QUICK, QUICK_PICTURES, Inspection, inspect
from boxray.preflight.findings import Said, Subject

__all__ = [
    "CHECKS",
    "QUICK",
    "QUICK_PICTURES",
    "Inspection",
    "Said",
    "Subject",
    "inspect",
]
