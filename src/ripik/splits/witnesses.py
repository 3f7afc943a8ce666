"""Which images count as one observation (a witness): near copies, the folds' groups and the user's group column.

A witness never crosses folds, and counts once as evidence: intervals resample witnesses. Rows are in
the order of train.csv and test.csv; equal numbers are one witness.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ripik.analysis.groups import joined
from ripik.splits.run import Run


def train(run: Run) -> np.ndarray:
    """Return which training rows are one witness, int64 (n,): the groups of folds.csv, near copies, the user's column.

    They differ from those of folds.csv only where that file is the user's own.
    """
    return joined(run.folds["group"].to_numpy(), run.photos("train"), *_column(run.competition.train))


def test(run: Run) -> np.ndarray:
    """Return which test rows are one witness, (m,): near copies, and the user's column where the test set has it."""
    return joined(run.photos("test"), *_column(run.competition.test))


def both(run: Run) -> np.ndarray:
    """Return which rows of train, then test are one witness, (n + m,).

    A photo, or a value of the user's column, that stands in both sets is one.
    """
    rows, alone = run.competition, [f"test {row}" for row in range(len(run.competition.test))]
    known = [run.groups["group"].to_numpy(), np.array([*run.folds["group"].astype(str), *alone])]
    if "group" in rows.train:
        known.append(np.array([*rows.train["group"], *rows.test.get("group", alone)]))
    return joined(*known)


def count_test(run: Run) -> int:
    """Return how many witnesses the test set holds.

    Where train.csv alone has the user's column, they are taken to be as large as those of the training set.
    """
    rows = run.competition
    if "group" in rows.train and "group" not in rows.test:
        return max(1, round(len(rows.test) * len(np.unique(train(run))) / len(rows.train)))
    return len(np.unique(test(run)))


def _column(rows: pd.DataFrame) -> list[np.ndarray]:
    return [rows["group"].to_numpy()] if "group" in rows else []
