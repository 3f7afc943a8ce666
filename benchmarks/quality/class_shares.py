"""Are the class shares of a test set found, and do their intervals hold? Shares are planted, methods compared.

    python -m benchmarks.quality.class_shares --run output/<run> [--members original finetuned] [--repeats 4]
    python -m benchmarks.quality.class_shares --simulated [--repeats 10]

With a finished run, each held fold's groups of near copies are drawn again to three planted shares, and models are
calibrated on the other folds' out-of-fold rows; a group drawn twice counts as one witness. Members are judged as they
are, and as if trained otherwise: with class weights (divided by the class shares), label smoothing (0.3), and too sure
(to the power 2.5). Simulated: five folds' models with errors of their own, photos in three copies. Methods:

- mean: EM on the mean of the models, uncalibrated (Saerens et al. 2002);
- BBSE: by the confusion of the labels (Lipton et al. 2018), model by model;
- BCTS + EM: calibrated (Alexandari et al. 2020), EM model by model;
- ripik: `class_shares.estimate_shares`, calibrated EM corrected by counts.

Shown: half the sum of the classes' errors, the mean over pseudo-tests; and the part of the classes whose true share
lies in the 95 % interval. Those of the first three are quantiles of draws of both sets' groups, all fitted again.
Asked of ripik: at least 0.90 in every row.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from benchmarks.quality.pseudo_blends import read_run
from ripik.analysis.metrics import FloatArray, IntArray
from ripik.console import table
from ripik.ensemble.calibration import calibrate
from ripik.ensemble.class_shares import estimate_shares
from ripik.ensemble.decision import estimate_priors
from ripik.ensemble.recipe import LabelledPredictions

TRAIN = np.array([0.30, 0.25, 0.20, 0.15, 0.07, 0.03])


@dataclass(frozen=True)
class Pseudo:
    """Known rows out of fold, and a test set as each model predicts it, with its truth."""

    oof: FloatArray
    y: IntArray
    group: IntArray
    models: list[FloatArray]
    test: IntArray
    test_group: IntArray

    def shares(self, of: IntArray) -> FloatArray:
        """Return the class shares among class indices, (C,)."""
        return np.bincount(of, minlength=self.oof.shape[1]) / len(of)

    def taken(self, known: IntArray, test: IntArray) -> "Pseudo":
        """Return some of the rows of either side, in any number."""
        models = [each[test] for each in self.models]
        return Pseudo(self.oof[known], self.y[known], self.group[known], models, self.test[test], self.test_group[test])


Method = Callable[[Pseudo], FloatArray]


def em_of_mean(of: Pseudo) -> FloatArray:
    """Estimate from the mean of the models as it is."""
    return estimate_priors(np.mean(of.models, axis=0), of.shares(of.y)).priors


def bcts_em(of: Pseudo) -> FloatArray:
    """Estimate from each model calibrated."""
    fair, train = calibrate(of.oof, of.y), of.shares(of.y)
    return np.mean([estimate_priors(fair.apply(each), train).priors for each in of.models], axis=0)


def bbse(of: Pseudo) -> FloatArray:
    """Estimate from the most probable classes and their confusion."""
    names = np.eye(of.oof.shape[1])
    counts = names[of.y].T @ names[of.oof.argmax(axis=1)]
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    system = np.vstack([rates.T, 1e3 * np.ones(len(names))])
    found = [nnls(system, np.append(of.shares(each.argmax(axis=1)), 1e3))[0] for each in of.models]
    return np.mean([each / each.sum() for each in found], axis=0)


METHODS: dict[str, Method] = {"mean": em_of_mean, "BBSE": bbse, "BCTS + EM": bcts_em}


def judged(of: Pseudo, draws: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return each method's error, and the share of classes whose interval holds the truth."""
    truth, found = of.shares(of.test), {}
    for name, method in METHODS.items():
        rng = np.random.default_rng(seed)
        again = [method(of.taken(_redrawn(of.group, rng), _redrawn(of.test_group, rng))) for _ in range(draws)]
        low, high = np.quantile(again, [0.025, 0.975], axis=0)
        found[name] = _told(method(of), low, high, truth)
    own = estimate_shares(of.oof, of.y, of.group, of.models, of.test_group)
    return found | {"ripik": _told(own.estimated, own.low, own.high, truth)}


def _redrawn(group: IntArray, rng: np.random.Generator) -> IntArray:
    names, code = np.unique(group, return_inverse=True)
    times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
    return np.repeat(np.arange(len(group)), times[code])


def _told(found: FloatArray, low: FloatArray, high: FloatArray, truth: FloatArray) -> tuple[float, float]:
    return float(np.abs(found - truth).sum() / 2), float(((low <= truth) & (truth <= high)).mean())


def trained_otherwise(values: FloatArray, how: str, train: FloatArray) -> FloatArray:
    """Return probabilities as of a member trained otherwise."""
    if how == "label smoothing":
        return 0.7 * values + 0.3 / values.shape[1]
    moved = values / np.maximum(train, 1e-9) if how == "class weights" else values**2.5 if how == "too sure" else values
    return moved / moved.sum(axis=1, keepdims=True)


