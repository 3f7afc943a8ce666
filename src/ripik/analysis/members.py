"""How correlated the members of a blend are: a member helps by being right where the others are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripik.analysis.groups import joined
from ripik.analysis.intervals import difference, verdict
from ripik.analysis.metrics import get_metric
from ripik.analysis.predictions import Predictions, align
from ripik.errors import InputError


def correlation(members: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return Pearson's correlation of the members' probabilities of the true class, M × M, in [-1, 1].

    A member whose probabilities are all equal has none with others (NaN).
    Raises InputError for no members, or members of other images, labels or classes.
    """
    aligned = _aligned(members)
    true = np.stack([p.probabilities[np.arange(len(p.frame)), p.targets] for p in aligned.values()])
    off = true - true.mean(axis=1, keepdims=True)
    off[np.ptp(true, axis=1) == 0] = np.nan
    length = np.sqrt((off**2).sum(axis=1))
    found = np.clip(off @ off.T / np.outer(length, length), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return _square(found, aligned)


def agreement(members: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return the share of images for which two members predict the same class, M × M, in [0, 1].

    Raises InputError as `correlation` does.
    """
    aligned = _aligned(members)
    predicted = np.stack([p.probabilities.argmax(axis=1) for p in aligned.values()])
    return _square(np.array([(predicted == own).mean(axis=1) for own in predicted]), aligned)


def hits(members: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return how many images each member predicts right, and how many it alone predicts right or wrong.

    Columns: member, right, only_right (every other member is wrong), only_wrong (every other member is right); a single
    member has no others, and so alone does all it does. Raises InputError as `correlation` does.
    """
    aligned = _aligned(members)
    right = np.stack([p.probabilities.argmax(axis=1) == p.targets for p in aligned.values()])
    number, others = len(right), right.sum(axis=0) - right
    return pd.DataFrame(
        {
            "member": list(aligned),
            "right": right.sum(axis=1),
            "only_right": (right & (others == 0)).sum(axis=1),
            "only_wrong": (~right & (others == number - 1)).sum(axis=1),
        }
    )


def gains(members: Mapping[str, Predictions], other: Predictions) -> pd.DataFrame:
    """Return by how much `other` scores more than each member, with its 95 % interval, paired over groups.

    Columns: name, value (`other` less the member, in units of the metric; below 0 is better for a loss), low, high,
    error, verdict (said of `other`: better, worse, cannot tell). Raises InputError as `correlation` does.
    """
    rows = []
    metric = get_metric(other.metric)
    for name, member in members.items():
        b = align(member, other)
        groups = joined(member.groups, b.groups)
        found = difference(member.truth(metric.name), member.probabilities, b.probabilities, groups, metric)
        rows.append({"name": name, **asdict(found), "verdict": verdict(found, metric)})
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "error", "verdict"])


def _aligned(members: Mapping[str, Predictions]) -> dict[str, Predictions]:
    if not members:
        raise InputError("There are no members to compare: give the predictions of at least one variant.")
    first = next(iter(members.values()))
    return {name: align(first, member) for name, member in members.items()}


def _square(values: NDArray[Any], members: Mapping[str, Predictions]) -> pd.DataFrame:
    names = list(members)
    return pd.DataFrame(values, pd.Index(names, name="member"), pd.Index(names))
