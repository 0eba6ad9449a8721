"""Near-duplicates: the same picture in another file is found, another picture is not."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from boxray import images
from boxray.data import near_duplicates
from boxray.data.near_duplicates import (
    MOST_DIFFERENT,
    groups,
    near_duplicate_groups,
    pairs,
    perceptual_hash,
)


def photo(seed: int, side: int = 160) -> Image.Image:
    """Soft blobs of all sizes, as photos have."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells, weight in ((3, 4), (7, 2), (20, 1)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total += weight * np.array(layer.resize((side, side), Image.Resampling.BICUBIC), float)
    return Image.fromarray((total / 7).astype(np.uint8))


def saved(picture: Image.Image, quality: int) -> np.ndarray:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return images.load(file.getvalue())


CHANGES = {
    "saved in low quality": lambda picture: saved(picture, 30),
    "half the size": lambda picture: np.array(picture.resize((80, 80))),
    "brighter": lambda picture: np.array(ImageEnhance.Brightness(picture).enhance(1.15)),
    "less contrast": lambda picture: np.array(ImageEnhance.Contrast(picture).enhance(0.7)),
    "grey": lambda picture: np.array(picture.convert("L").convert("RGB")),
    "cut by a hundredth": lambda picture: np.array(picture.crop((2, 2, 158, 158))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_keeps_its_hash(change):
    for seed in range(10):
        before = perceptual_hash(np.array(photo(seed)))
        after = perceptual_hash(CHANGES[change](photo(seed)))
        assert (before != after).sum() <= MOST_DIFFERENT


def test_different_pictures_differ():
    hashes = np.array([perceptual_hash(np.array(photo(seed))) for seed in range(60)])
    assert [] == pairs(hashes).tolist()


def test_plain_pictures_are_alike_whatever_the_rounding():
    plain = [np.full((90, 70, 3), shade, np.uint8) for shade in (1, 77, 200)]
    assert 1 == len({perceptual_hash(picture).tobytes() for picture in plain})


@given(st.integers(0, 2**32), st.integers(0, 12))
def test_pairs_are_those_that_counting_bits_finds(seed, most):
    hashes = np.random.default_rng(seed).random((30, 64)) < 0.5
    hashes[15:] = hashes[:15] ^ (np.random.default_rng(seed + 1).random((15, 64)) < 0.1)
    counted = [
        [one, other]
        for one in range(30)
        for other in range(one + 1, 30)
        if (hashes[one] != hashes[other]).sum() <= most
    ]
    assert counted == sorted(pairs(hashes, most).tolist())


def test_links_make_groups_over_any_number_of_steps():
    assert [0, 1, 0, 3, 1, 0] == groups(6, [(2, 5), (4, 1), (0, 2)]).tolist()


def test_pairs_are_found_wherever_the_blocks_end(monkeypatch):
    hashes = np.random.default_rng(0).random((30, 64)) < 0.5
    hashes[[3, 17, 29]] = hashes[5]
    monkeypatch.setattr(near_duplicates, "_BLOCK", 7)
    expected = [[3, 5], [3, 17], [3, 29], [5, 17], [5, 29], [17, 29]]
    assert expected == pairs(hashes).tolist()


def test_files_that_show_the_same_are_one_group_and_an_unreadable_one_is_alone(tmp_path):
    photo(1).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    photo(2).save(tmp_path / "c.png")
    photo(1).resize((100, 100)).save(tmp_path / "d.jpg", quality=60)
    told = []
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "c.png", "d.jpg")]
    found = near_duplicate_groups(paths, lambda done, total: told.append((done, total)))
    assert [0, 1, 2, 0] == found.tolist()
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == told
