"""The submission: made from the sample submission by id, checked against it, and named.

Ids and labels are compared as they stand in a CSV, as text: 7 equals "7", and differs from "007" and 7.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ripik.errors import InputError
from ripik.metrics import FloatArray, check_probabilities

Kind = Literal["labels", "probabilities"]

ROW_SUM_TOLERANCE = 1e-4
SHOWN = 3
SAMPLE = "The sample submission cannot be followed"
MEND_SAMPLE = "Take the file from the organiser again, or make it fit."
FOLLOW = "Give it the sample submission's ids, columns and order, and for every id"
VALUES: dict[Kind, str] = {"labels": "one of the classes.", "probabilities": "probabilities that sum to 1."}


def submission_frame(
    sample: pd.DataFrame,
    ids: Sequence[Any] | pd.Series,
    probabilities: FloatArray,
    classes: Sequence[Any],
    *,
    id_column: str,
    label_column: str,
    kind: Kind,
) -> pd.DataFrame:
    """Return predictions with exactly the sample submission's ids, order and columns, joined by id.

    ``probabilities`` is (n, C), row i for ``ids[i]``, columns in the order of ``classes`` (the organiser's
    label values). ``kind`` "labels" fills the label column with the class of highest probability (the first
    of equals); "probabilities" fills one column a class, which the sample must name by the label itself as
    text (no ``p_`` before it), in any order (``label_column`` is not used). Raises `InputError` for other
    columns, repeated ids, ids that the sample or the predictions lack, and missing values.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    check_probabilities(probabilities, "predictions to submit")
    if probabilities.shape != (len(ids), len(classes)):
        raise InputError(
            f"The predictions to submit have shape {probabilities.shape}, not ({len(ids)} ids, {len(classes)} classes)."
        )
    _raise(_sample_problems(sample, classes, id_column, label_column, kind), SAMPLE, MEND_SAMPLE)
    given, wanted = _texts(ids), _texts(sample[id_column])
    about = "The predictions do not fit the sample submission's ids"
    _raise(_id_problems(given, wanted), about, "Predict every id of it once, and no other.")
    joined = probabilities[pd.Index(given).get_indexer(pd.Index(wanted))]
    return _filled(sample, joined, classes, id_column, kind)


def check_submission(
    frame: pd.DataFrame,
    sample: pd.DataFrame,
    classes: Sequence[Any],
    *,
    id_column: str,
    label_column: str,
    kind: Kind,
) -> None:
    """Raise one `InputError` listing all that would make the organiser refuse the frame.

    Checked: the sample's columns and their order; missing, extra, repeated and reordered ids; missing values;
    labels that are no class; probabilities outside [0, 1] or rows that do not sum to 1 (within 1e-4).
    """
    _raise(_sample_problems(sample, classes, id_column, label_column, kind), SAMPLE, MEND_SAMPLE)
    problems = _column_problems(_texts(frame.columns), _texts(sample.columns))
    if not problems:
        given, wanted = _texts(frame[id_column]), _texts(sample[id_column])
        problems = _id_problems(given, wanted)
        if not problems and given != wanted:
            problems = ["its ids are not in the sample's order"]
        problems += _value_problems(frame.drop(columns=id_column), given, classes, kind)
    _raise(problems, "The submission would be refused", f"{FOLLOW} {VALUES[kind]}")


def submission_name(run: str, time: datetime, cv: float) -> str:
    """Return the file name ``<run>-<YYYYmmdd-HHMMSS>-cv<score>.csv``, the CV to four places.

    Raises `InputError` where the CV is not a finite number.
    """
    if not np.isfinite(cv):
        raise InputError(f"The submission of {run} has no CV to carry in its name ({cv}): score the blend first.")
    return f"{run}-{time:%Y%m%d-%H%M%S}-cv{cv:.4f}.csv"


def _filled(
    sample: pd.DataFrame, joined: FloatArray, classes: Sequence[Any], id_column: str, kind: Kind
) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    position = {text: index for index, text in enumerate(_texts(classes))}
    for name in sample.columns:
        if name == id_column:
            columns[name] = sample[id_column].reset_index(drop=True)
        elif kind == "labels":
            columns[name] = [classes[index] for index in joined.argmax(axis=1)]
        else:
            columns[name] = joined[:, position[str(name)]]
    return pd.DataFrame(columns)


def _sample_problems(
    sample: pd.DataFrame, classes: Sequence[Any], id_column: str, label_column: str, kind: Kind
) -> list[str]:
    names = _texts(sample.columns)
    wanted = [id_column, *([label_column] if kind == "labels" else _texts(classes))]
    if sorted(names) != sorted(wanted):
        return [
            f"its columns are {', '.join(names)}, but a submission of {kind} has {', '.join(wanted)}; "
            "set the kind, the column names and the classes to match it"
        ]
    repeated = _repeated(_texts(sample[id_column]))
    return [f"repeated {_counted(repeated)}"] if repeated else []


def _column_problems(names: list[str], wanted: list[str]) -> list[str]:
    if sorted(names) != sorted(wanted):
        return [f"its columns are {', '.join(names)}, the sample's {', '.join(wanted)}"]
    return [] if names == wanted else ["its columns are not in the sample's order"]


def _id_problems(given: list[str], wanted: list[str]) -> list[str]:
    have, need = set(given), set(wanted)
    found = {
        "missing": [i for i in wanted if i not in have],
        "extra": [i for i in dict.fromkeys(given) if i not in need],
        "repeated": _repeated(given),
    }
    return [f"{what} {_counted(ids)}" for what, ids in found.items() if ids]


def _value_problems(values: pd.DataFrame, ids: list[str], classes: Sequence[Any], kind: Kind) -> list[str]:
    problems = _at(values.isna().to_numpy().any(axis=1), ids, "no value")
    if kind == "probabilities":
        return problems + _probability_problems(values, ids)
    labels = values.iloc[:, 0].dropna()
    # A missing label turns a column of integers into floats; only then is 1.0 read as 1.
    texts, known = _texts(labels.convert_dtypes() if problems else labels), set(_texts(classes))
    given = [ids[row] for row in np.flatnonzero(values.iloc[:, 0].notna())]
    unknown = [(image_id, text) for image_id, text in zip(given, texts, strict=True) if text not in known]
    if unknown:
        named = _few(list(dict.fromkeys(text for _, text in unknown)))
        problems.append(f"a label that is no class ({named}) for {_counted([image_id for image_id, _ in unknown])}")
    return problems


def _probability_problems(values: pd.DataFrame, ids: list[str]) -> list[str]:
    text = [name for name in values.columns if not pd.api.types.is_numeric_dtype(values[name])]
    if text:
        return [f"columns that are not numbers ({_few(_texts(text))})"]
    numbers = values.to_numpy(dtype=np.float64)
    outside = ((numbers < 0) | (numbers > 1)).any(axis=1)
    off = np.abs(numbers.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE
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
