"""Images: what is read exactly, what is refused and how fast, and boxes there and back."""

import importlib.util
import io
import os
import resource
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from boxray import images
from boxray.boxes import clip
from boxray.errors import ImageError

ORACLE = Path(__file__).parents[2] / "shared" / "oracles" / "make_bad_images.py"

REFUSED = {
    "empty.jpg one_byte.jpg header_only.jpg text.jpg html.jpg trunc25.jpg trunc50.jpg trunc75.jpg",
    "trunc99.jpg no_eoi.jpg zeros_tail.jpg bitflip.jpg trunc30.png trunc60.png trunc95.png",
    "bad_crc.png bomb_60000x60000_1bit.png bomb_20000x20000.png zero_width.png max_int.png",
    "ztxt_bomb.png progressive_trunc50.jpg trunc50.webp trunc50.bmp huge_width.bmp float32.tif",
    "svg.svg eps.eps",
}
REFUSED = {name for line in REFUSED for name in line.split()}
BOMBS = {"bomb_60000x60000_1bit.png", "bomb_20000x20000.png", "max_int.png", "huge_width.bmp"}
CUT_OFF = {"no_eoi.jpg", "progressive_trunc50.jpg", "trunc50.jpg", "trunc75.jpg", "trunc99.jpg"}


def bad_images() -> list:
    """(name, bytes) of every file that the oracle writes; one loud skip where it is absent."""
    if not ORACLE.is_file():
        reason = "needs shared/oracles/make_bad_images.py beside the repository"
        return [pytest.param("absent", b"", marks=pytest.mark.skip(reason=reason))]
    spec = importlib.util.spec_from_file_location("make_bad_images", ORACLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [pytest.param(name, data, id=name) for name, data in module.cases()]


def as_pillow_reads(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(
        0, 256, (height, width, 3), np.uint8
    )


# ------------------------------------------------------------------------------ unusual files


@pytest.mark.parametrize("name, data", bad_images())
def test_each_unusual_file_is_read_exactly_or_refused_by_name(name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    if name in REFUSED:
        with pytest.raises(ImageError) as refusal:
            images.load(path)
        assert name in str(refusal.value)
        with pytest.raises(ImageError):
            images.load(data)
        return
    pixels = images.load(path)
    assert (np.uint8, 3) == (pixels.dtype, pixels.ndim)
    assert images.header(path)[0] == pixels.shape[:2]
    assert np.array_equal(pixels, images.load(data))
    if name == "gray16.png":
        stored = np.array(Image.open(path)).astype(int)  # every value is grey * 257
        assert np.array_equal(stored // 257, pixels[..., 0])
    else:
        assert np.array_equal(as_pillow_reads(data), pixels)


@pytest.mark.parametrize("name, data", bad_images())
def test_the_header_of_any_file_is_read_or_refused(name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    try:
        (height, width), orientation = images.header(path)
    except ImageError:
        assert name in REFUSED
    else:
        assert (height, width) >= (1, 1)
        assert orientation in range(1, 9)


@pytest.mark.parametrize("name, data", bad_images())
def test_no_file_costs_a_second_or_50_megabytes(name, data):
    tracemalloc.start()
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    try:
        images.load(data)
    except ImageError:
        assert name in REFUSED
    seconds = time.perf_counter() - started
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < (0.1 if name in BOMBS else 1)
    assert peak_bytes < 50e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kilobytes < 50_000


@pytest.mark.parametrize("name, data", bad_images())
def test_only_a_jpeg_without_its_end_is_accepted_when_asked(name, data):
    if name in CUT_OFF:
        assert images.load(data, allow_truncated=True).shape == (48, 64, 3)
    elif name in REFUSED - {"zeros_tail.jpg"}:
        with pytest.raises(ImageError):
            images.load(data, allow_truncated=True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_of_every_format_is_shown_upright(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"turned.{kind.lower()}"
    path.write_bytes(encoded(Image.fromarray(noise(6, 9)), kind, exif=exif))
    pixels = images.load(path)
    assert np.array_equal(as_pillow_reads(path.read_bytes()), pixels)
    assert (pixels.shape[:2], orientation) == images.header(path)
    assert np.array_equal(pixels, images.load(Image.open(path)))


def test_a_png_that_tells_its_orientation_after_the_pixels_is_still_turned(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    data = encoded(Image.fromarray(noise(6, 9)), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    last = data.index(b"IEND") - 4
    path = tmp_path / "late.png"
    path.write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    assert images.header(path) == ((9, 6), 6)
    assert images.load(path).shape == (9, 6, 3)


def test_a_jpeg_header_of_endless_junk_is_refused_at_once():
    started = time.perf_counter()
    for junk in (b"\xff" * 20_000_000, b"\0" * 20_000_000, b"\xff\xe0\0\2" * 5_000_000):
        with pytest.raises(ImageError, match="damaged"):
            images.load(b"\xff\xd8" + junk + b"\xff\xda\xff\xd9")
    assert time.perf_counter() - started < 1


def test_an_image_over_the_limit_of_pillow_itself_raises_no_warning():
    # 8300 x 8300 = 69 megapixels: over our 64; 10000 x 10000 = 100: over Pillow's warning at 89
    for side in (8300, 10_000):
        data = encoded(Image.new("1", (side, side)), "PNG")
        with pytest.raises(ImageError, match="64 megapixels"):
            images.load(data)
        with pytest.raises(ImageError, match="64 megapixels"):
            images.load(Image.new("1", (side, side)))


def test_threads_may_read_headers_without_losing_the_warning_filters(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(noise(4, 4)), "PNG"))
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [images.load(path) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == list(warnings.filters)


# ------------------------------------------------------------------------------ other sources


def test_an_rgb_array_is_returned_as_it_is():
    image = noise(3, 5)
    assert images.load(image) is image


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1, 70_000, 3)),
    ],
    ids=["grey", "rgba", "channels first", "float", "empty", "too wide"],
)
def test_any_other_array_is_refused_with_its_shape(array):
    with pytest.raises(ImageError, match=str(array.shape[0])):
        images.load(array)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_a_pil_image_of_any_eight_bit_mode_is_converted_and_left_alone(mode):
    image = Image.fromarray(noise(5, 7)).convert(mode)
    image.info["transparency"] = 0
    assert np.array_equal(np.array(image.convert("RGB")), images.load(image))
    assert image.info == {"transparency": 0}


def test_a_pil_image_of_floats_is_refused():
    with pytest.raises(ImageError, match="mode F"):
        images.load(Image.new("F", (4, 4)))


def test_sixteen_bit_grey_is_scaled_to_the_nearest_eight_bit_grey():
    # 128 / 257 = 0.498 -> 0, 129 / 257 = 0.502 -> 1, 65535 / 257 = 255
    wide = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    grey = images.load(encoded(Image.fromarray(wide), "PNG"))[0, :, 0]
    assert grey.tolist() == [0, 0, 1, 1, 128, 255]


def test_paths_that_are_no_image_files_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    cases = ["", tmp_path, tmp_path / "missing.jpg", tmp_path / "pipe.jpg", "/dev/zero", "a\0b.jpg"]
    for path in [*cases, "x" * 5000, tmp_path / "missing" / "a.jpg"]:
        for read in (images.load, images.header):
            with pytest.raises(ImageError):
                read(path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count open files")
def test_what_is_refused_is_closed_again(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "text.jpg").write_bytes(b"text")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("", "pipe.jpg", "text.jpg"):
        for read in (images.load, images.header):
            with pytest.raises(ImageError):
                read(tmp_path / name)
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_a_path_that_is_not_utf_8_is_read_and_named_in_errors(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.write_bytes(encoded(Image.fromarray(noise(4, 4)), "PNG"))
    assert images.load(path).shape == (4, 4, 3)
    path.write_bytes(b"text")
    with pytest.raises(ImageError, match=r"udcff\.png") as refusal:
        images.load(path)
    str(refusal.value).encode("utf-8")


def test_images_need_neither_an_engine_nor_drawing():
    code = "import sys, boxray.images; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "boxray.images" in loaded
    for name in ("torch", "onnxruntime", "boxray.draw", "boxray.results"):
        assert f"'{name}'" not in loaded


# ------------------------------------------------------------------------ resize, fit, placement


def test_shrinking_averages_what_it_covers():
    # Halving a row 0 0 200 200 200 200: triangle weights 1 3 3 1 (/8), cut at the borders
    row = np.repeat(np.array([[0, 0, 200, 200, 200, 200]], np.uint8)[:, :, None], 3, axis=2)
    # first output: pixels 0, 1, 2 with weights 3 3 1 -> 200 / 7 = 28.6; second: pixels 1 to 4
    # with weights 1 3 3 1 -> 7 / 8 * 200 = 175; third: all 200
    assert images.resize(row, (1, 3))[0, :, 0].tolist() == [29, 175, 200]


def test_resizing_to_the_same_size_changes_nothing():
    image = noise(5, 7)
    assert images.resize(image, (5, 7)) is image


def test_a_wide_image_lies_in_the_middle_of_a_square_canvas():
    # 667 x 1000 on 416: width 416, height 667 * 0.416 = 277.47 -> 277; (416 - 277) // 2 = 69
    placement = images.place((667, 1000), (416, 416))
    assert (placement.resized_hw, placement.offset) == ((277, 416), (69, 0))


def test_half_a_pixel_rounds_up_not_to_even():
    # 5 x 2 on 1 x 2 ... height 5 of width 4 on an 8 x 2 canvas: 5 * 2 / 4 = 2.5 -> 3
    assert images.place((5, 4), (8, 2)).resized_hw == (3, 2)


def test_fit_pads_with_grey_and_enlarges_small_images():
    canvas, placement = images.fit(np.full((2, 4, 3), 9, np.uint8), (8, 8))
    # 2 x 4 becomes 4 x 8, two rows of grey above and two below
    assert (placement.resized_hw, placement.offset) == ((4, 8), (2, 0))
    assert canvas[:, 3, 0].tolist() == [127, 127, 9, 9, 9, 9, 127, 127]


def test_known_boxes_land_where_arithmetic_says():
    # 100 x 200 on 400 x 400: twice as large, 200 rows high, 100 rows of padding above
    placement = images.place((100, 200), (400, 400))
    boxes = np.array([[10.0, 20.0, 30.0, 50.0]])
    assert placement.to_canvas(boxes).tolist() == [[20, 140, 60, 200]]
    assert placement.to_image(placement.to_canvas(boxes)).tolist() == [[10, 20, 30, 50]]


def test_nothing_cannot_be_placed():
    with pytest.raises(ImageError, match="cannot place"):
        images.place((0, 5), (8, 8))


sides = st.one_of(st.just(1), st.integers(1, 40), st.integers(1, 8000))


@given(sides, sides, st.integers(1, 1300), st.integers(1, 1300))
def test_a_placement_stays_inside_its_canvas_and_touches_two_sides(height, width, rows, columns):
    placement = images.place((height, width), (rows, columns))
    (resized_height, resized_width), (top, left) = placement.resized_hw, placement.offset
    assert 1 <= resized_height <= rows
    assert 1 <= resized_width <= columns
    assert resized_height == rows or resized_width == columns
    assert top == (rows - resized_height) // 2
    assert left == (columns - resized_width) // 2
    scale = min(rows / height, columns / width)
    assert max(0.5 + 1e-9, 1 - scale * height) >= abs(resized_height - scale * height)
    assert max(0.5 + 1e-9, 1 - scale * width) >= abs(resized_width - scale * width)


def random_boxes(height: int, width: int, seed: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(-0.2, 1.2, (20, 4))
    return corners * np.array([width, height, width, height], float)


def test_the_whole_image_fills_its_place_and_every_box_comes_back():
    generator = np.random.default_rng(0)
    shapes = [(1, 4000), (4000, 1), (1, 1), *generator.integers(1, 4000, (1000, 2)).tolist()]
    for number, (height, width) in enumerate(shapes):
        canvas_hw = tuple(generator.integers(1, 1300, 2).tolist())
        placement = images.place((height, width), canvas_hw)
        boxes = random_boxes(height, width, number)
        assert np.abs(placement.to_image(placement.to_canvas(boxes)) - boxes).max() <= 1e-9
        single = boxes.astype(np.float32)
        assert np.abs(placement.to_image(placement.to_canvas(single)) - single).max() <= 1e-4
        (top, left), (rows, columns) = placement.offset, placement.resized_hw
        whole = placement.to_canvas(np.array([[0.0, 0.0, width, height]]))
        assert np.allclose([[left, top, left + columns, top + rows]], whole, atol=1e-9)


def test_clipping_on_the_way_back_is_that_of_boxes():
    placement = images.place((30, 50), (64, 64))
    boxes = random_boxes(64, 64, 1)
    expected = clip(placement.to_image(boxes), (30.0, 50.0))
    assert np.array_equal(expected, placement.to_image(boxes, clip=True))
