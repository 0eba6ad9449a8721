"""`boxray explain --pixels` and `--gradients`: which pixels speak for what was asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from boxray import draw, explain
from boxray.detectors import OneStage, TwoStage
from boxray.errors import SettingError
from boxray.explain import Evidence, Hiding, picture
from boxray.explain.occlusion import GRADIENTS, OCCLUSION
from boxray.explain.target import Target
from boxray.files import write_atomically
from boxray.images import Pixels
from boxray.verbs.running import missing_extra

if TYPE_CHECKING:
    from boxray.export.twins import Twin

SCHEMA = "boxray.evidence/1"


def network_of(model: str | Path) -> Twin:
    """The network of a run folder, in torch.

    Raises SettingError for a model that is not a run with checkpoints, MissingExtra without torch.
    """
    twin = _twin_of(Path(model))
    if twin is None:
        raise SettingError(
            "--gradients needs the network itself: a run folder with its checkpoints, as `boxray "
            f"train` writes it. Of {model} there is only an exported file, for which --pixels is."
        )
    return twin


def _twin_of(folder: Path) -> Twin | None:
    if not folder.is_dir():
        return None
    try:
        from boxray.training.trained import twin_of_run
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--gradients") from error
    return twin_of_run(folder)


def found(
    detector: OneStage | TwoStage,
    image: Pixels,
    targets: tuple[Target, ...],
    hiding: Hiding | None,
    twin: Twin | None,
    threads: int | None,
) -> tuple[Evidence, ...]:
    """For each target what hiding parts of the picture shows, and what gradients do, as asked."""
    evidence: tuple[Evidence, ...] = ()
    if hiding is not None:
        evidence += explain.occlude(detector, image, targets, hiding)
    if twin is not None:
        evidence += _by_gradients(detector, twin, image, targets, threads)
    return evidence


def _by_gradients(
    detector: OneStage | TwoStage,
    twin: Twin,
    image: Pixels,
    targets: tuple[Target, ...],
    threads: int | None,
) -> tuple[Evidence, ...]:
    """By the network in torch; the proposals of two stages are those of the model's file."""
    from boxray.engines.pytorch import TorchEngine
    from boxray.explain import gradients

    engine = twin.engine
    if isinstance(engine, TorchEngine):
        assert isinstance(detector, OneStage)  # as its engine
        look = gradients.of_maps(engine, detector.coder)
    else:
        proposals = detector.detect_array(image).proposals
        assert proposals is not None  # of two stages they are in the record
        assert isinstance(detector, TwoStage)
        look = gradients.of_proposals(engine, detector.coder, proposals.boxes)
    return gradients.attribute(look, image, detector.canvas_hw, targets, threads=threads)


def heat_maps(
    image: Pixels, evidence: tuple[Evidence, ...], output: Path, path: Path
) -> tuple[Path, ...]:
    """One picture for each, and one document for each method with the numbers of all."""
    drawn = []
    for method, ending in ((OCCLUSION, "pixels"), (GRADIENTS, "gradients")):
        some = [one for one in evidence if one.method == method]
        for number, one in enumerate(some):
            which = f"-{number}" if len(some) > 1 else ""
            drawn.append(output / f"{path.stem}{which}.{ending}.png")
            draw.save(picture.of_evidence(image, one), drawn[-1])
        if some:
            document = {"schema": SCHEMA, "evidence": [one.to_dict() for one in some]}
            text = json.dumps(document, allow_nan=False)
            write_atomically(output / f"{path.stem}.{ending}.json", text.encode())
    return tuple(drawn)
