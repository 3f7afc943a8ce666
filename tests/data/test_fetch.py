import errno
import fcntl
import shutil
from pathlib import Path

import pytest

from organiser import TEST, TRAIN, check_filled, folder_of, image, layout, nested, placed, settings, zip_of
from ripik.data.competition import read_competition
from ripik.data.fetch import fetch
from ripik.data.file_names import FileNames, Wanted
from ripik.errors import InputError, SurroundingsError


@pytest.mark.parametrize(
    "source",
    [
        layout(),
        layout("data/train", "data/test", "data"),
        layout("train/train", "test/test", "x/y"),
        nested(),
        {"all.zip": zip_of(nested()), "read me.txt": b"hello"},
        layout() | {f"old/{name}": data for name, data in layout().items() if name.endswith(".csv")},
        layout() | {"__MACOSX/train/._train.csv": b"?", "train/.DS_Store": b"?"},
    ],
    ids=["as it is", "under a folder", "twice nested", "zips", "zips in a zip", "the same CSVs twice", "junk"],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_any_nesting_is_brought_to_the_layout(tmp_path: Path, kind: str, source: dict[str, bytes]) -> None:
    made = settings(tmp_path)
    origin = tmp_path / "origin"
    if kind == "zip":
        origin.write_bytes(zip_of(source))
    else:
        folder_of(origin, source)
    before = placed(origin) if kind == "folder" else origin.read_bytes()
    assert fetch(made, origin) == tmp_path / "input" / "cars"
    check_filled(tmp_path, made)
    assert before == (placed(origin) if kind == "folder" else origin.read_bytes())


def test_it_tells_rows_images_and_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(settings(tmp_path), folder_of(tmp_path / "origin", layout() | {"notes.txt": b"", "train/images/9.jpg": b""}))
    said = capsys.readouterr().out
    assert "5 training and 3 test images, 480 bytes; 2 classes:\n  1: 2, 2: 3\n" in said
    assert "2 other files of origin were not needed" in said


def test_a_complete_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = settings(tmp_path, kaggle_dataset="somebody/car-photos")
    folder_of(tmp_path / "input" / "cars", layout())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "input").rglob("*")}
    fetch(made, tmp_path / "not there")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "input").rglob("*")} == before
    assert "complete, nothing to do" in capsys.readouterr().out


def test_an_incomplete_folder_is_neither_filled_nor_emptied(tmp_path: Path) -> None:
    origin = folder_of(tmp_path / "origin", layout())
    folder_of(tmp_path / "input" / "cars", {"mine.txt": b"precious"})
    with pytest.raises(InputError, match="not empty"):
        fetch(settings(tmp_path), origin)
    assert placed(tmp_path / "input") == {"cars/mine.txt": b"precious"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "input" / "cars").mkdir(parents=True)
    made = settings(tmp_path)
    fetch(made, folder_of(tmp_path / "origin", layout()))
    check_filled(tmp_path, made)


def test_the_names_of_the_configuration_are_the_target(tmp_path: Path) -> None:
    files = layout("a", "b")
    files["a/labels.csv"] = files.pop("a/train.csv").replace(b"image_id,filename", b"id,filename").replace(b".jpg", b"")
    files["b/labels.csv"] = files.pop("b/test.csv").replace(b"image_id,filename", b"id,filename").replace(b".jpg", b"")
    files["s.csv"] = files.pop("sample_submission.csv").replace(b"image_id", b"id")
    names = {"train_csv": "a/labels.csv", "test_csv": "b/labels.csv", "sample_submission": "s.csv"}
    images = {"train_images": "photos", "test_images": "photos"}
    made = settings(tmp_path, **names, **images, id_column="id", filename_column="")
    fetch(made, folder_of(tmp_path / "origin", {f"deep/{name}": data for name, data in files.items()}))
    photos = {f"photos/{name}.jpg": image(name) for name in [*TRAIN, *TEST]}
    assert placed(tmp_path / "input" / "cars") == photos | {n: d for n, d in files.items() if n.endswith(".csv")}


def test_folders_with_the_same_file_names_are_told_apart(tmp_path: Path) -> None:
    files = layout()
    files.update({f"test/images/{name}.jpg": b"another " + image(name) for name in TRAIN})
    fetch(settings(tmp_path), folder_of(tmp_path / "origin", {f"x/{name}": data for name, data in files.items()}))
    assert placed(tmp_path / "input" / "cars") == layout()


def fails(tmp_path: Path, files: dict[str, bytes], match: str, **competition: object) -> None:
    origin = folder_of(tmp_path / "origin", files)
    with pytest.raises(InputError, match=match):
        fetch(settings(tmp_path, **competition), origin)
    assert placed(tmp_path / "input") == {}
    assert list((tmp_path / "input").iterdir()) == []


