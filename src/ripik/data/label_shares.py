"""Labels that a CSV gives as a column for each class: 0 and 1 (one-hot), or shares, as of several annotators (soft)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.data.csv_tables import first, header_of
from ripik.data.places import Place
from ripik.errors import InputError
from ripik.names import SHARE
from ripik.settings import CompetitionSettings

TOLERANCE = 0.0101  # of a row's sum: shares are written with two digits


def read_shares(cells: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return label (text, the column of the greatest share, the first of equals) and, of soft labels, `share_<column>`.

    cells: text, a column for each class; its index tells the row. Shares are made to sum to 1 exactly.
    Raises InputError for a cell that is no number from 0 to 1, and for rows with several labels, none, or another sum.
    """
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    _check_numbers(cells, numbers, place)
    _check_sums(numbers, place)
    names = np.array(cells.columns, dtype=object)
    label = pd.DataFrame({"label": names[numbers.to_numpy().argmax(axis=1)]}, index=cells.index)
    if numbers.isin([0, 1]).all(axis=None):
        return label
    shares = numbers.div(numbers.sum(axis=1), axis=0).astype("float64")
    return pd.concat([label, shares.set_axis([f"{SHARE}{name}" for name in cells.columns], axis=1)], axis=1)


def _check_numbers(cells: pd.DataFrame, numbers: pd.DataFrame, place: Place) -> None:
    wrong = ~((numbers >= 0) & (numbers <= 1))
    if wrong.any(axis=None):
        row = wrong.index[wrong.any(axis=1)][0]
        column = wrong.columns[wrong.loc[row]][0]
        raise InputError(
            f"{place.at(row)}: {column} is {cells.loc[row, column]!r}, not a number from 0 to 1, which every column of "
            "competition.label_columns needs. Correct the cell; divide counts by their sum."
        )


def _check_sums(numbers: pd.DataFrame, place: Place) -> None:
    sums = numbers.sum(axis=1)
    off = sums.index[(sums - 1).abs() > TOLERANCE]
    if not len(off):
        return
    row, more = off[0], f" (and {len(off) - 1} other rows)" if len(off) > 1 else ""
    ones = [str(name) for name in numbers.columns if numbers.loc[row, name] == 1]
    if numbers.loc[row].isin([0, 1]).all():
        told = f"has {len(ones)} labels ({first(ones)})" if ones else "has no label: all of its columns are 0"
        raise InputError(
            f"{place.at(row)}: the image {told}{more}. An image has one label, or shares that sum to 1; correct the "
            "row."
        )
    raise InputError(
        f"{place.at(row)}: the shares of competition.label_columns sum to {sums[row]:g}, not 1{more}. Divide them by "
        "their sum, or correct the row."
    )


def hint_of_columns(root: Path, how: CompetitionSettings) -> str:
    """Return the sentence that tells of a column for each class, where one of labels is looked for; empty where there
    are none."""
    columns = columns_of_classes(root, how)
    if not columns:
        return ""
    listed = ", ".join(f'"{name}"' for name in columns)
    return f" It has a column for each class, as in the sample submission: set competition.label_columns = [{listed}]."


def columns_of_classes(root: Path, how: CompetitionSettings) -> list[str]:
    """Return the sample submission's columns beside the ids, where there are several and train.csv has them and the
    ids, too; none where it has no column of the name `competition.id_column`."""
    train, sample = (header_of(root / name) for name in (how.train_csv, how.sample_submission))
    if how.id_column not in train:
        return []
    columns = [name for name in sample if name not in (how.id_column, how.sample_id_column)]
    return columns if len(columns) > 1 and set(columns) <= set(train) else []


def check_label_column(root: Path, how: CompetitionSettings) -> None:
    """Raise InputError where `competition.label_column` is one of several columns, each of a class."""
    columns: Sequence[str] = columns_of_classes(root, how)
    if how.label_column in columns:
        raise InputError(
            f"{root / how.train_csv}: {how.label_column} is one of {len(columns)} class columns."
            f"{hint_of_columns(root, how)}"
        )
