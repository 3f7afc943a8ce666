"""Read CSVs written by hand: every cell as text, every error with its file and line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ripik.errors import InputError

SHOWN = 5
MOST_NAMES = 12  # of columns that are all shown
SAVE = "Save it again as CSV UTF-8, with commas"
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
MARKS = (  # of files that are no text in UTF-8
    (b"\xff\xfe\0\0", f"is UTF-32, not UTF-8. {SAVE}."),
    (b"\xff\xfe", f"is UTF-16, not UTF-8. {SAVE}."),
    (b"\xfe\xff", f"is UTF-16, not UTF-8. {SAVE}."),
    (b"PK\x03\x04", f"is a spreadsheet or a zip, not a CSV. {SAVE}."),
    (b"\xd0\xcf\x11\xe0", f"is a spreadsheet, not a CSV. {SAVE}."),
    (b"\x1f\x8b", "is compressed (gzip). Unpack it."),
)
CONTROL = r"[\x00-\x1f\x7f\x85\u2028\u2029]"
MEND = "Fill it in, or remove the row"
AGAIN = "Get the file from its source again."
COLUMN_SETTINGS = "Set the names of the columns in [competition] (id_column, filename_column, label_column)."


def read_table(
    path: Path, columns: Sequence[str], hint: str = COLUMN_SETTINGS, *, name: object = None, as_is: bool = False
) -> pd.DataFrame:
    """Return a CSV with all its cells as text; `line_of` gives the line of an index value.

    Errors call the file `name` (one that a source holds), or else its path. Raises InputError when there is no such
    file, it is no UTF-8 CSV with commas, names a column twice, lacks one of `columns` (the message ends with `hint`) or
    has no rows. Blank lines are no rows, and a row with fewer fields than columns ends in empty cells. A first line
    `sep=,`, which tells Excel how to read the file, is passed over; with `as_is` it is refused, too.
    """
    place = path if name is None else name
    starts, rows = _rows(_text(path, place), place, as_is)
    again = AGAIN if hint.startswith(COLUMN_SETTINGS) or name is not None else hint
    if not rows:
        raise InputError(f"{place} is empty; it needs a header and rows. {again}")
    header = _header(rows[0], place)
    _check_header(header, columns, place, hint)
    if len(rows) == 1:
        raise InputError(f"{place} has a header but no rows. {again}")
    columns_ = {column: [row[at] for row in rows[1:]] for at, column in enumerate(header)}
    return pd.DataFrame(columns_, index=[line - 2 for line in starts[1:]], dtype=str)


def header_of(path: Path) -> list[str]:
    """Return the first line of a CSV as fields; empty where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _text(path: Path, place: object) -> str:
    if path.is_fifo():
        raise InputError(f"{place} is a pipe, not a file. {AGAIN}")
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"there is no file {place}. Put it into the competition's folder, or set its name in [competition]."
        ) from None
    problem = next((words for mark, words in MARKS if data.startswith(mark)), "")
    if problem:
        raise InputError(f"{place} {problem}")
    at = data.find(b"\0")
    if at >= 0 and data[:1000].count(b"\0") * 3 > len(data[:1000]):
        raise InputError(f"{place} is UTF-16 or UTF-32, not UTF-8. {SAVE}.")
    if at >= 0:
        raise InputError(
            f"{place}, line {_line(data, at)}: contains a NUL byte, so the file is damaged or not text. {AGAIN}"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}, line {_line(data, error.start)}: the byte 0x{data[error.start]:02x} is not UTF-8; the file "
            f"may be Latin-1 or Windows-1252. {SAVE}."
        ) from None


def _line(data: bytes, at: int) -> int:
    return 1 + data.count(b"\n" if b"\n" in data else b"\r", 0, at)


