"""The cases of `tests.bad_input` about test.csv, the sample submission, the corrections, and CSVs given to `data`."""

from __future__ import annotations

import shutil

from tests.bad_input_csv import bad, both, content, fine, lines, sample_csv, swap, test_csv, text
from tests.bad_input_world import QUICK, Case, Spoil, nothing
from tests.conftest import Tiny

from ripik.data.competition import read_competition

CORRECTED = ("folds", "--set", "competition.corrections=corrections.csv")
PROBABILITIES = ("folds", "--set", 'competition.submission="probabilities"')
LOG_LOSS = ("folds", "--set", "competition.metric=log_loss")
POSITIVE = ("folds", "--set", "competition.positive_class=4")
SOURCE = ("data", "--source", "{folder}/source")


def corrections(data: str | bytes) -> Spoil:
    return lambda tiny: (tiny.input / "corrections.csv").write_bytes(data if isinstance(data, bytes) else data.encode())


def values(cell: str) -> Spoil:
    return text(lambda data: data.replace(",1", f",{cell}"), sample_csv)


def sample_order(tiny: Tiny) -> None:
    given = read_competition(tiny.settings(*QUICK)).sample["image_id"].tolist()
    assert given == ["14", "13", "16", "15"]


def trained_as_two(tiny: Tiny) -> None:
    how = tiny.settings(*QUICK, "competition.corrections=corrections.csv")
    train = read_competition(how).train.set_index("image_id")
    assert train.loc["1", ["label", "training_label"]].tolist() == [1, 2]


def given(spoil: Spoil) -> Spoil:
    """Move the competition's spoiled files to a folder that `data` is to read."""

    def move(tiny: Tiny) -> None:
        spoil(tiny)
        shutil.move(tiny.input, tiny.folder / "source")

    return move


def _float(row: str) -> str:
    number, name = row.split(",")
    return f"{number}.0,{name}"


