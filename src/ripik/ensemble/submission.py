"""The submission: made from the sample submission by id, checked against it, and named.

Ids and labels are compared as they stand in a CSV, as text: 7 equals "7", and differs from "007" and 7.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ripik.analysis.metrics import FloatArray, check_probabilities
from ripik.data.competition import Competition
from ripik.data.csv_tables import names_of
from ripik.data.submission_form import Form
from ripik.errors import InputError
from ripik.names import LABELS, PROBABILITIES, PROBABILITY, RANKING, SubmissionKind

ROW_SUM_TOLERANCE = 1e-4
SHOWN = 3
SAMPLE = "The sample submission does not fit the settings"
MEND_SAMPLE = "Get the file from the organiser again, or change the settings to match."
FOLLOW = "Give it the sample submission's ids, columns and order, and for every id"
ROUNDING = 1e-6  # of sums of float32; no probability is taken to be out of [0, 1] by less
VALUES: dict[SubmissionKind, str] = {
    LABELS: "one of the classes.",
    PROBABILITY: "a probability, from 0 to 1.",
    PROBABILITIES: "probabilities that sum to 1.",
    RANKING: "different classes, separated by spaces.",
}


def submission_frame(
    sample: pd.DataFrame,
    ids: Sequence[Any] | pd.Series,
    probabilities: FloatArray,
    classes: Sequence[Any],
    form: Form,
) -> pd.DataFrame:
    """Return predictions with exactly the sample submission's ids, order and columns, joined by id.

    ``probabilities`` is (n, C), row i for ``ids[i]``, columns in the order of ``classes`` (the organiser's
    label values). A form of "labels" gets the class of highest probability (the first of equals), of "ranking" its
    ``depth`` most probable ones, of "probability" that of its positive class, of "probabilities" one column a class,
    which the sample must name by the label itself as text (no ``p_`` before it), in any order. Raises `InputError` for
    other columns, repeated ids, ids that the sample or the predictions lack, and missing values.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    check_probabilities(probabilities, "predictions to submit")
    if probabilities.shape != (len(ids), len(classes)):
        raise InputError(
            f"The predictions to submit have shape {probabilities.shape}, not ({len(ids)} ids, {len(classes)} classes)."
        )
    _raise(_sample_problems(sample, classes, form), SAMPLE, MEND_SAMPLE)
    given, wanted = _texts(ids), _texts(sample[form.id_column])
    about = "The predictions do not match the sample submission's ids"
    _raise(_id_problems(given, wanted), about, "Predict each of its ids exactly once, and no others.")
    joined = probabilities[pd.Index(given).get_indexer(pd.Index(wanted))]
    return _filled(sample, joined, classes, form)


def check_submission(
    frame: pd.DataFrame,
    sample: pd.DataFrame,
    classes: Sequence[Any],
    form: Form,
) -> None:
    """Raise one `InputError` listing all that would make the organiser refuse the frame.

    Checked: the sample's columns and their order; missing, extra, repeated and reordered ids; missing values;
    labels that are no class; rankings that name a class twice, or too many; probabilities outside [0, 1], and where
    each class has a column, rows that do not sum to 1 (within 1e-4).
    """
    _raise(_sample_problems(sample, classes, form), SAMPLE, MEND_SAMPLE)
    problems = _column_problems(_texts(frame.columns), _texts(sample.columns))
    if not problems:
        given, wanted = _texts(frame[form.id_column]), _texts(sample[form.id_column])
        problems = _id_problems(given, wanted)
        if not problems and given != wanted:
            problems = ["its ids are not in the sample's order"]
        problems += _value_problems(frame.drop(columns=form.id_column), given, classes, form)
    _raise(problems, "The submission would be rejected", f"{FOLLOW} {VALUES[form.kind]}")


def submission_name(run: str, time: datetime, cv: float) -> str:
    """Return the file name ``<run>-<YYYYmmdd-HHMMSS>-cv<score>.csv``, the CV to four places.

    Raises `InputError` where the CV is not a finite number.
    """
    if not np.isfinite(cv):
        raise InputError(f"The submission of {run} has no CV for its file name ({cv}): score the blend first.")
    return f"{run}-{time:%Y%m%d-%H%M%S}-cv{cv:.4f}.csv"


def submission_of(competition: Competition, probabilities: FloatArray) -> pd.DataFrame:
    """Return the submission of the test set's probabilities (m, C), rows in the order of test.csv, checked."""
    known = competition.sample, competition.classes, competition.asked
    frame = submission_frame(known[0], competition.test["image_id"], probabilities, *known[1:])
    check_submission(frame, *known)
    return frame


