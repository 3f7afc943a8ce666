"""Read a run's predictions from its files alone: no images, no models, no settings."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.groups import FOLDS, read_folds
from ripik.analysis.metrics import ROW_SUM_TOLERANCE, FloatArray, IntArray
from ripik.analysis.soft_labels import AGAIN, share_columns, with_shares
from ripik.analysis.truth import OF_SHARES, Truth, with_corrected
from ripik.data.csv_tables import check_ids, first, line_of, read_table, whole_numbers
from ripik.data.number_tables import read_numbers
from ripik.errors import InputError
from ripik.storage import artifacts

OOF, TEST, IMAGES, CONFIG, META = "oof.csv", "test.csv", "images.csv", "config.toml", "meta.json"
BLEND = "ensemble"
METRIC = "macro_f1"  # of a run that does not say
OOF_COLUMNS = "An OOF CSV has image_id, fold, label and one p_<label> per class."


@dataclass(frozen=True, eq=False)
class Predictions:
    """The out-of-fold predictions of one variant or blend.

    frame: a row an image, in the order of the file. Columns: image_id (text), path (text; empty where `images.csv` does
        not tell it), label (text; the organiser's), corrected (text; the label as it was trained on, where some labels
        were corrected), is_corrected (bool, beside it: whether it is of this row), fold (int), group (int, equal for
        near copies of one photo), `p_<label>` a class (float in [0, 1]), predicted (text; the most probable class, the
        first of equals), confidence (its probability), margin (probability of the label less that of the most probable
        other class, in [-1, 1]; negative: wrong), loss (-log of the label's probability); and where labels are soft,
        `share_<label>` a class.
    classes: the labels in class order, as text, as `label` and `predicted` are.
    metric: the name of the competition's metric (`ripik.analysis.metrics`).
    meta: what the `meta.json` beside the file tells; empty where there is none.
    """

    name: str
    path: Path
    frame: pd.DataFrame
    classes: tuple[str, ...]
    metric: str
    meta: dict[str, Any]

    @property
    def probabilities(self) -> FloatArray:
        """The probabilities, float64 (n, C), columns in class order."""
        return self.frame[[f"p_{label}" for label in self.classes]].to_numpy(np.float64, copy=True)

    @property
    def targets(self) -> IntArray:
        """The class index of every row, int64 (n,)."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.frame["label"])).astype(np.int64)

    def truth(self, metric: str) -> Truth:
        """Return what a metric scores by: `targets`, or where labels are soft, for log loss, their shares (n, C)."""
        names = share_columns(self.classes)
        if metric != OF_SHARES or not set(names) <= set(self.frame.columns):
            return self.targets
        return self.frame[names].to_numpy(np.float64, copy=True)

    @property
    def corrected_targets(self) -> IntArray | None:
        """The class index of every row by the corrected labels, int64 (n,); None where nothing was corrected."""
        if "corrected" not in self.frame:
            return None
        return pd.Index(self.classes).get_indexer(pd.Index(self.frame["corrected"])).astype(np.int64)

    def corrected_truth(self, metric: str) -> Truth | None:
        """Return `truth` by the corrected labels, of shares with corrected rows as one class; None without any."""
        targets = self.corrected_targets
        if targets is None:
            return None
        return with_corrected(self.truth(metric), targets, self.frame["is_corrected"].to_numpy(bool))

    @property
    def groups(self) -> IntArray:
        """The group of every row, int64 (n,): near copies are one witness."""
        return self.frame["group"].to_numpy(np.int64)


def load(path: str | Path, *, metric: str | None = None, folds: str | Path | None = None) -> Predictions:
    """Return the predictions of an `oof.csv`, of the folder of a variant or blend, or of a run (its blend).

    metric: a name of `ripik.analysis.metrics`; None: that of the run's `config.toml`, macro F1 where there is none.
    folds: a `folds.csv`; None: the run's, and the predictions must then be of those folds. Groups are those of that
    file, joined with those of the `groups.csv` beside it.
    Raises InputError when a file is missing or broken, an image has no probabilities or no group, or the folds differ,
    and SurroundingsError when the file is not the one that the `meta.json` beside it recorded.
    """
    file = _unchanged(find(Path(path), OOF))
    run = file.absolute().parent.parent
    given = _read_probabilities(file, ["image_id", "label"], OOF_COLUMNS)
    classes = _classes(given)
    _check_labels(given, classes, file)
    known = read_folds(Path(folds) if folds else run / FOLDS, given["image_id"], file)
    frame = pd.DataFrame({"image_id": given["image_id"], "path": _paths(run, "train", given["image_id"])})
    frame["label"] = given["label"]
    frame = with_shares(_with_corrections(frame, run, classes), run / IMAGES, classes)
    frame["fold"] = known["fold"]
    if "fold" in given:
        frame["fold"] = whole_numbers(given["fold"], file)
    if folds is None:
        _check_folds(frame, known, file)
    frame["group"] = known["group"]
    frame = _with_verdicts(_with_probabilities(frame, given), classes)
    return Predictions(
        file.parent.name, file, frame.reset_index(drop=True), classes, metric or _metric(run), _meta(file.parent)
    )


def load_run(folder: str | Path) -> dict[str, Predictions]:
    """Return the predictions of every variant of a run that has an `oof.csv`, then of its blend, by name.

    The variants are those of the run's `config.toml`, in its order: what is left of others may be of other folds. Where
    it lists none, they are those that have a folder, by name.
    Raises InputError when there are none, and as `load` does.
    """
    run = Path(folder)
    made = sorted(path.parent.name for path in run.glob(f"*/{OOF}"))
    names = [name for name in read_config(run).get("variants", {}) or made if name in made and name != BLEND]
    names += [BLEND] if BLEND in made else []
    if not names:
        raise InputError(f"there is no {OOF} in a folder of {run}. Give a run's folder, or run `make train`.")
    return {name: load(run / name) for name in names}


def load_test(path: str | Path) -> pd.DataFrame:
    """Return the test predictions of a `test.csv`, of the folder of a variant or blend, or of a run (its blend).

    Columns: image_id, path, `p_<label>` a class, predicted, confidence, as in `Predictions.frame`.
    Raises InputError when the file is missing or broken, SurroundingsError as `load` does.
    """
    file = _unchanged(find(Path(path), TEST))
    given = _read_probabilities(file, ["image_id"], "A test.csv has image_id and one p_<label> per class.")
    classes = _classes(given)
    paths = _paths(file.absolute().parent.parent, "test", given["image_id"])
    frame = pd.DataFrame({"image_id": given["image_id"], "path": paths})
    return _with_prediction(_with_probabilities(frame, given), classes).reset_index(drop=True)


def find(path: Path, name: str) -> Path:
    """Return the file that a path names: itself, `name` in its folder, or that of the run's blend.

    Raises InputError, which tells what there is, when there is none.
    """
    places = [path, path / name, path / BLEND / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        others = sorted(place.parent.name for place in path.glob(f"*/{name}"))
        known = f" There are {', '.join(others)}." if others else " Run `make train` first."
        raise InputError(f"there is no {path / name}, nor {path / BLEND / name}.{known}")
    return found


def read_config(run: Path) -> dict[str, Any]:
    """Return the tables of a run's `config.toml`; empty where there is none. InputError for one that is no TOML."""
    path = run / CONFIG
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}. The next `make train` writes it again.") from None


def _unchanged(file: Path) -> Path:
    return artifacts.check_recorded(file, file.parent / META, "Run `make train ensemble` again.")


def _metric(run: Path) -> str:
    return str(read_config(run).get("competition", {}).get("metric", METRIC))


def _meta(folder: Path) -> dict[str, Any]:
    return artifacts.read_meta(folder / META) or {}


def _classes(given: pd.DataFrame) -> tuple[str, ...]:
    return tuple(name.removeprefix("p_") for name in given.columns if name.startswith("p_"))


def _read_probabilities(path: Path, columns: list[str], hint: str) -> pd.DataFrame:
    """Return a table of predictions with its `p_` columns as numbers; InputError unless each row is a distribution."""
    frame = read_numbers(path, columns, hint, "p_")
    check_ids(frame["image_id"], path)
    names = [name for name in frame.columns if name.startswith("p_")]
    if len(names) < 2:
        raise InputError(f"{path} has {len(names)} columns p_<label>: there must be one for each class.")
    values = frame[names].to_numpy()
    lacking = frame.loc[~np.isfinite(values).all(axis=1), "image_id"].tolist()
    if lacking:
        raise InputError(f"{path}: {len(lacking)} images lack a finite probability ({first(lacking)}). Predict again.")
    off = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > ROW_SUM_TOLERANCE)
    if off.any():
        raise InputError(
            f"{path}: the probabilities of {off.sum()} images are negative or do not sum to 1 "
            f"({first(frame.loc[off, 'image_id'].tolist())}). Write probabilities, not scores."
        )
    return frame


