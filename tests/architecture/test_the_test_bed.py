"""The test bed itself: what conftest promises holds."""

import socket
import subprocess
import sys

import numpy as np
import pytest


def test_a_connection_to_another_machine_is_refused():
    with socket.socket() as talker, pytest.raises(BaseException, match="tests run offline"):
        talker.connect(("192.0.2.1", 80))  # an address reserved for documentation, RFC 5737


def test_a_wrong_shape_is_caught_by_the_annotations():
    from boxray import boxes

    with pytest.raises(Exception, match=r"(?i)type-check"):
        boxes.iou(np.zeros((2, 3)), np.zeros((2, 4)))


def test_torch_runs_on_one_thread_under_the_tests():
    torch = pytest.importorskip("torch", reason="needs torch: pip install 'boxray[train]'")
    assert torch.get_num_threads() == 1


def test_a_child_process_sees_the_package_without_the_hook():
    code = "import sys, boxray; print('beartype' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
