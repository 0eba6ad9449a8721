"""The options that users type, each one's name, meaning and limits written once.

A value that is not understood, or outside its limits, is refused here, with the option's name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from boxray import recipes

STRIDE = 32  # pixels; the coarsest cell of every model of boxray
LARGEST_SIDE = 4096


class CanvasSize(NamedTuple):
    """What --size says, in pixels."""

    height: int
    width: int


class Point(NamedTuple):
    """What --at says, in pixels."""

    x: float
    y: float


class Patch(NamedTuple):
    """What --patch says, in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float


def share(text: str) -> float:
    """A number from 0 to 1; NaN, infinity and a decimal comma are none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"expected a number from 0 to 1, got {text!r}.")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"expected a number above 0, got {text!r}.")
    return value


def count(text: str) -> int:
    """A whole number from 1 to a million, in digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= 1_000_000):
        raise typer.BadParameter(f"expected a whole number from 1 to 1000000, got {text!r}.")
    return int(text)


def point(text: str) -> Point:
    """`X,Y` in pixels, each a finite number from 0."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (0 <= x < math.inf and 0 <= y < math.inf):
        raise typer.BadParameter(f"expected two numbers of pixels, like 120,80, got {text!r}.")
    return Point(x, y)


def patch(text: str) -> Patch:
    """`X0,Y0,X1,Y1` in pixels, finite and with something inside."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        x0 = y0 = x1 = y1 = math.nan
    if not (-math.inf < x0 < x1 < math.inf and -math.inf < y0 < y1 < math.inf):
        raise typer.BadParameter(
            f"expected x0,y0,x1,y1 in pixels with x0 < x1 and y0 < y1, got {text!r}."
        )
    return Patch(x0, y0, x1, y1)


def rounds(text: str) -> float:
    """A whole number of times, for what a budget in minutes may make a fraction."""
    return float(count(text))


