"""Models as files: the only reader and writer of what an `.onnx` file says about itself.

A model file is an ONNX graph whose metadata property "boxray" holds a JSON document with the
classes, the coder, the canvas, the thresholds and the model's history (metadata.py), and with
the sha256 of the whole file (files.py). Nothing here unpickles, downloads, or follows a path
that a file names.
"""

from __future__ import annotations

import difflib
import hashlib
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from boxray import from_classifier, regions
from boxray.bundle import classifiers, documents, metadata
from boxray.bundle import rcnn as rcnn_files
from boxray.bundle.classifiers import ClassifierModel
from boxray.bundle.metadata import Model, Second, checked_canvas, parse
from boxray.bundle.rcnn import RcnnModel
from boxray.classification.classifier import Classifier
from boxray.detectors import OneStage, TwoStage
from boxray.engines.onnx import (
    OnnxEngine,
    OnnxStages,
    metadata_text,
    open_session,
    output_channels,
)
from boxray.errors import ModelError, SettingError
from boxray.files import verify_seal

__all__ = [
    "AnyModel",
    "ClassifierModel",
    "Model",
    "RcnnModel",
    "Second",
    "describe",
    "described",
    "file_of",
    "from_bytes",
    "load",
    "load_classifier",
    "parse",
    "read",
    "read_second",
    "shipped",
    "to_text",
]

MODEL_FILE = "model.onnx"  # what a run folder calls its model
AnyModel: TypeAlias = Model | ClassifierModel | RcnnModel
Size: TypeAlias = int | tuple[int, int]  # pixels: a side, or height and width


