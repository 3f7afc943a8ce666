"""Which run, competition and metric a submission is of."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ripik.analysis.submission_record import contest_of, record_of, run_of
from ripik.ensemble.submission import submission_name


@pytest.mark.parametrize("run", ["leaves", "leaves-big", "a", "leaves-20260101-000000-cv0.5000"])
@pytest.mark.parametrize("again", ["", "-again", "-again-again"])
@pytest.mark.parametrize("cv", [0.7421, -0.1234, 12.5])
def test_the_run_is_read_back_from_the_name(run: str, again: str, cv: float) -> None:
    path = Path(submission_name(run, datetime(2026, 1, 2, 3, 4, 5), cv))
    assert run_of(path.with_stem(path.stem + again), {}) == run


@pytest.mark.parametrize("name", ["best.csv", "leaves-2026-cv0.5.csv", "leaves-20260101-000000.csv"])
def test_another_name_is_of_no_other_run(name: str) -> None:
    assert run_of(Path(name), {}) == Path(name).stem


def test_the_record_counts_more_than_the_name() -> None:
    path = Path("leaves-big-20260101-000000-cv0.5000.csv")
    assert run_of(path, {"configuration": {"run": "leaves"}}) == "leaves"
    for silent in ({}, {"configuration": {}}, {"configuration": "leaves"}, {"configuration": {"run": ""}}):
        assert run_of(path, silent) == "leaves-big"


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_record_that_cannot_be_read_tells_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "a.json").write_bytes(content)
    assert record_of(tmp_path / "a.csv") == {}
    assert record_of(Path("/")) == {}


def told(run: str = "a", metric: str = "auc", **competition: Any) -> dict[str, Any]:
    return {"metric": metric, "configuration": {"run": run, "competition": competition}}


def test_a_contest_is_a_competition_and_a_metric() -> None:
    assert contest_of(told("a")) != contest_of(told("b"))  # each in its own input/<run>
    assert contest_of(told("a", root="/data")) == contest_of(told("b", root="/data"))
    assert contest_of(told("a", kaggle_dataset="me/cars")) == contest_of(told("b", kaggle_dataset="me/cars"))
    assert contest_of(told("a")) != contest_of(told("a", "accuracy"))
    assert contest_of(told("a", test_csv="x.csv")) != contest_of(told("a", test_csv="y.csv"))
    assert str(contest_of(told("a", root="/data"))) == "/data, auc"
    for silent in ({}, {"metric": "auc"}, {"configuration": {"run": "a"}}):
        assert contest_of(silent) is None


def test_the_metric_of_the_configuration_will_do() -> None:
    record = {"configuration": {"run": "a", "competition": {"metric": "auc"}}}
    assert contest_of(record) == contest_of(json.loads(json.dumps(told("a"))))


def test_submissions_are_studied_without_tensorflow() -> None:
    code = (
        "import sys, ripik.analysis.submissions, ripik.kaggle.submit;"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
