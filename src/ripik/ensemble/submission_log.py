"""The log of all submissions, `submissions/log.csv`: a line each, kept byte for byte as others are added."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ripik.errors import InputError, SurroundingsError, nearest
from ripik.execution.locks import present
from ripik.storage.atomic import replacing

LOG = "log.csv"
FIRST_COLUMNS = ("file", "time", "commit", "config_hash", "members", "cv", "public", "private")
LOG_COLUMNS = (*FIRST_COLUMNS, "shift_auc", "test_like")  # of the last two, older logs have none
MOST_NAMED = 5


def check_log(log_path: Path) -> None:
    """Raise `InputError` when there is a log with other columns than `append_log` writes, or an older one has."""
    if log_path.exists():
        _logged(log_path.read_bytes(), log_path)


def logged(log_path: Path) -> list[str]:
    """Return the names of the submissions that a log lists, in its order; none where there is no log."""
    text = log_path.read_text(encoding="utf-8-sig", errors="replace") if log_path.exists() else ""
    return [row[0] for row in csv.reader(text.splitlines()[1:]) if row]


def append_log(log_path: Path, row: Mapping[str, Any]) -> None:
    """Append one submission to the log, written beside and renamed; the rows there stay byte for byte.

    The header of an older log gets the names of the columns it lacks; its rows end before them.
    Keys are among `LOG_COLUMNS`; missing ones and None stay empty, floats are written ``%.9g``, times in ISO
    format and lists with spaces between. Raises `InputError` for an unknown key or a log with other columns,
    `SurroundingsError` where the file cannot be read or written.
    """
    unknown = [key for key in row if key not in LOG_COLUMNS]
    if unknown:
        raise InputError(f"{log_path} has no column {', '.join(unknown)}: it has {', '.join(LOG_COLUMNS)}.")
    line = _csv_line(_cell(row.get(key)) for key in LOG_COLUMNS)
    with _changing(log_path) as write:
        before = log_path.read_bytes() if log_path.exists() else b""
        write(_logged(before, log_path) + line)


def set_scores(log_path: Path, file: str, public: float | None, private: float | None) -> None:
    """Write a submission's leaderboard scores into its line; a score that is None, and the other lines, stay.

    Raises `InputError` for a file that the log does not have, or has twice, and a score that is no finite number,
    `SurroundingsError` where the log cannot be read or written.
    """
    scores = {"public": public, "private": private}
    for name, score in scores.items():
        if score is not None and not math.isfinite(score):
            raise InputError(f"the {name} score {score} of {file} is NaN or infinite.")
    with _changing(log_path) as write:
        content = _logged(log_path.read_bytes() if log_path.exists() else b"", log_path)
        lines = content.splitlines(keepends=True)
        rows = [next(csv.reader([_text(line, number, log_path)]), []) for number, line in enumerate(lines, 1)]
        names = [row[0] for row in rows[1:] if row]
        if names.count(file) != 1:
            if file in names:
                raise InputError(f"{log_path} lists {file} more than once. Remove the wrong lines.")
            hint = nearest(file, names[-MOST_NAMED:]) if names else ""
            raise InputError(f"{log_path} does not list {file}{hint}. Give a submission's file name.")
        at = next(number for number, row in enumerate(rows) if row and row[0] == file)
        known = dict.fromkeys(LOG_COLUMNS, "") | dict(zip(LOG_COLUMNS, rows[at], strict=False))
        known |= {name: _cell(score) for name, score in scores.items() if score is not None}
        lines[at] = _csv_line(known[column] for column in LOG_COLUMNS)
        write(b"".join(lines))


@contextmanager
def _changing(log_path: Path) -> Iterator[Callable[[bytes], None]]:
    """Be the only one that changes the log, which all runs share; yields what writes its new content."""

    def write(content: bytes) -> None:
        with replacing(log_path) as temporary:
            temporary.write_bytes(content)

    try:
        with present(log_path.with_suffix(".lock"), str(log_path), wait=True):
            yield write
    except OSError as error:
        raise SurroundingsError(f"Cannot write the submission log {log_path}: {error.strerror or error}.") from error


def _logged(before: bytes, log_path: Path) -> bytes:
    """Return the log's bytes, ready for one more line; raises `InputError` if its columns are others."""
    if not before.strip():
        return _csv_line(LOG_COLUMNS)
    header = before.decode("utf-8-sig", errors="replace").splitlines()[0]
    names = tuple(next(csv.reader([header])))
    if names[: len(FIRST_COLUMNS)] != FIRST_COLUMNS or names != LOG_COLUMNS[: len(names)]:
        raise InputError(
            f"{log_path} has the columns {header}, not {','.join(LOG_COLUMNS)}: move it away or fix its header."
        )
    first = before.splitlines()[0]
    named = b"".join(f",{name}".encode() for name in LOG_COLUMNS[len(names) :])
    whole = first + named + before[len(first) :]
    return whole if whole.endswith(b"\n") else whole + b"\n"


def _text(line: bytes, number: int, log_path: Path) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{log_path}, line {number}: not UTF-8. Save the log as UTF-8.") from None


def _csv_line(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
