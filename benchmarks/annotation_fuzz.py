"""Damaged annotations, to find a traceback, a hang, or a box that is lost in silence.

Writes a small data set in every format, and lists that divide one, damages one file at a time,
and reads it again: an error of boxray's in one line is an answer, and so is a data set whose
account adds up. Whatever else happens is printed with the seed that repeats it. `--minutes 10`
(0.5 if not given).
"""

import argparse
import contextlib
import csv
import hashlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import ParseError, fromstring

import numpy as np
from PIL import Image

from boxray.data import Dataset, Report, read, split_lists, splits, write
from boxray.data.formats import FORMATS
from boxray.errors import BoxrayError
from boxray.records import Sample, Truths

LONGEST_S = 5  # of processor time; by the clock ten times as long, for a busy machine
LISTS = "lists"  # a folder of lists, which divide the data set in YOLO's format
TEXTS = {".xml", ".json", ".txt", ".csv", ".yaml"}
TOKENS = [
    *(
        b"",
        b"0",
        b"-1",
        b"nan",
        b"NaN",
        b"inf",
        b"1e999",
        b"-1e999",
        b"1_0",
        b"0x1",
        b"1,5",
        b"007",
    ),
    *(
        b"9" * 30,
        b"9" * 5000,
        b"a" * 300,
        b"~no_one/",
        b"true",
        b"null",
        b"[]",
        b"{}",
        b'"',
        b"'",
        b"<",
        b"&",
        b"]]>",
        b"\0",
    ),
    *(b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\t", b"../../etc/passwd", b"&a;"),
    *("１".encode(), "−1".encode(), b"!!python/name:os.system", b"*a", b"&a", b"- ", b": ", b"%s"),
    *(b"<!DOCTYPE a>", b"\xed\xa0\x80", "\u2028".encode(), b"e", b".", b"-", b"\\", b"\\ud800"),
]


def made(folder: Path) -> Dataset:
    """Six pictures, one of them empty and one unlabelled, with boxes of two classes."""
    rng, samples = np.random.default_rng(0), []
    for number in range(6):
        path = folder / f"{number:016x}.png"
        Image.new("RGB", (60, 40)).save(path)
        corners = rng.uniform(1, 20, (0 if number == 4 else 3, 2)).round(2)
        boxes = np.concatenate([corners, corners + rng.uniform(2, 18, corners.shape).round(2)], 1)
        truths = Truths.of(boxes, rng.integers(0, 2, len(boxes)))
        samples.append(Sample(path, (40, 60), truths, labelled=number != 5))
    return Dataset("seed", ("cat", "dog"), tuple(samples), "train", Report(), (folder,))


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one to four random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        upto = min(len(data), at + rng.choice((1, 2, 5, 20, 200)))
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:upto]
        elif kind == 2:
            data[at:at] = data[at:upto] * rng.choice((1, 2, 50))
        elif kind == 3:
            data[at:at] = rng.choice(TOKENS)
        elif kind == 4:
            data[at:upto] = rng.choice(TOKENS)
        elif kind == 5:
            del data[at:]
        else:
            data = _with_another_number(data, rng)
    return bytes(data)


def _with_another_number(data: bytearray, rng: random.Random) -> bytearray:
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return data
    start = end = rng.choice(places)
    while start > 0 and data[start - 1] in b"0123456789.":
        start -= 1
    while end < len(data) and data[end] in b"0123456789.":
        end += 1
    return data[:start] + bytearray(rng.choice(TOKENS)) + data[end:]


