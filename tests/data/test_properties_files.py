"""What is written is what is read back: submissions, cells, numbers, whatever their content."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ripik.data.csv_tables import read_table
from ripik.data.submission_form import Form
from ripik.ensemble.submission import check_submission, submission_frame
from ripik.ensemble.submission_log import append_log
from ripik.errors import InputError
from ripik.storage import artifacts

EFFORT = effort(derandomize=True, deadline=None, database=None, max_examples=100)
FEW = effort(EFFORT, max_examples=40)
SEEDS = st.integers(0, 2**31 - 1)
CELLS = st.one_of(
    st.sampled_from(
        ["7", "007", "7.0", "1e5", "NA", "nan", "None", "-1", "é", "a,b", 'say "x"', "a\nb", " a ", "'", "#1"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(str.strip),
)
KINDS = st.sampled_from(["labels", "probability", "probabilities"])
IDS = st.lists(CELLS, min_size=1, max_size=12, unique=True)


@EFFORT
@given(
    IDS,
    st.lists(CELLS, min_size=2, max_size=5, unique=True),
    KINDS,
    SEEDS,
)
def test_a_submission_is_the_same_for_any_order_of_predictions_and_keeps_every_id_as_text(
    ids, classes, kind, seed
) -> None:
    classes = [label for label in classes if label != "photo id"]
    if len(classes) < 2:
        return
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(len(classes)), len(ids)).astype(np.float32)
    wanted = [ids[row] for row in rng.permutation(len(ids))]
    values = [classes[c] for c in rng.permutation(len(classes))] if kind == "probabilities" else ["class"]
    form = Form(kind, "photo id", tuple(values), classes[-1] if kind == "probability" else None)
    sample = pd.DataFrame({"photo id": wanted} | dict.fromkeys(values, "0"))
    frame = submission_frame(sample, ids, p, classes, form)
    check_submission(frame, sample, classes, form)
    text, order = artifacts.csv_text(frame), rng.permutation(len(ids))
    again = submission_frame(sample, [ids[row] for row in order], p[order], classes, form)
    assert artifacts.csv_text(again) == text
    header, *rows = list(csv.reader(io.StringIO(text, newline="")))
    assert header == ["photo id", *values]
    assert [row[0] for row in rows] == wanted
    if kind == "labels":
        assert [row[1] for row in rows] == [classes[p[ids.index(each)].argmax()] for each in wanted]
    else:
        given_back = np.array([row[1:] for row in rows], np.float32)
        columns = [classes.index(name) for name in values] if kind == "probabilities" else [-1]
        np.testing.assert_array_equal(given_back, p[[ids.index(each) for each in wanted]][:, columns])


@FEW
@given(IDS.filter(lambda ids: len(ids) > 1), SEEDS)
def test_a_submission_with_a_row_lost_doubled_or_moved_is_refused(ids: list[str], seed: int) -> None:
    form = Form("labels", "id", ("class",))
    sample = pd.DataFrame({"id": ids, "class": "x"})
    rng, rows = np.random.default_rng(seed), list(range(len(ids)))
    row = int(rng.integers(len(ids)))
    for spoiled in (rows[:row] + rows[row + 1 :], [*rows, row], rows[1:] + rows[:1]):
        with pytest.raises(InputError, match=r"missing|repeated|order"):
            check_submission(sample.iloc[spoiled], sample, ["x", "y"], form)


@FEW
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_cells_of_a_csv_are_read_as_the_text_they_were(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    artifacts.write_csv(path, pd.DataFrame(rows, columns=["image_id", "label"]))
    found = read_table(path, ["image_id", "label"])
    assert list(found.itertuples(index=False, name=None)) == rows


@FEW
@given(st.lists(st.tuples(CELLS, st.floats(0, 1, width=32)), min_size=1, max_size=5))
def test_the_log_keeps_every_submission_apart(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    log = tmp_path_factory.mktemp("log") / "log.csv"
    for name, cv in rows:
        append_log(log, {"file": name, "members": ["a", "b"], "cv": float(np.float32(cv))})
    with log.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["file"] for row in found] == [name for name, _ in rows]
    assert [np.float32(row["cv"]) for row in found] == [np.float32(cv) for _, cv in rows]


@EFFORT
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_every_float32_is_the_same_after_a_csv(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    text = artifacts.csv_text(pd.DataFrame({"value": values, "wide": values.astype(np.float64)}))
    for column in ("value", "wide"):
        back = pd.read_csv(io.StringIO(text))[column].to_numpy().astype(np.float32)
        np.testing.assert_array_equal(back, values)
