"""`boxray demo`: a first run, on photos that are already on the disk."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from boxray.errors import MissingExtra
from boxray.verbs.detect import DetectReport, detect
from boxray.verbs.running import Running

DEFAULT_OUTPUT = Path("boxray-demo")
# Public domain or CC0, in scikit-image's wheel: a person, a cat, a motorbike.
PHOTOS = ("astronaut.png", "chelsea.png", "motorcycle_left.png")


def demo(
    running: Running | None = None,
    *,
    output: Path = DEFAULT_OUTPUT,
    overwrite: bool = False,
    on_image: Callable[[int, int], None] | None = None,
) -> DetectReport:
    """Detect on three photos of scikit-image's; pictures and JSON go to `output`.

    Raises MissingExtra where scikit-image, or a photo of it, is not installed.
    """
    return detect(
        photos(),
        running,
        output=output,
        overwrite=overwrite or output == DEFAULT_OUTPUT,
        on_image=on_image,
    )


def photos() -> tuple[Path, ...]:
    """Where the photos are. The package is found, not imported: nothing is downloaded."""
    package = find_spec("skimage")
    places = list(package.submodule_search_locations or ()) if package else []
    paths = tuple(Path(places[0], "data", name) for name in PHOTOS) if places else ()
    missing = [path.name for path in paths if not path.is_file()]
    if not paths or missing:
        raise MissingExtra(
            f"the demo's photos ({', '.join(missing or PHOTOS)}) come with scikit-image, "
            'which is not installed, or not whole: pip install "boxray[demo]".'
        )
    return paths
