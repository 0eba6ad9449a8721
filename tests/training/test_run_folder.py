"""The run folder: one training at a time, nothing overwritten, a record that can be read."""

import json
import os
import signal
import stat
from collections.abc import Callable

import pytest

from boxray.errors import OutputError, SettingError
from boxray.ledger import METRICS
from boxray.training.run_folder import CURVES, RunFolder

ROW = {
    "step": 10,
    "images": 80,
    "elapsed_s": 3.2,
    "train_loss": {"box": 1.5, "class": 0.7},
    "val_loss": {"box": 1.6, "class": 0.8},
    "AP50": 0.25,
    "per_class": {"ant": 0.25},
}
REFUSED, TAKEN = 7, 8

# newer Pythons warn of any fork in a process that has threads; these children only take a lock
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_a_child(action: Callable[[], int]) -> int:
    """The exit status of another process that does `action`; negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = action()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def take(folder: RunFolder) -> int:
    try:
        with folder.locked():
            return TAKEN
    except SettingError as error:
        return REFUSED if f"process {os.getppid()}" in str(error) else 98


class TestTheLock:
    def test_a_second_process_is_refused_and_told_which_one_is_at_work(self, tmp_path):
        folder = RunFolder(tmp_path)
        with folder.locked():
            assert REFUSED == in_a_child(lambda: take(folder))
        assert TAKEN == in_a_child(lambda: take(folder))

    def test_a_dead_owners_lock_counts_for_nothing_even_if_its_workers_live_on(self, tmp_path):
        folder = RunFolder(tmp_path)
        read_end, write_end = os.pipe()

        def train_and_be_killed() -> int:
            with folder.locked():
                worker = os.fork()
                if worker == 0:
                    signal.pause()  # a data loader's process, which notices nothing
                os.write(write_end, str(worker).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        assert -signal.SIGKILL == in_a_child(train_and_be_killed)
        worker = int(os.read(read_end, 20))
        try:
            assert TAKEN == in_a_child(lambda: take(folder))
        finally:
            os.kill(worker, signal.SIGKILL)
            os.close(read_end)
            os.close(write_end)

    def test_a_folder_that_cannot_be_made_is_an_output_error(self, tmp_path):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(OutputError, match="cannot write in"),
            RunFolder(tmp_path / "file" / "run").locked(),
        ):
            pass

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written_is_an_output_error(self, tmp_path):
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(OutputError, match="cannot write in"), RunFolder(tmp_path).locked():
            pass


class TestNew:
    def test_a_folder_with_something_in_it_is_refused_with_the_way_out(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("keep")
        with pytest.raises(SettingError, match=r"not empty.*boxray resume"):
            RunFolder(tmp_path).require_new()

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "run").write_text("")
        with pytest.raises(SettingError, match="is a file"):
            RunFolder(tmp_path / "run").require_new()

    def test_absent_empty_and_never_begun_are_new(self, tmp_path):
        RunFolder(tmp_path / "absent").require_new()
        RunFolder(tmp_path).require_new()
        (tmp_path / ".lock").write_text("123")
        (tmp_path / ".settings.json.123.abcd.tmp").write_text("{")
        RunFolder(tmp_path).require_new()

    def test_sweeping_removes_half_written_files_and_nothing_else(self, tmp_path):
        for name in (".last.safetensors.12.ab.tmp", "notes.tmp", "last.safetensors", ".lock"):
            (tmp_path / name).write_text("")
        RunFolder(tmp_path).sweep()
        assert {"notes.tmp", "last.safetensors", ".lock"} == {p.name for p in tmp_path.iterdir()}


class TestTheRecord:
    def test_rows_are_read_as_they_were_written_and_drawn(self, tmp_path):
        folder = RunFolder(tmp_path)
        assert [] == folder.rows()
        rows = [ROW, {**ROW, "step": 20, "images": 160}]
        folder.write_rows(rows)
        assert rows == folder.rows()
        assert b"\x89PNG" == (tmp_path / CURVES).read_bytes()[:4]

    def test_a_torn_last_line_is_left_out(self, tmp_path):
        folder = RunFolder(tmp_path)
        (tmp_path / METRICS).write_text(json.dumps(ROW) + "\n" + json.dumps(ROW)[:40])
        assert [ROW] == folder.rows()

    def test_a_validation_without_pictures_or_truths_can_be_drawn(self, tmp_path):
        RunFolder(tmp_path).write_rows([{**ROW, "val_loss": {}, "AP50": None, "per_class": {}}])
        assert (tmp_path / CURVES).exists()