def load(
    name_or_path: str | Path = "default",
    *,
    size: Size | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> OneStage | TwoStage:
    """The detector of a name, an `.onnx` file, or a run folder.

    A name is a shipped model's, or one of `from_classifier.NAMES`. size: another canvas, a side or
    (height, width) in pixels. threads: how many work on an image, None for all processors.
    Raises ModelError for a file that is not a whole model of boxray, SettingError for a size or
    device that does not fit.
    """
    if name_or_path in from_classifier.NAMES:
        classifier = load_classifier(from_classifier.CLASSIFIER, threads=threads, device=device)
        canvas_hw = None if size is None else canvas_of(size, (0, 0), 1)
        return from_classifier.NAMES[str(name_or_path)](classifier, canvas_hw)
    content, label = read(name_or_path)
    beside = Path(name_or_path).parent if Path(name_or_path).is_file() else Path(name_or_path)
    return from_bytes(content, label, size=size, threads=threads, device=device, beside=beside)


def from_bytes(
    content: bytes,
    label: str,
    *,
    size: Size | None = None,
    threads: int | None = None,
    device: str = "cpu",
    beside: Path = Path(),
) -> OneStage | TwoStage:
    """The detector in the bytes of a sealed model file; `label` is what errors call it.

    beside: the folder where a two-stage model's second graph lies.
    """
    verify_seal(content, label)
    try:
        session = open_session(content, threads=threads, device=device)
        text = metadata_text(session)
        if documents.parsed(text)["kind"] == documents.RCNN:
            region = rcnn_files.parse(text)
            seen = region.preprocessing
            return _learned_rcnn(OnnxEngine(session, seen.mean, seen.std), region, size)
        model = parse(text)
        _require_outputs(model, output_channels(session))
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from error
    canvas_hw = canvas_of(size, model.canvas_hw, model.coder.canvas_multiple)
    engine = OnnxEngine(session, model.mean, model.std)
    if model.second is not None:
        graph = open_session(read_second(model.second, beside), threads=threads, device=device)
        return TwoStage(
            engine=OnnxStages(engine, graph, levels=len(model.coder.channels)),
            proposal_coder=model.coder,
            proposal_thresholds=model.second.proposals,
            coder=model.second.coder,
            classes=model.classes,
            canvas_hw=canvas_hw,
            thresholds=model.thresholds,
            name=model.name,
        )
    return OneStage(
        engine=engine,
        coder=model.coder,
        classes=model.classes,
        canvas_hw=canvas_hw,
        thresholds=model.thresholds,
        name=model.name,
    )


def _learned_rcnn(engine: OnnxEngine, model: RcnnModel, size: Size | None) -> TwoStage:
    _require_logits(model, output_channels(engine.session))
    classifier = Classifier(
        engine=engine,
        classes=model.classes,
        preprocessing=model.preprocessing,
        name=model.name,
    )
    canvas_hw = canvas_of(size, model.canvas_hw, 1)
    looked_at = regions.Regions(
        model.proposer, model.limit, model.context, canvas_hw, model.thresholds
    )
    return regions.learned(classifier, model.coder, looked_at)


def load_classifier(
    name_or_path: str | Path = "lite0-imagenet",
    *,
    threads: int | None = None,
    device: str = "cpu",
) -> Classifier:
    """The classifier of a shipped model's name or an `.onnx` file.

    threads: how many work on a batch, None for all processors. Raises ModelError for a file that
    is not a whole classifier of boxray, SettingError for a device that is not there.
    """
    content, label = read(name_or_path)
    verify_seal(content, label)
    try:
        session = open_session(content, threads=threads, device=device)
        model = classifiers.parse(metadata_text(session))
        _require_logits(model, output_channels(session))
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from error
    return Classifier(
        engine=OnnxEngine(session, model.preprocessing.mean, model.preprocessing.std),
        classes=model.classes,
        preprocessing=model.preprocessing,
        wnids=model.wnids,
        name=model.name,
        stride=model.stride,
    )


def describe(content: bytes, label: str) -> AnyModel:
    """What the bytes of a sealed model file say about it."""
    verify_seal(content, label)
    try:
        text = metadata_text(open_session(content, threads=1))
        kind = documents.parsed(text)["kind"]
        if kind == documents.RCNN:
            return rcnn_files.parse(text)
        return classifiers.parse(text) if kind == documents.CLASSIFIER else parse(text)
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from error


def described(name_or_path: str | Path) -> AnyModel:
    """What the model of a name, an `.onnx` file or a run folder is, as its file says.

    What is made of a classifier has no file: it is described as a model in whose file it were.
    """
    found = describe(*read(file_of(name_or_path)))
    if name_or_path not in from_classifier.NAMES:
        return found
    assert isinstance(found, ClassifierModel)  # that is what they are made of
    made = load(name_or_path, threads=1)
    return Model(
        name=made.name,
        classes=made.classes,
        coder=made.coder if isinstance(made, OneStage) else made.proposal_coder,
        canvas_hw=made.canvas_hw,
        mean=found.preprocessing.mean,
        std=found.preprocessing.std,
        thresholds=made.thresholds,
        metrics={},
        recipe={"classifier": found.name},
        training_data=found.training_data,
        licence=found.licence,
        versions=found.versions,
        sha256=found.sha256,
    )


def file_of(name_or_path: str | Path) -> str | Path:
    """The name or path of the file that a model is in: another one's, if it is made of that."""
    return from_classifier.CLASSIFIER if name_or_path in from_classifier.NAMES else name_or_path


def to_text(model: AnyModel) -> str:
    """The metadata of an unsealed file: JSON, in ASCII, with zeros for the sha256.

    Read back by `describe`. Raises ModelError if the model could not be read back.
    """
    if isinstance(model, ClassifierModel):
        return classifiers.to_text(model)
    if isinstance(model, RcnnModel):
        return rcnn_files.to_text(model)
    return metadata.to_text(model)


def read_second(second: Second, folder: Path) -> bytes:
    """The second graph of a two-stage model, from beside the first; ModelError if it is another."""
    path = folder / second.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the second half of this two-stage model is missing: {path} ({error.strerror}). "
            "Copy both files, or export the model again."
        ) from error
    if hashlib.sha256(content).hexdigest() != second.digest:
        raise ModelError(f"{path} is damaged or another model's: its sha256 is not the first's.")
    return content


