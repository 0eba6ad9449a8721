"""The command line: exit codes, one line per error, one document per --json, quiet ends."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import boxray
import tiny_model
from boxray import cli, options
from boxray.errors import MissingExtra, OutputError

VERBS = ("detect", "demo", "evaluate", "models", "train", "resume", "export")
DATA_VERBS = ("show", "grid", "browse", "doctor", "split", "convert")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny_model.write(tmp_path_factory.mktemp("model")))


@pytest.fixture
def photo(tmp_path) -> str:
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(4).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.fixture
def boxray_says(capfd, monkeypatch, tmp_path):
    """Run a command line in this process, in an empty folder: exit code, output, errors."""
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def says(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return says


def program(*arguments: str) -> list[str]:
    """The words that start boxray as a program of its own."""
    return [sys.executable, "-m", "boxray", *arguments]


class TestHelp:
    def test_tells_every_verb(self, boxray_says):
        code, out, err = boxray_says("--help")
        assert (0, "") == (code, err)
        assert [] == [verb for verb in (*VERBS, "data") if f"  {verb} " not in out]

    def test_of_data_tells_every_verb_of_it(self, boxray_says):
        code, out, err = boxray_says("data", "--help")
        assert (0, "") == (code, err)
        assert [] == [verb for verb in DATA_VERBS if f"  {verb} " not in out]

    @pytest.mark.parametrize("verb", [*VERBS, *(f"data {verb}" for verb in DATA_VERBS)])
    def test_of_a_verb_has_an_example(self, boxray_says, verb):
        code, out, _ = boxray_says(*verb.split(), "--help")
        assert 0 == code
        assert f"\n  boxray {verb}" in out

    @pytest.mark.parametrize("words", [[], ["data"]])
    def test_without_a_verb_is_wrong_use_and_goes_to_standard_error(self, boxray_says, words):
        code, out, err = boxray_says(*words)
        assert (2, "") == (code, out)
        assert f"Usage: {' '.join(['boxray', *words])}" in err

    def test_the_version_is_that_of_the_package(self, boxray_says):
        assert (0, f"boxray {boxray.__version__}\n", "") == boxray_says("--version")


class TestWrongUse:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["detec"], "Did you mean 'detect'"),
            (["detect"], "Missing argument 'SOURCE...'"),
            (["detect", "x", "--score"], "No such option: --score"),  # abbreviations are off
            (["train", "x", "--epoch", "3"], "No such option: --epoch"),
            (["export", "x"], "Missing option '--output'"),
            (["detect", "x", "--score-threshold"], "--score-threshold"),
            *(
                (["detect", "x", "--score-threshold", wrong], "'--score-threshold'")
                for wrong in ("nan", "inf", "2", "-0.1", "", "0,5")
            ),
            *(
                (["detect", "x", "--iou-threshold", wrong], "'--iou-threshold'")
                for wrong in ("1.01", "abc")
            ),
            *(
                (["detect", "x", "--max-detections", wrong], "'--max-detections'")
                for wrong in ("0", "-1", "1.5", "1e3", "abc", "9" * 21, "٣")
            ),
            *(
                (["detect", "x", "--size", wrong], "'--size'")
                for wrong in (
                    "31",
                    "0",
                    "640x",
                    "640x480x3",
                    "-320",
                    "1000000000",
                    "",
                    "x",
                    "320.0",
                )
            ),
            *(
                (["train", "x", "--epochs", wrong], "'--epochs'")
                for wrong in ("abc", "1.5", "-1", "0", "1e3", "9" * 21)
            ),
            *((["train", "x", "--minutes", wrong], "'--minutes'") for wrong in ("nan", "0", "inf")),
            (["train", "x", "--seed", "-1"], "'--seed'"),
            (["train", "x", "--size", "320x640"], "--size"),
        ],
        ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else "",
    )
    def test_is_one_line_that_names_what_is_wrong(self, boxray_says, arguments, says):
        code, out, err = boxray_says(*arguments)
        assert (2, "") == (code, out)
        assert says in err
        assert err.startswith("error: ")
        assert 1 == len(err.splitlines())

    @pytest.mark.parametrize(
        "arguments",
        [
            ["detect", "absent.jpg"],
            ["detect", "{photo}", "--model", "absent.onnx"],
            ["detect", "{photo}", "--model", "."],
            ["detect", "{photo}", "--model", "{photo}"],
            ["detect", "{photo}", "--model", "{model}", "--device", "cuda"],
            ["detect", "{photo}", "--model", "{model}", "--classes", "zebra"],
            ["detect", "{photo}", "--model", "{model}", "--output", "{photo}"],
            ["evaluate", "{model}", "absent"],
            ["evaluate", "{model}", "."],
            ["models", "absent"],
            ["export", "{model}", "--output", "model.tflite"],
        ],
        ids=" ".join,
    )
    def test_of_files_and_models_is_refused_before_any_work(
        self, boxray_says, arguments, photo, model
    ):
        code, out, err = boxray_says(*(a.format(photo=photo, model=model) for a in arguments))
        assert (2, "") == (code, out)
        assert 1 == len(err.splitlines()), err
        assert [] == list(Path.cwd().iterdir())


class TestOptions:
    def test_a_size_is_a_side_or_height_and_width(self):
        assert (320, 320) == options.size("320")
        assert (320, 480) == options.size("320x480")
        assert options.CanvasSize(height=64, width=96) == options.size("64X96")

    def test_of_an_option_given_twice_the_last_one_counts(self, boxray_says, photo, model):
        words = ["detect", photo, "--model", model, "--json", "--max-detections"]
        _, out, _ = boxray_says(*words, "3", "--max-detections", "1")
        assert 1 == len(json.loads(out)["images"][0]["detections"])


class TestDetect:
    def test_json_is_one_document_and_nothing_is_written(self, boxray_says, photo, model):
        code, out, err = boxray_says("detect", photo, "--model", model, "--json")
        assert (0, "") == (code, err)
        assert "boxray.detect/1" == json.loads(out)["schema"]
        assert 1 == out.count("\n")
        assert [] == list(Path.cwd().iterdir())

    def test_a_table_for_people_and_pictures_in_the_default_folder(self, boxray_says, photo, model):
        words = ("detect", photo, "--model", model, "--max-detections", "2")
        for _ in range(2):  # the default folder is boxray's own: the second run uses it again
            code, out, _ = boxray_says(*words)
            assert 0 == code
            assert "photo.jpg" in out
            assert "\x1b" not in out  # no colours where nobody looks
        assert {"photo.jpg", "detections.json"} == {
            path.name for path in Path("boxray-detections").iterdir()
        }

    def test_a_folder_that_is_not_empty_needs_overwrite(self, boxray_says, photo, model, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "mine").touch()
        words = ("detect", photo, "--model", model, "--output", str(out))
        assert 2 == boxray_says(*words)[0]
        assert 0 == boxray_says(*words, "--overwrite")[0]
        assert (out / "mine").exists()

    def test_one_bad_picture_is_listed_and_only_strict_minds(self, boxray_says, photo, model):
        bad = Path(photo).with_name("bad.jpg")
        bad.write_bytes(b"<html>")
        words = ("detect", str(bad), photo, "--model", model, "--json")
        code, out, err = boxray_says(*words)
        assert 0 == code
        assert "bad.jpg" in err
        assert [True, False] == [image["error"] is not None for image in json.loads(out)["images"]]
        assert 1 == boxray_says(*words, "--strict")[0]

    def test_bad_pictures_alone_are_a_failure(self, boxray_says, model, tmp_path):
        (tmp_path / "bad.jpg").write_bytes(b"")
        assert 1 == boxray_says("detect", str(tmp_path / "bad.jpg"), "--model", model)[0]

    @pytest.mark.parametrize(
        "name",
        [
            "with space.jpg",
            'it\'s "quoted".jpg',
            "line\nbreak.jpg",
            "-dash.jpg",
            "emoji \N{CAT}.jpg",
            "\N{CAT}" * 62 + ".jpg",  # 252 bytes
            b"\xff.jpg".decode(errors="surrogateescape"),
            "\x1b[31mred.jpg",
        ],
        ids=ascii,
    )
    def test_any_name_of_a_file_works(self, boxray_says, photo, model, name):
        odd = Path(photo).with_name(name)
        Path(photo).rename(odd)
        code, out, _ = boxray_says("detect", "--model", model, "--json", "--", str(odd))
        assert 0 == code
        assert str(odd) == json.loads(out)["images"][0]["path"]
        code, out, err = boxray_says("detect", "--model", model, "--", str(odd))
        assert (0, "") == (code, err)
        assert "\x1b" not in out
        assert (Path("boxray-detections") / name).is_file()


class TestEnds:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (OutputError("cannot write x: No space left on device."), 1),
            (MemoryError(), 1),
            (OSError(28, "No space left on device"), 1),
            (MissingExtra("two\nlines"), 2),
            (KeyboardInterrupt(), 130),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_every_failure_has_its_code_and_one_line(
        self, boxray_says, monkeypatch, error, code, photo
    ):
        def fails(*arguments: object, **named: object) -> None:
            raise error

        monkeypatch.setattr("boxray.verbs.detect.detect", fails)
        got, out, err = boxray_says("detect", photo)
        assert (code, "") == (got, out)
        assert "Traceback" not in err
        assert (0 if code == 130 else 1) == len(err.splitlines())

    def test_a_stage_without_terminal_or_input_or_wide_columns(self, photo, model, tmp_path):
        plain = {"PATH": os.environ["PATH"], "TERM": "dumb", "COLUMNS": "1", "LANG": "C"}
        done = subprocess.run(
            program("detect", photo, "--model", model, "--max-detections", "1"),
            env=plain,  # no HOME either
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        assert (0, b"") == (done.returncode, done.stderr)
        assert b"photo.jpg" in done.stdout
        assert b"\x1b" not in done.stdout

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and its pipes")
    def test_a_reader_that_leaves_early_is_no_error(self):
        line = " ".join(program("--help")) + " | head -c 1"
        done = subprocess.run(line, shell=True, capture_output=True, timeout=120)
        assert (b"U", b"") == (done.stdout, done.stderr)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and its pipes")
    def test_a_closed_standard_output_is_no_error(self):
        line = " ".join(program("--version")) + " >&-"
        done = subprocess.run(line, shell=True, capture_output=True, timeout=120)
        assert (0, b"") == (done.returncode, done.stderr)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_it_quietly_and_leaves_no_half_written_file(
        self, photo, model, tmp_path, number, code
    ):
        for copy in range(3000):
            os.link(photo, Path(photo).with_name(f"{copy}.jpg"))
        out = tmp_path / "out"
        words = program("detect", *map(str, sorted(tmp_path.glob("*.jpg"))), "--model", model)
        process = subprocess.Popen([*words, "--output", str(out)], stderr=subprocess.PIPE)
        waited_until = time.monotonic() + 120
        while not list(out.glob("*.jpg")) and time.monotonic() < waited_until:
            time.sleep(0.05)
        process.send_signal(number)
        assert (b"", code) == (process.communicate(timeout=120)[1], process.returncode)
        assert not list(out.glob(".*"))
        assert not (out / "detections.json").exists()


def test_no_damaged_or_foreign_weights_run_code_or_make_more_than_one_line(
    boxray_says, photo, shared, tmp_path
):
    for name in ("torch", "safetensors"):
        if find_spec(name) is None:
            pytest.skip(f"needs {name}: the oracle make_bad_weights.py writes files with it")
    folder = tmp_path / "weights"
    oracle = [sys.executable, str(shared / "oracles/make_bad_weights.py"), str(folder)]
    subprocess.run(oracle, check=True, capture_output=True, timeout=300)
    cases = sorted(path for path in folder.iterdir() if path.name != "PWNED")
    assert 44 <= len(cases)
    for path in cases:
        code, out, err = boxray_says("detect", photo, "--model", str(path))
        assert (2, "", 1) == (code, out, len(err.splitlines())), (path.name, err)
        assert not (folder / "PWNED").exists(), path.name
    assert [] == list(Path.cwd().iterdir())


def test_the_module_is_the_program(monkeypatch, capsys):
    for name in ("SIGPIPE", "SIGTERM", "SIGHUP"):
        monkeypatch.delattr(signal, name, raising=False)  # this process keeps its own handlers
    monkeypatch.setattr(sys, "argv", ["boxray", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("boxray", run_name="__main__")
    assert 0 == ended.value.code
    assert f"boxray {boxray.__version__}\n" == capsys.readouterr().out
