"""Which labels are likely wrong: copies of one photo that disagree, then confident learning.

Confident learning (Northcutt, Jiang and Chuang 2021) is cleanlab's: how many labels are wrong is estimated from the
out-of-fold probabilities, and that many rows are named, those whose own label is least probable.
"""

import numpy as np
import pandas as pd

COPIES, MODEL = "copies disagree", "model disagrees"


def find_suspects(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """Return the rows whose label is suspected, the most suspicious first.

    labels: int (n,), class indices; probabilities: (n, C), out of fold; groups: (n,), equal for copies of one photo.
    Columns: row (0…n−1), label and suggested (class indices), p_label, p_suggested, quality, reason. Copies share the
    mean of their probabilities. Where copies disagree, the rows are suspected that have another label than most of
    their group, or between equals than the most probable one. The others are the rows of lowest self-confidence that
    are not predicted as labelled; cleanlab estimates how many (the filter `low_self_confidence`).
    """
    shared = _shared(probabilities, groups)
    agreed = _agreed(labels, shared, groups)
    odd = agreed != labels
    quality, doubted = _by_model(labels, shared)
    rows = np.concatenate([_ranked(odd, quality), _ranked(doubted & ~odd, quality)])
    suggested = np.where(odd, agreed, shared.argmax(axis=1))[rows]
    return pd.DataFrame(
        {
            "row": rows,
            "label": labels[rows],
            "suggested": suggested,
            "p_label": shared[rows, labels[rows]],
            "p_suggested": shared[rows, suggested],
            "quality": quality[rows],
            "reason": np.where(odd[rows], COPIES, MODEL),
        }
    )


def _shared(probabilities: np.ndarray, groups: np.ndarray) -> np.ndarray:
    mean = pd.DataFrame(probabilities).groupby(groups).transform("mean").to_numpy()
    return mean / mean.sum(axis=1, keepdims=True)


def _agreed(labels: np.ndarray, shared: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each row's label, or in a group of several labels the commonest, then the most probable one."""
    agreed = labels.copy()
    different = pd.Series(labels).groupby(groups).transform("nunique").to_numpy() > 1
    for group in np.unique(groups[different]):
        rows = np.flatnonzero(groups == group)
        votes = np.bincount(labels[rows], minlength=shared.shape[1])
        agreed[rows] = max(np.flatnonzero(votes), key=lambda label: (votes[label], shared[rows[0], label]))
    return agreed


def _by_model(labels: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cleanlab's quality of every label, and which labels it doubts; copies at the edge are in together."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    quality = get_label_quality_scores(labels, shared, method="self_confidence")
    doubted = find_label_issues(labels, shared, filter_by="low_self_confidence", n_jobs=1)
    edge = quality[doubted].max(initial=-1.0)
    return quality, (quality <= edge) & (shared.argmax(axis=1) != labels)


def _ranked(chosen: np.ndarray, quality: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(quality[rows], kind="stable")]
