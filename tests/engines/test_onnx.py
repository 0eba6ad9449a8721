"""The ONNX engine normalises as the model says, runs batches, and refuses what is no graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tiny_model
from boxray.engines.onnx import OnnxEngine, metadata_text, open_session, output_channels
from boxray.errors import ModelError, SettingError


def one_node(operation: str, *weights: TensorProto, opset: int = 17) -> onnx.ModelProto:
    """A graph of one operation on the engine's input."""
    inputs = ["image", *(weight.name for weight in weights)]
    graph = helper.make_graph(
        [helper.make_node(operation, inputs, ["level_1"])],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("level_1", TensorProto.FLOAT, None)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def elsewhere(location: str) -> TensorProto:
    """A weight whose numbers are in another file."""
    weight = TensorProto()
    weight.name, weight.data_type = "kernel", TensorProto.FLOAT
    weight.dims.extend([1])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return weight


def engine(model: onnx.ModelProto, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) -> OnnxEngine:
    return OnnxEngine(open_session(model.SerializeToString(), threads=1), mean, std)


def test_pixels_are_normalised_channel_by_channel_and_channels_come_first():
    # (255 - 127) / 128 = 1, (127 - 127) / 128 = 0, (0 - 64) / 32 = -2
    canvas = np.zeros((1, 2, 3, 3), np.uint8)
    canvas[0, 1, 2] = (255, 127, 0)
    (out,) = engine(one_node("Identity"), (127.0, 127.0, 64.0), (128.0, 128.0, 32.0))(canvas)
    assert (1, 3, 2, 3) == out.shape
    assert np.float32 == out.dtype
    assert [1, 0, -2] == out[0, :, 1, 2].tolist()


def test_a_batch_says_what_its_canvases_say_alone():
    run = engine(tiny_model.graph(), (127.0,) * 3, (128.0,) * 3)
    canvases = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    together = run(canvases)
    assert [(3, 16, 8, 12), (3, 16, 4, 6), (3, 16, 2, 3)] == [level.shape for level in together]
    for i in range(3):
        for level, alone in zip(together, run(canvases[i : i + 1]), strict=True):
            np.testing.assert_allclose(level[i], alone[0], rtol=1e-5, atol=1e-5)


def test_the_canvas_is_not_changed():
    canvas = np.full((1, 32, 32, 3), 200, np.uint8)
    engine(one_node("Identity"), (127.0,) * 3, (128.0,) * 3)(canvas)
    assert (200 == canvas).all()


def test_the_metadata_is_the_text_that_was_put_in():
    session = open_session(tiny_model.sealed('sealed: "sha256": "' + "0" * 64 + '"'))
    assert metadata_text(session).startswith("sealed: ")


def test_a_graph_without_metadata_is_not_a_model_of_boxray():
    with pytest.raises(ModelError, match="metadata property 'boxray'"):
        metadata_text(open_session(tiny_model.graph().SerializeToString()))


def test_the_channels_of_every_output_are_known_before_anything_runs():
    session = open_session(tiny_model.graph().SerializeToString())
    assert (16, 16, 16) == output_channels(session)


def test_a_graph_with_another_input_is_refused():
    model = tiny_model.graph()
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[0] = "pixels"
    with pytest.raises(ModelError, match=r"takes \['pixels'\]"):
        output_channels(open_session(model.SerializeToString()))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        tiny_model.graph().SerializeToString()[:500],
        one_node("NoSuchOperation").SerializeToString(),
        one_node("Identity", opset=999).SerializeToString(),
    ],
    ids=["empty", "text", "truncated", "unknown operation", "future opset"],
)
def test_what_is_no_graph_is_refused_in_one_line_and_nothing_is_printed(content, capfd):
    with pytest.raises(ModelError) as caught:
        open_session(content)
    assert 1 == len(str(caught.value).splitlines())
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("place", ["beside.bin", "../beside.bin", "{folder}/beside.bin"])
def test_weights_in_another_file_are_not_followed(tmp_path, monkeypatch, place):
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "beside.bin").write_bytes(bytes(4))
    monkeypatch.chdir(inner)
    model = one_node("Add", elsewhere(place.format(folder=inner)))
    with pytest.raises(ModelError, match="refuses the graph"):
        open_session(model.SerializeToString())


def test_a_canvas_that_the_graph_cannot_take_is_a_model_error():
    run = engine(one_node("MatMul", onnx.numpy_helper.from_array(np.ones((7, 1), np.float32), "k")))
    with pytest.raises(ModelError, match="does not run"):
        run(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(SettingError, match="no CUDA device"):
        open_session(tiny_model.graph().SerializeToString(), device="cuda")
    with pytest.raises(SettingError, match="expected one of cpu, cuda"):
        open_session(tiny_model.graph().SerializeToString(), device="abacus")