def test_a_table_that_is_absent(tmp_path: Path) -> None:
    files = {name: data for name, data in layout().items() if name != "test/test.csv"}
    fails(tmp_path, files, r"has no test\.csv.*sample_submission\.csv, train/train\.csv")


def test_two_different_tables(tmp_path: Path) -> None:
    files = layout("x", "y") | {"z/train.csv": b"image_id,filename,label\n1,1.jpg,1\n"}
    fails(tmp_path, files, r"2 different train\.csv: x/train\.csv, z/train\.csv")


def test_two_folders_of_the_same_images(tmp_path: Path) -> None:
    files = {name.replace("train/images", "p"): data for name, data in layout().items()}
    files |= {f"q/{name}.jpg": image(name) for name in TRAIN}
    fails(tmp_path, files, r"2 folders hold the images of train/train\.csv: p, q")


def test_images_that_are_missing(tmp_path: Path) -> None:
    files = {name: data for name, data in layout().items() if name not in ("train/images/1.jpg", "train/images/4.jpg")}
    fails(tmp_path, files, r"2 of the 5 images of train/train\.csv are missing: 1\.jpg, 4\.jpg; .* train/images")


def test_no_image_at_all(tmp_path: Path) -> None:
    files = {name: data for name, data in layout().items() if not name.startswith("test/images")}
    fails(tmp_path, files, r"no folder holds the images of test/test\.csv, .*6\.jpg, 7\.jpg, 8\.jpg")


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (b"id,file\n1,2\n", "has no column filename; it has id, file"),
        (b"image_id,filename\n6,../../6.jpg\n", r"'\.\./\.\./6\.jpg' is not a file name"),
        (b"image_id,filename\n", "header but no rows"),
        (b"", "is empty"),
        (b"\xff\xfe\n", "is UTF-16"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, table: bytes, match: str) -> None:
    fails(tmp_path, layout() | {"test/test.csv": table}, match)


def test_an_evil_inner_archive(tmp_path: Path) -> None:
    fails(tmp_path, nested() | {"more.zip": zip_of({"../../evil.txt": b""})}, "points outside")
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_target_outside_the_input_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"competition\.train_images = '\.\./photos'"):
        fetch(settings(tmp_path, train_images="../photos"), folder_of(tmp_path / "origin", layout()))


def test_no_source_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kaggle_dataset to owner/name.*--source.*train/train\.csv") as caught:
        fetch(settings(tmp_path))
    assert str(tmp_path / "input" / "cars") in str(caught.value)
    assert not (tmp_path / "input").exists()


def test_wrong_sources(tmp_path: Path) -> None:
    made = settings(tmp_path)
    with pytest.raises(InputError, match="there is no source"):
        fetch(made, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"contains .* itself"):
        fetch(made, tmp_path)
    text = tmp_path / "data.7z"
    text.write_text("no zip")
    with pytest.raises(InputError, match=r"data\.7z is damaged or not a zip"):
        fetch(made, text)


def test_one_at_a_time(tmp_path: Path) -> None:
    origin, made = folder_of(tmp_path / "origin", layout()), settings(tmp_path)
    work = tmp_path / "input" / ".cars.fetching"
    work.mkdir(parents=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SurroundingsError, match="another `data`"):
            fetch(made, origin)
        assert work.exists()
    fetch(made, origin)
    check_filled(tmp_path, made)