def whole(text: str) -> int:
    """A whole number from 0 to 2147483647, in digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**31):
        raise typer.BadParameter(f"expected a whole number from 0, got {text!r}.")
    return int(text)


def shares(text: str) -> tuple[float, ...]:
    """`80,10,10`: numbers above 0 with commas between them."""
    return tuple(positive(part.strip()) for part in text.split(","))


def size(text: str) -> CanvasSize:
    """`320` or `HxW`, in pixels."""
    sides = [_side(part) for part in text.lower().split("x")]
    if len(sides) > 2 or not all(sides):
        raise typer.BadParameter(
            f"expected a side or HEIGHTxWIDTH in pixels, multiples of {STRIDE} up to "
            f"{LARGEST_SIDE}, like 320 or 320x480, got {text!r}."
        )
    return CanvasSize(sides[0], sides[-1])


def _side(text: str) -> int:
    """The number of pixels, 0 if it is no possible side of a canvas."""
    good = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if good and int(text) <= LARGEST_SIDE and int(text) % STRIDE == 0 else 0


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")
]
Output = Annotated[Path | None, typer.Option("--output", help="Folder for what is written.")]
To = Annotated[str, typer.Option("--to", metavar="FORMAT", help="voc, coco, yolo or open-images.")]
OptionalTo = Annotated[
    str | None,
    typer.Option("--to", metavar="FORMAT", help="Write data in this format, not lists alone."),
]
PageOutput = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="The .html file to write.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write where something is already.")]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What the model calls itself then.")
]
Licence = Annotated[
    str | None, typer.Option("--licence", metavar="SPDX", help="The licence it states then.")
]
Model = Annotated[
    str, typer.Option("--model", help="A name of `boxray models`, a run folder or an .onnx file.")
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A name of `boxray models`, a run folder or an .onnx file."
    ),
]
DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="A folder of annotated pictures.")
]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        "--score-threshold", parser=share, metavar="0..1", help="Show detections from this score."
    ),
]
IouThreshold = Annotated[
    float | None,
    typer.Option(
        "--iou-threshold",
        parser=share,
        metavar="0..1",
        help="Of two boxes that overlap by more, the better stays.",
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="What becomes of boxes that overlap: greedy, diou, soft-linear, soft-gaussian, "
        "matrix or fusion.",
    ),
]
SuppressWithin = Annotated[
    str | None,
    typer.Option(
        "--suppress-within", metavar="WHOM", help="Who competes with whom: class, group or all."
    ),
]
MaxDetections = Annotated[
    int | None,
    typer.Option("--max-detections", parser=count, metavar="N", help="At most N per picture."),
]
Size = Annotated[
    CanvasSize | None,
    typer.Option("--size", parser=size, metavar="N|HxW", help="Canvas in pixels, multiples of 32."),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", parser=count, metavar="N", help="Threads; all processors if unset."),
]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="voc, coco, yolo or open-images, where the folder does not tell.",
    ),
]
VocZeroBased = Annotated[
    bool, typer.Option("--voc-zero-based", help="The first pixel of the VOC files is 0, not 1.")
]
Segments = Annotated[
    bool, typer.Option("--segments", help="Take the box around each polygon of YOLO or COCO.")
]
MergeNames = Annotated[
    bool, typer.Option("--merge-names", help="Categories of one name in a COCO file are one.")
]
StrictData = Annotated[
    bool, typer.Option("--strict", help="Refuse data that loses a box or needs a repair.")
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Keep readings here, not in the user's cache."),
]
Protocol = Annotated[str, typer.Option("--protocol", help="coco or voc.")]
Drawn = Annotated[
    int | None,
    typer.Option("--limit", parser=count, metavar="N", help="N pictures, drawn by --seed."),
]
Split = Annotated[str | None, typer.Option("--split", help="Which part of the data set.")]
PriorCount = Annotated[
    int | None,
    typer.Option("--priors", parser=count, metavar="N", help="How many priors; 5 if unset."),
]
ImageName = Annotated[
    str | None,
    typer.Option(
        "--image", metavar="NAME", help="This image: its path or name; else the first with a box."
    ),
]
ClassFile = Annotated[
    Path | None,
    typer.Option(
        "--classes", metavar="FILE", help="Class file: one `name: synonym, synonym` per line."
    ),
]
Recipe = Annotated[
    str,
    typer.Option("--recipe", metavar="NAME", help=f"One of: {', '.join(recipes.TABLE)}."),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="MODEL",
        help="Begin with this model's weights: a name, .onnx file or run folder; imagenet for the "
        "backbone's alone. The shipped model if unset, where the recipe is its own.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="The .weights file of a Darknet MODEL.cfg, or a file for a classifier of timm's.",
    ),
]
Classifier = Annotated[
    str,
    typer.Option(
        "--model", help="A shipped classifier's name, an .onnx file, or timm's name for a network."
    ),
]
ClassifierWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="For a network of timm's: its .safetensors, or for inception_v3.tf_in1k and "
        "inception_resnet_v2.tf_in1k Keras' .h5.",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes", parser=positive, metavar="N", help="Fit the training into N minutes."
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option("--epochs", parser=rounds, metavar="N", help="Show every picture N times."),
]
Batch = Annotated[
    int | None, typer.Option("--batch", parser=count, metavar="N", help="Pictures per step.")
]
Accumulate = Annotated[
    int | None,
    typer.Option(
        "--accumulate",
        parser=count,
        metavar="N",
        help="Work through each batch in N portions, for less memory; what fits if unset.",
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        parser=positive,
        metavar="R",
        help="Of the new layers at its peak; the recipe's if unset.",
    ),
]
Freeze = Annotated[
    int | None,
    typer.Option(
        "--freeze",
        parser=whole,
        metavar="N",
        help="Train all but the backbone's first N stages, 0 to 8; the recipe's number if unset.",
    ),
]
Balance = Annotated[
    bool, typer.Option("--balance", help="Show pictures of rare classes more often.")
]
MultiScale = Annotated[
    bool, typer.Option("--multi-scale", help="Change the canvas by up to a quarter as it goes.")
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience", parser=count, metavar="N", help="End after N validations without a gain."
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="NAME", help="Tell tensorboard, wandb or mlflow too, if installed."
    ),
]
ValSplit = Annotated[
    str | None,
    typer.Option("--val-split", help="The part that is checked on; val, valid or test if unset."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", parser=whole, metavar="N", help="Of all chance; 0 if unset.")
]