def _check_labels(frame: pd.DataFrame, classes: tuple[str, ...], path: Path) -> None:
    strange = frame.loc[~frame["label"].isin(classes), ["image_id", "label"]].to_numpy().tolist()
    if strange:
        name, label = strange[0]
        raise InputError(
            f"{path}: {len(strange)} images have labels without a column, the first {name}: there is no p_{label}. "
            f"The classes are {first(classes)}."
        )


def _check_folds(frame: pd.DataFrame, known: pd.DataFrame, path: Path) -> None:
    moved = frame.index[frame["fold"].to_numpy() != known["fold"].to_numpy()]
    if len(moved):
        raise InputError(
            f"{path}, line {line_of(moved[0])}: image {frame['image_id'][moved[0]]} and {len(moved) - 1} more are in "
            f"a different fold than in {FOLDS}. Run `make train ensemble` again."
        )


def _paths(run: Path, split: str, ids: pd.Series) -> pd.Series:
    return _told_of_images(run, split, ids, "path")


def _with_corrections(frame: pd.DataFrame, run: Path, classes: tuple[str, ...]) -> pd.DataFrame:
    """Return the frame with the columns corrected and is_corrected, where `images.csv` tells of corrected labels."""
    corrected_to = _told_of_images(run, "train", frame["image_id"], "corrected")
    if not (corrected_to != "").any():
        return frame
    corrected = frame["label"].where(corrected_to == "", corrected_to)
    _check_labels(frame.assign(label=corrected), classes, run / IMAGES)
    return frame.assign(corrected=corrected, is_corrected=corrected_to != "")


