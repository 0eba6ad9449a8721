"""No damage to an annotation ends in a traceback, a hang, changed data or a box lost in silence.

A short run of benchmarks/annotation_fuzz.py, which goes on for as long as it is told to.
"""

import importlib.util
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "annotation_fuzz.py"


def test_two_hundred_damaged_data_sets_are_read_or_refused(tmp_path):
    spec = importlib.util.spec_from_file_location("annotation_fuzz", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    answers, failures = program.fuzz(seed=0, seconds=120, most=50, place=tmp_path)
    assert [] == failures
    assert answers["refused"]
    assert answers["read with remarks"]