def _rows(text: str, place: object, as_is: bool) -> tuple[list[int], list[list[str]]]:
    """Return the header and the rows that are not blank, all as long as the header, and the lines they start on."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # cells may be of any length
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    starts: list[int] = []
    rows: list[list[str]] = []
    line = 1
    try:
        for row in reader:
            if any(row) and (rows or not _is_for_excel(row, place, as_is)):
                starts.append(line)
                rows.append(_filled(row, len(rows[0]) if rows else 0, f"{place}, line {line}"))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{place}, line {line}: an unclosed or misplaced quote ({error}). Close or remove it; a quote "
            'inside a quoted cell is written twice ("").'
        ) from None
    return starts, rows


def _is_for_excel(row: Sequence[str], place: object, as_is: bool) -> bool:
    """Whether a first row is `sep=,`; InputError where it names another separator, or is not to be there."""
    line = ",".join(row).lower()
    if not (line.startswith("sep=") and len(line) == len("sep=,")):
        return False
    if line[-1] != ",":
        separator = SEPARATORS.get(line[-1], repr(line[-1]))
        raise InputError(f"{place}: its columns are separated by {separator}, not commas. {SAVE}.")
    if as_is:
        raise InputError(f"{place}: its first line, {line}, is only for Excel. Remove it.")
    return True


def _filled(row: list[str], columns: int, place: str) -> list[str]:
    if 0 < columns < len(row):
        raise InputError(
            f"{place}: {len(row)} fields, but the header has {columns} columns. Put cells that contain commas in "
            "quotes, or remove the extra fields."
        )
    return row + [""] * (columns - len(row))


def _header(names: list[str], place: object) -> list[str]:
    found = next((word for sign, word in SEPARATORS.items() if len(names) == 1 and sign in names[0]), "")
    if found:
        raise InputError(f"{place}: its columns are separated by {found}, not commas. {SAVE}.")
    return [name or f"Unnamed: {number}" for number, name in enumerate(names)]


def _check_header(header: Sequence[str], columns: Sequence[str], place: object, hint: str) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"{place} has no column {', '.join(missing)}; it has {names_of(header)}. {hint}")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise InputError(f"{place}: the column {repeated[0]!r} appears twice. Rename or remove one of them.")


def names_of(columns: Sequence[str]) -> str:
    """Return the names of columns as text: of many the first few, and how many there are."""
    shown = columns if len(columns) <= MOST_NAMES else columns[:SHOWN]
    names = ", ".join(name if name == name.strip() and name.isprintable() else repr(name) for name in shown)
    return names if len(columns) <= MOST_NAMES else f"{names}, … ({len(columns)} columns)"


def whole_numbers(texts: pd.Series, path: Path) -> pd.Series:
    """Return a column of whole numbers, int64; InputError names the line of a cell that is none."""
    wrong = texts.index[~texts.str.fullmatch(r"[0-9]{1,18}")]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: {texts.name} {texts[wrong[0]]!r} is not a whole number. Write one in "
            "every row, or delete the file to have it recreated."
        )
    return texts.astype("int64")


def line_of(row: int) -> int:
    """Return the line in the file of a row of `read_table`, by its index value."""
    return row + 2


def check_ids(ids: pd.Series, path: Path) -> None:
    """Raise InputError for an empty or repeated image id, and for one with a control character (a line break)."""
    check_filled(ids, path, "the image id is empty")
    odd = ids.index[ids.str.contains(CONTROL)]
    if len(odd):
        raise InputError(
            f"{path}, line {line_of(odd[0])}: the image id {ids[odd[0]]!r} contains a control character. Remove it."
        )
    repeated = ids[ids.duplicated(keep=False)]
    if len(repeated):
        lines = [str(line_of(row)) for row in repeated.index[repeated == repeated.iloc[0]]]
        more = f" (and {repeated.nunique() - 1} other ids are repeated)" if repeated.nunique() > 1 else ""
        raise InputError(
            f"{path}: id {repeated.iloc[0]} appears on lines {', '.join(lines[:SHOWN])}{more}. "
            "Every image needs a unique id."
        )


def check_filled(texts: pd.Series, path: Path, problem: str) -> None:
    """Raise InputError, which says `problem`, for the first cell without text."""
    empty = texts.index[texts.str.strip() == ""]
    if len(empty):
        more = f" (as in {len(empty) - 1} other rows)" if len(empty) > 1 else ""
        raise InputError(f"{path}, line {line_of(empty[0])}: {problem}{more}. {MEND}{'s' * (len(empty) > 1)}.")


def listed(values: Sequence) -> str:
    """Return values as a list in brackets; of many the first few, and how many there are."""
    if len(values) <= MOST_NAMES:
        return str(list(values))
    return f"[{', '.join(repr(value) for value in values[:SHOWN])}, …] ({len(values)} in all)"


def first(values: Sequence) -> str:
    """Return the first few values as text."""
    shown = ", ".join(str(value) for value in values[:SHOWN])
    return (shown or "none") + (", …" if len(values) > SHOWN else "")
