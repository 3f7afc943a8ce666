"""Decoding and the pixel store."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import Tiny
from ripik import artifacts
from ripik.competition import read_competition
from ripik.errors import InputError
from ripik.images import augmented_copy, decode, in_parallel, pixel_path, pixels, resize


def test_decode_is_rgb(tmp_path: Path) -> None:
    blue_in_bgr = np.full((8, 8, 3), (250, 20, 10), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), blue_in_bgr)
    found = decode(tmp_path / "a.png")
    assert found.dtype == np.uint8
    assert found[0, 0].tolist() == [10, 20, 250]


def test_decode_makes_grey_and_transparent_images_rgb(tmp_path: Path) -> None:
    for name, image in (("grey.png", np.full((8, 9), 7, np.uint8)), ("alpha.png", np.full((8, 9, 4), 7, np.uint8))):
        cv2.imwrite(str(tmp_path / name), image)
        assert decode(tmp_path / name).shape == (8, 9, 3)


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jpg"):
        decode(tmp_path / "bad.jpg")


def test_resize_keeps_flat_colours_and_an_equal_size() -> None:
    flat = np.full((30, 50, 3), (9, 99, 199), np.uint8)
    for size in (16, 64):
        np.testing.assert_array_equal(resize(flat, size), np.full((size, size, 3), (9, 99, 199)))
    square = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert resize(square, 16) is square


def test_shrinking_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize(stripes, 16).astype(int) - 100).max() <= 1


def test_in_parallel_keeps_the_order() -> None:
    found = [item for chunk in in_parallel(max, [(number, 3) for number in range(50)]) for item in chunk]
    assert found == [max(number, 3) for number in range(50)]


def test_the_store_holds_every_image_in_the_order_of_the_csv(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    array = np.load(pixels(settings, competition, "train", 0, 32))
    assert array.shape == (len(competition.train), 32, 32, 3)
    for row in (0, len(array) - 1):
        np.testing.assert_array_equal(array[row], resize(decode(competition.train["path"][row]), 32))


def test_a_stored_copy_is_the_pure_function_of_its_source(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    array = np.load(pixels(settings, competition, "train", 2, 32))
    image_id, path = competition.train["image_id"][3], competition.train["path"][3]
    expected = resize(augmented_copy(decode(path), image_id, 2, settings.augmentation), 32)
    np.testing.assert_array_equal(array[3], expected)


def test_the_store_is_made_once_and_again_when_an_image_changes(tiny: Tiny) -> None:
    settings = tiny.settings()
    path = pixels(settings, read_competition(settings), "train", 0, 32)
    made = path.stat().st_mtime_ns
    assert pixels(settings, read_competition(settings), "train", 0, 32).stat().st_mtime_ns == made
    first = read_competition(settings).train["path"][0]
    cv2.imwrite(str(first), np.zeros((40, 40, 3), np.uint8))
    again = np.load(pixels(settings, read_competition(settings), "train", 0, 32))
    assert path.stat().st_mtime_ns != made
    assert again[0].max() < 10


def test_another_seed_makes_other_copies(tiny: Tiny) -> None:
    one, other = (tiny.settings(f"augmentation.seed={seed}") for seed in (0, 1))
    first = np.load(pixels(one, read_competition(one), "train", 1, 32))
    second = np.load(pixels(other, read_competition(other), "train", 1, 32))
    assert (first != second).any(axis=(1, 2, 3)).mean() > 0.9


def test_an_unreadable_image_leaves_no_half_written_store(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    competition.train["path"][5].write_bytes(b"broken")
    with pytest.raises(InputError, match=competition.train["path"][5].name):
        pixels(settings, competition, "train", 0, 32)
    path = pixel_path(settings, "train", 0, 32)
    assert list(path.parent.iterdir()) == []
    assert not artifacts.meta_beside(path).exists()