def _told_of_images(run: Path, split: str, ids: pd.Series, column: str) -> pd.Series:
    """Return a column of `images.csv` for the given ids; empty texts where there is no such file or column."""
    path = run / IMAGES
    if not path.is_file():
        return pd.Series("", index=ids.index)
    frame = read_table(path, ["image_id", "split", "path"], AGAIN)
    of_split = frame.assign(corrected=frame.get("corrected", ""))[frame["split"] == split].set_index("image_id")[column]
    return ids.map(of_split[~of_split.index.duplicated()]).fillna("")


def _with_probabilities(frame: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the probabilities that a file gives, joined at once: a column at a time is slow."""
    return pd.concat([frame, given[[f"p_{label}" for label in _classes(given)]]], axis=1)


def _with_prediction(frame: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    values = frame[[f"p_{label}" for label in classes]].to_numpy()
    return frame.assign(predicted=np.array(classes, dtype=object)[values.argmax(axis=1)], confidence=values.max(axis=1))


def _with_verdicts(frame: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    values = frame[[f"p_{label}" for label in classes]].to_numpy()
    rows, truth = np.arange(len(frame)), pd.Index(classes).get_indexer(pd.Index(frame["label"]))
    own, others = values[rows, truth], values.copy()
    others[rows, truth] = -np.inf
    epsilon = np.finfo(np.float64).eps
    loss = -np.log(np.clip(own, epsilon, 1 - epsilon))
    return _with_prediction(frame, classes).assign(margin=own - others.max(axis=1), loss=loss)


def align(a: Predictions, b: Predictions) -> Predictions:
    """Return b with its rows and classes in the order of a's.

    Raises InputError unless both have the same images, labels and classes, in any order.
    """
    for what, of_a, of_b in (
        ("classes", a.classes, b.classes),
        ("image ids", a.frame["image_id"], b.frame["image_id"]),
    ):
        only_a, only_b = sorted(set(of_a) - set(of_b)), sorted(set(of_b) - set(of_a))
        if only_a or only_b:
            raise InputError(
                f"{a.path} and {b.path} have different {what}: {len(only_a)} only the first has ({first(only_a)}), "
                f"{len(only_b)} only the second ({first(only_b)}). Compare predictions of the same training images."
            )
    rows = b.frame.set_index("image_id").loc[a.frame["image_id"]].reset_index()
    other = a.frame.loc[(rows["label"] != a.frame["label"]).to_numpy(), "image_id"].tolist()
    if other:
        raise InputError(
            f"{a.path} and {b.path} have different labels for {len(other)} images ({first(other)}). "
            "Make both from the same train.csv."
        )
    return replace(b, frame=rows, classes=a.classes)
