"""The names of image files in a CSV, and links."""

from pathlib import Path

import pandas as pd
import pytest

from ripik.data.image_paths import image_paths
from ripik.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "sub/3.jpg", "ü 中.jpg", "a&b '\".jpg", "..4.jpg"):
        (tmp_path / "images" / name).write_bytes(b"x")
    (tmp_path / "outside.jpg").write_bytes(b"x")
    return tmp_path / "images"


def find(folder: Path, *names: str, missing_ok: bool = True) -> tuple[list[Path], list[bool]]:
    return image_paths(pd.Series(names, dtype="str"), [folder], Path("train.csv"), missing_ok=missing_ok)


def test_files_in_the_folder_and_below_it_are_found(folder: Path) -> None:
    names = ["1.jpg", "sub/3.jpg", "./2.jpg", "ü 中.jpg", "a&b '\".jpg", "..4.jpg"]
    assert find(folder, *names, missing_ok=False) == ([folder / name for name in names], [True] * 6)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../outside.jpg", "not a file name inside"),
        ("sub/../../outside.jpg", "not a file name inside"),
        ("..", "not a file name inside"),
        ("/etc/passwd", "not a file name inside"),
        ("C:/photo.jpg", "not a file name inside"),
        (" ", "not a file name inside"),
        ("sub\\3.jpg", "backslash"),
        ("1.jpg\n", "control"),
        ("1\0.jpg", "control"),
        ("1\x85.jpg", "control"),
        ("x" * 296 + ".jpg", "too long"),
        ("ü" * 130 + ".jpg", "too long"),
        ("sub/" * 300 + "1.jpg", "too long"),
    ],
)
def test_names_that_no_image_can_have_are_told_with_their_line(folder: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"train\.csv, line 3: .*{problem}") as error:
        find(folder, "1.jpg", name)
    assert len(str(error.value)) < 350
    assert "\n" not in str(error.value)


def test_a_name_as_long_as_file_systems_allow_is_fine(folder: Path) -> None:
    (folder / ("x" * 251 + ".jpg")).write_bytes(b"x")
    assert find(folder, "x" * 251 + ".jpg")[1] == [True]


@pytest.mark.parametrize("name", ["link.jpg", "elsewhere/outside.jpg"])
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder / "link.jpg").symlink_to(folder.parent / "outside.jpg")
    (folder / "elsewhere").symlink_to(folder.parent)
    with pytest.raises(InputError, match=r"line 2: .*symbolic link to a file outside.*Copy the file"):
        find(folder, name, "1.jpg")


