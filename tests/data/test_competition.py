import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import CLASSES, Tiny
from ripik.data.competition import fingerprint, read_competition
from ripik.errors import InputError


def refusal(tiny: Tiny, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        read_competition(tiny.settings(*overrides))
    return str(caught.value)


def set_cell(row: int, column: str, value: str):  # type: ignore[no-untyped-def]
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return change


def test_rows_keep_their_order_ids_are_text_and_labels_the_organisers(tiny: Tiny) -> None:
    found = read_competition(tiny.settings())
    assert found.train["image_id"].tolist() == tiny.truth["image_id"].tolist()
    assert found.train["label"].tolist() == tiny.truth["label"].tolist()
    assert found.classes == CLASSES
    assert all(type(label) is int for label in found.classes)
    assert found.train["path"].iloc[0] == tiny.input / "train" / "images" / "1.jpg"
    assert found.rows("test")["image_id"].tolist() == sorted(found.sample["image_id"], key=int)


def test_class_indices_follow_the_class_order(tiny: Tiny) -> None:
    found = read_competition(tiny.settings("competition.classes=[3, 1, 2]"))
    indices = found.class_indices()
    assert indices.index.tolist() == found.train["image_id"].tolist()
    assert indices.dtype == np.int64
    assert [found.classes[i] for i in indices] == tiny.truth["label"].tolist()


def test_labels_may_be_text(tiny: Tiny) -> None:
    names = {"1": "dent", "2": "NA", "3": "01"}
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].map(names)))
    named = 'competition.classes=["01", "NA", "dent"]'  # without them NA would be taken for a missing value
    found = read_competition(tiny.settings("competition.label_type=string", named))
    assert found.classes == ("01", "NA", "dent")
    assert found.train["label"].tolist() == [names[str(label)] for label in tiny.truth["label"]]


def test_ids_that_look_like_numbers_or_missing_values_stay_as_written(tiny: Tiny) -> None:
    rename = {"1": "001", "2": "NA", "3": "1e3", "4": "nan"}
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(image_id=frame["image_id"].replace(rename)))
    assert read_competition(tiny.settings()).train["image_id"].tolist()[:4] == ["001", "NA", "1e3", "nan"]


def test_other_column_names_folders_and_no_filenames(tiny: Tiny) -> None:
    for split in ("train", "test"):
        csv = tiny.input / split / f"{split}.csv"
        tiny.edit(csv, lambda f: f.drop(columns="filename").rename(columns={"image_id": "ID", "label": "Class"}))
        csv.rename(tiny.input / f"{split}_rows.csv")
        (tiny.input / split / "images").rename(tiny.input / f"{split}_photos")
    tiny.edit(tiny.sample_csv, lambda frame: frame.rename(columns={"image_id": "ID", "label": "Class"}))
    overrides = [
        "competition.train_csv=train_rows.csv",
        "competition.test_csv=test_rows.csv",
        "competition.train_images=train_photos",
        "competition.test_images=test_photos",
        "competition.id_column=ID",
        "competition.label_column=Class",
        "competition.filename_column=",
    ]
    found = read_competition(tiny.settings(*overrides))
    assert found.train["path"].iloc[0] == tiny.input / "train_photos" / "1.jpg"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tiny: Tiny) -> None:
    text = tiny.train_csv.read_text()
    tiny.train_csv.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(read_competition(tiny.settings()).train) == len(tiny.truth)


@pytest.mark.parametrize("layout", ["csv", "folders"])
def test_a_root_that_is_not_there_is_told_first(tiny: Tiny, layout: str) -> None:
    root = tiny.folder / "nothing"
    message = refusal(tiny, f"competition.root={root}", f"competition.layout={layout}")
    assert message.startswith(f"competition.root = {root} does not exist. Correct it, or run `make data` ")


def test_no_data_says_make_data_and_make_demo(tiny: Tiny) -> None:
    message = refusal(tiny, "competition.root=", f"paths.input={tiny.folder / 'nothing'}")
    assert message.startswith("there is no ")
    assert "make data" in message
    assert "make demo" in message
    assert "competition.root" in message


