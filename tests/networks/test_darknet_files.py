"""Darknet's files: every line of a configuration accounted for, weights to the byte."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.errors import ModelError
from boxray.networks import darknet_configuration, darknet_weights
from boxray.networks.darknet_layers import Convolutional, Layer, Region, Yolo, levels_of
from boxray.networks.darknet_weights import Convolution, Header, Weights

TEXT = """\
[net]
height=64
width=96
channels=3
learning_rate=0.001
policy=steps

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=14
size=1
pad=1
activation=linear

[yolo]
mask = 2,0   # the second is the smallest
anchors = 10,14,  23,27,  37.5,58
classes=2
num=3
ignore_thresh = .5
"""


def parse(text: str = TEXT) -> darknet_configuration.Configuration:
    return darknet_configuration.parse(text, "it.cfg")


def layers() -> tuple[Layer, ...]:
    return parse().layers


class TestConfiguration:
    def test_a_text_becomes_a_canvas_and_layers(self):
        priors = ((10.0, 14.0), (23.0, 27.0), (37.5, 58.0))
        expected = (
            Convolutional(4, 3, 2, True, "leaky"),
            Convolutional(14, 1, 1, False, "linear"),
            Yolo(2, priors, mask=(2, 0), ignore_iou=0.5, truth_iou=1.0, most_truths=90),
        )
        assert ((64, 96), expected) == (parse().canvas_hw, layers())

    def test_line_ends_marks_and_spaces_do_not_matter(self):
        assert parse() == parse(TEXT.replace("\n", "\r\n"))
        assert parse() == parse(TEXT.replace("=", "  =\t"))

    @pytest.mark.parametrize(
        "line, wrong, said",
        [
            (
                "filters=4",
                "filers=4",
                r"line 8, \[convolutional\]: filters is missing. Is 'filers' on line 10 a slip",
            ),
            (
                "stride=2",
                "strid=2",
                r"line 12, \[convolutional\]: unknown option 'strid'.*'stride'",
            ),
            ("filters=4", "filters=four", r"line 10.*filters: expected whole numbers from 1"),
            ("filters=4", "filters=4,5", r"line 10.*expected one number, got '4,5'"),
            ("filters=4", "filters=0", "line 10"),
            ("filters=4", "filters=9999999", "line 10"),
            ("filters=4\n", "", r"line 8, \[convolutional\]: filters is missing"),
            ("filters=4", "filters=4\nfilters=4", "line 11.*already given on line 10"),
            ("filters=4", "filters", "line 10: expected a .section. or, inside one, option=value"),
            ("filters=14", "filters=15", "line 22.*need 14 channels, the layer before has 15"),
            ("size=3", "size=4", "would cut the map"),
            ("size=3\nstride=2\npad=1", "size=3\nstride=2", "would cut the map"),
            ("leaky", "swish", "line 14.*activation: expected one of linear, leaky"),
            ("height=64", "height=63", "multiples of 2"),
            ("height=64", "height=1e9", "line 2"),
            ("channels=3", "channels=4", "line 4.*red, green and blue"),
            ("learning_rate=0.001", "learning_rate=fast", "line 5.*learning_rate"),
            ("policy=steps", "policy=hope", "policy: expected one of"),
            ("[yolo]", "[yolov9]", r"expected a section like \[net\]"),
            ("[yolo]", "[gru]", r"line 22, \[gru\]: boxray knows no such layer"),
            ("[net]", "[layer]", r"starts with the section \[net\]"),
            ("mask = 2,0", "mask = 2,3", "mask: expected whole numbers from 0 to 2"),
            ("mask = 2,0", "mask = 2,2", "mask names an anchor twice"),
            ("num=3", "num=4", "num=4 anchors need 8 numbers, width before height, got 6"),
            ("23,27", "23,nan", "anchors: expected numbers"),
            ("23,27", "23,-27", "anchors: expected numbers"),
            ("23,27", "23,0", "anchors: expected numbers"),
            ("ignore_thresh = .5", "ignore_thresh = 2", "ignore_thresh: expected numbers from 0 t"),
            ("ignore_thresh = .5", "scale_x_y = 1.05", "unknown option 'scale_x_y'"),
            ("[yolo]", "[shortcut]\nfrom=-9\nactivation=linear\n[yolo]", "no layer -9 before"),
            ("[yolo]", "[shortcut]\nfrom=0\nactivation=linear\n[yolo]", "cannot be added"),
            ("[yolo]", "[route]\nlayers=-1,7\n[yolo]", "there is no layer 7 before"),
            ("[yolo]", "[reorg]\nstride=2\n[yolo]", "no multiple of the stride squared"),
            ("[yolo]", "[upsample]\nstride=4\n[yolo]", "cannot grow 4 times"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, line, wrong, said):
        assert line in TEXT
        with pytest.raises(ModelError, match=r"(?s)^it\.cfg.*" + said):
            parse(TEXT.replace(line, wrong, 1))

    @pytest.mark.parametrize("text", ["", "\n", "# nothing", "[net]\nwidth=32\nheight=32\n", "x"])
    def test_a_text_without_layers_is_none(self, text):
        with pytest.raises(ModelError, match=r"it\.cfg"):
            parse(text)

    def test_a_network_without_a_head_is_none(self):
        with pytest.raises(ModelError, match=r"expected at least one \[region\] or \[yolo\]"):
            parse(TEXT[: TEXT.index("[yolo]")])

    def test_heads_of_different_classes_are_no_network(self):
        second = TEXT[TEXT.index("[convolutional]") :].replace("classes=2", "classes=3")
        with pytest.raises(ModelError, match="the heads differ"):
            parse(TEXT + second.replace("filters=14", "filters=16"))

    @pytest.mark.parametrize(
        "content", [b"\xff\xfe[\0n\0", b"[net]\0", b"\x80", b"#" * 2_000_000], ids=repr
    )
    def test_a_file_that_is_no_text_is_refused(self, content, tmp_path):
        (tmp_path / "it.cfg").write_bytes(content)
        with pytest.raises(ModelError, match=r"it\.cfg"):
            darknet_configuration.read(tmp_path / "it.cfg")

    @pytest.mark.parametrize("name", ["missing.cfg", "", "a\0b", "x" * 300])
    def test_a_path_that_leads_nowhere_is_refused(self, name, tmp_path):
        with pytest.raises(ModelError, match="cannot read the configuration"):
            darknet_configuration.read(tmp_path / name)

    @given(st.text(alphabet="[]netyolo=#,.-0123456789 \n\t", max_size=200))
    def test_any_text_is_refused_by_name(self, text):
        with pytest.raises(ModelError, match=r"it\.cfg"):
            parse(text)

    @given(st.data())
    def test_an_option_that_stands_twice_is_refused(self, data):
        lines = TEXT.splitlines()
        options = [place for place, line in enumerate(lines) if "=" in line]
        place = data.draw(st.sampled_from(options))
        with pytest.raises(ModelError, match=f"line {place + 2}.*already given"):
            parse("\n".join([*lines[: place + 1], *lines[place:]]))

    def test_the_published_files_are_read(self, shared):
        found = sorted((shared / "data" / "darknet").glob("*.cfg"))
        assert 8 == len(found)
        for path in found:
            levels = levels_of(darknet_configuration.read(path).layers)
            kind = Region if "yolov2" in path.name else Yolo
            assert all(isinstance(level.head, kind) for level in levels)
            assert {20 if "voc" in path.name else 80} == {x.head.class_count for x in levels}

    def test_the_published_anchors_masks_and_thresholds(self, shared):
        folder = shared / "data" / "darknet"
        fine, middle, coarse = (
            level.head
            for level in levels_of(darknet_configuration.read(folder / "yolov3.cfg").layers)
        )
        assert [(0, 1, 2), (3, 4, 5), (6, 7, 8)] == [fine.mask, middle.mask, coarse.mask]
        assert ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)) == fine.priors[:3]
        assert (0.7, 1.0, 90) == (fine.ignore_iou, fine.truth_iou, fine.most_truths)
        (level,) = levels_of(darknet_configuration.read(folder / "yolov2.cfg").layers)
        assert (0.57273, 0.677385) == level.head.priors[0]
        head = level.head
        assert (0.6, 5, True, 30) == (
            head.ignore_iou,
            head.object_scale,
            head.rescore,
            head.most_truths,
        )

    def test_reading_does_not_need_torch(self):
        program = (
            "import sys; sys.modules['torch'] = None\n"
            "from boxray.networks import darknet_configuration, darknet_weights\n"
            f"darknet_configuration.parse({TEXT!r}, 'it')"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (0, "") == (done.returncode, done.stderr)


def weights(header: Header = Header(), seed: int = 0) -> Weights:  # noqa: B008  # frozen
    random = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray:
        return random.random(shape).astype(np.float32)

    normed = Convolution(some(4), some(4), some(4), some(4), some(4, 3, 3, 3))
    return Weights(header, (normed, Convolution(some(14), None, None, None, some(14, 4, 1, 1))))


class TestWeights:
    @given(
        st.sampled_from([(0, 2, 0), (0, 2, 5), (1, 0, 0), (0, 1, 0), (0, 0, 0), (3, 999, 1)]),
        st.integers(0, 2**31 - 1),
        st.integers(0, 9),
    )
    def test_reader_and_writer_undo_each_other_byte_for_byte(self, version, seen, seed):
        content = weights(Header(*version, seen), seed).to_bytes()
        found = darknet_weights.parse(content, layers(), "it.weights")
        assert Header(*version, seen) == found.header
        assert content == found.to_bytes()

    def test_the_layout_is_darknets(self):
        # version 0.2.5, 7 images seen in 64 bits; bias, scale, mean, variance, then weights
        content = weights(Header(0, 2, 5, 7)).to_bytes()
        first, second = weights().convolutions
        arrays = [first.bias, first.scale, first.mean, first.variance, first.weight]
        flat = np.concatenate([a.ravel() for a in [*arrays, second.bias, second.weight]])
        assert struct.pack("<iiiQ", 0, 2, 5, 7) + struct.pack(f"<{len(flat)}f", *flat) == content

    def test_before_version_0_2_seen_takes_32_bits(self):
        assert struct.pack("<iiii", 0, 1, 0, 7) == Header(0, 1, 0, 7).to_bytes()
        assert struct.pack("<iiiQ", 0, 2, 0, 7) == Header(0, 2, 0, 7).to_bytes()

    def test_seen_may_need_more_than_32_bits_from_version_0_2_on(self):
        content = weights(Header(seen=2**40)).to_bytes()
        assert 2**40 == darknet_weights.parse(content, layers(), "it").header.seen

    @pytest.mark.parametrize(
        "spoil, said",
        [
            (lambda c: b"", "0 bytes, too few"),
            (lambda c: c[:11], "11 bytes, too few"),
            (lambda c: c[:15], "ends within its header"),
            (lambda c: c[:-1], r"\(-1\)"),
            (lambda c: c + b"\0", r"\(\+1\)"),
            (lambda c: c[:-4], r"\(-4\)"),
            (lambda c: c + c, "different networks"),
            (lambda c: struct.pack(">iii", 0, 2, 5) + c[12:], "not a little-endian"),
            (lambda c: struct.pack("<iii", 0, 2000, 5) + c[12:], "not a little-endian"),
            (lambda c: struct.pack("<iii", -1, 2, 5) + c[12:], "not a little-endian"),
            # a header of 32 bits of seen under a version of 64, and the other way round
            (lambda c: c[:16] + c[20:], r"\(-4\)"),
            (lambda c: struct.pack("<iii", 0, 1, 0) + c[12:], r"\(\+4\)"),
            (lambda c: struct.pack("<iiii", 0, 1, 0, -1) + c[20:], "-1 images were seen"),
            (lambda c: c[:40] + struct.pack("<f", np.nan) + c[44:], "byte 40 is nan"),
            (lambda c: c[:-4] + struct.pack("<f", np.inf), "is inf"),
            (
                lambda c: c[:68] + struct.pack("<f", -1) + c[72:],
                "convolution 0 has a variance of -1",
            ),
            (lambda c: b"<html>404: not found</html>", "not a little-endian"),
        ],
    )
    def test_a_file_that_is_not_this_networks_is_refused(self, spoil, said, tmp_path):
        path = tmp_path / "it.weights"
        path.write_bytes(spoil(weights().to_bytes()))
        with pytest.raises(ModelError, match=said) as caught:
            darknet_weights.read(path, layers())
        assert "it.weights" in str(caught.value)

    def test_a_file_is_read_as_its_bytes_are(self, tmp_path):
        path = tmp_path / "it.weights"
        path.write_bytes(weights().to_bytes())
        assert path.read_bytes() == darknet_weights.read(path, layers()).to_bytes()

    def test_a_huge_file_of_another_network_is_not_read(self, tmp_path):
        path = tmp_path / "it.weights"
        with path.open("wb") as file:
            file.write(Header().to_bytes())
            file.truncate(10**12)  # a hole: no disk is used
        with pytest.raises(ModelError, match="the file has 1000000000000"):
            darknet_weights.read(path, layers())

    @pytest.mark.parametrize("name", ["missing.weights", "a\0b", "x" * 300, "."])
    def test_a_path_that_leads_nowhere_is_refused(self, name, tmp_path):
        with pytest.raises(ModelError, match=r"weights file|cannot read the weights"):
            darknet_weights.read(tmp_path / name, layers())

    def test_an_independent_writer_is_understood(self, shared, monkeypatch, tmp_path):
        monkeypatch.syspath_prepend(shared / "oracles")
        darknet_io = pytest.importorskip("darknet_io")
        sections = darknet_io.parse_cfg(TEXT)
        path = tmp_path / "it.weights"
        for major, minor in ((0, 2), (0, 1)):
            written = darknet_io.random_weights(sections)
            darknet_io.write_weights(path, written, major=major, minor=minor, seen=9)
            found = darknet_weights.read(path, layers())
            assert 9 == found.header.seen
            for one, other in zip(found.convolutions, written, strict=True):
                np.testing.assert_array_equal(other["weight"], one.weight)
                np.testing.assert_array_equal(other["bias"], one.bias)
                if "var" in other:
                    np.testing.assert_array_equal(other["var"], one.variance)
            assert path.read_bytes() == found.to_bytes()
