"""Which column of a table holds the labels, or which columns do, and what the sample submission asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from ripik.data.csv_tables import names_of
from ripik.data.label_shares import TOLERANCE
from ripik.data.survey.guess import ASKED, Guess
from ripik.errors import InputError
from ripik.settings import INTEGER

USUAL = ("label", "class", "target", "species", "category", "diagnosis", "dx", "y")
OF_GROUPS = re.compile(r"(patient|lesion|subject|group|site|location|camera|series|source|individual)", re.IGNORECASE)
METRICS = {"labels": "macro_f1", "probability": "auc", "probabilities": "log_loss"}


def take_labels(
    guess: Guess, train: pd.DataFrame, columns: Sequence[str], asked: Sequence[str], place: str
) -> list[str]:
    """Take the column of the labels, or the columns of the classes; return the classes as text.

    columns: those of train that may hold labels. asked: the sample's columns beside the ids.
    """
    several = _several(train, columns, asked)
    if "label_columns" in guess.answers or (several and "label_column" not in guess.answers):
        soft = several and not train[several].isin(["0", "1", "0.0", "1.0"]).all(axis=None)
        why = f"one column per class in {place}, {'shares' if soft else '0 and 1'}"
        names = list(guess.take("label_columns", several, why, "labels"))
        _take_type(guess, names)
        return names
    label = guess.choose("label_column", f"the labels in {place}", _candidates(train, columns, asked, place))
    cells = cells_of(train, label, place, "label_column")
    guess.take("label_column", label, f"{cells.nunique()} values in {place}", "labels")
    classes = sorted(cells.unique())
    _take_type(guess, classes)
    return classes


def cells_of(table: pd.DataFrame, column: str, place: str, key: str = "") -> pd.Series:
    """Return a column of the table `place`; InputError where it is not there, with the key that names it."""
    if column not in table.columns:
        remedy = f" Name one of them in --set competition.{key}." if key else " Is it the right CSV?"
        raise InputError(f"{place} has no column {column}; it has {names_of(list(table.columns))}.{remedy}")
    return table[column]


def _several(train: pd.DataFrame, columns: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return the columns that hold a number for each class."""
    if len(asked) > 1 and set(asked) <= set(columns):
        return list(asked)
    numbers = [name for name in columns if pd.to_numeric(train[name], errors="coerce").between(0, 1).all()]
    sums = train[numbers].apply(pd.to_numeric).sum(axis=1) if len(numbers) > 1 else pd.Series([0.0])
    return numbers if ((sums - 1).abs() <= TOLERANCE).all() else []


def _candidates(train: pd.DataFrame, columns: Sequence[str], asked: Sequence[str], place: str) -> dict[str, str]:
    """Return the columns that may hold the labels, with how many values each has."""
    counts = {name: int(train[name].nunique()) for name in columns}
    for same in ([name for name in asked if name in counts], [name for name in counts if name.lower() in USUAL]):
        if len(same) == 1:
            return {same[0]: f"{counts[same[0]]} values"}
    few = {name: f"{count} values" for name, count in counts.items() if 2 <= count <= len(train) / 2}
    plain = {name: why for name, why in few.items() if not OF_GROUPS.search(name)}
    return (
        plain or few or {name: f"{count} values" for name, count in counts.items()} or {"label": f"missing in {place}"}
    )


def _take_type(guess: Guess, classes: Sequence[str]) -> None:
    whole = all(re.fullmatch(INTEGER, text) for text in classes)
    guess.take("label_type", "integer" if whole else "string", f"such as {', '.join(classes[:3])}", "kind of labels")


def take_metric(guess: Guess, sample: pd.DataFrame | None, asked: Sequence[str], classes: Sequence[str]) -> None:
    """Take a metric that fits what the sample's values ask for; no file states which it is."""
    form = "labels" if sample is None else _form(sample, asked, classes)
    guess.tell(
        "the sample asks for",
        {"labels": "labels", "probability": "one probability"}.get(form, "one probability per class"),
    )
    guess.take("metric", METRICS[form], f"{ASKED}: no file states the metric; set the organiser's")


def _form(sample: pd.DataFrame, asked: Sequence[str], classes: Sequence[str]) -> str:
    if len(asked) > 1:
        return "probabilities"
    values = sample[asked[0]] if asked else pd.Series(dtype=str)
    numbers = pd.to_numeric(values, errors="coerce")
    fraction = bool(len(values)) and bool(numbers.between(0, 1).all()) and not set(values) <= set(classes)
    return "probability" if fraction and len(classes) == 2 else "labels"
