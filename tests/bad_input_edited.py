"""The cases of `tests.bad_input` about folds.csv and groups.csv, edited by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bad_input_csv import folds_of
from tests.bad_input_world import Case, Spoil, command
from tests.conftest import Tiny

AGAIN = "make folds"


def edited(name: str, change: Callable[[list[str]], list[str]]) -> Spoil:
    """Make the two files as they should be, then change the lines of one of them."""

    def spoil(tiny: Tiny) -> None:
        code, _, told = command(tiny, ("folds",))
        if code:
            raise ValueError(told)
        path: Path = tiny.run / name
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([*change(lines), ""]), encoding="utf-8")

    return spoil


def cell(row: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    """Set one cell; row 1 is the first below the header."""

    def change(lines: list[str]) -> list[str]:
        cells = lines[row].split(",")
        cells[column] = value
        return [*lines[:row], ",".join(cells), *lines[row + 1 :]]

    return change


def everywhere(column: int, value: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        rows = [line.split(",") for line in lines[1:]]
        return [lines[0], *(",".join([*row[:column], value, *row[column + 1 :]]) for row in rows)]

    return change


def two_classes_apart(lines: list[str]) -> list[str]:
    """Put all rows of the first row's class into fold 0."""
    label = lines[1].split(",")[1]
    rows = [line.split(",") for line in lines[1:]]
    return [lines[0], *(",".join([*row[:3], "0" if row[1] == label else row[3]]) for row in rows)]


def same_folds(tiny: Tiny) -> None:
    assert folds_of(tiny)["image_id"].tolist() == tiny.truth["image_id"].tolist()[::-1]


FOLDS = tuple(
    Case("folds.csv", name, edited("folds.csv", change), ("folds.csv", *says))
    for name, change, says in (
        ("a row is missing", lambda lines: lines[:-1], ("ids", AGAIN)),
        ("a row twice", lambda lines: [*lines, lines[1]], ("ids", AGAIN)),
        ("an unknown id", cell(1, 0, "99"), ("ids", AGAIN)),
        ("no column fold", cell(0, 3, "part"), ("no column fold", AGAIN)),
        ("an empty fold", cell(2, 3, ""), ("line 3", "fold ''", "whole number")),
        ("a negative fold", cell(2, 3, "-1"), ("line 3", "fold '-1'", "whole number")),
        ("a fold with a fraction", cell(2, 3, "1.0"), ("line 3", "fold '1.0'", "whole number")),
        ("a fold too many", cell(2, 3, "2"), ("the folds 0, 1, 2", "asks for 2 (folds.n_splits)", AGAIN)),
        ("one fold", everywhere(3, "0"), ("the folds 0,", "asks for 2 (folds.n_splits)", AGAIN)),
        ("another label", cell(1, 1, "3"), ("other labels", AGAIN)),
        ("a group in two folds", everywhere(2, "5"), ("group 5", "images 1, 2", AGAIN)),
        ("a class in one fold", two_classes_apart, ("class 1", "one fold")),
        ("empty", lambda lines: [], ("is empty", AGAIN)),
        ("semicolons", lambda lines: [line.replace(",", ";") for line in lines], ("semicolons", "with commas")),
    )
)
GROUPS = tuple(
    Case("groups.csv", name, edited("groups.csv", change), ("groups.csv", *says))
    for name, change, says in (
        ("a row is missing", lambda lines: lines[:-1], ("every image exactly once", AGAIN)),
        ("a row twice", lambda lines: [*lines, lines[1]], ("every image exactly once", AGAIN)),
        ("another split", cell(1, 1, "validation"), ("every image exactly once", AGAIN)),
        ("a group of text", cell(3, 2, "door"), ("line 4", "group 'door'", "whole number")),
        ("a similarity of text", cell(3, 4, "high"), ("line 4", "similarity 'high'", AGAIN)),
        ("no column split", cell(0, 1, "part"), ("no column split", AGAIN)),
        ("empty", lambda lines: [], ("is empty", AGAIN)),
    )
)
FINE = (
    Case(
        "folds.csv",
        "rows in another order",
        edited("folds.csv", lambda lines: [lines[0], *lines[:0:-1]]),
        ("kept and validated",),
        0,
        ("folds",),
        same_folds,
    ),
    Case(
        "groups.csv",
        "rows in another order",
        edited("groups.csv", lambda lines: [lines[0], *lines[:0:-1]]),
        ("kept and validated",),
        0,
    ),
)

CASES = (*FOLDS, *GROUPS, *FINE)
