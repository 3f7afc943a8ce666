"""What a submission CSV is of, by its file name and the `.json` record beside it; needs nothing but these files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

NAME = re.compile(r"(.+)-\d{8}-\d{6}-cv.+")  # of a CSV, without its suffix; see `submission.submission_name`


class Contest(NamedTuple):
    """What scores can be compared within: one test set, and one metric.

    competition: its folder, or its dataset on Kaggle, or the run whose own folder holds it.
    """

    competition: str
    test_csv: str
    sample_submission: str
    metric: str

    def __str__(self) -> str:
        return f"{self.competition}, {self.metric}"


def record_path(submission: Path) -> Path:
    """Return the path of the record of a submission CSV."""
    return submission.with_suffix(".json")


def oof_path(submission: Path) -> Path:
    """Return where the nested out-of-fold predictions stand that a submission CSV was chosen by."""
    return submission.with_suffix(".oof.csv")


def record_of(submission: Path) -> dict[str, Any]:
    """Return the record of a submission CSV; an empty one where there is none, or none that can be read."""
    try:
        found = json.loads(record_path(submission).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def run_of(submission: Path, record: Mapping[str, Any]) -> str:
    """Return the run that a submission CSV is of: by its record, else by its name, which is all of a renamed file."""
    run = _table(record, "configuration").get("run")
    if isinstance(run, str) and run:
        return run
    found = NAME.fullmatch(submission.stem)
    return found[1] if found else submission.stem


def contest_of(record: Mapping[str, Any]) -> Contest | None:
    """Return what a submission was scored for; None where its record does not say it."""
    configuration = _table(record, "configuration")
    how = _table(configuration, "competition")
    metric = record.get("metric") or how.get("metric")
    place = how.get("root") or how.get("kaggle_dataset") or configuration.get("run")
    if not (metric and place):
        return None
    return Contest(str(place), str(how.get("test_csv")), str(how.get("sample_submission")), str(metric))


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}
