"""What one column of a sample submission can be by its values: labels, or the probability of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ripik.data.csv_tables import first


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
