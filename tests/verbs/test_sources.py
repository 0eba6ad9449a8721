"""Which pictures are worked on, in which order, and where drawn ones go."""

import os
from pathlib import Path, PurePath

import pytest

from boxray.errors import FormatError, SettingError
from boxray.verbs.sources import collect, prepare_output

DEFAULT = Path("boxray-detections")


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(pictures) -> list[str]:
    return [picture.path.name for picture in pictures.files]


class TestCollecting:
    def test_a_folder_is_read_to_the_bottom_in_the_order_of_bytes(self, tmp_path):
        make(
            tmp_path, "b.jpg", "a.JPG", "Z.png", "é.webp", "inner/c.bmp", "notes.txt", ".hidden.jpg"
        )
        assert ["Z.png", "a.JPG", "b.jpg", "é.webp", "c.bmp"] == names(collect([tmp_path]))

    def test_a_file_is_taken_whatever_its_ending(self, tmp_path):
        make(tmp_path, "scan.dat")
        assert ["scan.dat"] == names(collect([tmp_path / "scan.dat"]))

    def test_a_pattern_is_expanded_and_sorted(self, tmp_path):
        make(tmp_path, "2.jpg", "10.jpg", "x.png")
        assert ["10.jpg", "2.jpg"] == names(collect([str(tmp_path / "*.jpg")]))

    def test_a_file_whose_name_looks_like_a_pattern_is_that_file(self, tmp_path):
        make(tmp_path, "a[1].jpg", "a1.jpg")
        assert ["a[1].jpg"] == names(collect([tmp_path / "a[1].jpg"]))

    def test_every_file_is_worked_on_once(self, tmp_path):
        make(tmp_path, "a.jpg", "b.jpg")
        assert ["b.jpg", "a.jpg"] == names(collect([tmp_path / "b.jpg", tmp_path, tmp_path]))

    def test_a_link_to_a_folder_is_noted_and_not_followed(self, tmp_path):
        make(tmp_path, "a.jpg")
        (tmp_path / "loop").symlink_to(tmp_path)
        pictures = collect([tmp_path])
        assert ["a.jpg"] == names(pictures)
        assert (f"{tmp_path / 'loop'}: a link to a folder, not followed",) == pictures.notes

    @pytest.mark.parametrize("source", ["absent.jpg", "*.jpg", "", "x" * 300, "a\0b"])
    def test_a_source_that_is_not_there_is_refused(self, tmp_path, monkeypatch, source):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FormatError):
            collect([source])

    def test_a_folder_without_pictures_is_refused(self, tmp_path):
        make(tmp_path, "phone.heic")
        with pytest.raises(FormatError, match=r"no pictures in .* endings: \.bmp, \.gif, \.jpeg, "):
            collect([tmp_path])

    def test_an_address_on_the_web_is_refused_as_what_it_is(self):
        with pytest.raises(FormatError, match=r"https://example\.com/a\.jpg is on the web"):
            collect(["https://example.com/a.jpg"])

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(FormatError, match="neither a file nor a folder"):
            collect([tmp_path / "pipe.jpg"])

    def test_drawn_pictures_keep_their_folders_and_never_share_a_name(self, tmp_path):
        make(tmp_path, "one/a.jpg", "one/in/a.tif", "two/a.jpg", "two/b.png")
        pictures = collect([tmp_path / "one", tmp_path / "two"])
        drawn = [picture.drawn for picture in pictures.files]
        assert [PurePath(n) for n in ("a.jpg", "in/a.jpg", "a-2.jpg", "b.png")] == drawn


class TestTheOutputFolder:
    def test_is_made(self, tmp_path):
        prepare_output(tmp_path / "new/out", [], default=DEFAULT)
        assert (tmp_path / "new/out").is_dir()

    def test_may_be_there_if_it_is_empty(self, tmp_path):
        prepare_output(tmp_path, [], default=DEFAULT)

    def test_is_refused_with_something_in_it_unless_asked_for_or_the_default(self, tmp_path):
        make(tmp_path, "mine.txt")
        with pytest.raises(SettingError, match=r"--output .* is not empty"):
            prepare_output(tmp_path, [], default=DEFAULT)
        prepare_output(tmp_path, [], default=DEFAULT, overwrite=True)
        prepare_output(tmp_path, [], default=tmp_path)

    @pytest.mark.parametrize("inner", [".", "out", "deep/out"])
    def test_is_refused_inside_a_folder_of_sources(self, tmp_path, inner):
        with pytest.raises(SettingError, match="which is only read"):
            prepare_output(tmp_path / inner, [tmp_path], default=DEFAULT)
        assert [] == list(tmp_path.iterdir())

    def test_is_refused_where_a_file_is(self, tmp_path):
        make(tmp_path, "file")
        with pytest.raises(SettingError, match="--output"):
            prepare_output(tmp_path / "file", [], default=DEFAULT)
