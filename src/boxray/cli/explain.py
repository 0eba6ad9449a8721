"""`boxray explain`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="A page of one file, in which to ask everything."),
]

Box = Annotated[
    int | None,
    typer.Option(
        "--box", parser=options.whole, metavar="N", help="Detection N; 0, the best, if unset."
    ),
]
ShowPixels = Annotated[
    bool, typer.Option("--pixels", help="Show, too, which pixels speak for it; takes a minute.")
]
Gradients = Annotated[
    bool,
    typer.Option(
        "--gradients", help="The same by the network's gradients, of a run folder; needs torch."
    ),
]
At = Annotated[
    options.Point | None,
    typer.Option(
        "--at", parser=options.point, metavar="X,Y", help="What is, or is not, at this pixel."
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        "--truth",
        metavar="DATA",
        help="Each object that this data set marks in the picture: its folder or file.",
    ),
]
Training = Annotated[
    bool,
    typer.Option(
        "--training", help="With --truth: what the picture teaches, row by row and term by term."
    ),
]


@app.command(
    "explain",
    epilog="\b\n"
    "boxray explain photo.jpg --box 0\n"
    "boxray explain photo.jpg --at 120,80 --json\n"
    "boxray explain photo.jpg --at 120,80 --pixels --output why\n"
    "boxray explain photo.jpg --box 0 --gradients --model runs/mine --output why\n"
    "boxray explain voc07/JPEGImages/000005.jpg --truth voc07 --output why\n"
    "boxray explain photo.jpg --truth photo.xml\n"
    "boxray explain voc07/JPEGImages/000005.jpg --truth voc07 --training --seed 1 --output why\n"
    "boxray explain photo.jpg --html photo.html\n",
)
def _explain(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    box: Box = None,
    at: At = None,
    truth: Truth = None,
    training: Training = False,
    seed: options.Seed = None,
    pixels: ShowPixels = False,
    gradients: Gradients = False,
    model: options.Model = "default",
    output: options.Output = None,
    html: Html = None,
    as_json: options.Json = False,
    score_threshold: options.ScoreThreshold = None,
    iou_threshold: options.IouThreshold = None,
    max_detections: options.MaxDetections = None,
    method: options.Method = None,
    suppress_within: options.SuppressWithin = None,
    size: options.Size = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    overwrite: options.Overwrite = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Say why a box is there, or why something was not found.

    Of a box: the cell and prior it came from, the raw numbers, the decoding written out, and whom
    it beat. Of a miss: the stage that lost it, who came closest, and which threshold would help.
    With --training: which rows of each stage answer for which object and what each term of the
    loss came to, of the picture as it is or, with --seed, as training shows it: augmented,
    often in a mosaic with three pictures of DATA, or in a mixup with one. With --output a drawing
    is put there. With --html a page is: click a box, an object or any place to learn why, move
    sliders to decide again, lay cells and priors over the picture. With --pixels parts are hidden,
    many times, to see on which it depends: a heat map and JSON. With --gradients the same is read
    from the network's gradients, in seconds.
    """
    from boxray.data import Manner
    from boxray.explain import Hiding
    from boxray.verbs import explain, explain_tables, explain_training, running, terminal

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    how = running.Running(
        model=model, size=size, threads=threads, device=device, score_threshold=score_threshold,
        iou_threshold=iou_threshold, max_detections=max_detections, method=method,
        suppress_within=suppress_within,
    )  # fmt: skip
    if training or (seed is not None and not pixels):
        _only_with_truths(training, truth, (box, at, html, pixels or None, gradients or None))
        assert truth is not None
        taught = explain_training.explain_training(
            image, truth, how, seed=seed, output=output, overwrite=overwrite, manner=manner
        )
        terminal.deliver(taught.to_dict(), explain_training.explanation(taught), as_json)
        return DONE
    hiding = Hiding(seed=seed or 0) if pixels else None
    question = explain.Question(
        box=box, at=at, truth=truth, manner=manner, hiding=hiding, gradients=gradients
    )
    report = explain.explain_image(
        image, how, question, output=output, html=html, overwrite=overwrite
    )
    terminal.deliver(report.to_dict(), explain_tables.explanation(report), as_json)
    return DONE


def _only_with_truths(training: bool, truth: Path | None, others: tuple[object, ...]) -> None:
    if not training or truth is None or others != (None,) * len(others):
        raise typer.BadParameter(
            "it needs --truth DATA; --seed goes only with it or --pixels; --box, --at, --html, "
            "--pixels and --gradients do not go with it.",
            param_hint="--training",
        )
