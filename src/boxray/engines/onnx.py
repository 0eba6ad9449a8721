"""Runs an ONNX graph with onnxruntime, which is imported here and nowhere else but in `export`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
from jaxtyping import Float32, UInt8

from boxray.boxes import Array
from boxray.errors import ModelError, SettingError

METADATA_KEY = "boxray"
INPUT_NAME = "image"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_OUTSIDE_WEIGHTS = "session.model_external_initializers_file_folder_path"
_SILENT = 4  # onnxruntime's level "fatal": everything below reaches us as an exception anyway

onnxruntime.set_default_logger_severity(_SILENT)


@dataclass(frozen=True)
class OnnxEngine:
    """The learned step: canvases in, one raw array per pyramid level out; of a classifier logits,
    and perhaps features.

    mean and std: of red, green and blue on the scale 0 to 255; the graph is given
    (pixel - mean) / std. Raises ModelError where onnxruntime cannot run the graph.
    """

    session: onnxruntime.InferenceSession
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Float32[Array, "n ..."], ...]:
        pixels = np.ascontiguousarray(canvases.transpose(0, 3, 1, 2), np.float32)
        pixels -= np.asarray(self.mean, np.float32)[:, None, None]
        pixels /= np.asarray(self.std, np.float32)[:, None, None]
        try:
            return tuple(self.session.run(None, {INPUT_NAME: pixels}))
        except Exception as error:  # onnxruntime's own tree of errors starts at Exception
            raise ModelError(f"the model does not run: {_first_line(error)}") from error


@dataclass(frozen=True)
class OnnxStages:
    """The two learned steps of a two-stage detector, each a graph of its own.

    levels: how many of the first graph's outputs are raw arrays, its last ones; those before them
    are feature maps, which the second graph takes in the same order, and then boxes.
    """

    first: OnnxEngine
    second: onnxruntime.InferenceSession
    levels: int

    def propose(
        self, canvases: UInt8[Array, "n h w 3"]
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        outputs = self.first(canvases)
        return outputs[: -self.levels], outputs[-self.levels :]

    def refine(
        self, features: tuple[Array, ...], boxes: Float32[Array, "k 4"]
    ) -> Float32[Array, "k numbers"]:
        names = [entry.name for entry in self.second.get_inputs()]
        try:
            (numbers,) = self.second.run(None, dict(zip(names, (*features, boxes), strict=True)))
        except Exception as error:
            raise ModelError(f"the model does not run: {_first_line(error)}") from error
        return numbers


def open_session(
    content: bytes, *, threads: int | None = None, device: str = "cpu"
) -> onnxruntime.InferenceSession:
    """A session for a whole `.onnx` file in memory; weights in other files are not followed.

    threads: how many work on one image; None for every processor this process may use.
    Raises ModelError for bytes that onnxruntime does not take, SettingError for a device that is
    unknown or not there.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    # set, because onnxruntime's own choice ties threads to processors that we may not own
    options.intra_op_num_threads = threads or processors()
    options.inter_op_num_threads = 1
    # weights outside the file would be looked for below this, where nothing can be
    options.add_session_config_entry(_OUTSIDE_WEIGHTS, os.devnull)
    try:
        return onnxruntime.InferenceSession(content, options, providers=[_provider(device)])
    except SettingError:
        raise
    except Exception as error:
        raise ModelError(f"onnxruntime refuses the graph: {_first_line(error)}") from error


def metadata_text(session: onnxruntime.InferenceSession) -> str:
    """The text that boxray left in the file; ModelError if there is none."""
    found = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in found:
        raise ModelError(
            f"an ONNX file of boxray has a metadata property {METADATA_KEY!r}, "
            f"this one has {sorted(found) or 'none'}. Export it with `boxray export`."
        )
    return str(found[METADATA_KEY])


def output_channels(session: onnxruntime.InferenceSession) -> tuple[int | str | None, ...]:
    """How many channels each output promises; a name or None where the graph leaves it open."""
    names = [entry.name for entry in session.get_inputs()]
    if names != [INPUT_NAME]:
        raise ModelError(f"the graph takes {names}; boxray gives it one input, [{INPUT_NAME!r}].")
    shapes = [entry.shape for entry in session.get_outputs()]
    return tuple(shape[1] if shape and len(shape) in (2, 4) else None for shape in shapes)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _provider(device: str) -> str:
    """The name that onnxruntime has for a device that is there."""
    if device not in PROVIDERS:
        raise SettingError(f"device is {device!r}; expected one of {', '.join(PROVIDERS)}.")
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise SettingError(
            "no CUDA device: this onnxruntime runs on the CPU only. Use --device cpu, "
            "or install onnxruntime-gpu in its place."
        )
    return PROVIDERS[device]


def _first_line(error: Exception) -> str:
    """What onnxruntime says, on one line, without its banner."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rsplit("ONNXRuntimeError] : ", 1)[-1][:300]
