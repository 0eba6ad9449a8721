"""`boxray export`: a model as one file to take away, compared with its network in torch first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxray import bundle, data
from boxray.bundle.certificates import Certificate, Integers
from boxray.data.classes import ClassMap
from boxray.errors import SettingError
from boxray.files import write_atomically
from boxray.verbs.reading import PLAIN, judged_part, seeded
from boxray.verbs.running import missing_extra, require_bare
from boxray.verbs.terminal import shown

if TYPE_CHECKING:
    from boxray.export.twins import Twin

SCHEMA = "boxray.export/1"
FORMATS = (".onnx",)
CONFIGURATION = ".cfg"  # what Darknet's descriptions of networks end in


@dataclass(frozen=True)
class ExportReport:
    """The file that was written, and the model in it.

    unchecked: why it was not compared with torch, None if it was. logits_apart: what the comparison
    of a classifier found, at most, over a batch.
    """

    path: Path
    model: bundle.AnyModel
    size_bytes: int
    unchecked: str | None = None
    logits_apart: float | None = None

    @property
    def certificate(self) -> Certificate | None:
        """What the comparison with torch found, now or at an earlier export."""
        return None if isinstance(self.model, bundle.ClassifierModel) else self.model.certificate

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.export/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "model": self.model.name,
            "size_bytes": self.size_bytes,
            "sha256": self.model.sha256,
            "certificate": None if self.certificate is None else asdict(self.certificate),
            "unchecked": self.unchecked,
            "logits_apart": self.logits_apart,
        }

    def summary(self) -> list[str]:
        """What was written where, and how it was checked, for people."""
        name, path = shown(self.model.name), shown(str(self.path))
        lines = [f"{name}: {self.size_bytes / 1e6:.1f} MB in {path}"]
        if self.unchecked is not None:
            kept = " The certificate of an earlier export is kept." if self.certificate else ""
            return [*lines, f"Not compared with torch: {self.unchecked}.{kept}"]
        if self.logits_apart is not None:
            told = f"logits at most {self.logits_apart:.2g} apart"
            return [*lines, f"It says what its network says in torch: {told}."]
        assert self.certificate is not None  # whatever is checked has one
        return lines + certified(self.certificate)


def certified(certificate: Certificate) -> list[str]:
    """A certificate in words."""
    lines = [
        f"It detects what its network detects in torch: boxes at most {certificate.pixels:.2g} "
        f"pixels and {certificate.score:.1g} of a score apart; {certificate.pairs} detections "
        f"shown by both, {certificate.alone} by one only."
    ]
    if certificate.trained_pixels is not None:
        lines.append(
            f"Against the weights in {shown(certificate.weights)}, before they were stored: "
            f"{certificate.trained_pixels:.2g} pixels, {certificate.trained_score:.1g} of a score."
        )
    if certificate.precision is not None:
        found = certificate.precision
        lines.append(
            f"AP50 on {found.images} pictures of {shown(found.data)}: {found.file_ap50:.4f}, "
            f"in torch {found.torch_ap50:.4f}."
        )
    if certificate.integers is not None:
        lines.append(_cost(certificate.integers))
    return lines


def _cost(found: Integers) -> str:
    return (
        f"On 8-bit integers, their ranges found on {found.calibrated_on} pictures: AP50 on "
        f"{found.images} others of {shown(found.data)} {found.ap50:.4f}, before "
        f"{found.ap50_before:.4f}; {found.pairs} pairs of boxes, in the median "
        f"{found.median_pixels:.2g} pixels and {found.median_score:.1g} of a score apart, "
        f"{found.alone} without a partner."
    )


@dataclass(frozen=True)
class Judged:
    """Annotated pictures to compare on, and how they are read.

    split: `test` where there is one, else `val`, if None. int8: write the model on 8-bit integers,
    their ranges found on the part `train`.
    """

    folder: Path
    split: str | None = None
    manner: data.Manner = PLAIN
    int8: bool = False


@dataclass(frozen=True)
class Stated:
    """What a model file is to say of itself instead; None: as before.

    size: of the canvas, a side or (height, width) in pixels. It and the thresholds are a
    detector's, and what it detects with from then on, unless it is told otherwise.
    """

    name: str | None = None
    licence: str | None = None
    size: bundle.Size | None = None
    score_threshold: float | None = None
    iou_threshold: float | None = None


AS_BEFORE = Stated()


def export(
    model: str | Path,
    output: Path,
    *,
    weights: Path | None = None,
    classes: Path | None = None,
    stated: Stated = AS_BEFORE,
    judged_on: Judged | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the model of a name, a run folder or an `.onnx` file to `output`, once it is checked.

    It is compared with its network in torch, where there is both, and the certificate goes into
    the file. judged_on: pictures on which average precision is compared, too. A Darknet `.cfg`
    needs its `.weights`, and becomes a model, and so does a classifier of timm's with a file of
    weights; classes: a file with its names. stated: needs the onnx package.
    Raises ModelError for a damaged or foreign model, or one that detects something else than its
    network; SettingError for an ending that is no format's or a file that is there already;
    OutputError if it cannot be written.
    """
    _require_place(output, overwrite)
    source = _read(model, weights, classes)
    if stated != AS_BEFORE:
        source = _restated(source, stated)
    described = bundle.describe(source.content, source.label)
    certificate = _compared(source, described, judged_on)
    content = source.content
    if judged_on is not None and judged_on.int8:
        assert certificate is not None  # what cannot be compared was refused
        content = _on_integers(content, described, certificate, judged_on)
        described, certificate = bundle.describe(content, source.label), None
    if certificate is not None:
        content = _with_onnx()(content, certificate=certificate)
        described = bundle.describe(content, source.label)
    if described.second is not None:  # first, so that a model is whole once it is there
        second = bundle.read_second(described.second, source.folder)
        write_atomically(output.parent / described.second.file, second)
    write_atomically(output, content)
    return ExportReport(output, described, len(content), source.unchecked, source.logits_apart)


