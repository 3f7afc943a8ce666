"""The labels of a CSV that people write: whole numbers or text, each class spelled in one way."""

import pandas as pd

from ripik.data.csv_tables import CONTROL, SHOWN, check_filled
from ripik.data.places import Place
from ripik.data.spellings import folded, same_names, visible
from ripik.errors import InputError
from ripik.settings import INTEGER, CompetitionSettings

NO_VALUES = {
    "",
    "nan",
    "na",
    "n/a",
    "#n/a",
    "null",
    "none",
    "nil",
    "nat",
    "<na>",
    "-nan",
    "undefined",
}  # as others write it


def read_labels(texts: pd.Series, place: Place, how: CompetitionSettings) -> pd.Series:
    """Return labels as int64, or as text where `label_type` is string.

    Raises InputError for an empty label, for one that is no integer, and unless `competition.classes` names them all,
    for a text that reads as a missing value or has a space around it, and for one name in two spellings (`spellings`).
    """
    if how.label_type == "string":
        return _texts(texts, place, {str(label) for label in how.classes})
    check_filled(texts, place.whole, "the label is missing")
    wrong = texts.index[~texts.str.fullmatch(INTEGER)]
    if len(wrong):
        raise InputError(
            f"{place.at(wrong[0])}: label {texts[wrong[0]]!r} is not written as a plain integer. "
            'Correct it; for text labels set competition.label_type = "string".'
        )
    return texts.astype("int64")


def _texts(texts: pd.Series, place: Place, named: set[str]) -> pd.Series:
    check_filled(texts, place.whole, "the label is missing")
    others = texts[~texts.isin(list(named))]
    blank = [text for text in others.unique() if not folded(text)]
    for wrong, why in (
        (others.isin(blank), "has no visible characters"),
        (others.str.strip().str.lower().isin(NO_VALUES), "reads as a missing value"),
        (others != others.str.strip(), "has a space before or after it"),
        (others.str.contains(CONTROL), "contains a control character"),
    ):
        if wrong.any():
            row = others.index[wrong][0]
            raise InputError(
                f"{place.at(row)}: the label {visible(texts[row])} {why}. Correct it, or if it is a class, "
                "list all classes in competition.classes."
            )
    _check_spellings(texts, place, named)
    return texts


def _check_spellings(texts: pd.Series, place: Place, named: set[str]) -> None:
    twice = [labels for labels in same_names(texts.unique()) if not named.issuperset(labels)]
    if not twice:
        return
    rows = texts.drop_duplicates()
    count, firsts = texts.value_counts(), dict(zip(rows, map(place.within, rows.index), strict=True))
    spellings = [
        " and ".join(f"{visible(label)} (rows: {count[label]}, the first {firsts[label]})" for label in labels)
        for labels in twice[:SHOWN]
    ]
    more = f"; and {len(twice) - SHOWN} other names" if len(twice) > SHOWN else ""
    raise InputError(
        f"{place.whole}: a class name is spelled in several ways, each of which would become a class: "
        f"{'; '.join(spellings)}{more}. They differ in case, in invisible characters, or in how a character "
        "is encoded. Spell each name one way, or if these are different classes, list all classes in "
        "competition.classes."
    )
