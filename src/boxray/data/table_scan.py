"""One pass over an Open Images table of boxes of any length, without its pictures.

Rows stream through polars in batches and are counted; nothing grows with them but 8 bytes for
each class in each image. Pictures are not needed, so sizes are shares of width and height.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, UInt

from boxray.boxes import Array
from boxray.data.box_table import CORNERS, FARTHEST, FLAG_COLUMNS, Style, style_of
from boxray.data.census import Census, Statistics
from boxray.data.report import SKIPPED, WARNING, Note, Report, Tally
from boxray.errors import FormatError, MissingExtra

if TYPE_CHECKING:
    import polars

BATCH = 500_000  # rows; some 60 MB
OnRows: TypeAlias = Callable[[int, int], None]
HEAD = 10_000  # rows that tell the style of all
# An image and a label as one number: 48 bits of the image's hash, 16 of the label. Of two million
# images two share their 48 bits once in 140 tables, and then count as one.
_LABEL_BITS = np.uint64(16)


def scan(
    path: Path,
    names: Mapping[str, str] | None = None,
    *,
    on_rows: OnRows | None = None,
) -> Statistics:
    """The statistics of all boxes in the table.

    names: label → class name; without it the labels are the classes. on_rows: told how many
    bytes are done, about, and how many there are. A row that is no box is skipped and counted by
    reason. What only a reading of the data set can tell is not looked for: boxes that are there
    twice, flags that are no number, fields after the last column. Raises FormatError for what is
    no such table, MissingExtra without polars.
    """
    style = style_of(path, limit=HEAD)
    counting = _Counting(path, style, names)
    total = path.stat().st_size
    for batch in _batches(path, style):
        counting.add(batch)
        if on_rows:
            on_rows(min(total, counting.bytes_done), total)
    return counting.close()


def _batches(path: Path, style: Style) -> Iterator[polars.DataFrame]:
    try:
        import polars as pl
    except ImportError as error:
        raise MissingExtra(
            "counting a table without its pictures needs polars: pip install 'boxray[data]'"
        ) from error
    numbers = [*CORNERS, *(["Confidence"] if "Confidence" in style.columns else [])]
    flags = [column for column in FLAG_COLUMNS if column in style.columns]
    types = dict.fromkeys([] if style.decimal_commas else numbers, pl.Float64)
    scanned = pl.scan_csv(
        path,
        infer_schema=False,
        schema_overrides=types | dict.fromkeys(flags, pl.Int8),
        ignore_errors=True,
        quote_char='"' if style.quoted else None,  # an unclosed quote would swallow what follows
    )
    if style.decimal_commas:
        points = pl.col(*numbers).str.replace(",", ".", literal=True)
        scanned = scanned.with_columns(points.cast(pl.Float64, strict=False))
    wanted = scanned.select(
        pl.col("ImageID").hash(seed=0),
        "LabelName",
        *numbers,
        *flags,
    )
    try:
        yield from wanted.collect_batches(chunk_size=BATCH, maintain_order=True)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0][:120]
        raise FormatError(f"{path} cannot be read as a table: {reason}.") from error


@dataclass
class _Counting:
    """What is known of a table after some of its rows."""

    path: Path
    style: Style
    names: Mapping[str, str] | None
    census: Census = field(default_factory=lambda: Census(aspect_kept=False))
    labels: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    pairs: list[UInt[Array, "m"]] = field(default_factory=list)
    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def bytes_done(self) -> int:
        """About how many bytes of the file were read, by the rows of its beginning."""
        return int(self.rows * self.style.row_bytes)

    def add(self, batch: polars.DataFrame) -> None:
        """Count the boxes of these rows, and why the others are none."""
        labels = self._labels(batch)
        x0, x1, y0, y1 = (batch[name].to_numpy() for name in CORNERS)
        edges = np.stack([x0, y0, x1, y1])  # the long axis last: numpy is quicker along it
        good = self._good(batch, labels, edges)
        flags = {
            flag: batch[column].fill_null(0).to_numpy() == 1
            for column, flag in FLAG_COLUMNS.items()
            if column in batch.columns
        }
        image = batch["ImageID"].to_numpy()
        if not good.all():
            labels, edges, image = labels[good], edges[:, good], image[good]
            flags = {flag: is_set[good] for flag, is_set in flags.items()}
        self.census.add(labels, np.clip(edges, 0, 1).T, flags)
        high = (image >> _LABEL_BITS) << _LABEL_BITS
        self.pairs.append(_distinct(high | labels.astype(np.uint64)))
        self.rows += len(batch)

    def _labels(self, batch: polars.DataFrame) -> Int[Array, "n"]:
        """The label of each row, -1 where it names no class."""
        import polars as pl

        for label in batch["LabelName"].unique().sort().to_list():
            if label is None or not label.strip() or label in self.labels:
                continue
            name = label if self.names is None else self.names.get(label)
            self.labels[label] = -1 if name is None else len(self.classes)
            self.classes += [] if name is None else [name]
        old, new = list(self.labels), list(self.labels.values())
        found = batch["LabelName"].replace_strict(old, new, default=-1, return_dtype=pl.Int64)
        return found.fill_null(-1).to_numpy()

    def _good(
        self, batch: polars.DataFrame, labels: Int[Array, "n"], edges: Float[Array, "4 n"]
    ) -> Bool[Array, "n"]:
        """Which rows are boxes; the others are written down, each under its first reason."""
        lowest, highest = edges.min(0), edges.max(0)  # NaN where one edge is
        x0, y0, x1, y1 = edges
        in_picture = (x0 < 1) & (y0 < 1) & (x1 > 0) & (y1 > 0)
        checks = {
            "a corner is no number": np.isfinite(lowest) & np.isfinite(highest),
            "a corner is no share of the picture, 0 to 1": (lowest >= -FARTHEST)
            & (highest <= 1 + FARTHEST),
            "the box has no area in the picture": (x1 > x0) & (y1 > y0) & in_picture,
            "its LabelName is empty or not in the list of classes": labels >= 0,
        }
        if "Confidence" in batch.columns:
            certain = batch["Confidence"].fill_null(1).to_numpy() != 0
            checks["its Confidence is 0: a label found absent, not a box"] = certain
        good = np.ones(len(batch), bool)
        for reason, check in checks.items():
            bad = good & ~check
            if bad.any():
                self.skipped[reason] += int(bad.sum())
                self.lines.setdefault(reason, self.rows + int(bad.argmax()) + 2)
            good &= check
        return good

    def close(self) -> Statistics:
        """The statistics; classes in the order of their first rows."""
        pairs = _distinct(np.concatenate(self.pairs or [np.zeros(0, np.uint64)]))
        seen = (pairs & ((np.uint64(1) << _LABEL_BITS) - np.uint64(1))).astype(np.int64)
        images = np.bincount(seen, minlength=len(self.classes))
        image_count = len(_distinct(pairs >> _LABEL_BITS))
        kept = int(self.census.boxes.sum())
        skipped = self.skipped.total()
        notes = [Note(self.path, 0, WARNING, remark) for remark in self.style.remarks(self.names)]
        notes += [
            Note(self.path, self.lines[reason], SKIPPED, reason, count)
            for reason, count in self.skipped.items()
        ]
        return self.census.close(
            self.path.stem,
            tuple(self.classes),
            image_count=image_count,
            images=images,
            report=Report(
                Tally(read=image_count, kept=image_count),
                Tally(read=kept + skipped, kept=kept, skipped=skipped),
                tuple(notes),
            ),
        )


def _distinct(numbers: UInt[Array, "n"]) -> UInt[Array, "m"]:
    """Each number once, sorted; np.unique hashes, and numbers like these collide."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