@pytest.mark.parametrize("name", ["test/test.csv", "sample_submission.csv"])
def test_a_missing_csv_is_named(tiny: Tiny, name: str) -> None:
    (tiny.input / name).unlink()
    assert str(tiny.input / name) in refusal(tiny)


@pytest.mark.parametrize("name", ["train/train.csv", "test/test.csv", "sample_submission.csv"])
def test_a_folder_in_place_of_a_csv_is_named(tiny: Tiny, name: str) -> None:
    (tiny.input / name).unlink()
    (tiny.input / name).mkdir()
    assert str(tiny.input / name) in refusal(tiny)


@pytest.mark.parametrize(
    ("csv", "column"),
    [
        ("train/train.csv", "image_id"),
        ("train/train.csv", "filename"),
        ("train/train.csv", "label"),
        ("test/test.csv", "image_id"),
        ("test/test.csv", "filename"),
        ("sample_submission.csv", "image_id"),
        ("sample_submission.csv", "label"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(tiny: Tiny, csv: str, column: str) -> None:
    tiny.edit(tiny.input / csv, lambda frame: frame.drop(columns=column).assign(other="x"))
    message = refusal(tiny)
    assert csv in message
    assert f"no column {column}" in message
    assert "other" in message


@pytest.mark.parametrize("csv", ["train/train.csv", "test/test.csv", "sample_submission.csv"])
def test_a_repeated_id_is_named_with_its_lines(tiny: Tiny, csv: str) -> None:
    tiny.edit(tiny.input / csv, lambda frame: pd.concat([frame, frame.iloc[[1]]]))
    message = refusal(tiny)
    rows = pd.read_csv(tiny.input / csv)
    assert f"id {rows['image_id'].iloc[1]} appears on lines 3, {len(rows) + 1}" in message


@pytest.mark.parametrize("csv", ["train/train.csv", "test/test.csv", "sample_submission.csv"])
def test_an_empty_id_is_named_by_its_line(tiny: Tiny, csv: str) -> None:
    tiny.edit(tiny.input / csv, set_cell(2, "image_id", " "))
    assert "line 4" in refusal(tiny)


@pytest.mark.parametrize("kind", ["integer", "string"])
@pytest.mark.parametrize("line", ["5,5.jpg,", "5,5.jpg"])
def test_a_missing_label_is_named_by_its_line(tiny: Tiny, kind: str, line: str) -> None:
    lines = tiny.train_csv.read_text().splitlines()
    tiny.train_csv.write_text("\n".join([*lines[:5], line, *lines[6:]]) + "\n")
    message = refusal(tiny, f"competition.label_type={kind}")
    assert "train.csv, line 6" in message
    assert "label is missing" in message


def test_lines_are_counted_over_blank_ones(tiny: Tiny) -> None:
    lines = tiny.train_csv.read_text().splitlines()
    tiny.train_csv.write_text("\n".join([*lines[:3], "", lines[3], "4,4.jpg,", *lines[5:]]) + "\n")
    assert "line 6" in refusal(tiny)


def test_a_label_that_is_no_integer_says_what_to_set(tiny: Tiny) -> None:
    tiny.edit(tiny.train_csv, set_cell(3, "label", "dent"))
    message = refusal(tiny)
    assert "line 5" in message
    assert "'dent'" in message
    assert "label_type" in message


def test_a_label_that_is_no_class_is_named(tiny: Tiny) -> None:
    message = refusal(tiny, "competition.classes=[1, 2]")
    assert "label 3" in message
    assert "competition.classes" in message


def test_classes_of_the_wrong_type_are_told(tiny: Tiny) -> None:
    assert "label_type" in refusal(tiny, 'competition.classes=["1", "2", "3"]')


def test_a_class_without_rows_is_named(tiny: Tiny) -> None:
    assert "label 9" in refusal(tiny, "competition.classes=[1, 2, 3, 9]")


def test_a_class_named_twice_is_told(tiny: Tiny) -> None:
    assert "competition.classes" in refusal(tiny, "competition.classes=[1, 2, 3, 3]")


def test_one_class_is_no_classification(tiny: Tiny) -> None:
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label="1"))
    assert "two" in refusal(tiny)


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_images_are_counted_and_named(tiny: Tiny, split: str) -> None:
    names = pd.read_csv(tiny.input / split / f"{split}.csv")["filename"].tolist()
    for name in names[:2]:
        (tiny.input / split / "images" / name).unlink()
    message = refusal(tiny)
    assert f"2 of the {len(names)} images" in message
    assert names[0] in message


def test_a_missing_folder_of_images_is_named(tiny: Tiny) -> None:
    (tiny.input / "test" / "images").rename(tiny.input / "elsewhere")
    assert str(tiny.input / "test" / "images") in refusal(tiny)


@pytest.mark.parametrize("name", ["../1.jpg", "/etc/hostname", "", "a/../../1.jpg"])
def test_file_names_stay_inside_their_folder(tiny: Tiny, name: str) -> None:
    tiny.edit(tiny.train_csv, set_cell(0, "filename", name))
    assert "train.csv, line 2" in refusal(tiny)


def test_a_sample_submission_with_other_ids_is_told_both_ways(tiny: Tiny) -> None:
    tiny.edit(tiny.sample_csv, set_cell(0, "image_id", "777"))
    message = refusal(tiny)
    assert "1 are missing" in message
    assert "777" in message


def test_a_probability_sample_must_have_a_column_a_class(tiny: Tiny) -> None:
    message = refusal(tiny, "competition.submission=probabilities")
    assert "sample_submission.csv" in message
    good = {str(label): "0" for label in CLASSES}
    tiny.edit(tiny.sample_csv, lambda frame: frame.drop(columns="label").assign(**good))
    assert len(read_competition(tiny.settings("competition.submission=probabilities")).sample.columns) == 4


def test_a_label_sample_must_have_no_other_column(tiny: Tiny) -> None:
    tiny.edit(tiny.sample_csv, lambda frame: frame.assign(confidence="1"))
    assert "confidence" in refusal(tiny)


def test_ids_in_both_sets_are_told_when_they_share_a_folder(tiny: Tiny) -> None:
    tiny.edit(tiny.input / "test" / "test.csv", set_cell(0, "image_id", "1"))
    tiny.edit(tiny.sample_csv, set_cell(len(pd.read_csv(tiny.sample_csv)) - 1, "image_id", "1"))
    for path in (tiny.input / "test" / "images").iterdir():
        path.rename(tiny.input / "train" / "images" / path.name)
    assert "1 ids are in both" in refusal(tiny, "competition.test_images=train/images")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x01", b'image_id,filename,label\n"1,1.jpg,1\n', b"a\n1,2\n1,2,3"]
)
def test_a_file_that_is_no_csv_is_named(tiny: Tiny, content: bytes) -> None:
    tiny.train_csv.write_bytes(content)
    assert "train.csv" in refusal(tiny)


