"""Read the CSVs that people write: every cell as text, every mistake told with its file and line."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ripik.errors import InputError

if TYPE_CHECKING:  # `ripik.analysis` reads tables without loading the settings
    from ripik.settings import CompetitionSettings

SHOWN = 5
COLUMN_SETTINGS = "Set the names of the columns in [competition] (id_column, filename_column, label_column)."


def read_table(path: Path, columns: Sequence[str], hint: str = COLUMN_SETTINGS) -> pd.DataFrame:
    """Return a CSV with all its cells as text; `line_of` tells the line of an index value.

    Raises InputError when there is no such file, it is no UTF-8 CSV, lacks one of `columns` (the message ends with
    `hint`) or has no rows. Blank lines are no rows.
    """
    frame = _read(path)
    frame = frame[(frame != "").any(axis=1)]  # the index still tells the line
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}. {hint}")
    if frame.empty:
        raise InputError(f"{path} has a header but no rows.")
    return frame


def _read(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path, dtype=str, keep_default_na=False, index_col=False, skip_blank_lines=False, encoding="utf-8-sig"
            )
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"there is no file {path}. The competition's folder must hold it, or name it in [competition]."
        ) from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path}: rows have more fields than the header has columns.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a UTF-8 CSV with a header: {error}") from None


def whole_numbers(texts: pd.Series, path: Path) -> pd.Series:
    """Return a column of whole numbers, int64; InputError names the line of a cell that is none."""
    wrong = texts.index[~texts.str.fullmatch(r"\d{1,18}")]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: {texts.name} {texts[wrong[0]]!r} is no whole number. Write one in "
            "every row, or delete the file to have it made again."
        )
    return texts.astype("int64")


def line_of(row: int) -> int:
    """Return the line of the file on which a row of `read_table` stands, by its index value."""
    return row + 2


def check_ids(ids: pd.Series, path: Path) -> None:
    """Raise InputError for an empty or repeated image id."""
    check_filled(ids, path, "the image id is empty")
    repeated = ids[ids.duplicated(keep=False)]
    if len(repeated):
        lines = [str(line_of(row)) for row in repeated.index[repeated == repeated.iloc[0]]]
        raise InputError(
            f"{path}: id {repeated.iloc[0]} stands on lines {', '.join(lines[:SHOWN])} "
            f"({repeated.nunique()} ids are repeated). Every image needs an id of its own."
        )


def check_filled(texts: pd.Series, path: Path, problem: str) -> None:
    """Raise InputError, which says `problem`, for the first cell without text."""
    empty = texts.index[texts.str.strip() == ""]
    if len(empty):
        more = f" (as in {len(empty) - 1} other rows)" if len(empty) > 1 else ""
        raise InputError(f"{path}, line {line_of(empty[0])}: {problem}{more}.")


def read_labels(texts: pd.Series, path: Path, how: CompetitionSettings) -> pd.Series:
    """Return labels as int64, or as text where `label_type` is string.

    Raises InputError for an empty label and for one that is no integer.
    """
    check_filled(texts, path, "the label is missing")
    if how.label_type == "string":
        return texts
    wrong = texts.index[~texts.str.fullmatch(r"[+-]?\d{1,18}")]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: label {texts[wrong[0]]!r} is not an integer. "
            'For labels that are text set competition.label_type = "string".'
        )
    return texts.astype("int64")


def first(values: Sequence) -> str:
    """Return the first few values as text."""
    shown = ", ".join(str(value) for value in values[:SHOWN])
    return (shown or "none") + (", …" if len(values) > SHOWN else "")
