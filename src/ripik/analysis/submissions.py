"""All submissions so far: their scores, and what changed between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.analysis.small_files import number_at, numbers, read_object
from ripik.analysis.submission_record import record_path, run_of
from ripik.data.csv_tables import line_of, read_table
from ripik.errors import InputError

LOG = "log.csv"
COLUMNS = ["file", "time", "members", "cv", "public", "private"]
MEND = "Correct the cell, or remove the line."
ABSENT = "none"
POOLED = ("scores", "intervals", "pooled")


def runs(submissions: str | Path) -> pd.DataFrame:
    """Return a row a submission, the oldest first, of the folder that holds `log.csv`.

    Columns: file, run (as its `.json` tells, else the file's name before date, time and CV), time (as logged, ISO
    8601), members (names, spaces between), cv, low, high (its 95 % interval; NaN without a `.json` beside the CSV),
    test_like (the score on the training photos weighted by their likeness to a test set of another kind; NaN where none
    is logged), public, private (leaderboard scores; NaN where none is logged), changed ("key: old → new; …": the
    settings that differ from those of the run's previous submission that has a `.json`; empty for the first one and
    where none differ).
    Raises InputError when a file is missing or broken, or a cell is no number or time.
    """
    folder = Path(submissions)
    path = folder / LOG
    if not path.is_file():
        raise InputError(f"there is no file {path}. `make ensemble` writes it with the first submission.")
    frame = read_table(path, COLUMNS, "Fix the header.")
    moments = _moments(frame["time"], path)
    frame["test_like"] = frame.get("test_like", "")
    for name in ("cv", "test_like", "public", "private"):
        frame[name] = numbers(frame[name], path, MEND)
    frame = frame.iloc[moments.argsort(kind="stable")].reset_index(drop=True)
    strange = frame.index[frame["file"].map(lambda file: Path(file).name != file)]
    if len(strange):
        raise InputError(f"{path}: file {frame['file'][strange[0]]!r} is not the name of a file in {folder}. {MEND}")
    records = [_record(folder / file) for file in frame["file"]]
    frame["run"] = [run_of(folder / file, record) for file, record in zip(frame["file"], records, strict=True)]
    frame["low"], frame["high"] = ([number_at(record, (*POOLED, end)) for record in records] for end in ("low", "high"))
    frame["changed"] = _changes(frame["run"].tolist(), records)
    return frame[["file", "run", "time", "members", "cv", "low", "high", "test_like", "public", "private", "changed"]]


def _moments(texts: pd.Series, path: Path) -> pd.Series:
    moments = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    wrong = texts.index[moments.isna()]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: time {texts[wrong[0]]!r} is not a time such as 2026-01-31T18:30:00. "
            f"{MEND}"
        )
    return moments


def _record(submission: Path) -> dict[str, Any]:
    """Return the JSON record of a submission; empty where there is none, as for older submissions."""
    path = record_path(submission)
    return read_object(path, "Delete it to get the table without it.") if path.is_file() else {}


def _changes(names: list[str], records: list[dict[str, Any]]) -> list[str]:
    before: dict[str, dict[str, Any]] = {}
    differences = []
    for name, record in zip(names, records, strict=True):
        configuration = record.get("configuration")
        if not isinstance(configuration, dict):
            differences.append("")
            continue
        settings = _dotted(configuration)
        differences.append(_difference(before.get(name, settings), settings))
        before[name] = settings
    return differences


def _dotted(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested tables by their dotted names; lists and empty tables are leaves."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        nested = isinstance(value, dict) and value
        found |= _dotted(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    keys = [key for key in dict.fromkeys([*old, *new]) if key not in old or key not in new or old[key] != new[key]]
    return "; ".join(f"{key}: {_text(old, key)} → {_text(new, key)}" for key in keys)


def _text(settings: dict[str, Any], key: str) -> str:
    if key not in settings:
        return ABSENT
    value = settings[key]
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
