"""Plots of what a data set's boxes are like, of priors found from them, of proposals for them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boxray.coders.anchors import Priors
from boxray.data.census import OCTAVES, PER_OCTAVE, Statistics
from boxray.errors import MissingExtra
from boxray.files import write_atomically
from boxray.metrics.proposal_recall import IOU_THRESHOLDS, Reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 20
_CHANNELS = {"red": "#d55e00", "green": "#009e73", "blue": "#0072b2"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")


def require() -> None:
    """MissingExtra where nothing can be plotted, for whoever wants to know before hours of work."""
    _figure(1.0, 1.0)


def save_statistics(statistics: Statistics, path: Path) -> None:
    """Boxes per class, sizes, aspects and centres as one PNG. Raises MissingExtra, OutputError."""
    figure = _figure(12.0, 9.0)
    (classes, sizes), (aspects, places) = figure.subplots(2, 2)
    _draw_classes(classes, statistics)
    _draw_sizes(sizes, statistics)
    _draw_aspects(aspects, statistics)
    shown = places.imshow(statistics.places, extent=(0, 1, 1, 0), cmap="viridis")
    places.set(xlabel="across the picture", ylabel="down the picture", title="Centres of boxes")
    figure.colorbar(shown, ax=places, label="boxes")
    _save(figure, path)


def save_priors(
    priors: Priors, curves: Mapping[str, Sequence[float]], side: int, path: Path
) -> None:
    """The average IoU of 1, 2, … priors per distance, and these priors on a canvas, as one PNG.

    side: of the square canvas, in pixels, the unit of the priors.
    """
    figure = _figure(12.0, 5.5)
    left, right = figure.subplots(1, 2)
    for colour, (distance, values) in zip(_COLOURS, curves.items(), strict=False):
        counts = range(1, 1 + len(values))
        left.plot(counts, values, "o-", color=colour, label=f"clustered by {distance}", ms=4)
    left.plot(len(priors.sizes_wh), priors.average_iou, "s", color="black", ms=9, mfc="none",
              label="chosen")  # fmt: skip
    left.set(xlabel="priors", ylabel="average IoU with the best prior", title="How many priors?")
    left.grid(alpha=0.3)
    left.legend(loc="lower right")
    _draw_priors(right, priors, side)
    _save(figure, path)


def save_reach(reached: Reach, title: str, path: Path) -> None:
    """The share of objects reached, against the number of proposals and the overlap, as one PNG."""
    figure = _figure(12.0, 5.5)
    left, right = figure.subplots(1, 2, sharey=True)
    for colour, iou in zip(_COLOURS, (0.5, 0.7, 0.9), strict=False):
        left.plot(reached.counts, reached.recall(iou), "o-", color=colour, label=f"IoU {iou}", ms=4)
    left.plot(reached.counts, reached.average_recall(), "k:", label="average recall")
    left.set(xscale="log", xlabel="proposals per image", ylabel="share of objects reached",
             ylim=(0, 1), title=f"{title}: {len(reached.labels)} objects")  # fmt: skip
    shares = np.array([reached.recall(iou) for iou in IOU_THRESHOLDS])
    for colour, count, curve in zip(_COLOURS, reached.counts[::-1], shares.T[::-1], strict=False):
        right.plot(IOU_THRESHOLDS, curve, "o-", color=colour, label=f"first {count}", ms=4)
    right.set(xlabel="IoU", title="How closely they are reached")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def save_bakeoff(
    points: Sequence[tuple[str, float, float | None]], metric: str, path: Path
) -> None:
    """Models by milliseconds per picture and by what they reach, as one PNG.

    points: name, milliseconds, value of the metric; a model whose value is undefined is left out.
    """
    figure = _figure(9.0, 6.0)
    axes = figure.subplots()
    for number, (name, milliseconds, value) in enumerate(points):
        if value is None:
            continue
        turn, colour = divmod(number, len(_COLOURS))  # no two look the same
        axes.plot(milliseconds, value, "os^D"[turn % 4], color=_COLOURS[colour], ms=10,
                  label=_plain(name))  # fmt: skip
    times = np.log10([max(1e-3, milliseconds) for _, milliseconds, _ in points])
    axes.set(xscale="log", xlabel="milliseconds per picture", ylabel=metric,
             title=f"{metric} against time")  # fmt: skip
    axes.set_xlim(
        10 ** np.floor(times.min()), 10 ** np.ceil(times.max() + 0.3)
    )  # room for the legend
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(loc="upper right")
    _save(figure, path)


def save_range_test(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    path: Path,
) -> None:
    """Loss against learning rate as one PNG. marks: rates that are pointed at, by what they are."""
    figure = _figure(7.0, 4.0)
    axes = figure.subplots()
    axes.plot(rates, losses, color=_COLOURS[0], alpha=0.35, label="loss of a step")
    axes.plot(rates, smoothed, color=_COLOURS[0], label="with the steps around it")
    for (name, rate), style in zip(marks.items(), ("-", ":"), strict=True):
        axes.axvline(rate, color=_COLOURS[1], ls=style, label=f"{name}, {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss, all terms")
    axes.set_ylim(0, 1.3 * smoothed[0])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)


def save_guesses(bars: Mapping[str, Sequence[tuple[str, float]]], path: Path) -> None:
    """For every patch a chart of (class, probability), best on top, on one scale."""
    best = max(chance for guesses in bars.values() for _, chance in guesses)
    most = max(len(guesses) for guesses in bars.values())
    columns = min(3, len(bars))
    rows = -(-len(bars) // columns)
    figure = _figure(5.0 * columns, min(600.0, rows * (0.8 + 0.2 * most)))
    for place, (title, guesses) in enumerate(bars.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        heights = range(len(guesses), 0, -1)
        drawn = axes.barh(heights, [chance for _, chance in guesses], color=_COLOURS[0])
        axes.bar_label(drawn, fmt="%.2g", fontsize=7, padding=2)
        axes.set_yticks(heights, [_plain(name) for name, _ in guesses], fontsize=8)
        axes.set(xlim=(0, 1.2 * best), xlabel="probability", title=_plain(title))
        axes.set_ylim(0.3, len(guesses) + 0.7)
    _save(figure, path)


def save_pixels(before: np.ndarray, after: np.ndarray, path: Path) -> None:
    """How often each value occurs in red, green and blue, before and after preprocessing."""
    figure = _figure(10.0, 4.0)
    titles = ("as read, 0 to 255", "as the network is given them")
    for axes, values, title in zip(figure.subplots(1, 2), (before, after), titles, strict=True):
        for channel, (name, colour) in enumerate(_CHANNELS.items()):
            axes.hist(values[:, channel], bins=64, histtype="step", color=colour, density=True,
                      label=name)  # fmt: skip
        axes.set(title=title, xlabel="value", ylabel="density")
        axes.legend()
    _save(figure, path)


def _draw_classes(axes: Axes, statistics: Statistics) -> None:
    order = np.argsort(-statistics.boxes, kind="stable")[:MOST_BARS]
    order = order[statistics.boxes[order] > 0]
    names = [_plain(statistics.classes[label]) for label in order]
    axes.barh(range(len(order)), statistics.boxes[order], color=_COLOURS[0])
    axes.set_yticks(range(len(order)), names)
    axes.invert_yaxis()
    rest = int((statistics.boxes > 0).sum()) - len(order)
    title = "Boxes per class" + (f", the first of {rest + len(order)}" if rest else "")
    axes.set(xlabel="boxes", title=title)
    axes.grid(axis="x", alpha=0.3)


def _draw_sizes(axes: Axes, statistics: Statistics) -> None:
    edges = np.geomspace(0.005, 1, 60)
    width, height = np.clip(statistics.sizes_wh, edges[0], edges[-1]).T
    counts, _, _ = np.histogram2d(width, height, [edges, edges], weights=statistics.weights)
    shown = axes.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), cmap="viridis")
    axes.plot([edges[0], 1], [edges[0], 1], ":", color="grey")
    what = "the longer side" if statistics.aspect_kept else "the picture's"
    axes.set(xscale="log", yscale="log", aspect="equal", title="Sizes of boxes",
             xlabel=f"width, share of {what}", ylabel=f"height, share of {what}")  # fmt: skip
    axes.figure.colorbar(shown, ax=axes, label="boxes")


def _draw_aspects(axes: Axes, statistics: Statistics) -> None:
    counts = statistics.aspects.sum(0)
    places = (np.arange(len(counts)) + 0.5) / PER_OCTAVE - OCTAVES / 2
    axes.bar(2**places, counts, width=2**places / PER_OCTAVE * np.log(2), color=_COLOURS[0])
    axes.axvline(1, linestyle=":", color="grey")
    unit = "in pixels" if statistics.aspect_kept else "in shares of the picture's"
    axes.set(xscale="log", xlabel=f"width / height, {unit}", ylabel="boxes", title="Aspects")
    ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(1 / 16, 16)
    axes.minorticks_off()


def _draw_priors(axes: Axes, priors: Priors, side: int) -> None:
    from matplotlib.patches import Rectangle

    for i, (width, height) in enumerate(priors.sizes_wh.tolist()):
        corner = ((side - width) / 2, (side - height) / 2)
        colour = _COLOURS[i % len(_COLOURS)]
        name = f"{i}: {width:.0f} x {height:.0f}"
        axes.add_patch(Rectangle(corner, width, height, fill=False, ec=colour, lw=2, label=name))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title="width x height")
    axes.set(xlim=(0, side), ylim=(side, 0), aspect="equal", xlabel="pixels", ylabel="pixels",
             title=f"{len(priors.sizes_wh)} priors on a canvas of {side} x {side}")  # fmt: skip


def _plain(name: str) -> str:
    """A name that matplotlib does not take for mathematics, at a length that leaves room."""
    return name.replace("$", r"\$")[:24]


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plots need matplotlib: pip install 'boxray[data]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_atomically(path, picture.getvalue())
