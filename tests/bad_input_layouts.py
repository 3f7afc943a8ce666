"""The cases of `tests.bad_input` about other layouts: class folders, a column for each class, no test CSV, weights."""

from __future__ import annotations

import shutil

from tests.bad_input_csv import both, swap
from tests.bad_input_world import Case, Spoil, nothing
from tests.conftest import Tiny

NAMES = {"1": "crack", "2": "flat tire", "3": "été"}


def with_sets(*settings: str) -> tuple[str, ...]:
    return ("folds", *(part for setting in settings for part in ("--set", f"competition.{setting}")))


FOLDERS = with_sets("layout=folders", "train_images=train", "test_images=test/images", "label_type=string")
COLUMNS = with_sets('label_columns=["a","b","c"]', "label_type=string")
NO_TEST_CSV = with_sets("test_csv=", "filename_column=")
NO_SAMPLE = with_sets("sample_submission=")
WEIGHTED, IGNORED = with_sets("weight_column=trust"), with_sets("ignore=doubtful")


def folders(tiny: Tiny) -> None:
    """Move every training image into the folder of its class."""
    for row in tiny.truth.itertuples():
        folder = tiny.input / "train" / NAMES[str(row.label)]
        folder.mkdir(exist_ok=True)
        shutil.move(tiny.input / "train" / "images" / f"{row.image_id}.jpg", folder)
    shutil.rmtree(tiny.input / "train" / "images")
    tiny.train_csv.unlink()
    tiny.edit(tiny.sample_csv, lambda frame: frame.assign(label="crack"))


def columns(third: str, names: str = "a,b,c") -> Spoil:
    """Write a column for each class; the third row has other cells."""
    cells = {1: "1,0,0", 2: "0,1,0", 3: "0,0,1"}

    def write(tiny: Tiny) -> None:
        rows = [f"{row.image_id},{row.image_id}.jpg,{cells[row.label]}" for row in tiny.truth.itertuples()]
        rows[2] = ",".join([*rows[2].split(",")[:2], third])
        tiny.train_csv.write_text("\n".join([f"image_id,filename,{names}", *rows]) + "\n", encoding="utf-8")
        tiny.edit(tiny.sample_csv, lambda frame: frame.assign(label="a"))

    return write


def column(name: str, cell: str) -> Spoil:
    return lambda tiny: tiny.edit(
        tiny.train_csv, lambda frame: frame.assign(**{name: [cell, *["1"] * (len(frame) - 1)]})
    )


def loose(tiny: Tiny) -> None:
    shutil.copyfile(tiny.input / "test" / "images" / "13.jpg", tiny.input / "train" / "stray.jpg")


def empty(tiny: Tiny) -> None:
    (tiny.input / "train" / "dent").mkdir()


def case(topic: str, name: str, spoil: Spoil, command: tuple[str, ...], *says: str, code: int = 2) -> Case:
    return Case(topic, name, spoil, says, code, command)


CLASSES = (
    case("class folders", "blanks, accents", folders, FOLDERS, "folds: wrote", code=0),
    case(
        "class folders",
        "an empty one",
        both(folders, empty),
        FOLDERS,
        "input/train",
        "class folder 'dent'",
        "Add images",
    ),
    case("class folders", "an image beside them", both(folders, loose), FOLDERS, "stray.jpg", "folder of its class"),
    case("class folders", "none", nothing, FOLDERS, "at least two classes", "train_images"),
    case(
        "class folders",
        "one alone",
        both(folders, lambda tiny: [shutil.rmtree(tiny.input / "train" / name) for name in ("crack", "été")]),
        FOLDERS,
        "at least two classes",
        "train_images",
    ),
    case(
        "class folders",
        "a name in two spellings",
        both(folders, lambda tiny: shutil.copytree(tiny.input / "train" / "crack", tiny.input / "train" / "Crack")),
        FOLDERS,
        "'Crack' (rows: 4, the first in Crack/1.jpg)",
        "Spell each name one way",
    ),
    case(
        "class folders",
        "not said to be the layout",
        folders,
        with_sets("train_images=train"),
        "there is no input/train/train.csv",
        'competition.layout = "folders"',
    ),
    case(
        "class folders",
        "no such folder",
        folders,
        with_sets("layout=folders", "train_images=photos"),
        "input/photos",
        "root",
    ),
)
SEVERAL = (
    case("a column for each class", "one-hot", columns("0,0,1"), COLUMNS, "folds: wrote", code=0),
    case("a column for each class", "shares", columns("0.2,0.2,0.6"), COLUMNS, "folds: wrote", code=0),
    case(
        "a column for each class",
        "two labels for one id",
        columns("1,0,1"),
        COLUMNS,
        "line 4",
        "2 labels (a, c)",
        "correct the row",
    ),
    case("a column for each class", "no label", columns("0,0,0"), COLUMNS, "line 4", "has no label", "correct the row"),
    case(
        "a column for each class",
        "shares that do not sum to 1",
        columns("0.5,0.2,0.2"),
        COLUMNS,
        "sum to 0.9",
        "correct the row",
    ),
    case("a column for each class", "no number", columns("x,0,1"), COLUMNS, "line 4", "a is 'x'", "Correct the cell"),
    case(
        "a column for each class", "no such column", columns("0,0,1", "a,b,d"), COLUMNS, "no column c", "Set the names"
    ),
    case(
        "a column for each class",
        "of whole numbers alone",
        nothing,
        COLUMNS[:3],
        "label_columns",
        'label_type = "string"',
    ),
)
TESTS = (
    case("no test.csv, no sample", "ids of the sample", nothing, NO_TEST_CSV, "folds: wrote", code=0),
    case(
        "no test.csv, no sample",
        "a sample of other ids",
        swap("\n14,1", "\n99,1", lambda tiny: tiny.sample_csv),
        NO_TEST_CSV,
        "1 of 4 (99.jpg: the file is missing)",
        code=0,
    ),
    case(
        "no test.csv, no sample",
        "no sample",
        lambda tiny: tiny.sample_csv.unlink(),
        NO_SAMPLE,
        "not written",
        code=0,
    ),
    case("no test.csv, no sample", "neither", nothing, (*NO_SAMPLE, *NO_TEST_CSV[1:]), "not written", code=0),
    case("no test.csv, no sample", "no test set", nothing, with_sets("test_images="), "not written", code=0),
)
ROWS = (
    case("weights of rows", "no such column", nothing, WEIGHTED, "no column trust", "leave it empty"),
    case(
        "weights of rows",
        "beyond sums",
        column("trust", "1e308"),
        WEIGHTED,
        "line 2",
        "from 1e-09 to 1e+09",
        "Correct it",
    ),
    case("weights of rows", "no number", column("trust", "much"), WEIGHTED, "line 2", "'much'", "Correct it"),
    case(
        "weights of rows", "neither yes nor no", column("doubtful", "perhaps"), IGNORED, "'perhaps'", "Correct the cell"
    ),
    case(
        "weights of rows", "all of a class left out", column("doubtful", "1"), IGNORED, "all images of 1", "Keep some"
    ),
)

CASES = (*CLASSES, *SEVERAL, *TESTS, *ROWS)
