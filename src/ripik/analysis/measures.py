"""How good predictions are: scores with intervals, by class and fold, confusion, errors and calibration.

Label scores take the most probable class (the first of equals). Intervals and standard errors are of the bootstrap
over groups of near copies, with its default draws and seed, so every number equals the one that the training prints.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from ripik.analysis import confusions
from ripik.analysis.intervals import Interval, interval, per_class_f1
from ripik.analysis.metrics import FloatArray, IntArray, get_metric, score_part
from ripik.analysis.predictions import Predictions
from ripik.errors import InputError

ACCURACY, LOG_LOSS = "accuracy", "log_loss"
CORRECTED = "{} by corrected labels"  # the score's name, of a metric
BINS = 10


def scores(p: Predictions) -> pd.DataFrame:
    """Return the pooled scores of all rows: the competition's metric, accuracy and log loss, each once.

    All by the organiser's labels; where some were corrected, the metric by those stands second (`CORRECTED`).
    Columns: score (its name), value, low and high (the ends of the 95 % interval), error (standard error).
    Raises InputError for fewer than two groups, and for a metric that has no value on these rows.
    """
    names = dict.fromkeys([p.metric, ACCURACY, LOG_LOSS])
    values, groups = p.probabilities, p.groups
    rows = [{"score": name, **asdict(interval(p.truth(name), values, groups, get_metric(name)))} for name in names]
    corrected = p.corrected_truth(p.metric)
    if corrected is not None:
        found = interval(corrected, values, groups, get_metric(p.metric))
        rows.insert(1, {"score": CORRECTED.format(p.metric), **asdict(found)})
    return pd.DataFrame(rows)


def class_scores(p: Predictions) -> pd.DataFrame:
    """Return a row a class, in class order: its precision, recall and F1 over all rows, in [0, 1].

    Columns: label, images (of the class), groups (that hold the class), precision, recall, f1, low, high, error (the
    last three of F1, as in `scores`). 0/0 counts as 0; a class without images has no interval (NaN).
    Raises InputError for fewer than two groups.
    """
    counts, found = _counts(p), per_class_f1(p.targets, p.probabilities, p.groups)
    frame = pd.DataFrame({"label": list(p.classes), "images": counts.sum(axis=1)})
    frame["groups"] = [len(np.unique(p.groups[p.targets == index])) for index in range(len(p.classes))]
    frame["precision"] = _share(np.diagonal(counts), counts.sum(axis=0))
    frame["recall"] = _share(np.diagonal(counts), counts.sum(axis=1))
    frame["f1"] = [of.value for of in found]
    return frame.assign(low=[of.low for of in found], high=[of.high for of in found], error=[of.error for of in found])


def fold_scores(p: Predictions) -> pd.DataFrame:
    """Return a row a fold: the scores of the model that did not train on it.

    Columns: fold, images, groups, the competition's metric under its name, accuracy (once). A class that a fold lacks
    is left out of its mean over classes (`metrics.score_part`).
    """
    values, groups, fold = p.probabilities, p.groups, p.frame["fold"].to_numpy()
    wanted = [get_metric(name) for name in dict.fromkeys([p.metric, ACCURACY])]
    rows = []
    for number in np.unique(fold):
        held = fold == number
        size = {"fold": int(number), "images": int(held.sum()), "groups": len(np.unique(groups[held]))}
        rows.append(
            size | {metric.name: score_part(metric, p.truth(metric.name)[held], values[held]) for metric in wanted}
        )
    return pd.DataFrame(rows)


def confusion(p: Predictions) -> pd.DataFrame:
    """Return how many images of each class (rows, "label") are predicted as each (columns, "predicted"), C × C int."""
    names = list(p.classes)
    return pd.DataFrame(_counts(p), pd.Index(names, name="label"), pd.Index(names, name="predicted"))


def errors(p: Predictions) -> pd.DataFrame:
    """Return the rows of `p.frame` that are predicted wrong, the most confident first; of equals by image_id."""
    wrong = p.frame[p.frame["predicted"] != p.frame["label"]]
    return _ranked(wrong, most_confident_first=True)


def uncertain(p: Predictions) -> pd.DataFrame:
    """Return all rows of `p.frame`, the least confident first; of equals by image_id."""
    return _ranked(p.frame, most_confident_first=False)


def calibration(p: Predictions, bins: int = BINS) -> pd.DataFrame:
    """Return the reliability diagram: confidence against accuracy in bins of equal width, those with rows alone.

    Columns: low and high (the bin holds low < confidence <= high), images, groups, confidence (its mean in the bin),
    accuracy, accuracy_low, accuracy_high (95 % interval over the bin's groups; NaN for one group, without width where
    all of the bin is right or all wrong). The diagram is DeGroot and Fienberg's (1983, The Statistician 32), for the
    most probable class as Guo et al. (2017, ICML) draw it.
    Raises InputError for fewer than one bin.
    """
    number, edges = _bins(p, bins)
    y, values, groups, confidence = p.targets, p.probabilities, p.groups, _confidence(p)
    rows = []
    for index in np.unique(number):
        held = number == index
        right = _accuracy(y[held], values[held], groups[held])
        rows.append(
            {
                "low": edges[index],
                "high": edges[index + 1],
                "images": int(held.sum()),
                "groups": len(np.unique(groups[held])),
                "confidence": confidence[held].mean(),
                "accuracy": right.value,
                "accuracy_low": right.low,
                "accuracy_high": right.high,
            }
        )
    return pd.DataFrame(rows)


def calibration_error(p: Predictions, bins: int = BINS) -> float:
    """Return the expected calibration error, in [0, 1]: the mean over rows of |accuracy - confidence| of their bin.

    Bins as in `calibration` (Naeini, Cooper and Hauskrecht 2015, AAAI; Guo et al. 2017, ICML). Chance alone keeps it
    above 0, the more so the fewer rows a bin holds. Raises InputError for fewer than one bin.
    """
    number, _ = _bins(p, bins)
    excess = (p.targets == p.probabilities.argmax(axis=1)) - _confidence(p)
    return float(np.abs(np.bincount(number, excess)).sum() / len(number))


def _counts(p: Predictions) -> IntArray:
    return confusions.confusion_matrix(p.targets, p.probabilities.argmax(axis=1), len(p.classes))


def _share(part: IntArray, whole: IntArray) -> FloatArray:
    share: FloatArray = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share


def _ranked(frame: pd.DataFrame, *, most_confident_first: bool) -> pd.DataFrame:
    ranked = frame.sort_values(["confidence", "image_id"], ascending=[not most_confident_first, True])
    return ranked.reset_index(drop=True)


def _confidence(p: Predictions) -> FloatArray:
    return p.probabilities.max(axis=1)


def _bins(p: Predictions, bins: int) -> tuple[IntArray, FloatArray]:
    """Return every row's bin, from 0, and the edges of the bins, (bins + 1,)."""
    if bins < 1:
        raise InputError(f"A calibration needs at least one bin, not {bins}.")
    edges = np.arange(bins + 1) / bins
    return np.clip(np.searchsorted(edges, _confidence(p)) - 1, 0, bins - 1), edges


def _accuracy(y: IntArray, values: FloatArray, groups: IntArray) -> Interval:
    metric = get_metric(ACCURACY)
    if len(np.unique(groups)) > 1:
        return interval(y, values, groups, metric)
    return Interval(metric.function(y, values), float("nan"), float("nan"), float("nan"))
