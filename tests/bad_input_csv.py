"""The cases of `tests.bad_input` about train.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from tests.bad_input_world import TRAIN, Case, Spoil
from tests.conftest import Tiny

STRING = ("--set", 'competition.label_type="string"')
EXCEL = "as CSV UTF-8"


def test_csv(tiny: Tiny) -> Path:
    return tiny.input / "test" / "test.csv"


test_csv.__test__ = False  # type: ignore[attr-defined]


def train_csv(tiny: Tiny) -> Path:
    return tiny.train_csv


def sample_csv(tiny: Tiny) -> Path:
    return tiny.sample_csv


def content(change: Callable[[bytes], bytes], of: Callable[[Tiny], Path] = train_csv) -> Spoil:
    """Change the bytes of a CSV."""
    return lambda tiny: of(tiny).write_bytes(change(of(tiny).read_bytes()))


def text(change: Callable[[str], str], of: Callable[[Tiny], Path] = train_csv) -> Spoil:
    return content(lambda data: change(data.decode()).encode(), of)


def swap(old: str, new: str, of: Callable[[Tiny], Path] = train_csv) -> Spoil:
    """Replace a text that stands once in a CSV."""

    def change(data: str) -> str:
        if data.count(old) != 1:
            raise ValueError(f"{old!r} stands {data.count(old)} times")
        return data.replace(old, new)

    return text(change, of)


def lines(change: Callable[[list[str]], list[str]], of: Callable[[Tiny], Path] = train_csv) -> Spoil:
    return text(lambda data: "".join(f"{line}\n" for line in change(data.splitlines())), of)


def labels(change: Callable[[str], str]) -> Spoil:
    """Replace every label."""

    def edit(tiny: Tiny) -> None:
        tiny.edit(tiny.train_csv, lambda frame: frame.assign(label=frame["label"].map(change)))

    return edit


def both(*spoils: Spoil) -> Spoil:
    return lambda tiny: [spoil(tiny) for spoil in spoils]


def folds_of(tiny: Tiny) -> pd.DataFrame:
    return pd.read_csv(tiny.run / "folds.csv", dtype=str, keep_default_na=False)


def as_ever(tiny: Tiny) -> None:
    """Check that folds.csv has every row, with its label."""
    frame = folds_of(tiny)
    assert frame["image_id"].tolist() == tiny.truth["image_id"].tolist()
    assert frame["label"].tolist() == tiny.truth["label"].astype(str).tolist()


def ids_are(*ids: str) -> Callable[[Tiny], None]:
    def check(tiny: Tiny) -> None:
        assert folds_of(tiny)["image_id"].tolist()[: len(ids)] == list(ids)
        assert len(folds_of(tiny)) == TRAIN

    return check


def label_is(image_id: str, label: str) -> Callable[[Tiny], None]:
    return lambda tiny: _check_label(folds_of(tiny), image_id, label)


def _check_label(frame: pd.DataFrame, image_id: str, label: str) -> None:
    assert frame.set_index("image_id").loc[image_id, "label"] == label


def fine(
    name: str, spoil: Spoil, check: Callable[[Tiny], None] = as_ever, *more: str, topic: str = "train.csv"
) -> Case:
    return Case(topic, name, spoil, ("folds: wrote",), 0, ("folds", *more), check)


def bad(name: str, spoil: Spoil, *says: str, command: tuple[str, ...] = ("folds",), topic: str = "train.csv") -> Case:
    return Case(topic, name, spoil, (topic.split()[0], *says), 2, command)


ENCODINGS = (
    fine("a byte order mark", content(lambda data: b"\xef\xbb\xbf" + data)),
    fine("CRLF line ends", content(lambda data: data.replace(b"\n", b"\r\n"))),
    fine("CR line ends", content(lambda data: data.replace(b"\n", b"\r"))),
    fine("no line end at the end", content(lambda data: data.rstrip(b"\n"))),
    bad("UTF-16", content(lambda data: data.decode().encode("utf-16")), "UTF-16", EXCEL),
    bad("UTF-16 without a mark", content(lambda data: data.decode().encode("utf-16-le")), "UTF-16", EXCEL),
    bad("UTF-32", content(lambda data: data.decode().encode("utf-32")), "UTF-32", EXCEL),
    bad("Latin-1", content(lambda data: data.replace(b"3.jpg", b"\xe9.jpg")), "line 4", "not UTF-8", "0xe9", EXCEL),
    bad("a NUL byte", content(lambda data: data.replace(b"3.jpg", b"3\0.jpg")), "line 4", "NUL", "damaged"),
    bad("a spreadsheet", content(lambda data: b"PK\x03\x04" + data), "spreadsheet", EXCEL),
    bad("compressed", content(lambda data: b"\x1f\x8b\x08" + data), "compressed", "Unpack it"),
)
SHAPES = (
    fine("every cell quoted", text(lambda data: "".join(_quoted(line) for line in data.splitlines()))),
    fine("further columns", text(lambda data: "".join(f"{line},x\n" for line in data.splitlines()))),
    fine("blank lines", text(lambda data: data.replace("\n", "\n\n") + "\n\n,,\n")),
    fine("columns in another order", lambda tiny: tiny.edit(tiny.train_csv, lambda f: f[list(f)[::-1]])),
    fine("a first line for Excel", text(lambda data: f"sep=,\n{data}")),
    bad("a first line for Excel counts", text(lambda d: f"sep=,\n{d[:-2]}\n"), "line 14", "label is missing"),
    bad("a first line for Excel, semicolons", text(lambda d: "sep=;\n" + d.replace(",", ";")), "semicolons", "commas"),
    fine("a numbering, empty columns", lines(lambda rows: [f"{n or ''},{row},," for n, row in enumerate(rows)])),
    bad("an unbalanced quote", swap("\n3,3.jpg", '\n3,"3.jpg'), "line 4", "quote", "Close or remove"),
    bad("text after a quote", swap("\n3,3.jpg", '\n3,"3".jpg'), "line 4", "quote", "Close or remove"),
    bad("semicolons", text(lambda data: data.replace(",", ";")), "semicolons", "with commas"),
    bad("tabs", text(lambda data: data.replace(",", "\t")), "tabs", "with commas"),
    bad("more fields than columns", swap("\n3,3.jpg,3", "\n3,3.jpg,3,9"), "line 4", "4 fields", "3 columns", "quotes"),
    bad("fewer fields than columns", swap("\n3,3.jpg,3", "\n3,3.jpg"), "line 4", "label is missing", "remove the row"),
    bad(
        "a column twice",
        text(lambda data: "".join(f"{line},{line.split(',')[-1]}\n" for line in data.splitlines())),
        "label",
        "twice",
        "Rename",
    ),
    bad("no such column", swap("label", "class"), "no column label", "image_id, filename, class", "label_column"),
    bad("a column with a space", swap("label", " label"), "no column label", "' label'", "label_column"),
    bad("no header", lines(lambda rows: rows[1:]), "no column image_id", "id_column"),
    bad("empty", content(lambda data: b""), "is empty", "header"),
    bad("blank lines only", content(lambda data: b"\n\n\n"), "is empty", "header"),
    bad("header only", lines(lambda rows: rows[:1]), "header but no rows"),
    bad("no such file", lambda tiny: tiny.train_csv.unlink(), "there is no", "make data"),
    bad("a folder", lambda tiny: (tiny.train_csv.unlink(), tiny.train_csv.mkdir()), "there is no file", "set its name"),
    bad(
        "a line break in quotes",
        both(
            swap("label\n", "label,note\n"),
            swap("\n2,2.jpg,2", '\n2,2.jpg,2,"a\nb"'),
            swap("\n5,5.jpg,2", "\n5,5.jpg,x"),
        ),
        "line 7",
        "'x'",
        "label_type",
    ),
)
IDS = (
    bad("an id twice", swap("\n3,3.jpg", "\n2,3.jpg"), "id 2", "lines 3, 4", "a unique id"),
    bad("a row twice", lines(lambda rows: [*rows, rows[1]]), "id 1", "lines 2, 14", "a unique id"),
    bad("an empty id", swap("\n3,3.jpg", "\n,3.jpg"), "line 4", "id is empty", "remove the row"),
    bad("a line break in an id", swap("\n3,3.jpg", '\n"3\n",3.jpg'), "line 4", "'3\\n'", "control character"),
    fine("negative ids", swap("\n1,1.jpg", "\n-1,1.jpg"), ids_are("-1", "2")),
    fine("ids with a fraction", swap("\n1,1.jpg", "\n1.0,1.jpg"), ids_are("1.0", "2")),
    fine("ids with leading zeros", swap("\n1,1.jpg", "\n007,1.jpg"), ids_are("007", "2")),
    fine("ids with commas, quotes and unicode", swap("\n1,1.jpg", '\n"é,""日本",1.jpg'), ids_are('é,"日本', "2")),
    fine("ids that read as missing", swap("\n1,1.jpg", "\nNaN,1.jpg"), ids_are("NaN", "2")),
)
LABELS_ = (
    bad("a label is empty", swap("\n3,3.jpg,3", "\n3,3.jpg,"), "line 4", "label is missing", "remove the row"),
    bad("a label is NaN", swap("\n3,3.jpg,3", "\n3,3.jpg,NaN"), "line 4", "'NaN'", "label_type"),
    bad(
        "a label is NaN, labels are text",
        swap("\n3,3.jpg,3", "\n3,3.jpg,nan"),
        "line 4",
        "'nan'",
        "competition.classes",
        command=("folds", *STRING),
    ),
    fine(
        "a class called None",
        labels(lambda label: "None" if label == "1" else label),
        label_is("1", "None"),
        *STRING,
        "--set",
        'competition.classes=["None","2","3"]',
    ),
    bad(
        "a label with a space, labels are text",
        swap("\n3,3.jpg,3", "\n3,3.jpg,3 "),
        "line 4",
        "'3 '",
        "space",
        command=("folds", *STRING),
    ),
    bad(
        "one name in two spellings, labels are text",
        both(labels(lambda label: f"dent {label}"), swap("\n3,3.jpg,dent 3", "\n3,3.jpg,Dent\u200b\u00a03")),
        "'Dent\\u200b\\xa03' (rows: 1, the first on line 4) and 'dent 3' (rows: 3, the first on line 7)",
        "competition.classes",
        command=("folds", *STRING),
    ),
    fine(
        "two spellings that competition.classes lists",
        both(
            labels(lambda label: f"dent {label}"),
            lines(lambda rows: [*rows[:7], *(row.replace("dent", "DENT") for row in rows[7:])]),
        ),
        label_is("1", "dent 1"),
        *STRING,
        "--set",
        'competition.classes=["dent 1","dent 2","dent 3","DENT 1","DENT 2","DENT 3"]',
    ),
    bad("labels are text", labels(lambda label: f"dent {label}"), "line 2", "'dent 1'", "label_type"),
    bad("labels are floats", labels(lambda label: f"{label}.0"), "line 2", "'1.0'", "label_type"),
    bad("labels with leading zeros", labels(lambda label: f"0{label}"), "line 2", "'01'", "label_type"),
    bad("a label of 20 digits", swap("\n3,3.jpg,3", f"\n3,3.jpg,{'9' * 20}"), "line 4", "label_type"),
    bad(
        "a label that is no class",
        swap("\n3,3.jpg,3", "\n3,3.jpg,7"),
        "line 4",
        "label 7",
        "competition.classes",
        command=("folds", "--set", "competition.classes=[1,2,3]"),
    ),
    bad(
        "a class without rows",
        lambda tiny: None,
        "label 4",
        "competition.classes",
        command=("folds", "--set", "competition.classes=[1,2,3,4]"),
    ),
    bad("one class only", labels(lambda label: "1"), "two classes", "[1]"),
    bad("a class with one image", swap("\n3,3.jpg,3", "\n3,3.jpg,9"), "class 9", "single group", "Add photos"),
    bad(
        "more folds than images",
        lambda tiny: None,
        "too small",
        "n_splits",
        command=("folds", "--set=folds.n_splits=13"),
    ),
    bad(
        "no group column",
        lambda tiny: None,
        "no column photo",
        "competition.group_column",
        command=("folds", "--set", "competition.group_column=photo"),
    ),
    bad(
        "an empty group",
        text(lambda d: d.replace("label", "label,photo").replace(".jpg,3\n", ".jpg,3,\n")),
        "line 2",
        "photo",
        "empty",
        command=("folds", "--set", "competition.group_column=photo"),
    ),
)


def _quoted(line: str) -> str:
    return ",".join(f'"{cell}"' for cell in line.split(",")) + "\n"


CASES = (*ENCODINGS, *SHAPES, *IDS, *LABELS_)
