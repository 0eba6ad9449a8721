"""Files are whole or absent, and a sealed one notices every change."""

import os
import random
import stat
from pathlib import Path

import pytest

from boxray.errors import ModelError, OutputError
from boxray.files import UNSEALED, seal, verify_seal, write_atomically

PLAIN = b'{"boxray": {"sha256": "' + UNSEALED.encode() + b'"}} ' + bytes(range(256)) * 20


class TestWriteAtomically:
    def test_writes_the_content_and_leaves_nothing_else(self, tmp_path):
        write_atomically(tmp_path / "model.onnx", b"new")
        assert b"new" == (tmp_path / "model.onnx").read_bytes()
        assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]

    def test_replaces_what_was_there(self, tmp_path):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"a much longer old content")
        write_atomically(path, b"new")
        assert b"new" == path.read_bytes()

    def test_a_name_of_the_greatest_length_can_be_written(self, tmp_path):
        write_atomically(tmp_path / ("n" * 255), b"new")
        assert b"new" == (tmp_path / ("n" * 255)).read_bytes()

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failure_before_the_rename_leaves_the_old_file(self, tmp_path, monkeypatch, step):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"old")

        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
        with pytest.raises(OutputError, match=r"model\.onnx: No space left on device"):
            write_atomically(path, b"new")
        assert b"old" == path.read_bytes()
        assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]

    def test_a_crash_between_writing_and_renaming_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"old")

        def crash(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
        assert b"old" == path.read_bytes()
        assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]

    def test_a_missing_folder_is_an_output_error_that_names_the_file(self, tmp_path):
        with pytest.raises(OutputError, match=r"absent/model\.onnx"):
            write_atomically(tmp_path / "absent" / "model.onnx", b"new")

    def test_a_folder_in_the_way_is_an_output_error(self, tmp_path):
        (tmp_path / "model.onnx").mkdir()
        with pytest.raises(OutputError, match=r"model\.onnx"):
            write_atomically(tmp_path / "model.onnx", b"new")
        assert ["model.onnx"] == [path.name for path in tmp_path.iterdir()]

    @pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not hold for root")
    def test_a_folder_without_permission_is_an_output_error(self, tmp_path):
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            with pytest.raises(OutputError, match="Permission denied"):
                write_atomically(tmp_path / "model.onnx", b"new")
        finally:
            tmp_path.chmod(stat.S_IRWXU)
        assert [] == list(tmp_path.iterdir())

    def test_a_refused_permission_is_an_output_error_and_leaves_nothing(
        self, tmp_path, monkeypatch
    ):
        def refuse(*arguments: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(OutputError, match="Permission denied"):
            write_atomically(tmp_path / "model.onnx", b"new")
        assert [] == list(tmp_path.iterdir())


class TestSeal:
    def test_a_sealed_file_verifies_and_keeps_its_length(self):
        sealed = seal(PLAIN)
        assert len(PLAIN) == len(sealed)
        assert verify_seal(sealed, "model.onnx").encode() in sealed

    def test_a_seal_inside_escaped_json_is_found(self):
        sealed = seal(PLAIN[:5000].replace(b'"', b'\\"'))
        assert 64 == len(verify_seal(sealed, "model.onnx"))

    def test_any_flipped_byte_is_detected(self):
        sealed, generator = seal(PLAIN), random.Random(0)
        within_seal = range(sealed.index(b'"sha256"'), sealed.index(b'"}}') + 1)
        anywhere = generator.sample(range(len(sealed)), 200)
        for offset in [*anywhere, *within_seal]:
            damaged = bytearray(sealed)
            damaged[offset] ^= 1 << generator.randrange(8)
            with pytest.raises(ModelError, match=r"model\.onnx"):
                verify_seal(bytes(damaged), "model.onnx")

    def test_truncation_is_detected_at_any_length(self):
        sealed = seal(PLAIN)
        for length in [0, 1, 50, 87, 88, 90, len(sealed) // 2, len(sealed) - 1]:
            with pytest.raises(ModelError):
                verify_seal(sealed[:length], "model.onnx")

    def test_added_bytes_are_detected(self):
        with pytest.raises(ModelError, match="damaged"):
            verify_seal(seal(PLAIN) + b"\0", "model.onnx")

    def test_two_seals_are_refused(self):
        with pytest.raises(ModelError, match="carries 2 sha256 fields"):
            verify_seal(seal(PLAIN) + PLAIN, "model.onnx")
        with pytest.raises(ModelError, match="carries 2"):
            seal(PLAIN + PLAIN)

    def test_a_file_without_a_seal_is_refused_with_advice(self):
        with pytest.raises(ModelError, match=r"foreign\.onnx carries 0 .*boxray export"):
            verify_seal(b"not a model", "foreign.onnx")

    def test_sealing_twice_is_a_mistake_of_the_caller(self):
        with pytest.raises(ValueError, match="64 zeros"):
            seal(seal(PLAIN))