def _filled(sample: pd.DataFrame, joined: FloatArray, classes: Sequence[Any], form: Form) -> pd.DataFrame:
    position = {text: index for index, text in enumerate(_texts(classes))}
    values: dict[str, Any] = {form.id_column: sample[form.id_column].reset_index(drop=True)}
    if form.kind == LABELS:
        values[form.columns[0]] = [classes[index] for index in joined.argmax(axis=1)]
    elif form.kind == RANKING:
        names, first = _texts(classes), np.argsort(-joined, axis=1, kind="stable")[:, : form.depth]
        values[form.columns[0]] = [" ".join(names[index] for index in row) for row in first]
    else:
        shown = _texts(form.columns if form.positive is None else [form.positive])
        within = np.clip(joined, 0.0, 1.0)
        rounded = np.where(np.abs(joined - within) < ROUNDING, within, joined)
        values |= {name: rounded[:, position[text]] for name, text in zip(form.columns, shown, strict=True)}
    return pd.DataFrame({name: values[str(name)] for name in sample.columns})


def _sample_problems(sample: pd.DataFrame, classes: Sequence[Any], form: Form) -> list[str]:
    names = _texts(sample.columns)
    wanted = [form.id_column, *(_texts(classes) if form.kind == PROBABILITIES else form.columns)]
    if sorted(names) != sorted(wanted):
        return [
            f"its columns are {names_of(names)}, but a submission of {form.kind} needs {names_of(wanted)}; "
            "set the kind, the column names and the classes to match it"
        ]
    repeated = _repeated(_texts(sample[form.id_column]))
    return [f"repeated {_counted(repeated)}"] if repeated else []


def _column_problems(names: list[str], wanted: list[str]) -> list[str]:
    if sorted(names) != sorted(wanted):
        return [f"its columns are {names_of(names)}, but the sample's are {names_of(wanted)}"]
    return [] if names == wanted else ["its columns are not in the sample's order"]


def _id_problems(given: list[str], wanted: list[str]) -> list[str]:
    have, need = set(given), set(wanted)
    found = {
        "missing": [i for i in wanted if i not in have],
        "extra": [i for i in dict.fromkeys(given) if i not in need],
        "repeated": _repeated(given),
    }
    return [f"{what} {_counted(ids)}" for what, ids in found.items() if ids]


def _value_problems(values: pd.DataFrame, ids: list[str], classes: Sequence[Any], form: Form) -> list[str]:
    problems = _at(values.isna().to_numpy().any(axis=1), ids, "no value")
    if form.kind == RANKING:
        return problems + _ranking_problems(values.iloc[:, 0], ids, classes, form.depth)
    if form.kind != LABELS:
        return problems + _probability_problems(values, ids, whole=form.kind == PROBABILITIES)
    labels = values.iloc[:, 0].dropna()
    # A missing label turns a column of integers into floats; only then is 1.0 read as 1.
    texts, known = _texts(labels.convert_dtypes() if problems else labels), set(_texts(classes))
    given = [ids[row] for row in np.flatnonzero(values.iloc[:, 0].notna())]
    unknown = [(image_id, text) for image_id, text in zip(given, texts, strict=True) if text not in known]
    if unknown:
        named = _few(list(dict.fromkeys(text for _, text in unknown)))
        problems.append(f"a label that is not a class ({named}) for {_counted([image_id for image_id, _ in unknown])}")
    return problems


def _ranking_problems(rankings: pd.Series, ids: list[str], classes: Sequence[Any], depth: int) -> list[str]:
    known, told = set(_texts(classes)), [str(text).split() for text in rankings.dropna()]
    given = [ids[row] for row in np.flatnonzero(rankings.notna())]
    wrong = {
        "a label that is not a class": [not set(labels) <= known for labels in told],
        "a label twice": [len(set(labels)) < len(labels) for labels in told],
        f"more than {depth} labels, or none": [not 0 < len(labels) <= depth for labels in told],
    }
    return [problem for what, rows in wrong.items() for problem in _at(rows, given, what)]


def _probability_problems(values: pd.DataFrame, ids: list[str], *, whole: bool) -> list[str]:
    text = [name for name in values.columns if not pd.api.types.is_numeric_dtype(values[name])]
    if text:
        return [f"columns that are not numbers ({_few(_texts(text))})"]
    numbers = values.to_numpy(dtype=np.float64)
    outside = ((numbers < 0) | (numbers > 1)).any(axis=1)
    off = (np.abs(numbers.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE) & whole
    return _at(outside, ids, "a probability outside [0, 1]") + _at(off, ids, "a sum other than 1")


def _at(rows: ArrayLike, ids: list[str], what: str) -> list[str]:
    where = [ids[row] for row in np.flatnonzero(rows)]
    return [f"{what} for {_counted(where)}"] if where else []


def _raise(problems: list[str], about: str, remedy: str) -> None:
    if problems:
        raise InputError(f"{about}: {'; '.join(problems)}. {remedy}")


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


def _repeated(ids: list[str]) -> list[str]:
    series = pd.Series(ids, dtype=object)
    return list(dict.fromkeys(series[series.duplicated()]))


def _counted(ids: list[str]) -> str:
    return f"{len(ids)} {'id' if len(ids) == 1 else 'ids'} ({_few(ids)})"


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