def test_a_header_alone_is_told(tiny: Tiny) -> None:
    tiny.edit(tiny.train_csv, lambda frame: frame.iloc[:0])
    assert "no rows" in refusal(tiny)


@pytest.mark.filterwarnings("error")
def test_commas_at_the_end_of_every_row_are_told(tiny: Tiny) -> None:
    header, *rows = tiny.train_csv.read_text().splitlines()
    tiny.train_csv.write_text("\n".join([header, *(f"{row}," for row in rows)]) + "\n")
    assert re.search("column|field|header", refusal(tiny))


def test_blank_lines_are_no_rows(tiny: Tiny) -> None:
    lines = tiny.train_csv.read_text().splitlines()
    tiny.train_csv.write_text("\n".join([*lines[:4], "", *lines[4:]]) + "\n\n\n")
    found = read_competition(tiny.settings()).train
    assert found["image_id"].tolist() == tiny.truth["image_id"].tolist()
    assert found.index.tolist() == list(range(len(found)))  # row numbers, as all later steps take them


def test_the_fingerprint_changes_with_an_image_or_an_id(tiny: Tiny) -> None:
    def now(split: str = "train") -> str:
        return fingerprint(read_competition(tiny.settings()), split)

    before, test = now(), now("test")
    assert now() == before
    path: Path = tiny.input / "train" / "images" / "1.jpg"
    os.utime(path, ns=(10**18, 10**18))
    assert now() != before
    assert now("test") == test
    changed = now()
    tiny.edit(tiny.train_csv, set_cell(0, "image_id", "first"))
    assert now() != changed


