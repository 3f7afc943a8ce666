"""The columns of a sample submission: which holds the ids, which are none of it, and what the values of one can be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from ripik.data.csv_tables import first, names_of
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

SAMPLE_COLUMNS = (
    "Set the names of its columns in [competition] (id_column, label_column; or, where they differ from "
    "those of train.csv, sample_id_column and sample_label_column)."
)
UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*")  # as `read_table` calls a column without a name, and as pandas does


def id_column_of(sample: pd.DataFrame, how: CompetitionSettings, ids: Iterable[str], place: object) -> str:
    """Return the column of a sample submission's ids: the named one, train.csv's, or the only one with the `ids`.

    Raises InputError, which calls the sample `place`, where there is none of these.
    """
    wanted = how.sample_id_column or how.id_column
    if wanted in sample.columns:
        return wanted
    known = set(ids)
    same = [column for column in sample.columns if not UNNAMED.fullmatch(column) and set(sample[column]) == known]
    if len(same) == 1 and not how.sample_id_column:
        return str(same[0])
    raise InputError(f"{place} has no column {wanted}; it has {names_of(list(sample.columns))}. {SAMPLE_COLUMNS}")


def left_over(sample: pd.DataFrame, how: CompetitionSettings, id_column: str) -> list[str]:
    """Return the columns of a sample that a program left there: a first one without a name that numbers the rows, and
    last ones with neither name nor values."""
    kept = {id_column, how.label_column, how.sample_label_column}
    unnamed = [column for column in sample.columns if UNNAMED.fullmatch(column) and column not in kept]
    last = list(itertools.takewhile(lambda column: column in unnamed, reversed(sample.columns)))
    empty = itertools.takewhile(lambda column: (sample[column].str.strip() == "").all(), last)
    first_ones = itertools.takewhile(lambda column: column in unnamed, sample.columns)
    numbering = itertools.takewhile(lambda column: _numbers_rows(sample[column]), first_ones)
    return [*numbering, *reversed(list(empty))]


def _numbers_rows(cells: pd.Series) -> bool:
    return bool(cells.str.fullmatch(r"[0-9]{1,18}").all()) and cells.is_unique


@dataclass(frozen=True)
class Values:
    """What the values of one column can be. Empty cells and whole numbers that are no class may stand for anything."""

    classes: bool  # all are classes
    labels: bool
    probability: bool
    shown: str

    @classmethod
    def of(cls, column: pd.Series, names: Sequence[str]) -> Values:
        """Return what a column of text can be; names: the classes, as text."""
        filled = column[column.str.strip() != ""]
        numbers = pd.to_numeric(filled, errors="coerce")
        classes, whole = bool(filled.isin(names).all()), bool((numbers % 1 == 0).all())
        shown = first(filled.unique().tolist()) if len(filled) else "empty"
        probability = bool(numbers.between(0, 1).all()) or (whole and not classes)
        return cls(classes and len(filled) > 0, classes or whole, probability, shown)
