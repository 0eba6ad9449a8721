"""Seconds and memory to read 100,000 annotated pictures with a million boxes, in each format.

Writes a made-up data set (its pictures are links to a few) and reads it in a process of its own:
without a cache, with an empty one, and again. Some minutes per format.
 python benchmarks/import_speed.py [--images N] [FORMAT ...]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from reporting import machine

from boxray.data.formats import FORMATS
from boxray.data.parts import WHOLE, Part
from boxray.records import Sample, Truths

CLASSES = tuple(f"class {number}" for number in range(20))
SIZE_HW = (480, 640)
BOXES = 10  # per picture
LINKS = 20_000  # to one file; file systems allow some 32,000 to 65,000
READ = """
import json, re, sys, time
from boxray.data import read
from boxray.data.cache import Cache
from pathlib import Path
start, cpu = time.perf_counter(), time.process_time()
cache = Cache(Path(sys.argv[2])) if sys.argv[2] else None
report = read(sys.argv[1], cache=cache).report
# not ru_maxrss: through fork and exec, that is at least the peak of the process that started this
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps(dict(
    seconds=time.perf_counter() - start, processor_s=time.process_time() - cpu,
    megabytes=peak_kb / 1024,
    images=report.images.kept, boxes=report.boxes.kept, notes=len(report.notes))))
"""


def samples(count: int) -> tuple[Sample, ...]:
    """Pictures with ten random boxes each, all inside."""
    rng = np.random.default_rng(0)
    height, width = SIZE_HW
    made = []
    for number in range(count):
        corner = rng.uniform(0, [width - 60, height - 60], (BOXES, 2)).round(2)
        boxes = np.concatenate([corner, corner + rng.uniform(4, 60, (BOXES, 2)).round(2)], 1)
        truths = Truths.of(boxes, rng.integers(0, len(CLASSES), BOXES))
        made.append(Sample(Path(f"{number:06d}.jpg"), SIZE_HW, truths))
    return tuple(made)


def generate(folder: Path, name: str, made: tuple[Sample, ...]) -> None:
    """The data set in one format, its pictures links to a few files."""
    line = FORMATS[name]
    folder.mkdir()
    names = tuple(sample.path.name for sample in made)
    line.write([Part(WHOLE, made, names)], CLASSES, folder)
    pictures = folder / line.pictures.format(split="")
    pictures.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(names):
        if number % LINKS == 0:
            original = pictures / file
            Image.new("RGB", SIZE_HW[::-1], (90, 120, 150)).save(original)
        else:
            os.link(original, pictures / file)


def measured(folder: Path, cache: str = "") -> dict[str, float]:
    """What one reading costs."""
    run = subprocess.run(
        [sys.executable, "-c", READ, str(folder), cache], capture_output=True, check=True
    )
    return json.loads(run.stdout)


def main() -> None:
    """Measure every format asked for, first without and then from the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=["voc", "coco", "yolo"])
    parser.add_argument("--images", type=int, default=100_000)
    asked = parser.parse_args()
    made = samples(asked.images)
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        for name in asked.formats:
            folder, cache = Path(place) / name, str(Path(place) / f"{name}-cache")
            start = time.perf_counter()
            generate(folder, name, made)
            print(f"{name}: written in {time.perf_counter() - start:.0f} s", file=sys.stderr)
            print(name, json.dumps(measured(folder)))
            for what in ("first, kept in the cache", "again, from the cache"):
                print(name, what, json.dumps(measured(folder, cache)))


if __name__ == "__main__":
    main()