def corrections(tiny: Tiny, text: str, name: str = "corrections.csv") -> str:
    (tiny.folder / name).write_text(text, encoding="utf-8")
    return f"competition.corrections={tiny.folder / name}"


def label_of(tiny: Tiny, image_id: str) -> int:
    return int(tiny.truth.set_index("image_id")["label"][image_id])


def another(tiny: Tiny, image_id: str) -> int:
    return CLASSES[(CLASSES.index(label_of(tiny, image_id)) + 1) % len(CLASSES)]


def test_corrections_replace_the_labels_that_are_trained_on_alone(tiny: Tiny) -> None:
    before = read_competition(tiny.settings())
    rows = f"image_id,label\n5,{another(tiny, '5')}\n1,{label_of(tiny, '1')}\n"
    after = read_competition(tiny.settings(corrections(tiny, rows)))
    changed = after.train["training_label"] != before.train["training_label"]
    assert after.train.loc[changed, "image_id"].tolist() == ["5"]
    assert after.train["training_label"][changed].tolist() == [another(tiny, "5")]
    assert (before.is_corrected.sum(), after.is_corrected.sum()) == (0, 1)
    assert after.train.dtypes["training_label"] == before.train.dtypes["label"]
    assert after.train.drop(columns="training_label").equals(before.train.drop(columns="training_label"))
    assert after.class_indices().equals(before.class_indices())
    assert after.classes[after.training_indices()["5"]] == another(tiny, "5")
    assert (before.correction_inputs(), list(after.correction_inputs())) == ({}, ["corrections"])
    assert after.classes == before.classes


def test_large_integers_are_corrected_exactly(tiny: Tiny) -> None:
    large = 999_999_999_999_999_999
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].replace("2", str(large))))
    image = next(image for image in tiny.truth["image_id"] if label_of(tiny, image) == 1)
    found = read_competition(tiny.settings(corrections(tiny, f"image_id,label\n{image},{large}\n")))
    assert found.train.set_index("image_id")["training_label"][image] == large


def test_corrections_of_text_labels_and_under_the_competitions_own_names(tiny: Tiny) -> None:
    tiny.edit(tiny.train_csv, lambda f: f.rename(columns={"image_id": "ID", "label": "Class"}))
    tiny.edit(tiny.input / "test" / "test.csv", lambda f: f.rename(columns={"image_id": "ID"}))
    tiny.edit(tiny.sample_csv, lambda f: f.rename(columns={"image_id": "ID", "label": "Class"}))
    how = ["competition.id_column=ID", "competition.label_column=Class", "competition.label_type=string"]
    for header in ("ID,Class", "image_id,label", "image_id,note,Class"):
        row = "7,seen twice," if "note" in header else "7,"
        given = corrections(tiny, f"{header}\n{row}{another(tiny, '7')}\n")
        found = read_competition(tiny.settings(*how, given)).train.set_index("image_id")["training_label"]
        assert found["7"] == str(another(tiny, "7"))


