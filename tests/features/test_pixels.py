"""Decoding and the pixel store."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import Tiny
from ripik.augmentation.pipeline import augmented_copies
from ripik.data.competition import read_competition
from ripik.data.image_files import decode
from ripik.errors import InputError
from ripik.execution.parallel import in_parallel
from ripik.features.pixels import pixel_inputs, pixel_path, pixels, resize
from ripik.splits.run import Run
from ripik.storage.packed_array import checksums_path, is_packed


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


@pytest.mark.parametrize("side", [48, 72, 100, 112, 160, 333])
def test_shrinking_keeps_the_mean_and_leaves_no_moire(side: int) -> None:
    """A slow ramp stays a ramp; a fine checkerboard becomes grey, also where the factor is no whole number."""
    ramp = np.repeat(np.linspace(0, 255, side).astype(np.uint8)[None], side, axis=0)[..., None].repeat(3, axis=2)
    found = resize(ramp, 32)[5, :, 0].astype(int)
    centres = (np.arange(32) + 0.5) / 32 * 255
    assert np.abs(found - centres).max() < 6
    checks = ((np.indices((side, side)).sum(axis=0) % 2) * 200).astype(np.uint8)[..., None].repeat(3, axis=2)
    if side >= 64:
        assert resize(checks, 32).std() < 25


@pytest.mark.parametrize(("height", "width"), [(33, 90), (200, 30), (64, 47)])
def test_photos_that_are_not_square_leave_no_moire_either(height: int, width: int) -> None:
    checks = ((np.indices((height, width)).sum(axis=0) % 2) * 200).astype(np.uint8)[..., None].repeat(3, axis=2)
    wanted = cv2.resize(checks, (22, 22), interpolation=cv2.INTER_AREA)
    assert resize(checks, 22).std() < wanted.std() + 10


def test_in_parallel_keeps_the_order() -> None:
    found = [item for chunk in in_parallel(max, [(number, 3) for number in range(50)]) for item in chunk]
    assert found == [max(number, 3) for number in range(50)]


def test_the_store_holds_every_image_in_the_order_of_the_csv(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    array = np.load(pixels(Run(settings, competition), "train", False, 32))
    assert array.shape == (len(competition.train), 32, 32, 3)
    for row in (0, len(array) - 1):
        np.testing.assert_array_equal(array[row], resize(decode(competition.train["path"][row]), 32))


def test_a_stored_copy_is_the_pure_function_of_its_source(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    array = np.load(pixels(Run(settings, competition), "train", True, 32))
    photos = len(competition.train)
    assert len(array) == 2 * photos
    image_id, path = competition.train["image_id"][3], competition.train["path"][3]
    (second,) = augmented_copies(decode(path), image_id, [2], settings.augmentation)
    np.testing.assert_array_equal(array[photos + 3], resize(second, 32))


def test_more_copies_are_added_to_those_that_are_there(tiny: Tiny) -> None:
    fewer, more = (tiny.settings(f"augmentation.copies={copies}") for copies in (1, 3))
    competition = read_competition(fewer)
    path = pixels(Run(fewer, competition), "train", True, 32)
    first, checksums = np.load(path), checksums_path(path).read_bytes()
    assert pixels(Run(more, competition), "train", True, 32) == path
    whole = np.load(path)
    assert len(whole) == 3 * len(first)
    np.testing.assert_array_equal(whole[: len(first)], first)
    assert checksums_path(path).read_bytes().startswith(checksums)
    made = path.stat().st_mtime_ns
    pixels(Run(fewer, competition), "train", True, 32)
    assert path.stat().st_mtime_ns == made
    path.unlink()
    np.testing.assert_array_equal(np.load(pixels(Run(more, competition), "train", True, 32)), whole)


def test_the_store_is_made_once_and_again_when_an_image_changes(tiny: Tiny) -> None:
    settings = tiny.settings()
    path = pixels(Run(settings, read_competition(settings)), "train", False, 32)
    made = path.stat().st_mtime_ns
    assert pixels(Run(settings, read_competition(settings)), "train", False, 32).stat().st_mtime_ns == made
    first = read_competition(settings).train["path"][0]
    cv2.imwrite(str(first), np.zeros((40, 40, 3), np.uint8))
    again = np.load(pixels(Run(settings, read_competition(settings)), "train", False, 32))
    assert path.stat().st_mtime_ns != made
    assert again[0].max() < 10


def test_another_seed_makes_other_copies(tiny: Tiny) -> None:
    one, other = (tiny.settings(f"augmentation.seed={seed}") for seed in (0, 1))
    first = np.load(pixels(Run(one, read_competition(one)), "train", True, 32))
    second = np.load(pixels(Run(other, read_competition(other)), "train", True, 32))
    assert (first != second).any(axis=(1, 2, 3)).mean() > 0.9


def test_an_unreadable_image_leaves_no_store_that_passes_for_whole(tiny: Tiny) -> None:
    settings = tiny.settings()
    competition = read_competition(settings)
    competition.train["path"][5].write_bytes(b"broken")
    with pytest.raises(InputError, match=competition.train["path"][5].name):
        pixels(Run(settings, competition), "train", False, 32)
    path = pixel_path(settings, "train", False, 32)
    assert not path.exists()
    assert not is_packed(path, pixel_inputs(Run(settings, competition), "train", False, 32), len(competition.train))
