"""The labels that the user corrected: a separate CSV, as the organiser's files are never changed.

Training uses them. Scores, folds and whatever is tuned or predicted from class shares use the organiser's labels:
the hidden test labels have the same mistakes, and they decide the score.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ripik.data.csv_tables import check_ids, first, line_of, listed, names_of, read_table
from ripik.data.label_cells import read_labels
from ripik.data.places import Place
from ripik.data.spellings import visible
from ripik.errors import InputError
from ripik.names import SHARE
from ripik.settings import CompetitionSettings, Label

SURE = 1 - 1e-9  # the share from which a label is one class already
HINT = "competition.corrections needs a CSV with the columns image_id and label."


def with_corrections(
    train: pd.DataFrame, how: CompetitionSettings, root: Path, classes: Sequence[Label]
) -> pd.DataFrame:
    """Return the training rows with training_label: `competition.corrections` in place of the organiser's labels.

    Rows whose correction is empty are left out of training: `ignored` is true there, and the label stays.
    Where labels are soft, `corrected` (bool) tells which rows have one class in place of several, or another one.
    train: frame with image_id, label and, where `competition.ignore` is set, ignored, and shares of soft labels.
    root: the competition's folder. The CSV has image_id and label, or the
    competition's own names of these two columns; further columns are not looked at. Its path is absolute, or relative
    to the working directory, or to the competition's folder; the first that exists is taken.
    Raises InputError for a missing file or column, an id that is empty, given twice or not in train.csv, a label that
    is none of the classes, and for corrections that leave a class without rows.
    """
    if not how.corrections:
        return train.assign(training_label=train["label"])
    path = corrections_path(how.corrections, root)
    given = _read(path, how, classes)
    unknown = given.index[~given["image_id"].isin(train["image_id"])]
    if len(unknown):
        ids = given["image_id"][unknown].tolist()
        raise InputError(
            f"{path}, line {line_of(unknown[0])}: {first(ids)} {'is' if len(ids) == 1 else 'are'} not among the ids "
            f"of {how.listed_in('train')}. Only labels of training images can be corrected; fix or remove "
            f"{'the line' if len(ids) == 1 else f'these {len(ids)} lines'}."
        )
    empty = given["image_id"][given["label"] == ""]
    wanted = {image: label for image, label in zip(given["image_id"], given["label"], strict=True) if label != ""}
    together = [wanted.get(image_id, label) for image_id, label in zip(train["image_id"], train["label"], strict=True)]
    labels = pd.Series(together, index=train.index, dtype=train["label"].dtype)
    ignored = train["image_id"].isin(empty) | train.get("ignored", False)
    _check_left(labels[~ignored], path, classes)
    train = _with_corrected(train.assign(training_label=labels), [*wanted], classes)
    return train.assign(ignored=ignored) if ignored.any() else train


def _with_corrected(train: pd.DataFrame, given: Sequence[str], classes: Sequence[Label]) -> pd.DataFrame:
    """Return soft rows with `corrected`: of the given ids, those whose label is another one, or was not alone."""
    shares = [f"{SHARE}{label}" for label in classes]
    if not set(shares) <= set(train.columns):
        return train
    unsure = train[shares].max(axis=1) < SURE
    changed = (train["training_label"] != train["label"]) | unsure
    return train.assign(corrected=train["image_id"].isin(given) & changed)


def corrections_path(name: str, root: Path) -> Path:
    """Return where the file that `competition.corrections` names is; InputError where there is none."""
    path = Path(name).expanduser()
    places = [path, root / path] if not path.is_absolute() else [path]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"competition.corrections: there is no file {' nor '.join(str(place) for place in places)}. "
        "Create it, with the columns image_id and label, or leave the setting empty."
    )


def _read(path: Path, how: CompetitionSettings, classes: Sequence[Label]) -> pd.DataFrame:
    table = read_table(path, [], HINT)
    names = {
        wanted: own if own in table.columns else wanted
        for wanted, own in (("image_id", how.id_column), ("label", how.label_column))
    }
    missing = [name for name in names.values() if name not in table.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {names_of(list(table.columns))}. {HINT}")
    check_ids(table[names["image_id"]], path)
    texts = table[names["label"]]
    filled = texts.str.strip() != ""
    labels = texts.astype(object).where(filled, "")
    if filled.any():
        labels[filled] = read_labels(texts[filled], Place(path), how).astype(object)
    wrong = labels.index[filled & ~labels.isin(list(classes))]
    if len(wrong):
        raise InputError(
            f"{path}, line {line_of(wrong[0])}: image {table[names['image_id']][wrong[0]]} is given the label "
            f"{visible(labels[wrong[0]])}, which is not one of the classes {listed(classes)}. Correct the line."
        )
    return pd.DataFrame({"image_id": table[names["image_id"]], "label": labels})


def _check_left(labels: pd.Series, path: Path, classes: Sequence[Label]) -> None:
    left = set(labels)
    gone = [label for label in classes if label not in left]
    if gone:
        raise InputError(
            f"{path}: with these corrections no image of {first(gone)} is left, but a class without images cannot be "
            "learned. Keep one, or remove the class from train.csv."
        )
