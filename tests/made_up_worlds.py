"""Searches of which the truth is known: trials that predict made-up rows as well as they are able to, and no better."""

from dataclasses import dataclass

import numpy as np

from ripik.analysis.metrics import get_metric
from ripik.analysis.selection import Search, Selection, Trials, replay, select

TRIALS, ROWS, CLASSES, PARTS, AT_ONCE = 50, 150, 3, 5, 8
SPREAD = 1.0  # of the log-odds that a trial gives the true class


@dataclass(frozen=True)
class Bias:
    """How much scores say too much, on average over worlds, and the standard error of that; the trials found best."""

    naive: float
    naive_error: float
    corrected: float
    corrected_error: float
    best: list[int]
    cost: float  # share of the folds that were tried


def predictions(rng: np.random.Generator, y: np.ndarray, ability: np.ndarray) -> np.ndarray:
    """Return probabilities (trials, n, C): of the true class by log-odds about each trial's ability (trials,).

    Part of the noise is the row's own, and the same for all trials, as hard photos are hard for all.
    """
    shared, own = rng.normal(size=len(y)), rng.normal(size=(len(ability), len(y)))
    odds = ability[:, None] + SPREAD * (np.sqrt(0.6) * shared + np.sqrt(0.4) * own)
    true = 1 / (1 + np.exp(-odds))
    found = np.repeat(((1 - true) / (CLASSES - 1))[:, :, None], CLASSES, axis=2)
    np.put_along_axis(found, np.broadcast_to(y, true.shape)[:, :, None], true[:, :, None], axis=2)
    return found


def truth(ability: float, metric: str) -> float:
    """Return the score of a trial of this ability on endless rows."""
    rng = np.random.default_rng(99)
    y = rng.integers(CLASSES, size=200_000)
    return get_metric(metric).function(y, predictions(rng, y, np.array([ability]))[0])


def world(seed: int, ability: np.ndarray, metric: str, *, pruned: bool) -> Trials:
    """Return the trials of one search; pruned: without what those that were pruned never predicted."""
    rng = np.random.default_rng(seed)
    y, part = rng.integers(CLASSES, size=ROWS), rng.permutation(np.arange(ROWS) % PARTS)
    found = predictions(rng, y, ability)
    trials = Trials(y, found, np.arange(ROWS), part, AT_ONCE if pruned else 0)
    utility = Search(trials, get_metric(metric), trials.tried()).utilities(np.ones(ROWS, np.int64))[0]
    found[~replay(utility, trials.at_once)[:, part]] = np.nan
    return trials


def bias(worlds: int, ability: np.ndarray, metric: str, *, pruned: bool, draws: int) -> Bias:
    """Return the bias of the best trial's score over so many worlds."""
    true = [truth(each, metric) for each in np.unique(ability)]
    known = dict(zip(np.unique(ability).tolist(), true, strict=True))
    utility, found, cost = get_metric(metric).utility, list[tuple[Selection, float]](), list[float]()
    for seed in range(worlds):
        trials = world(seed, ability, metric, pruned=pruned)
        chosen = select(trials, get_metric(metric), draws=draws, seed=seed)
        found.append((chosen, known[float(ability[chosen.best])]))
        cost.append(float(np.isfinite(trials.predictions).mean()))
    naive = np.array([utility(one.naive.value) - utility(true) for one, true in found])
    corrected = np.array([utility(one.corrected.value) - utility(true) for one, true in found])
    errors = [float(values.std(ddof=1) / worlds**0.5) for values in (naive, corrected)]
    best = [one.best for one, _ in found]
    return Bias(float(naive.mean()), errors[0], float(corrected.mean()), errors[1], best, float(np.mean(cost)))