TRAININGS = ("as it is", "class weights", "label smoothing", "too sure")


def planted(train: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Return three other class shares: reversed, one class of 70 %, and any (even on the simplex)."""
    one = np.where(np.arange(len(train)) == rng.integers(len(train)), 7 / 3 * (1 - train), train)
    order, turned = np.argsort(train), np.empty_like(train)
    turned[order] = train[order[::-1]]
    return {"reversed": turned, "one class": one / one.sum(), "any": rng.dirichlet(np.ones(len(train)))}


def of_run(known: LabelledPredictions, member: int, repeats: int) -> Iterator[tuple[str, Pseudo]]:
    """Yield the kind of shift and a held fold drawn to it, fold by fold."""
    values = known.rows.probabilities[member].mean(axis=0)
    for fold in np.unique(known.fold):
        held, others = np.flatnonzero(known.fold == fold), np.flatnonzero(known.fold != fold)
        for seed in range(repeats):
            rng = np.random.default_rng([seed, int(fold)])
            train = np.bincount(known.y[others], minlength=values.shape[1]) / len(others)
            for name, shares in planted(train, rng).items():
                rows = _drawn(known, held, shares, rng)
                sides = (values[others], known.y[others], known.group[others], [values[rows]])
                yield name, Pseudo(*sides, known.y[rows], known.group[rows])


def _drawn(known: LabelledPredictions, held: IntArray, shares: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return rows of the held fold: as many groups as it has, of classes drawn by the shares; a group goes by its
    first row.
    """
    names, first = np.unique(known.group[held], return_index=True)
    of_class = known.y[held][first]
    there = shares * (np.bincount(of_class, minlength=len(shares)) > 0)
    classes = rng.choice(len(shares), len(names), p=there / there.sum())
    groups = [rng.choice(names[of_class == c]) for c in classes]
    return np.concatenate([held[known.group[held] == group] for group in groups])


def simulated(seed: int, photos: int = 300, tested: int = 200) -> Iterator[tuple[str, Pseudo]]:
    """Yield the kind of shift and a made-up pseudo-test of six classes, whose models are calibrated but for errors."""
    rng = np.random.default_rng(seed)
    errors = np.eye(6) + 0.1 * rng.normal(size=(5, 6, 6))
    for name, shares in {"none": TRAIN, **planted(TRAIN, rng)}.items():
        (seen, y, group), (fresh, test, test_group) = (_photos(rng, *of) for of in ((photos, TRAIN), (tested, shares)))
        oof = np.empty((len(y), 6))
        for fold in range(5):
            oof[group % 5 == fold] = _said(seen[group % 5 == fold], errors[fold])
        yield name, Pseudo(oof, y, group, [_said(fresh, own) for own in errors], test, test_group)


def _photos(rng: np.random.Generator, photos: int, shares: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    group = np.repeat(np.arange(photos), 3)
    y = rng.choice(6, photos, p=shares)[group]
    return 1.6 * np.eye(6)[y] + 0.9 * rng.normal(size=(photos, 6))[group] + 0.4 * rng.normal(size=(len(y), 6)), y, group


def _said(seen: FloatArray, errors: FloatArray) -> FloatArray:
    values: FloatArray = np.exp(1.6 * seen @ errors) * TRAIN
    return values / values.sum(axis=1, keepdims=True)


def rows_of(name: str, cases: list[tuple[str, Pseudo]], draws: int) -> list[list[str]]:
    """Return the table's rows of a member: by training and by shift."""
    found: dict[str, list[dict[str, tuple[float, float]]]] = {}
    for number, (shift, case) in enumerate(cases):
        for how in TRAININGS:
            oof, *models = (trained_otherwise(v, how, case.shares(case.y)) for v in (case.oof, *case.models))
            told = judged(replace(case, oof=oof, models=models), draws, number)
            for key in (f"{how}", f"shift: {shift}"):
                found.setdefault(key, []).append(told)
    means = {key: {m: np.mean([t[m] for t in told], axis=0) for m in told[0]} for key, told in found.items()}
    return [[name, key, *(f"{e:.3f} / {c:.2f}" for e, c in mean.values())] for key, mean in means.items()]


def main() -> None:
    """Judge the methods and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = options.add_mutually_exclusive_group(required=True)
    where.add_argument("--run", type=Path, metavar="FOLDER")
    where.add_argument("--simulated", action="store_true")
    options.add_argument("--members", nargs="+", default=["original", "finetuned"], metavar="VARIANT")
    options.add_argument("--repeats", type=int, default=4)
    options.add_argument("--draws", type=int, default=40, help="of the other methods' intervals")
    given = options.parse_args()
    if given.run:
        known = read_run(given.run, given.members)
        cases = {name: [*of_run(known, n, given.repeats)] for n, name in enumerate(given.members)}
    else:
        cases = {"simulated": [case for seed in range(given.repeats) for case in simulated(seed)]}
    with threadpool_limits(1):
        told = [row for name, own in cases.items() for row in rows_of(name, own, given.draws)]
    table("Error of the class shares / coverage of 95 % intervals", ["member", "", *METHODS, "ripik"], told)


if __name__ == "__main__":
    main()
