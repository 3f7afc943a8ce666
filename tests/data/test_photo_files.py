"""The photos of a folder that no CSV names: which are taken, under which name, and what is said of the others."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

import odd_images
from conftest import Tiny, ripik
from ripik.data.photo_files import photos_below, summary
from ripik.errors import InputError

PHOTOS = {"a.jpg": "JPEG", "b.JPG": "JPEG", "c.jpeg": "JPEG", "d.png": "PNG", "e.tif": "TIFF", "f.TIFF": "TIFF"}
PHOTOS |= {"g.jfif": "JPEG", "h.gif": "GIF", "more/i.jpg": "JPEG", "more/and/j.Png": "PNG", "without": "WEBP"}


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, kind in PHOTOS.items():
        write(tmp_path / "photos" / name, odd_images.encoded(odd_images.photo(), kind))
    return tmp_path / "photos"


def test_every_image_is_taken_by_its_content_or_its_ending(folder: Path) -> None:
    write(folder / "broken.heic", b"no image that is read here")
    found, skipped = photos_below(folder)
    assert list(found) == sorted([*PHOTOS, "broken.heic"])
    assert found["more/i.jpg"] == folder / "more" / "i.jpg"
    assert skipped == {}
    assert summary(skipped) == ""


def test_hidden_and_other_files_are_skipped_and_counted(folder: Path) -> None:
    image = (folder / "a.jpg").read_bytes()
    for name in ("._a.jpg", ".DS_Store", ".trash/x.jpg", "more/.hidden.png"):
        write(folder / name, image)
    for name in ("Thumbs.db", "more/desktop.ini", "__MACOSX/a.jpg"):
        write(folder / name, image)
    write(folder / "notes.txt", b"no image")
    write(folder / "empty", b"")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    (folder / "again").symlink_to(folder / "more")
    (folder / "round.jpg").symlink_to(folder / "round.jpg")
    found, skipped = photos_below(folder)
    assert list(found) == sorted(PHOTOS)
    assert summary(skipped) == (
        "4 hidden (.DS_Store, ._a.jpg, .trash, more/.hidden.png); 1 links to folders (again); 2 no images by their "
        "content (empty, notes.txt); 3 no regular files (nowhere.jpg, pipe.jpg, round.jpg); 3 of the operating system "
        "(Thumbs.db, __MACOSX, more/desktop.ini)"
    )


def test_a_link_inside_is_taken_and_one_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "inside.jpg").symlink_to(folder / "more" / "i.jpg")
    (folder.parent / "linked").symlink_to(folder)
    assert "inside.jpg" in photos_below(folder.parent / "linked")[0]
    outside = folder.parent / "outside"
    write(outside / "o.jpg", (folder / "a.jpg").read_bytes())
    for target in (outside / "o.jpg", outside):
        (folder / "out.jpg").symlink_to(target)
        with pytest.raises(InputError, match=r"out\.jpg is a symbolic link that leads out of"):
            photos_below(folder)
        (folder / "out.jpg").unlink()


def test_a_name_that_no_csv_can_hold_is_refused(folder: Path) -> None:
    shutil.copy(folder / "a.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    with pytest.raises(InputError, match=r"the name 'caf\\udce9\.jpg' is not UTF-8"):
        photos_below(folder)


def test_a_folder_is_predicted_whole_by_relative_names(finished: Tiny, folder: Path) -> None:
    write(folder / "._a.jpg", b"of a Mac")
    write(folder / "more" / "cut.png", (folder / "d.png").read_bytes()[:300])
    out = folder / "found.csv"
    for _ in range(2):  # the second time with the CSV and its meta file in it
        done = ripik(finished, "predict", "--images", str(folder), "--out", str(out))
        assert done.returncode == 0, done.stdout + done.stderr
        assert pd.read_csv(out)["filename"].tolist() == sorted([*PHOTOS, "more/cut.png"])
    assert f"predict: 12 photos in {folder}, 3 below it; skipped: 1 hidden (._a.jpg); 2 no images" in done.stdout
    assert (
        "class shares of the training images: 1 of 12 (more/cut.png: the file is truncated or damaged)" in done.stderr
    )


def test_a_folder_without_photos_is_told_with_what_was_skipped(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    write(tiny.folder / "none" / ".a.jpg", b"")
    assert tiny.cli("predict", "--images", str(tiny.folder / "none")) == 2
    assert "contains no photos; skipped: 1 hidden (.a.jpg)" in capsys.readouterr().err