def test_corrections_are_looked_for_here_and_then_beside_the_data(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tiny.folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (tiny.input / "mine.csv").write_text(f"image_id,label\n5,{another(tiny, '5')}\n")
    settings = tiny.settings("competition.corrections=mine.csv")
    assert read_competition(settings).is_corrected.sum() == 1
    (here / "mine.csv").write_text(f"image_id,label\n5,{label_of(tiny, '5')}\n")
    assert not read_competition(settings).is_corrected.any()


def test_missing_corrections_name_the_places_looked_at(tiny: Tiny) -> None:
    message = refusal(tiny, "competition.corrections=mine.csv")
    assert "no file mine.csv" in message
    assert str(tiny.input / "mine.csv") in message
    assert "competition.corrections" in message
    assert f"no file {tiny.input}" in refusal(tiny, f"competition.corrections={tiny.input}")  # a folder


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("5,1\n777,2\n778,2", ["line 3", "777, 778", "train.csv", "these 2 lines"]),
        ("19x,1", ["line 2", "19x is not"]),
        ("5,9", ["line 2", "image 5", "label 9", "[1, 2, 3]"]),
        ("5,dent", ["line 2", "'dent'"]),
        ("5,1\n\n6,1\n5,2", ["id 5", "lines 2, 5"]),
        (",1", ["line 2", "id is empty"]),
    ],
)
def test_corrections_that_do_not_fit_are_told_by_line(tiny: Tiny, rows: str, words: list[str]) -> None:
    message = refusal(tiny, corrections(tiny, f"image_id,label\n{rows}\n"))
    assert "corrections.csv" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("header", ["id,label", "image_id,class"])
def test_corrections_without_their_columns_are_told(tiny: Tiny, header: str) -> None:
    message = refusal(tiny, corrections(tiny, f"{header}\n5,1\n"))
    assert "no column" in message
    assert header.replace(",", ", ") in message
    assert "image_id and label" in message


def test_test_images_cannot_be_corrected(tiny: Tiny) -> None:
    test_id = pd.read_csv(tiny.input / "test" / "test.csv", dtype=str)["image_id"].iloc[0]
    assert f"{test_id} is not among" in refusal(tiny, corrections(tiny, f"image_id,label\n{test_id},1\n"))


def test_corrections_may_not_empty_a_class(tiny: Tiny) -> None:
    rows = "".join(f"{image},1\n" for image in tiny.truth["image_id"] if label_of(tiny, image) == 3)
    assert "no image of 3" in refusal(tiny, corrections(tiny, f"image_id,label\n{rows}"))


def test_frames_have_a_group_only_when_a_column_is_named(tiny: Tiny) -> None:
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(car=[f"0{i // 2}" for i in range(len(frame))]))
    plain = read_competition(tiny.settings())
    assert "group" not in plain.train
    grouped = read_competition(tiny.settings("competition.group_column=car"))
    assert grouped.train["group"].tolist() == [f"0{i // 2}" for i in range(len(grouped.train))]
    assert "group" not in grouped.test
    assert grouped.train.drop(columns="group").equals(plain.train)
    tiny.edit(tiny.input / "test" / "test.csv", lambda frame: frame.assign(car="x"))
    assert set(read_competition(tiny.settings("competition.group_column=car")).test["group"]) == {"x"}


def test_a_group_column_that_train_lacks_is_told_with_those_there_are(tiny: Tiny) -> None:
    message = refusal(tiny, "competition.group_column=car")
    assert "train.csv has no column car" in message
    assert "image_id, filename, label" in message
    assert "competition.group_column" in message


@pytest.mark.parametrize("csv", ["train/train.csv", "test/test.csv"])
def test_an_empty_group_is_told_by_its_line(tiny: Tiny, csv: str) -> None:
    for path in (tiny.train_csv, tiny.input / "test" / "test.csv"):
        tiny.edit(path, lambda frame: frame.assign(car="x"))
    tiny.edit(tiny.input / csv, set_cell(1, "car", " "))
    message = refusal(tiny, "competition.group_column=car")
    assert f"{csv}, line 3" in message
    assert "car" in message