TESTS = (
    bad(
        "no such column", swap("filename", "file", test_csv), "no column filename", "filename_column", topic="test.csv"
    ),
    bad("header only", lines(lambda rows: rows[:1], test_csv), "header but no rows", topic="test.csv"),
    bad("an id twice", swap("\n14,", "\n13,", test_csv), "id 13", "lines 2, 3", "a unique id", topic="test.csv"),
    Case(
        "test.csv",
        "ids turned into floats",
        lines(lambda rows: [rows[0], *(_float(row) for row in rows[1:])], test_csv),
        ("sample_submission.csv", "test.csv", "4 are missing (13.0", "(13, "),
    ),
    bad("no such file", lambda tiny: test_csv(tiny).unlink(), "there is no file", "set its name", topic="test.csv"),
)
_SAMPLES = tuple(
    Case("sample submission", name, spoil, ("sample_submission.csv", *says), 2, how)
    for name, spoil, says, how in (
        ("a row is missing", swap("\n14,1", "", sample_csv), ("1 are missing (14)", "test.csv"), ("folds",)),
        ("a row too many", swap("\n14,1", "\n14,1\n99,1", sample_csv), ("1 are unknown (99)", "test.csv"), ("folds",)),
        (
            "an id that looks the same",
            swap("\n14,1", "\n14 ,1", sample_csv),
            ("1 are missing ('14')", "1 are unknown ('14 ')"),
            ("folds",),
        ),
        ("a row twice", swap("\n14,1", "\n14,1\n14,1", sample_csv), ("id 14", "lines 4, 5", "unique id"), ("folds",)),
        (
            "another label column, without labels",
            both(swap("label", "class", sample_csv), values("a.jpg")),
            ("no column label", "sample_label_column"),
            ("folds",),
        ),
        (
            "another id column, whose ids are others",
            both(swap("image_id", "ID", sample_csv), swap("\n14,1", "\n99,1", sample_csv)),
            ("no column image_id", "sample_id_column"),
            ("folds",),
        ),
        ("a column too many", text(lambda d: d.replace(",", ",x,"), sample_csv), ("columns", "Set"), ("folds",)),
        ("labels, where probabilities are asked for", nothing, ("1, 2, 3", "Set"), PROBABILITIES),
        (
            "labels, where the metric scores probabilities",
            nothing,
            ("log_loss of 3 classes", "column per class"),
            LOG_LOSS,
        ),
        ("one probability of three classes", values("0.5"), ("neither classes", "set"), ("folds",)),
        ("values that mean nothing", values("?"), ("neither classes", "(?)", "set"), ("folds",)),
        ("empty", content(lambda data: b"", sample_csv), ("is empty", "header"), ("folds",)),
        ("no such file", lambda tiny: tiny.sample_csv.unlink(), ("there is no file", "set its name"), ("folds",)),
        ("leading zeros lost", swap("\n13,", "\n013,", test_csv), ("(013)", "(13)"), ("folds",)),
    )
)
SAMPLES = (
    *_SAMPLES,
    Case(
        "sample submission",
        "a positive class that is none",
        nothing,
        ("positive_class = 4", "Set it to one"),
        2,
        POSITIVE,
    ),
    Case(
        "sample submission",
        "other names of both columns",
        text(lambda data: data.replace("image_id,label", "ID,Target"), sample_csv),
        ("folds: wrote", "submission: labels in Target: its only column besides the ids; the ids in ID, which holds"),
        0,
    ),
    Case(
        "sample submission",
        "a numbering, empty columns, and a first line for Excel",
        lines(lambda rows: ["sep=,", *(f"{n or ''},{row},," for n, row in enumerate(rows))], sample_csv),
        ("folds: wrote", "ignored Unnamed: 0, Unnamed: 3, Unnamed: 4, which a program added"),
        0,
    ),
    fine(
        "rows in another order",
        lines(lambda rows: [rows[0], rows[3], rows[4], rows[1], rows[2]], sample_csv),
        sample_order,
        topic="sample submission",
    ),
)
CORRECTIONS = (
    *(
        Case("corrections", name, spoil, ("corrections", *says), 2, CORRECTED)
        for name, spoil, says in (
            ("no such file", nothing, ("there is no file", "leave the setting empty")),
            ("an unknown id", corrections("image_id,label\n1,2\n99,1\n"), ("line 3", "99", "remove the line")),
            ("an id twice", corrections("image_id,label\n1,2\n1,3\n"), ("id 1", "lines 2, 3", "unique id")),
            ("no class", corrections("image_id,label\n1,9\n"), ("line 2", "image 1", "9", "Correct the line")),
            (
                "a character that cannot be seen",
                corrections("image_id,label\n1,1\u200b\n"),
                ("line 2", "'1\\u200b'", "integer"),
            ),
            ("another column", corrections("image_id,class\n1,2\n"), ("no column label", "image_id and label")),
            ("semicolons", corrections("image_id;label\n1;2\n"), ("semicolons", "with commas")),
            ("header only", corrections("image_id,label\n"), ("header but no rows", "image_id and label")),
            (
                "a class is left without rows",
                corrections("image_id,label\n1,2\n4,2\n7,2\n10,2\n"),
                ("no image of 1", "Keep one"),
            ),
        )
    ),
    Case(
        "corrections",
        "a byte order mark, CRLF and quotes",
        corrections(b'\xef\xbb\xbf"image_id","label"\r\n"1","2"\r\n'),
        ("corrects 1 labels", "scoring the organiser's labels"),
        0,
        CORRECTED,
        trained_as_two,
    ),
)
GIVEN = tuple(
    Case("CSVs given to data", name, given(spoil), ("train/train.csv", *says), 2, SOURCE)
    for name, spoil, says in (
        ("UTF-16", content(lambda data: data.decode().encode("utf-16")), ("UTF-16", "as CSV UTF-8")),
        ("semicolons", text(lambda data: data.replace(",", ";")), ("semicolons", "with commas")),
        (
            "no such column",
            swap("filename", "file"),
            ("no column filename", "image_id, file, label", "filename_column"),
        ),
        ("a name that leaves the folder", swap(",3.jpg", ",../3.jpg"), ("line 4", "'../3.jpg'", "Correct the row")),
        ("an absolute name", swap(",3.jpg", ",/etc/hostname"), ("line 4", "'/etc/hostname'", "Correct the row")),
        ("no name", swap(",3.jpg", ","), ("line 4", "''", "Correct the row")),
        ("header only", lines(lambda rows: rows[:1]), ("header but no rows", "from its source again")),
    )
)

CASES = (*TESTS, *SAMPLES, *CORRECTIONS, *GIVEN)
