"""How the reading of annotated data went, for people."""

from __future__ import annotations

from boxray.data import Report

MOST_NOTES = 5  # beyond these, a person reads none


def notes_of(account: Report) -> tuple[str, ...]:
    """All of it in one line, then the first remarks."""
    remarks = [str(note) for note in account.notes[:MOST_NOTES]]
    more = len(account.notes) - len(remarks)
    return (account.summary(), *remarks, *([f"and {more} more remarks"] if more else []))