class Hang(BaseException):
    """A reading that did not end; not an Exception, so that no `except` can hide it."""


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Raise Hang after some seconds of processor time, or many more of waiting."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        raise Hang

    kinds = (
        (signal.ITIMER_PROF, signal.SIGPROF, LONGEST_S),
        (signal.ITIMER_REAL, signal.SIGALRM, 10 * LONGEST_S),
    )
    before = [signal.signal(number, stop) for _, number, _ in kinds]
    try:
        for timer, _, seconds in kinds:
            signal.setitimer(timer, seconds)
        yield
    finally:
        for (timer, number, _), handler in zip(kinds, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def hashes(folder: Path) -> str:
    """One hash of every file in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def stated(folder: Path, name: str) -> int | None:
    """How many boxes the files state, counted by other means; None where they cannot be counted."""
    if name == LISTS:
        return None
    try:
        if name == "coco":
            file = next((folder / "annotations").iterdir())
            return len(json.loads(file.read_bytes().decode("utf-8-sig"))["annotations"])
        if name == "voc":
            files = (folder / "Annotations").iterdir()
            roots = [fromstring(file.read_bytes()) for file in files]  # noqa: S314  our own files
            return sum(len(root.findall("object")) for root in roots)
        if name == "yolo":
            lines = [
                line.strip(b" \t\f\v")
                for path in (folder / "labels").rglob("*.txt")
                for line in path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
            ]
            return sum(map(bool, lines))
        file = next(path for path in folder.rglob("*.csv") if b"XMin" in path.read_bytes())
        with file.open(newline="", encoding="utf-8-sig") as rows:
            return sum(map(bool, csv.reader(rows))) - 1
    except (OSError, ValueError, KeyError, TypeError, StopIteration, ParseError, csv.Error):
        return None


def verdict(folder: Path, name: str, count: bool) -> str:
    """What became of a damaged data set: read, refused, or what is wrong with the reading.

    count: whether the boxes that its files state are to be those that were read.
    """
    before = hashes(folder)
    try:
        with deadline():
            report = read(folder).report
    except BoxrayError as error:
        return "refused" if "\n" not in str(error) else f"more than one line: {error}"
    except Hang:
        return f"no answer in {LONGEST_S} s"
    except Exception as error:
        return f"a traceback: {type(error).__name__}: {error}"
    if before != hashes(folder):
        return "the data was changed"
    if not (report.images.adds_up and report.boxes.adds_up):
        return f"the account does not add up: {report}"
    there = stated(folder, name) if count else None
    lost = report.images.skipped or report.images.refused or report.unmatched_classes
    if there is not None and not lost and there != report.boxes.read:
        return f"lost in silence: {there} boxes are stated, {report.boxes.read} were read"
    return "read with remarks" if report.notes else "read"


def attack(name: str, folder: Path, rng: random.Random, original: Path) -> tuple[str, str]:
    """Damage one file of a data set, read it, and mend it again. The file, and the verdict."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in TEXTS and p.is_file())
    path = rng.choice(files)
    path.write_bytes(damaged(path.read_bytes(), rng))
    answer = verdict(folder, name, path.parent.name != "Main")  # VOC's lists say what is meant
    shutil.copyfile(original / path.relative_to(folder), path)
    return path.name, answer


def fuzz(seed: int, seconds: float, most: int, place: Path) -> tuple[Counter[str], list[str]]:
    """Attacks on all formats in turn until the time or the count is over: answers and failures."""
    pictures = place / "pictures"
    pictures.mkdir()
    for name in FORMATS:
        write(made(pictures), place / name, name)
    whole = place / "yolo"
    with next(whole.glob("*.yaml")).open("a") as names:
        names.write("path: .\n")  # the names of folders are damaged, too
    split_lists.write([read(whole, split) for split in splits(whole)], whole, place / LISTS)
    targets = (*FORMATS, LISTS)
    for name in targets:
        shutil.copytree(place / name, place / f"{name}-original")
    answers: Counter[str] = Counter()
    failures: list[str] = []
    end, number = time.monotonic() + seconds, seed
    while time.monotonic() < end and number < seed + most:
        for name in targets:
            rng = random.Random(f"{name} {number}")  # noqa: S311  to repeat, not to hide
            file, answer = attack(name, place / name, rng, place / f"{name}-original")
            known = answer in {"read", "read with remarks", "refused"}
            answers[answer if known else "failed"] += 1
            if not known:
                failures.append(f"{name}, seed {number}, {file}: {answer[:400]}")
        number += 1
    return answers, failures


def main() -> int:
    """Attack for some minutes and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        answers, failures = fuzz(asked.seed, asked.minutes * 60, sys.maxsize, Path(place))
    print("\n".join(failures))
    print(f"{answers.total()} damaged data sets from seed {asked.seed}: {dict(answers)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
