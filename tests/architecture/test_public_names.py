"""What boxray offers is written down, and everything written down is there."""

import boxray
from architecture.source import ROOT


def golden_names() -> list[str]:
    return (ROOT / "tests" / "golden" / "api.txt").read_text(encoding="utf-8").split()


def test_the_public_names_are_those_of_the_golden_file():
    assert golden_names() == sorted(boxray.__all__)


def test_every_public_name_can_be_imported():
    assert [] == [name for name in boxray.__all__ if not hasattr(boxray, name)]
