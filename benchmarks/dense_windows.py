"""What sliding a classifier in one pass saves, beside asking it window by window, and changes.

    python benchmarks/dense_windows.py photo.jpg [--depths] [--json]

The picture is taken in its own size; the windows are those of `boxray.sliding_window`, a seventh of
a window apart. For dense windows: processor seconds of one thread, how many times fewer than
exact ones take, and the share of windows of which both forms hold the same of the 1,000 classes
most probable, among those to which the exact form gives more than a bound, and by size of window.
--depths adds the way between the two, in torch, on the windows of 224 pixels: the network's first
parts on the whole picture, the rest window by window, with the padding that a window alone has.
Takes a minute of one core for 1024x665 pixels, with --depths two.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from reporting import deliver, machine

import boxray
from boxray import images
from boxray.boxes import Array
from boxray.classification.classifier import BATCH, softmax
from boxray.coders.windows import WindowCoder
from boxray.images import Pixels

HEAD = ("form", "of the windows", "count", "same class", "s", "times quicker")
BOUNDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
SURE = 0.2  # the bound for single sizes and depths
RUNS = 3  # of the dense form; the least counts
SIDE, STRIDE = 224, 32  # of the windows for --depths, which are not resized


def timed(work: Callable[[], Array]) -> tuple[Array, float]:
    """What comes out, and the processor's seconds."""
    start = time.process_time()
    said = work()
    return said, time.process_time() - start


def same(exact: Array, other: Array, bound: float) -> tuple[int, str]:
    """How many windows are surer than `bound`, and the share of them with the same best class."""
    sure = softmax(exact).max(1) > bound
    equal = exact[sure].argmax(1) == other[sure].argmax(1)
    return int(sure.sum()), f"{equal.mean():.3f}" if len(equal) else "none"


def compared(picture: Pixels) -> Iterator[tuple[object, ...]]:
    """Both forms on all windows, with the shipped classifier."""
    classifier, size_hw = boxray.load_classifier(threads=1), picture.shape[:2]

    def rows(dense: bool) -> Array:
        detector = boxray.sliding_window(classifier, dense=dense, size_hw=size_hw, step=1)
        return coder.flatten(tuple(level[0] for level in detector.engine(picture[None])))

    coder = boxray.sliding_window(classifier, size_hw=size_hw, step=1).coder
    assert isinstance(coder, WindowCoder)
    rows(dense=True)  # memory is fetched once
    quick = [timed(lambda: rows(dense=True)) for _ in range(RUNS)]
    dense, dense_s = min(quick, key=lambda pair: pair[1])
    exact, exact_s = timed(lambda: rows(dense=False))
    yield "exact", "all", len(exact), "1.000", f"{exact_s:.2f}", "1.0"
    for bound in BOUNDS:
        seconds = (f"{dense_s:.2f}", f"{exact_s / dense_s:.1f}") if bound == 0 else ("", "")
        yield "dense", f"above {bound:g}", *same(exact, dense, bound), *seconds
    _, levels = coder.windows(coder.counts(size_hw))
    for level, (height, width) in enumerate(coder.sizes):
        here = levels == level
        told = same(exact[here], dense[here], SURE)
        yield "dense", f"{width}x{height}, above {SURE:g}", *told, "", ""


def by_depth(picture: Pixels) -> Iterator[tuple[object, ...]]:
    """Ever more of the network on the whole picture, the rest window by window."""
    import torch
    from torch import nn

    from boxray.networks.classifiers import lite0_classifier
    from boxray.recipes.patches import lite0_imagenet

    torch.set_num_threads(1)
    body = lite0_classifier()
    parts = {
        "the stem": nn.Sequential(body.conv_stem, body.bn1),  # type: ignore[arg-type]
        **{f"stage {n}": stage for n, stage in enumerate(body.blocks, 1)},  # type: ignore[arg-type]
        "the last convolution": nn.Sequential(body.conv_head, body.bn2),  # type: ignore[arg-type]
    }
    layers = list(parts.values())
    down, across = ((side - SIDE) // STRIDE for side in picture.shape[:2])
    seen = picture[: SIDE + STRIDE * down, : SIDE + STRIDE * across]
    values = lite0_imagenet()[0].preprocessing.values(seen)
    whole = torch.from_numpy(values.transpose(2, 0, 1)[None].copy())

    def logits(depth: int) -> Array:
        maps = nn.Sequential(*layers[:depth])(whole)
        shrunk = seen.shape[1] // maps.shape[-1]
        side, step = SIDE // shrunk, STRIDE // shrunk
        windows = maps[0].unfold(1, side, step).unfold(2, side, step)  # c rows columns h w
        pieces = windows.flatten(1, 2).transpose(0, 1).split(BATCH)
        rest = nn.Sequential(*layers[depth:])
        said = [body.classifier(rest(piece).mean((2, 3))) for piece in pieces]  # type: ignore[operator]
        return np.asarray(torch.cat(said))

    with torch.inference_mode():
        layers[0](whole)  # memory is fetched once
        exact, exact_s = timed(lambda: logits(0))
        yield "in torch, exact", f"{SIDE}x{SIDE}", len(exact), "1.000", f"{exact_s:.2f}", "1.0"
        for depth, name in enumerate(parts, 1):
            said, s = timed(lambda: logits(depth))  # noqa: B023  # called at once
            told = same(exact, said, SURE)
            yield f"whole up to {name}", f"above {SURE:g}", *told, f"{s:.2f}", f"{exact_s / s:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--depths", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    picture = images.load(given.photo)
    rows = [*compared(picture), *(by_depth(picture) if given.depths else ())]
    document = {
        "benchmark": "dense windows",
        "machine": machine("numpy", "onnxruntime", "torch", "timm"),
        "size_hw": list(picture.shape[:2]),
        "rows": [dict(zip(HEAD, row, strict=True)) for row in rows],
    }
    deliver(document, [HEAD, *rows], as_json=given.json)


if __name__ == "__main__":
    main()
