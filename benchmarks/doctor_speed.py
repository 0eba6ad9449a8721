"""Seconds and memory of the doctor on 100,000 annotated pictures with a million boxes.

Pictures of one colour stand for photos, each file with bytes of its own, four in five in train. So
the checks that decode pictures are left out of the large run; what they cost is measured apart, on
made-up pictures, and the comparison of 100,000 random hashes. Some ten minutes.
 python benchmarks/doctor_speed.py [--images N] [--decoded N] [--format voc]
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from import_speed import CLASSES, SIZE_HW, samples
from PIL import Image
from reporting import machine

from boxray.data import near_duplicates, synthetic
from boxray.data.formats import FORMATS
from boxray.data.parts import Part
from boxray.records import Sample

DECODING = ("unreadable-image", "blank-image", "near-duplicate-image")
EXAMINE = """
import json, re, sys, time
from pathlib import Path
from boxray.inspection import doctor
start, cpu = time.perf_counter(), time.process_time()
found = doctor.diagnose(Path(sys.argv[1]), doctor.chosen(skip=sys.argv[2:]))
peak_kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
report = found.examination.dataset.report
print(json.dumps(dict(
    seconds=round(time.perf_counter() - start, 1),
    processor_s=round(time.process_time() - cpu, 1), megabytes=peak_kb // 1024,
    images=report.images.kept, boxes=report.boxes.kept, checks=len(found.found),
    findings={name: len(those) for name, those in found.found.items() if those})))
"""


def picture(number: int) -> bytes:
    """A JPEG of one colour with its number as a comment, so that no two files are equal."""
    buffer = io.BytesIO()
    Image.new("RGB", SIZE_HW[::-1], (90, 120, 150)).save(buffer, "JPEG")
    plain, comment = buffer.getvalue(), f"{number:08d}".encode()
    marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big")  # a COM segment
    return plain[:2] + marker + comment + plain[2:]


def generate(folder: Path, name: str, made: tuple[Sample, ...]) -> None:
    """The data set in one format, with its splits."""
    folder.mkdir()
    names = tuple(sample.path.name for sample in made)
    ends = {"train": slice(0, len(made) * 4 // 5), "val": slice(len(made) * 4 // 5, len(made))}
    parts = [Part(split, made[rows], names[rows]) for split, rows in ends.items()]
    FORMATS[name].write(parts, CLASSES, folder)
    first = picture(0)
    for part in parts:
        pictures = folder / FORMATS[name].pictures.format(split=part.split)
        pictures.mkdir(parents=True, exist_ok=True)
        for file in part.names:
            own = first.replace(b"00000000", f"{int(Path(file).stem):08d}".encode(), 1)
            (pictures / file).write_bytes(own)


def examined(folder: Path, *skipped: str) -> str:
    """What one visit costs, as JSON."""
    words = [sys.executable, "-c", EXAMINE, str(folder), *skipped]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.strip()


def main() -> None:
    """Measure the checks without pixels, then pixels alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--decoded", type=int, default=1000)
    parser.add_argument("--format", default="voc", choices=FORMATS)
    asked = parser.parse_args()
    print(json.dumps(machine("numpy", "Pillow")))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "large"
        generate(folder, asked.format, samples(asked.images))
        print(asked.format, "without pixels:", examined(folder, *DECODING))
        small = synthetic.make(Path(place) / "small", images=asked.decoded, seed=0)
        for what, skipped in (("with pixels", ()), ("without", DECODING)):
            print(f"{asked.decoded} made-up pictures, {what}:", examined(small, *skipped))
    hashes = np.random.default_rng(0).random((asked.images, near_duplicates.BITS)) < 0.5
    start = time.process_time()
    near_duplicates.pairs(hashes)
    print(f"{asked.images} hashes compared: {time.process_time() - start:.1f} s of processor time")


if __name__ == "__main__":
    main()
