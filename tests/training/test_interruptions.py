"""Signals and sudden death, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boxray import bundle
from boxray.data.synthetic import make
from boxray.training import checkpoints

ROOT = Path(__file__).parents[2]
TRAIN = """
import sys
from pathlib import Path
from boxray.training import TrainSettings, train
data, run = map(Path, sys.argv[1:])
result = train(TrainSettings(data=(data,), output=run, size=64, epochs=500.0, batch=4, threads=1,
                             validations=1, workers=1, checkpoint_s=0.1))
print(result.signal, result.steps)
"""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("to_all", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_checkpoint_and_a_usable_model(tmp_path, number, to_all):
    data, run = make(tmp_path / "data", images=10, seed=0), tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(data), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        while not (run / checkpoints.LAST).exists() and process.poll() is None:
            time.sleep(0.05)
        if to_all:  # as from Ctrl-C in a terminal, `timeout`, or a service manager
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        told, complaints = process.communicate(timeout=300)
    finally:
        process.kill()
    assert 0 == process.returncode, complaints
    received, steps = map(int, told.split())
    assert number == received
    assert steps == checkpoints.read(run / checkpoints.LAST).state["step"]
    assert 0 < steps < 1000
    assert ("circle", "square", "triangle") == bundle.load(run, threads=1).classes


def test_trainings_killed_at_random_moments_end_as_if_nothing_had_happened(tmp_path):
    summary = tmp_path / "summary.json"
    program = ROOT / "benchmarks" / "kill_resume.py"
    done = subprocess.run(
        [
            sys.executable,
            program,
            "--kills",
            "5",
            "--in-save",
            "3",
            "--epochs",
            "2",
            "--json",
            summary,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stderr
    found = json.loads(summary.read_text())
    assert (5, 3, {}) == (found["kills"], found["of_them_in_a_save"], found["differences"])
    assert found["trainings_finished_equal"] >= 1
    assert found["tensors_compared"] > 300
