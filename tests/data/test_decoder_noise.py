"""What OpenCV's decoders print never reaches the terminal; what tells of damage is told with the file's name."""

import ctypes
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ripik.data import decoder_noise
from ripik.data.decoder_noise import NAME, caught
from ripik.data.image_files import Examined, decode, examine
from ripik.data.lost_content import notes_of, tell
from ripik.data.pixel_rule import USUAL
from ripik.errors import InputError

LIBRARY = decoder_noise._library
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def broken_jpeg() -> bytes:
    """Return a JPEG that ends in the middle, by its own marks, and then goes on."""
    data = bytearray(cv2.imencode(".jpg", PHOTO)[1].tobytes())
    middle = len(data) // 2
    data[middle : middle + 6] = b"\x00\x11\x22\x33\xff\xd9"
    return bytes(data)


def odd_png() -> bytes:
    """Return a PNG whose gamma stands there twice, which harms nothing."""
    data = cv2.imencode(".png", PHOTO)[1].tobytes()
    chunk = bytes.fromhex("0000000467414d410000b18f0bfc6105")
    return data[:33] + chunk * 2 + data[33:]


def cut_tiff() -> bytes:
    data = cv2.imencode(".tif", PHOTO)[1].tobytes()
    return data[: len(data) // 2]


FILES = {"broken.jpg": broken_jpeg(), "odd.png": odd_png(), "cut.tif": cut_tiff()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FILES)
def test_nothing_is_printed(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    cv2.imdecode(np.frombuffer(FILES[name], np.uint8), cv2.IMREAD_COLOR)
    printed = capfd.readouterr()
    assert printed.out + printed.err != ""  # by OpenCV alone
    examine(folder / name)
    if name != "cut.tif":
        assert decode(folder / name).shape == PHOTO.shape
    else:
        with pytest.raises(InputError):
            decode(folder / name)
    assert capfd.readouterr() == ("", "")


def test_damage_that_the_decoder_passed_over_is_told_by_name(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = [examine(folder / name) for name in ("broken.jpg", "odd.png")]
    assert found == [Examined(damaged=True), Examined()]
    notes = notes_of(found, ["broken.jpg", "odd.png"], USUAL)
    tell(notes)
    assert "warning: JPEG data is corrupt" in (said := capfd.readouterr().err)
    assert "1 of 2 (broken.jpg)" in said
    del notes["damaged"]
    tell(notes)
    assert capfd.readouterr().err == ""


def test_what_is_caught_is_given_and_the_stream_is_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    library.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    stream = ctypes.c_void_p.in_dll(library, NAME)
    level, before = cv2.utils.logging.getLogLevel(), stream.value
    with caught() as lines:
        library.fputs(b"one\ntwo\n", stream)
        with caught() as inner:
            library.fputs(b"three\n", stream)
        sys.stderr.write("Python's own\n")
    assert (lines, inner) == (["one", "two"], ["three"])
    with pytest.raises(ValueError, match="inside"), caught():
        raise ValueError("inside")
    assert (cv2.utils.logging.getLogLevel(), stream.value) == (level, before)
    assert capfd.readouterr().err == "Python's own\n"


def test_a_library_without_such_a_stream_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_noise, "_library", lambda: None)
    with caught() as lines:
        pass
    assert lines == []
    monkeypatch.setattr(decoder_noise, "NAME", "nothing_of_this_name")
    assert LIBRARY.__wrapped__() is None


def test_older_versions_of_opencv_keep_the_log_level_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [3]
    monkeypatch.delattr("cv2.utils.logging", raising=False)
    monkeypatch.setattr("cv2.getLogLevel", lambda: levels[-1], raising=False)
    monkeypatch.setattr("cv2.setLogLevel", levels.append, raising=False)
    with caught() as lines:
        pass
    assert (levels, lines) == ([3, 0, 3], [])