def test_links_inside_the_folder_and_the_folder_itself_may_be_links(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("sub/3.jpg")
    (folder / "below").symlink_to("sub")
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    for root in (folder, linked):
        assert find(root, "link.jpg", "below/3.jpg", "1.jpg")[1] == [True] * 3


def test_a_folder_whose_name_begins_alike_is_outside(folder: Path) -> None:
    (folder.parent / "images2").mkdir()
    (folder.parent / "images2" / "9.jpg").write_bytes(b"x")
    (folder / "9.jpg").symlink_to(folder.parent / "images2" / "9.jpg")
    with pytest.raises(InputError, match="outside"):
        find(folder, "9.jpg")


def test_up_to_half_may_be_missing_where_that_is_allowed(folder: Path) -> None:
    (folder / "lost.jpg").symlink_to("nowhere")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    assert find(folder, "1.jpg", "2.jpg", "lost.jpg", "sub")[1] == [True, True, False, False]
    assert find(folder, "1.jpg", "loop.jpg")[1] == [True, False]
    assert find(folder, "1.jpg", "no/such/folder.jpg")[1] == [True, False]
    assert find(folder, "1.jpg", "2.jpg/3.jpg")[1] == [True, False]
    with pytest.raises(InputError, match=r"2 of the 3 images of train\.csv are not in .*images: 8\.jpg, 9\.jpg"):
        find(folder, "1.jpg", "8.jpg", "9.jpg")
    with pytest.raises(InputError, match="1 of the 2 images"):
        find(folder, "1.jpg", "9.jpg", missing_ok=False)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        find(tmp_path / "no", "1.jpg")


def test_a_name_in_another_unicode_form_is_found_and_the_very_name_is_preferred(folder: Path) -> None:
    decomposed = "Mu\u0308ller"
    (folder / decomposed).mkdir()
    (folder / decomposed / f"{decomposed}.jpg").write_bytes(b"x")
    assert find(folder, "Müller/Müller.jpg")[0] == [folder / decomposed / f"{decomposed}.jpg"]
    (folder / "Müller").mkdir()
    (folder / "Müller" / "Müller.jpg").write_bytes(b"y")
    assert find(folder, "Müller/Müller.jpg")[0] == [folder / "Müller" / "Müller.jpg"]
    assert find(folder, f"{decomposed}/{decomposed}.jpg")[0] == [folder / decomposed / f"{decomposed}.jpg"]


def test_files_named_by_ids_may_have_any_ending_and_the_one_that_is_set_is_preferred(folder: Path) -> None:
    ids = pd.Series(["1", "a", "b.png", "c", "d"], dtype="str")
    for name in ("1.png", "a.JPEG", "a.txt", "b.png", "c", "sub/d.jpg"):
        (folder / name).write_bytes(b"x")
    paths, present = image_paths(ids, [folder], Path("train.csv"), missing_ok=True, extension=".jpg")
    assert [path.name for path in paths] == ["1.jpg", "a.JPEG", "b.png", "c", "d.jpg"]
    assert present == [True] * 4 + [False]  # a folder that holds some is not looked into further down


def test_images_are_gathered_from_several_folders_and_from_those_below(folder: Path) -> None:
    (folder / "sub" / "deep" / "__MACOSX").mkdir(parents=True)
    for name in ("4.jpg", "deep/5.jpg", "deep/__MACOSX/5.jpg"):
        (folder / "sub" / name).write_bytes(b"x")
    other = folder.parent / "other"
    (other / "a" / "b").mkdir(parents=True)
    (other / "a" / "b" / "6.jpg").write_bytes(b"x")

    def paths(*folders: Path) -> list[Path]:
        names = pd.Series(["1.jpg", "sub/3.jpg", "6.jpg"], dtype="str")
        return image_paths(names, folders, Path("train.csv"), missing_ok=False)[0]

    assert paths(folder, other) == [folder / "1.jpg", folder / "sub" / "3.jpg", other / "a" / "b" / "6.jpg"]
    assert paths(other, folder.parent / "nowhere", folder)[2] == other / "a" / "b" / "6.jpg"
    assert find(folder.parent, "3.jpg", "4.jpg", "5.jpg")[0][2] == folder / "sub" / "deep" / "5.jpg"
    (other / "1.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"line 2: '1\.jpg' matches 2 files: .*images/1\.jpg.*other/1\.jpg"):
        paths(folder, other)


def test_a_link_below_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "sub" / "9.jpg").symlink_to(folder.parent / "outside.jpg")
    (folder / "sub" / "8.jpg").symlink_to("nowhere")
    for name in ("1.jpg", "2.jpg"):
        (folder / name).unlink()
    with pytest.raises(InputError, match="outside"):
        find(folder, "9.jpg", "3.jpg")
    assert find(folder, "8.jpg", "3.jpg")[1] == [False, True]


def test_a_folder_of_too_many_files_is_not_looked_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "Mu\u0308ller.jpg").write_bytes(b"x")
    (folder / "deep").mkdir()
    (folder / "deep" / "9.jpg").write_bytes(b"x")
    assert find(folder, "Müller.jpg", "1.jpg")[1] == [True, True]
    assert find(folder, "9.jpg")[1] == [True]
    monkeypatch.setattr("ripik.data.image_paths.ALWAYS", 2)
    monkeypatch.setattr("ripik.data.image_paths.MORE", 0)
    assert find(folder, "Müller.jpg", "1.jpg")[1] == [True, True]
    with pytest.raises(InputError, match="1 of the 1 images"):
        find(folder, "9.jpg")


@pytest.mark.parametrize("masks", ["", "masks/"])
def test_masks_are_not_taken_for_photos_that_are_missing(folder: Path, masks: str) -> None:
    root, ids = folder.parent / "root", pd.Series(["1", "2", "3"], dtype="str")
    photos = "photos/" if masks else ""
    for name in (f"{photos}1.jpg", f"{photos}2.jpg", f"{masks}1.png", f"{masks}2.png", f"{masks}3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    paths, present = image_paths(ids, [root], Path("train.csv"), missing_ok=True, extension=".jpg")
    assert present == [True, True, False]
    assert [path.name for path in paths] == ["1.jpg", "2.jpg", "3.jpg"]