def _require_place(output: Path, overwrite: bool) -> None:
    if output.suffix not in FORMATS:
        raise SettingError(
            f"--output {output}: no format {output.suffix!r}. Formats: {', '.join(FORMATS)}."
        )
    if output.exists() and not overwrite:
        raise SettingError(f"--output {output} exists. Choose another, or add --overwrite.")


@dataclass(frozen=True)
class _Source:
    """A model's bytes, what errors call it, the folder it lies in, and its network in torch.

    Or, of a classifier, what a comparison found already.
    """

    content: bytes
    label: str
    folder: Path
    twin: Twin | None = None
    unchecked: str | None = None
    logits_apart: float | None = None


def _read(model: str | Path, weights: Path | None, classes: Path | None) -> _Source:
    is_darknet = Path(model).suffix == CONFIGURATION
    if is_darknet and weights is None:
        raise SettingError(
            f"a Darknet model is two files: MODEL.cfg and --weights MODEL.weights, got {model} "
            "and no weights."
        )
    if weights is not None:
        return (_darknet if is_darknet else _classifier)(str(model), weights, classes)
    if classes is not None:
        raise SettingError(f"--classes goes with --weights; {model} has its own.")
    content, label = bundle.read(model)
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    described = bundle.describe(content, label)
    if not isinstance(described, bundle.Model):
        kind = "a classifier" if isinstance(described, bundle.ClassifierModel) else "an R-CNN"
        return _Source(content, label, folder, unchecked=f"it is {kind}")
    if described.certificate is not None and described.certificate.integers is not None:
        return _Source(content, label, folder, unchecked="it is on 8-bit integers, torch is not")
    try:
        from boxray.export.twins import of_file
        from boxray.training.trained import twin_of_run
    except ModuleNotFoundError as error:
        reason = str(missing_extra(error, "the comparison")).removesuffix(".")
        return _Source(content, label, folder, unchecked=reason)
    twin = (twin_of_run(folder) if Path(model).is_dir() else None) or of_file(described)
    return _Source(content, label, folder, twin, None if twin else "it names no recipe of boxray")


