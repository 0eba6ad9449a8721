"""How the reading of annotated data went, for people."""

from __future__ import annotations

from boxray.data import Manner, Report

PLAIN = Manner()  # as the files stand
MOST_NOTES = 5  # beyond these, a person reads none


def notes_of(account: Report) -> tuple[str, ...]:
    """All of it in one line, then the first remarks."""
    remarks = [str(note) for note in account.notes[:MOST_NOTES]]
    more = len(account.notes) - len(remarks)
    return (
        account.summary(),
        *account.class_lines(),
        *remarks,
        *([f"and {more} more remarks"] if more else []),
    )
