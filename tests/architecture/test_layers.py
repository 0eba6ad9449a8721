"""Imports point one way: the contracts of pyproject.toml hold."""

import subprocess
import sys
import tomllib
from pathlib import Path

from architecture.source import ROOT


def test_the_contracts_on_imports_hold():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_contracts_are_those_of_the_design():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {c["id"]: c for c in settings["tool"]["importlinter"]["contracts"]}
    assert contracts["layers"]["exhaustive"]
    assert "acyclic_siblings" == contracts["cycles"]["type"]
    assert "torch" in contracts["torch"]["forbidden_modules"]