def _classifier(name: str, weights: Path, classes: Path | None) -> _Source:
    """A network of timm's with weights from a file."""
    require_bare(name)
    try:
        from boxray.export.classifiers import from_weights
    except ModuleNotFoundError as error:
        raise missing_extra(error, "reading weights of a classifier") from error
    names = None if classes is None else data.read_class_file(classes).names
    content, apart = from_weights(name, weights, classes=names)
    return _Source(content, name, Path(), logits_apart=apart)


def _darknet(configuration: str, weights: Path, classes: Path | None) -> _Source:
    try:
        from boxray.export.darknet import from_darknet
    except ModuleNotFoundError as error:
        raise missing_extra(error, "reading a Darknet model") from error
    names = None if classes is None else data.read_class_file(classes).names
    content, twin = from_darknet(Path(configuration), weights, classes=names)
    return _Source(content, configuration, Path(configuration).parent, twin)


def _compared(
    source: _Source,
    described: bundle.AnyModel,
    judged_on: Judged | None,
) -> Certificate | None:
    """The certificate of a model that has a twin."""
    if source.twin is None:
        if judged_on is not None:
            raise SettingError(
                f"--data {judged_on.folder} compares the file with torch: {source.unchecked}."
            )
        return None
    from boxray.export.certificate import Pictures, certify

    if judged_on is None:
        return certify(source.content, source.twin, beside=source.folder)
    pictures = Pictures(*_part(described, judged_on))
    return certify(source.content, source.twin, beside=source.folder, dataset=pictures)


def _on_integers(
    content: bytes,
    described: bundle.AnyModel,
    certificate: Certificate,
    judged_on: Judged,
) -> bytes:
    from boxray.export.certificate import Pictures
    from boxray.export.integers import to_integers

    part, name = _part(described, judged_on)
    manner = seeded(judged_on.manner, described.recipe.get("seed"))
    seen = manner.read(judged_on.folder, "train", ClassMap(described.classes))
    return to_integers(content, certificate, seen, Pictures(part, name))


def _part(described: bundle.AnyModel, judged_on: Judged) -> tuple[data.Dataset, str]:
    """The pictures to judge on, and what they are called."""
    from boxray.export import legible

    known, manner = described.classes, seeded(judged_on.manner, described.recipe.get("seed"))
    part = judged_part(judged_on.folder, judged_on.split, manner, known, ClassMap(known))
    return part, legible(judged_on.folder.resolve().name)


def _restated(source: _Source, stated: Stated) -> _Source:
    """The same model, which says something else of itself; so does its twin."""
    restated = _with_onnx()
    content = restated(source.content, name=stated.name, licence=stated.licence)
    described = bundle.describe(source.content, source.label)
    given = {
        field: value
        for field in ("score_threshold", "iou_threshold")
        if (value := getattr(stated, field)) is not None
    }
    if not given and stated.size is None:
        return replace(source, content=content)
    if not isinstance(described, bundle.Model):
        raise SettingError(f"--size and thresholds are a detector's; {source.label} is none.")
    canvas_hw = bundle.canvas_of(stated.size, described.canvas_hw, described.coder.canvas_multiple)
    thresholds = replace(described.thresholds, **given)
    content = restated(content, canvas_hw=canvas_hw, thresholds=thresholds)
    if source.twin is None:
        return replace(source, content=content)
    detector = replace(source.twin.detector, canvas_hw=canvas_hw, thresholds=thresholds)
    return replace(source, content=content, twin=replace(source.twin, detector=detector))


def _with_onnx() -> Callable[..., bytes]:
    """What changes a model file; SettingError without the package that it takes."""
    try:
        from boxray.export import restated
    except ModuleNotFoundError as error:
        raise missing_extra(error, "changing a model file") from error
    return restated
