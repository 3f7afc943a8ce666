"""How much each row of train.csv counts in training, and which rows training leaves out; scores count them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ripik.data.csv_tables import line_of, names_of
from ripik.errors import InputError
from ripik.settings import CompetitionSettings

LEAST, MOST = 1e-9, 1e9  # of a weight: far beyond these, sums of weights are no longer what they should be
LEFT_OUT = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


def with_weights(images: pd.DataFrame, frame: pd.DataFrame, path: Path, how: CompetitionSettings) -> pd.DataFrame:
    """Return the images with the columns weight (float, 1e-9…1e9) and ignored (bool), each where the settings name one.

    frame: the content of train.csv, which stands at `path`. Raises InputError for a column that is not there, a weight
    that is no number within these bounds, and a cell of `competition.ignore` that says neither yes nor no.
    """
    if how.weight_column:
        images = images.assign(weight=_weights(_column(frame, how.weight_column, "weight_column", path), path))
    if how.ignore:
        images = images.assign(ignored=_ignored(_column(frame, how.ignore, "ignore", path), path))
    return images


def _column(frame: pd.DataFrame, name: str, key: str, path: Path) -> pd.Series:
    if name not in frame.columns:
        raise InputError(
            f"{path} has no column {name}; it has {names_of(list(frame.columns))}. Set one of them in "
            f"competition.{key}, or leave it empty."
        )
    return frame[name]


def _weights(cells: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    wrong = numbers.index[~((numbers >= LEAST) & (numbers <= MOST))]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: the weight {cells[wrong[0]]!r} is not a number above 0, from "
            f"{LEAST:g} to {MOST:g}. Correct it; to leave rows out of training, use the column that competition.ignore "
            "names."
        )
    return numbers


def _ignored(cells: pd.Series, path: Path) -> pd.Series:
    said = cells.str.strip().str.lower().map(LEFT_OUT)
    wrong = cells.index[said.isna()]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: {cells.name} is {cells[wrong[0]]!r}; competition.ignore names a column "
            "of 1 and 0, true and false, or yes and no (empty: no). Correct the cell."
        )
    return said.astype(bool)
