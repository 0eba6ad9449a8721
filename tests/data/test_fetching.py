"""Downloads from a server on this machine that is slow, cuts off, resets and lies."""

import base64
import csv
import hashlib
import io
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray import cli
from boxray.data import open_images_fetching as fetching
from boxray.data import read
from boxray.data.downloading import Client
from boxray.data.open_images_fetching import Wanted
from boxray.errors import NetworkError, SettingError
from boxray.verbs.data import fetch

QUICK = Client(timeout_s=1.0, attempts=3, pause_s=0.01, grace_s=0.3)
PERSON, GIRL, CAR, TREE = "/m/01g317", "/m/05r655", "/m/0k4j", "/m/07j7r"
CLASSES = f"{PERSON},Person\n{GIRL},Girl\n{CAR},Car\n{TREE},Tree\n"
HIERARCHY = {"LabelName": "/m/0bl9f", "Subcategory": [
    {"LabelName": PERSON, "Subcategory": [{"LabelName": GIRL}]}, {"LabelName": CAR}]}  # fmt: skip
HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax"


class Misbehaving(ThreadingHTTPServer):
    """Serves `files`; for each path `moods` says how the next requests are answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.moods: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address) -> None:
        pass  # clients hang up here on purpose


class Handler(BaseHTTPRequestHandler):
    server: Misbehaving

    def log_message(self, *words) -> None:
        pass

    def do_GET(self) -> None:
        server, path = self.server, self.path.lstrip("/")
        with server.lock:
            server.asked.append((path, self.headers.get("Range")))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            moods = server.moods.get(path, [])
            mood = moods.pop(0) if moods else "well"
        try:
            self.answer(server.files.get(path), mood)
        finally:
            with server.lock:
                server.at_once -= 1

    def answer(self, content: bytes | None, mood: str) -> None:
        if mood == "reset":
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # close with a reset, not an end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            os.close(self.connection.detach())
            return
        if mood == "silent":
            time.sleep(3)
            return
        if mood.isdigit() or content is None:
            self.send_response(int(mood) if mood.isdigit() else 404)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if mood.startswith("to "):
            self.send_response(302)
            self.send_header("Location", mood[3:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_content(content, mood)

    def send_content(self, content: bytes, mood: str) -> None:
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked and mood != "no ranges" else 0
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"other"' if mood == "changed" else '"same"')
        md5 = hashlib.md5(b"x" if mood == "damaged" else content).digest()
        self.send_header("x-goog-hash", "crc32c=AAAAAA==")
        self.send_header("x-goog-hash", f"md5={base64.b64encode(md5).decode()}")
        if mood != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mood == "truncated":
            self.wfile.write(body[: len(body) // 2])
        elif mood == "trickle":
            for i in range(60):
                self.wfile.write(body[i : i + 1])
                time.sleep(0.05)
        else:
            self.wfile.write(body)


@pytest.fixture
def server(monkeypatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("no_proxy", "*")
    with Misbehaving() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


class TestOneFile:
    CONTENT = bytes(range(256)) * 2000

    def get(self, server: Misbehaving, *moods: str, most: int = 10**6) -> bytes:
        server.files["a"], server.moods["a"] = self.CONTENT, list(moods)
        return QUICK.get(server.url + "a", most)

    @pytest.mark.parametrize(
        "moods",
        [
            [],
            ["503"],
            ["429", "500"],
            ["reset"],
            ["silent"],
            ["truncated"],
            ["truncated", "truncated"],
            ["trickle"],
            ["truncated", "no ranges"],
            ["no length"],
            ["reset", "truncated"],
        ],
        ids=lambda moods: "+".join(moods) or "well",
    )
    def test_it_arrives_whole_in_spite_of(self, server, moods):
        assert self.CONTENT == self.get(server, *moods)

    def test_what_came_already_is_not_asked_for_again(self, server):
        self.get(server, "truncated")
        assert [("a", None), ("a", f"bytes={len(self.CONTENT) // 2}-")] == server.asked

    @pytest.mark.parametrize(
        "moods, words",
        [
            (["404"], "the server says 404"),
            (["403"], "the server says 403"),
            (["503"] * 3, "failed 3 times: the server says 503"),
            (["reset"] * 3, "failed 3 times"),
            (["damaged"], "arrived damaged"),
            (["truncated", "changed"], "changed while it was read"),
            (["to file:///etc/passwd"], "is not allowed"),
            (["to ftp://127.0.0.1/x"], "not followed"),
        ],
        ids=lambda value: "+".join(value) if isinstance(value, list) else "",
    )
    def test_it_is_an_error_in_one_line(self, server, moods, words):
        with pytest.raises(NetworkError, match=words) as error:
            self.get(server, *moods)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("mood", ["well", "no length"])
    def test_more_than_was_allowed_is_refused(self, server, mood):
        with pytest.raises(NetworkError, match="511999"):
            self.get(server, mood, most=len(self.CONTENT) - 1)

    def test_a_server_that_is_not_there_is_an_error(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(NetworkError, match="failed 3 times"):
            QUICK.get(f"http://127.0.0.1:{port}/a", 10)


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), shade, np.uint8)).save(file, "jpeg")
    return file.getvalue()


def table(rows: list[str]) -> bytes:
    return ("\n".join([HEADER, *rows]) + "\n").encode()


@pytest.fixture
def mirror(server: Misbehaving) -> Misbehaving:
    """Ten images: all have a tree, the even ones a person, the third also a car."""
    ids = [f"{number:016x}" for number in range(10)]
    rows, labels = [], []
    for number, image in enumerate(ids):
        rows.append(f"{image},x,{TREE},1,0.1,0.3,0.2,0.4")
        labels.append(f"{image},verification,{PERSON},{1 - number % 2}")
        rows += [f"{image},x,{PERSON},1,0.5,0.9,0.2,0.4"] * (number % 2 == 0)
        rows += [f"{image},x,{CAR},1,0.5,0.9,0.2,0.8"] * (number == 2)
        server.files[f"validation/{image}.jpg"] = jpeg(number)
    server.files |= {
        fetching.CLASSES: CLASSES.encode(),
        fetching.HIERARCHY: json.dumps(HIERARCHY).encode(),
        fetching.BOXES["validation"]: table(rows),
        fetching.LABELS.format(split="validation"): (
            "ImageID,Source,LabelName,Confidence\n" + "\n".join(labels)
        ).encode(),
    }
    return server


class TestADataSet:
    def fetch(self, mirror: Misbehaving, folder: Path, *classes: str, limit: int | None = None):
        wanted = Wanted("validation", classes, limit)
        return fetch.fetch(wanted, folder, mirror=mirror.url, client=QUICK)

    def test_the_rows_and_pictures_of_some_classes_become_a_data_set(self, mirror, tmp_path):
        report = self.fetch(mirror, tmp_path / "d", "person", "Car", limit=3)
        assert (3, 3, 0, 4, {}) == (
            report.images,
            report.fetched,
            report.kept,
            report.boxes,
            report.failed,
        )
        dataset = read(tmp_path / "d", "validation")
        assert ("Person", "Car") == dataset.classes
        assert ["0" * 15 + d for d in "024"] == [one.path.stem for one in dataset.samples]
        assert Counter({"Person": 3, "Car": 1}) == Counter(
            dataset.classes[label] for one in dataset.samples for label in one.truths.labels
        )
        assert all({0} == one.verified_present for one in dataset.samples)
        assert not dataset.report.notes
        assert "Girl are kinds of these classes" in report.hint

    def test_a_bad_connection_changes_nothing_but_the_time(self, mirror, tmp_path):
        for path in mirror.files:
            mirror.moods[path] = ["reset", "truncated"]
        report = self.fetch(mirror, tmp_path / "d", "Person")
        assert (5, {}) == (report.fetched, report.failed)
        assert 5 == len(read(tmp_path / "d").samples)

    def test_run_again_it_fetches_what_is_missing_or_broken_only(self, mirror, tmp_path):
        mirror.moods["validation/0000000000000004.jpg"] = ["404"]
        first = self.fetch(mirror, tmp_path / "d", "Person")
        assert (4, ["0000000000000004"]) == (first.fetched, list(first.failed))
        broken = tmp_path / "d" / "validation" / "0000000000000002.jpg"
        broken.write_bytes(broken.read_bytes()[:200])
        mirror.asked.clear()
        second = self.fetch(mirror, tmp_path / "d", "Person")
        assert (2, 3, {}) == (second.fetched, second.kept, second.failed)
        assert {f"validation/000000000000000{d}.jpg" for d in "24"} == {p for p, _ in mirror.asked}

    def test_what_is_no_picture_is_not_kept(self, mirror, tmp_path):
        mirror.files["validation/0000000000000000.jpg"] = b"<html>sorry</html>"
        report = self.fetch(mirror, tmp_path / "d", "Person")
        assert ["0000000000000000"] == list(report.failed)
        assert not (tmp_path / "d/validation/0000000000000000.jpg").exists()

    def test_a_long_table_is_read_no_further_than_the_limit_needs(self, mirror, tmp_path):
        path = fetching.BOXES["validation"]
        filler = [f"{number:016x},x,{TREE},1,0.1,0.3,0.2,0.4" for number in range(16, 200_000)]
        mirror.files[path] += "\n".join(filler).encode()
        seen = []
        pieces = QUICK.stream(mirror.url + path, 10**9, lambda done, total: seen.append(done))
        found = fetching.choose_boxes(fetching.lines_of(pieces), frozenset({TREE}), 3)
        assert 3 == len(found.images)
        assert seen[-1] < len(mirror.files[path]) / 5

    def test_labels_that_are_not_in_order_are_read_to_their_end(self):
        lines = ["ImageID,Source,LabelName,Confidence", "b,v,x,1", "c,v,x,1", "a,v,x,1", "b,v,y,0"]
        found = fetching.choose_labels(iter(lines), frozenset("xy"), ["a", "b"])
        assert ["b,v,x,1"] == found.lines  # in order so far, and c lies behind b
        found = fetching.choose_labels(iter([lines[0], "c,v,x,1", *lines[3:]]), frozenset("xy"),
                                       ["a", "b", "d"])  # fmt: skip
        assert ["a,v,x,1", "b,v,y,0"] == found.lines

    def test_only_so_many_connections_are_open_at_once(self, mirror, tmp_path):
        self.fetch(mirror, tmp_path / "d", "Tree")
        assert mirror.most_at_once <= fetching.CONNECTIONS

    @pytest.mark.parametrize(
        "classes, words",
        [(("Persn",), "no boxes of a class 'Persn'. Did you mean Person"), (("Girl",), "no image")],
    )
    def test_classes_without_boxes_are_refused_before_any_picture(
        self, mirror, tmp_path, classes, words
    ):
        with pytest.raises(SettingError, match=words):
            self.fetch(mirror, tmp_path / "d", *classes)
        assert not [path for path, _ in mirror.asked if path.endswith(".jpg")]

    def test_a_folder_of_something_else_is_left_alone(self, mirror, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(SettingError, match="not empty"):
            self.fetch(mirror, tmp_path, "Person")
        self.fetch(mirror, tmp_path / "d", "Person")
        with pytest.raises(SettingError, match="another part"):
            self.fetch(mirror, tmp_path / "d", "Car")

    def test_a_misspelt_class_does_not_occupy_the_folder(self, mirror, tmp_path):
        with pytest.raises(SettingError, match="Did you mean"):
            self.fetch(mirror, tmp_path / "d", "Persn")
        assert 5 == self.fetch(mirror, tmp_path / "d", "Person").images

    def test_names_with_commas_are_written_as_a_table_has_them(self):
        written = fetching.written({"/m/1": 'a, "b"'}).decode()
        assert [["/m/1", 'a, "b"']] == list(csv.reader(io.StringIO(written)))


class TestTheCommand:
    def test_it_says_what_it_is_about_to_download_and_what_came(self, mirror, tmp_path, capfd):
        words = ["data", "fetch", "open-images", "--classes", "Person", "--limit", "2"]
        words += ["--output", str(tmp_path / "d"), "--base-url", mirror.url]
        assert 0 == cli.run([*words, "--json"])
        out, err = capfd.readouterr()
        assert "about 25 MB, streamed until the limit is reached" in err
        document = json.loads(out)
        assert ("boxray.data.fetch/1", 2, 2) == (
            document["schema"],
            document["images"],
            document["boxes"],
        )

    def test_a_missing_picture_is_exit_code_1_and_a_wrong_word_is_2(self, mirror, tmp_path, capfd):
        del mirror.files["validation/0000000000000000.jpg"]
        words = ["data", "fetch", "open-images", "--classes", "Person", "--base-url", mirror.url]
        assert 1 == cli.run([*words, "--output", str(tmp_path / "d")])
        assert "run it again" in capfd.readouterr().out
        assert 2 == cli.run([*words, "--output", str(tmp_path / "e"), "--split", "nope"])
        assert 2 == cli.run([*words[:-1], "ftp://x", "--output", str(tmp_path / "f")])