def test_a_mount_without_locks_is_filled_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin, made = folder_of(tmp_path / "origin", layout()), settings(tmp_path)

    def refused(file: object, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    fetch(made, origin)
    check_filled(tmp_path, made)


def test_a_failure_half_way_leaves_no_folder_and_the_next_run_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, made = folder_of(tmp_path / "origin", layout()), settings(tmp_path)
    copied: list[object] = []

    def copy(source: Path, target: Path) -> None:
        copied.append(target)
        if len(copied) == 4:
            raise OSError(28, "No space left on device")
        target.write_bytes(source.read_bytes())

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", copy)
        with pytest.raises(OSError, match="No space"):
            fetch(made, origin)
    assert list((tmp_path / "input").iterdir()) == []
    fetch(made, origin)
    check_filled(tmp_path, made)


def _in_parts(files: dict[str, bytes], *parts: str) -> dict[str, bytes]:
    """Move the training images to folders in turn."""
    moved = dict(files)
    for number, name in enumerate(TRAIN):
        moved[f"{parts[number % len(parts)]}/{name}.jpg"] = moved.pop(f"train/images/{name}.jpg")
    return moved


def test_images_in_several_folders_are_gathered_in_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = settings(tmp_path)
    fetch(made, folder_of(tmp_path / "origin", _in_parts(layout(), "part_1", "x/part_2")))
    check_filled(tmp_path, made)
    assert "train/train.csv are gathered from 2 folders: part_1, x/part_2" in capsys.readouterr().out


def test_images_in_folders_that_are_listed_stay_in_them(tmp_path: Path) -> None:
    files = _in_parts(layout(), "part_1", "part_2") | {f"thumbs/{name}.jpg": b"small" for name in list(TRAIN)[1:]}
    made = settings(tmp_path, train_images=["part_1", "part_2"])
    fetch(made, folder_of(tmp_path / "origin", {f"deep/{name}": data for name, data in files.items()}))
    assert placed(tmp_path / "input" / "cars") == _in_parts(layout(), "part_1", "part_2")


def test_images_that_lie_twice_are_not_gathered(tmp_path: Path) -> None:
    files = _in_parts(layout(), "a", "b") | {"c/2.jpg": b"another"}
    fails(tmp_path, files, r"are in several folders, and 1 of them in more than one: 2\.jpg in b, c\. .*train_images")


def test_a_missing_image_is_not_taken_from_the_folder_of_the_test_images(tmp_path: Path) -> None:
    files = layout() | {"test/images/1.jpg": b"of the test set"}
    del files["train/images/1.jpg"]
    fails(tmp_path, files, r"1 of the 5 images of train/train\.csv are missing: 1\.jpg; .* train/images")


def test_files_by_ids_keep_their_endings(tmp_path: Path) -> None:
    files = layout() | {"train/images/3.PNG": image("3"), "train/images/3.txt": b"no image"}
    del files["train/images/3.jpg"]
    fetch(settings(tmp_path, filename_column=""), folder_of(tmp_path / "origin", files))
    del files["train/images/3.txt"]
    assert placed(tmp_path / "input" / "cars") == files


def test_of_two_files_by_an_id_none_is_taken(tmp_path: Path) -> None:
    files = layout() | {"train/images/3.PNG": b"x", "train/images/3.bmp": b"y"}
    del files["train/images/3.jpg"]
    fails(tmp_path, files, r"'3' matches 2 files: .*3\.PNG.*3\.bmp", filename_column="")


def test_decomposed_names_are_found(tmp_path: Path) -> None:
    files = layout()
    files["train/train.csv"] = files["train/train.csv"].replace(b"1.jpg", "Müller.jpg".encode())
    pixels = files.pop("train/images/1.jpg")
    fetch(settings(tmp_path), folder_of(tmp_path / "origin", files | {"train/images/Mu\u0308ller.jpg": pixels}))
    assert placed(tmp_path / "input" / "cars") == files | {"train/images/Müller.jpg": pixels}


def with_masks(*lacking: str) -> dict[str, bytes]:
    """Return the layout with photos by id and a folder of masks by the same ids; some photos are lacking."""
    files = {f"{name.replace('train/images', 'photos')}": data for name, data in layout().items()}
    files = {name: data for name, data in files.items() if name not in [f"photos/{each}.jpg" for each in lacking]}
    return files | {f"masks/{name}.png": b"mask" for name in TRAIN}


def test_masks_of_the_same_ids_are_not_taken_for_photos(tmp_path: Path) -> None:
    fetch(settings(tmp_path, filename_column=""), folder_of(tmp_path / "origin", with_masks()))
    assert placed(tmp_path / "input" / "cars") == layout()


def test_masks_do_not_stand_in_for_photos_that_are_missing(tmp_path: Path) -> None:
    told = r"1 of the 5 images of train/train\.csv are missing: 3\.jpg; the folder that holds most is photos"
    fails(tmp_path, with_masks("3"), told, filename_column="")
    inside = {name.replace("masks/", "photos/"): data for name, data in with_masks("3").items()}
    fails(tmp_path, inside, told, filename_column="")


def test_train_and_test_do_not_take_one_anothers_images(tmp_path: Path) -> None:
    files = {name: data for name, data in layout().items() if not name.startswith(("train/images", "test/images"))}
    files |= {f"a/{name}.jpg": image(name) for name in ("1", "2", "3", "4", "6")}
    files |= {f"b/{name}.jpg": image(name) for name in ("5", "7", "8")}
    files["test/test.csv"] = files["test/test.csv"].replace(b"8.jpg", b"5.jpg")
    fails(tmp_path, files, r"1 files would be images of both train/train\.csv and test/test\.csv: b/5\.jpg")


def test_many_files_of_one_name_are_found_at_once(tmp_path: Path) -> None:
    names = FileNames(f"c{number}/front.jpg" for number in range(20_000))
    wanted = [Wanted(f"c{number}/front.jpg") for number in range(20_000)]
    assert all(names.by_name(each, below=True) == [each.name] for each in wanted)


def test_no_test_set_is_fetched_where_there_is_none(tmp_path: Path) -> None:
    """The other settings of a test set keep their defaults, and name nothing then."""
    made = settings(tmp_path, test_images="")
    files = {name: data for name, data in layout().items() if name.startswith("train/")}
    fetch(made, folder_of(tmp_path / "origin", files))
    assert placed(tmp_path / "input" / "cars") == files
    fetch(made)  # complete
    assert len(read_competition(made).test) == 0