def shipped() -> tuple[str, ...]:
    """The names of the models that come with boxray."""
    folder = resources.files("boxray").joinpath("models")
    if not folder.is_dir():
        return ()
    files = (file.name for file in folder.iterdir() if file.name.endswith(".onnx"))
    return tuple(sorted(name.removesuffix(".onnx") for name in files))


def read(name_or_path: str | Path) -> tuple[bytes, str]:
    """The bytes of a shipped model, a file or a run folder's model, and what to call them."""
    names = shipped()
    if name_or_path in from_classifier.NAMES:
        raise ModelError(
            f"{name_or_path!r} has no file of its own: it is made of {file_of(name_or_path)!r} "
            "when it is loaded. It can be run, explained and judged."
        )
    if str(name_or_path) in names:
        file = resources.files("boxray").joinpath("models", f"{name_or_path}.onnx")
        return file.read_bytes(), f"the shipped model {str(name_or_path)!r}"
    path = Path(name_or_path)
    try:
        is_run = path.is_dir()
        path = path / MODEL_FILE if is_run else path
        exists, content = path.exists(), path.read_bytes() if path.is_file() else None
    except (OSError, ValueError) as error:  # too long a name, a NUL in it, no permission
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ModelError(f"cannot read the model {str(name_or_path)!r}: {reason}.") from error
    if content is not None:
        return _whole(content, path), str(path)
    if exists:
        raise ModelError(f"{path} is a pipe or device; a model is a file, a run folder or a name.")
    if is_run:
        raise ModelError(
            f"{path.parent} holds no {MODEL_FILE}; a run folder gets one when `boxray train` ends "
            "or is stopped with Ctrl-C. Unfinished: `boxray resume`."
        )
    raise ModelError(_unknown(str(name_or_path), names))


def canvas_of(size: Size | None, otherwise: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The canvas that somebody wants, or the model's own; SettingError if it does not fit."""
    if size is None:
        return otherwise
    return checked_canvas((size, size) if isinstance(size, int) else size, multiple, SettingError)


def _whole(content: bytes, path: Path) -> bytes:
    """The bytes of the file at `path`, if it could be a model."""
    if not content:
        raise ModelError(f"{path} is empty; expected an .onnx file that boxray wrote.")
    if path.suffix != ".onnx":
        raise ModelError(
            f"{path} is not an .onnx file; boxray runs what `boxray train` and `boxray export` "
            "write, and opens no pickle (.pt, .pth, .pkl)."
        )
    return content


def _unknown(given: str, names: tuple[str, ...]) -> str:
    """What to say about a model that is neither a name nor a path."""
    names += tuple(from_classifier.NAMES)
    near = difflib.get_close_matches(given, names, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) or "none"
    return (
        f"no model {given!r}: neither a file, nor a run folder, nor a shipped model.{hint} "
        f"Shipped: {listed}."
    )


def _require_outputs(model: Model, channels: tuple[int | str | None, ...]) -> None:
    """The graph's outputs against what the coder will read; open dimensions pass."""
    expected = model.coder.channels
    if model.second is not None:  # feature maps come before
        channels = channels[-len(expected) :]
    fits = len(channels) == len(expected) and all(
        got == want or not isinstance(got, int)
        for got, want in zip(channels, expected, strict=True)
    )
    if not fits:
        raise ModelError(
            f"{len(model.classes)} classes and priors on {len(expected)} levels need outputs of "
            f"{expected} channels, the graph has {channels}."
        )


def _require_logits(
    model: ClassifierModel | RcnnModel, channels: tuple[int | str | None, ...]
) -> None:
    """The graph's logits, which features may follow, against the classes; an open one passes."""
    count = len(model.classes)
    said = channels[0] if len(channels) in (1, 2) else 0
    if isinstance(said, int) and said not in (count, count + 1):
        raise ModelError(
            f"{count} classes need an output of {count} numbers, or one more for none of them; "
            f"the graph has {channels}."
        )
