"""The split and its mending as they were first written: every move tried, everything counted anew. Slow, plain."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from ripik.splits.splitting import _stratified


def plain_split(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int, tries: int) -> np.ndarray:
    best, least = np.zeros(0, np.int64), (np.inf, np.inf)
    for number in range(tries):
        fold = _stratified(labels, groups, n_splits, seed + number)
        if (found := plain_imbalance(labels, groups, fold, n_splits)) < least:
            best, least = fold, found
    return plain_without_absences(labels, groups, best, n_splits)


def plain_imbalance(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> tuple[float, float]:
    classes = pd.crosstab(labels, fold).reindex(columns=range(n_splits), fill_value=0).to_numpy()
    _, first = np.unique(groups, return_index=True)
    counts = np.vstack([classes, classes.sum(axis=0), np.bincount(fold[first], minlength=n_splits)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float((classes == 0).sum()), float(((shares - 1 / n_splits) ** 2).sum())


def plain_without_absences(labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, n_splits: int) -> np.ndarray:
    group, label = (np.unique(names, return_inverse=True)[1] for names in (groups, labels))
    pairs = np.unique(np.stack([group, label]), axis=1)
    holds = csr_array((np.ones(pairs.shape[1], np.int64), (pairs[0], pairs[1])))
    while moves := _helpful_moves(holds, group, fold, n_splits):
        moved = (np.where(group == number, target, fold) for target, _, number in moves)
        fold = min(moved, key=lambda each: plain_imbalance(labels, groups, each, n_splits))
    return fold


def _helpful_moves(holds: csr_array, group: np.ndarray, fold: np.ndarray, n_splits: int) -> list[tuple[int, int, int]]:
    of_group = np.zeros(holds.shape[0], np.int64)
    of_group[group] = fold
    held = holds.T @ np.eye(n_splits, dtype=np.int64)[of_group]
    lost = (holds @ (held == 1))[np.arange(len(of_group)), of_group]
    won = holds @ (held == 0) - lost[:, None]
    numbers, targets = np.nonzero(won == max(won.max(), 1))
    return sorted(
        (target, int(np.intersect1d(holds[[number]].indices, np.flatnonzero(held[:, target] == 0))[0]), number)
        for number, target in zip(numbers.tolist(), targets.tolist(), strict=True)
    )
