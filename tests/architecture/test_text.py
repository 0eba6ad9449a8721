"""What stands in the repository is about boxray: no leftovers, no trace of where it was made."""

import re

from architecture.source import ROOT

FOLDERS = ("src", "tests", "docs", "benchmarks", "scripts", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".sh", ""}
# Spelt in pieces, so that this file does not find itself.
LEFTOVERS = re.compile(
    "|".join(
        ["TO" + "DO", "FIX" + "ME", "X" + "XX", r"/wor" + "k/", r"/ho" + "me/", "<<<<" + "<<<"]
    )
)
BLANKET = re.compile(r"#\s*noqa(?!:)|type:\s*ignore(?!\[)|pytest\.skip\(\)")


def text_files():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path
    yield from sorted(ROOT.glob("*.md"))
    yield ROOT / "pyproject.toml"


def hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_for_later_and_no_machine_is_named():
    assert [] == hits(LEFTOVERS)


def test_every_silenced_warning_says_which_one():
    assert [] == [hit for hit in hits(BLANKET) if "test_text.py" not in hit]


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
