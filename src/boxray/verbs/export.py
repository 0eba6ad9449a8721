"""`boxray export`: a model as one file to take away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray import bundle, data
from boxray.errors import SettingError
from boxray.files import write_atomically
from boxray.verbs.running import missing_extra
from boxray.verbs.terminal import shown

SCHEMA = "boxray.export/1"
FORMATS = (".onnx",)
CONFIGURATION = ".cfg"  # what Darknet's descriptions of networks end in


@dataclass(frozen=True)
class ExportReport:
    """The file that was written, and the model in it."""

    path: Path
    model: bundle.Model | bundle.ClassifierModel
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.export/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "model": self.model.name,
            "size_bytes": self.size_bytes,
            "sha256": self.model.sha256,
        }

    def summary(self) -> list[str]:
        """What was written where, for people."""
        name, path = shown(self.model.name), shown(str(self.path))
        return [f"{name}: {self.size_bytes / 1e6:.1f} MB in {path}"]


def export(
    model: str | Path,
    output: Path,
    *,
    weights: Path | None = None,
    classes: Path | None = None,
    name: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the model of a name, a run folder or an `.onnx` file to `output`, once it is checked.

    A Darknet `.cfg` needs its `.weights`, and becomes a model; classes: a file with its names.
    name, licence: what the file is to say of itself instead (needs the onnx package).
    Raises ModelError for a damaged or foreign model, SettingError for an ending that is no
    format's or a file that is there already, OutputError if it cannot be written.
    """
    if output.suffix not in FORMATS:
        raise SettingError(
            f"--output {output}: no format {output.suffix!r}. Formats: {', '.join(FORMATS)}."
        )
    if output.exists() and not overwrite:
        raise SettingError(f"--output {output} exists. Choose another, or add --overwrite.")
    content, label = _content(model, weights, classes)
    described = bundle.describe(content, label)
    if name is not None or licence is not None:
        content = _restated(content, name, licence)
        described = bundle.describe(content, label)
    if described.second is not None:  # first, so that a model is whole once it is there
        folder = Path(model) if Path(model).is_dir() else Path(model).parent
        second = bundle.read_second(described.second, folder)
        write_atomically(output.parent / described.second.file, second)
    write_atomically(output, content)
    return ExportReport(output, described, len(content))


def _content(model: str | Path, weights: Path | None, classes: Path | None) -> tuple[bytes, str]:
    """The bytes of a model, and what errors call it."""
    is_darknet = Path(model).suffix == CONFIGURATION
    if is_darknet != (weights is not None):
        raise SettingError(
            f"a Darknet model is two files: MODEL.cfg and --weights MODEL.weights, got {model} "
            f"and {weights or 'no weights'}."
        )
    if weights is None:
        if classes is not None:
            raise SettingError(f"--classes names those of a Darknet .cfg; {model} has its own.")
        return bundle.read(model)
    try:
        from boxray.export import from_darknet
    except ModuleNotFoundError as error:
        raise missing_extra(error, "reading a Darknet model") from error
    names = None if classes is None else data.read_class_file(classes).names
    return from_darknet(Path(model), weights, classes=names), str(model)


def _restated(content: bytes, name: str | None, licence: str | None) -> bytes:
    try:
        from boxray.export import restated
    except ModuleNotFoundError as error:
        raise missing_extra(error, "changing a model file") from error
    return restated(content, name=name, licence=licence)
