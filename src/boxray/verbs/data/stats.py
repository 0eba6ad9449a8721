"""`boxray data stats`: boxes per class, their sizes, aspects and places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray.data import Manner
from boxray.data.census import Statistics
from boxray.data.table_scan import OnRows
from boxray.inspection import plots
from boxray.verbs.data.measuring import measure
from boxray.verbs.data.places import DEFAULT_OUTPUT
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.data.stats/1"
PICTURE = "stats.png"
SHARES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class StatsReport:
    """What was counted. picture: where the plots are, None if they were not drawn."""

    statistics: Statistics
    picture: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.statistics.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.stats/1`, ready for json.dumps."""
        counted = self.statistics
        account = counted.report.boxes
        return {
            "schema": SCHEMA,
            "name": counted.name,
            "images": counted.image_count,
            "boxes": int(counted.boxes.sum()),
            "skipped": account.skipped + account.refused + account.unmatched,
            "aspect": "pixels" if counted.aspect_kept else "shares",
            **self._of(None),
            "per_class": {
                name: {
                    "boxes": int(counted.boxes[label]),
                    "images": int(counted.images[label]),
                    **self._of(label),
                    "flags": {f: int(n[label]) for f, n in counted.flags.items() if n[label]},
                }
                for label, name in enumerate(counted.classes)
                if counted.boxes[label]
            },
            "centres": counted.places.tolist(),
            "picture": None if self.picture is None else str(self.picture),
        }

    def _of(self, label: int | None) -> dict[str, Any]:
        """Sides and aspects that 10, 50 and 90 % of the boxes stay below."""
        counted = self.statistics
        return {
            "sides": [round(counted.side(label, share), 5) for share in SHARES],
            "aspects": [round(counted.aspect(label, share), 4) for share in SHARES],
        }


def stats(
    source: Path,
    *,
    split: str | None = None,
    classes: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: Manner = PLAIN,
    on_rows: OnRows | None = None,
) -> StatsReport:
    """Count the boxes of annotated data: per class, size, aspect and place.

    Raises FormatError where there is no data, split or box.
    """
    if output is not None:
        roots = (source,) if source.is_dir() else ()
        prepare_output(output, roots, default=DEFAULT_OUTPUT, overwrite=overwrite)
    counted = measure(source, split, classes, manner=manner, on_rows=on_rows)
    picture = None
    if output is not None:
        picture = output / PICTURE
        plots.save_statistics(counted, picture)
    return StatsReport(counted, picture)
