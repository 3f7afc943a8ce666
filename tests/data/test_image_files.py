"""Image files of all kinds: which are refused, and what their pixels are."""

import tracemalloc
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import odd_images
from ripik.data import image_files
from ripik.data.image_files import Examined, decode, examine
from ripik.errors import InputError
from ripik.splits.near_copies.find import near_copy_groups

GOOD, BAD = odd_images.good(), odd_images.bad()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "photo.jpg"  # whatever it holds


@pytest.mark.parametrize("name", GOOD)
def test_odd_images_are_read_as_opencv_reads_them(file: Path, name: str) -> None:
    file.write_bytes(GOOD[name])
    assert examine(file) == Examined()
    plain = cv2.imdecode(np.frombuffer(GOOD[name], np.uint8), cv2.IMREAD_COLOR)
    found = decode(file)
    np.testing.assert_array_equal(found, plain[..., ::-1])
    sides = {"turned": (64, 40), "8 × 8": (8, 8)}
    assert found.shape == (*sides.get(name, (40, 64)), 3)


@pytest.mark.parametrize("name", ["16-bit", "CMYK", "grey", "more bytes after its end"])
def test_their_pixels_show_the_photo(file: Path, name: str) -> None:
    file.write_bytes(GOOD[name])
    wanted = np.asarray(odd_images.photo()).astype(int)
    if name == "grey":
        wanted = wanted @ [0.299, 0.587, 0.114]
        wanted = np.repeat(wanted[..., None], 3, axis=2)
    assert np.abs(decode(file) - wanted).mean() < (25 if name == "CMYK" else 12)


@pytest.mark.parametrize("name", BAD)
def test_broken_images_are_told(file: Path, name: str) -> None:
    content, problem = BAD[name]
    file.write_bytes(content)
    assert problem in examine(file).problem


@pytest.mark.parametrize("name", [name for name in BAD if "×" not in name])
def test_and_are_not_decoded(file: Path, name: str) -> None:
    content, problem = BAD[name]
    file.write_bytes(content)
    if name == "the last byte lost":  # some versions of OpenCV read these
        return
    with pytest.raises(InputError, match=rf"photo\.jpg.*{problem}"):
        decode(file)
    with pytest.raises(InputError, match=r"photo\.jpg"):
        near_copy_groups([file])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_no_cut_goes_unnoticed_that_changes_pixels(file: Path, kind: str) -> None:
    whole = odd_images.encoded(odd_images.photo(), kind)
    file.write_bytes(whole)
    pixels = decode(file)
    for length in np.linspace(1, len(whole) - 1, 40).astype(int):
        file.write_bytes(whole[:length])
        if not examine(file).problem:
            np.testing.assert_array_equal(decode(file), pixels)


@pytest.mark.parametrize("name", ["huge PNG", "huge JPEG", "just too large"])
def test_the_size_is_bounded_before_anything_is_decoded(file: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(BAD[name][0])
    monkeypatch.setattr(image_files.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    tracemalloc.start()
    with pytest.raises(InputError, match="100 million"):
        decode(file)
    assert "100 million" in examine(file).problem
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_up_to_the_bound_nothing_is_said_of_the_size(file: Path) -> None:
    file.write_bytes(odd_images.encoded(Image.new("1", (9_500, 10_000)), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert examine(file) == Examined()


def test_frames_are_noted_and_the_first_is_used(file: Path) -> None:
    image = odd_images.photo()
    for kind in ("PNG", "WEBP", "GIF"):
        how = {"lossless": True} if kind == "WEBP" else {}
        more = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        file.write_bytes(odd_images.encoded(image, kind, save_all=True, append_images=[more], **how))
        assert examine(file).frames
        assert not examine(file).problem
        assert np.abs(decode(file) - np.asarray(image).astype(int)).mean() < (25 if kind == "GIF" else 1)


def test_a_missing_file_and_a_folder_are_missing(tmp_path: Path) -> None:
    assert "missing" in examine(tmp_path / "no.jpg").problem
    assert "missing" in examine(tmp_path).problem


def test_an_error_of_opencv_is_no_crash(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("assertion failed")

    file.write_bytes(GOOD["jpeg"])
    monkeypatch.setattr(image_files.cv2, "imdecode", fail)
    with pytest.raises(InputError, match="not an image that OpenCV reads"):
        decode(file)
    assert examine(file).problem == image_files.NO_IMAGE


def test_memory_that_runs_out_says_nothing_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))

    def fail(*arguments: object) -> None:
        raise MemoryError

    for place in ("ripik.data.image_headers.opened", "ripik.data.image_files.cv2.imdecode"):
        with monkeypatch.context() as patched:
            patched.setattr(place, fail)
            with pytest.raises(MemoryError):
                examine(path)
