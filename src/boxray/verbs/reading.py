"""How the reading of annotated data went, for people."""

from __future__ import annotations

from pathlib import Path

from boxray.data import Conventions, Manner, Report
from boxray.data.cache import Cache, default_cache

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


def manner(
    *,
    format: str | None,  # noqa: A002  the word that users type
    voc_zero_based: bool,
    segments: bool,
    merge_names: bool,
    strict: bool,
    cache: Path | None,
) -> Manner:
    """How data is read, from what was typed; without a named cache, with the user's own."""
    return Manner(
        format,
        Conventions(voc_zero_based, segments, merge_names),
        strict,
        default_cache() if cache is None else Cache(cache),
    )


def uncached(
    format: str | None,  # noqa: A002  the word that users type
    voc_zero_based: bool,
    segments: bool,
    merge_names: bool,
) -> Manner:
    """How data is read where it is looked at or checked: as it is now, never from a cache."""
    return Manner(format, Conventions(voc_zero_based, segments, merge_names))
