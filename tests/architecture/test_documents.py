"""What is written is run: every Python example of README and docs, in the order of its page.

An example that cannot run here says so, and why, behind the language: ```python not-run: it trains.
"""

import contextlib
import re
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import boxray
from architecture.source import DEFAULT_MODEL, NO_DEFAULT_MODEL, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```python *([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
PHOTOS = ("astronaut.png", "chelsea.png", "motorcycle_left.png")


def examples(page: Path) -> list[tuple[str, str]]:
    """What follows the word python, and the code, of every example of a page."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def pages_with_examples() -> list[Path]:
    return [page for page in PAGES if examples(page)]


@pytest.fixture
def folder_with_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder holding `photo.jpg` and `photos/`, as the examples assume."""
    pytest.importorskip("skimage", reason="needs scikit-image's photos: pip install 'boxray[demo]'")
    import skimage
    from PIL import Image

    stored = Path(skimage.__file__).parent / "data"
    (tmp_path / "photos").mkdir()
    for name in PHOTOS:
        if (stored / name).exists():
            shutil.copy(stored / name, tmp_path / "photos" / name)
    with Image.open(stored / "astronaut.png") as photo:
        photo.convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", pages_with_examples(), ids=lambda page: page.name)
def test_the_python_examples_of_a_page_run(page: Path, folder_with_photos: Path):
    runnable = [code for mark, code in examples(page) if not mark.startswith("not-run:")]
    if not runnable:
        pytest.skip(f"every example of {page.name} is marked not-run")
    if any("load(" in code for code in runnable) and not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    namespace: dict[str, object] = {"__name__": page.stem}
    for code in runnable:
        exec(compile(code, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", pages_with_examples(), ids=lambda page: page.name)
def test_an_example_that_is_not_run_says_why(page: Path):
    assert [] == [mark for mark, _ in examples(page) if mark and not re.match("not-run: .+", mark)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_somewhere(page: Path):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [] == [target for target in targets if not (page.parent / target).exists()]


def test_every_decision_has_its_five_parts():
    wanted = {"Situation", "Choices", "Choice", "Price", "When to reconsider"}
    missing = {
        page.name: wanted - set(re.findall(r"^\*\*(.+?)\.\*\*", page.read_text("utf-8"), re.M))
        for page in (ROOT / "docs" / "decisions").glob("0*.md")
    }
    assert missing
    assert {} == {name: parts for name, parts in missing.items() if parts}


def test_the_glossary_names_what_is_in_the_code():
    rows = re.findall(
        r"^\| [^|]+ \| .* \| ([^|]+) \|$",
        (ROOT / "docs" / "glossary.md").read_text("utf-8"),
        re.MULTILINE,
    )
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row) if "." in name]
    in_modules = [name for name in names if find_spec(f"boxray.{name.split('.')[0]}")]
    assert len(in_modules) > 40
    assert [] == [name for name in in_modules if not named(name.split("."))]


def named(parts: list[str], within: object = boxray) -> bool:
    """Whether this is a module, or what one of them holds, down to the fields of a record."""
    if not parts:
        return True
    first, rest = parts[0], parts[1:]
    if first in getattr(within, "__dataclass_fields__", ()):
        return not rest
    if not hasattr(within, first) and isinstance(within, ModuleType):
        with contextlib.suppress(ModuleNotFoundError):
            import_module(f"{within.__name__}.{first}")
    return hasattr(within, first) and named(rest, getattr(within, first))
