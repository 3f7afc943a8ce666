"""A linear head on stored features, fitted in seconds: multinomial logistic regression on standardised columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression

from ripik.errors import InputError

STRENGTH = (
    0.01  # scikit-learn's C, the best by log loss in grouped folds of 1,722 photos; less holds the weights nearer 0
)
TOLERANCE = (
    1e-3  # of the gradient's largest entry; a tenth of it doubles the seconds, and moves scores by 0.002 at most
)
ITERATIONS = 300
RARE = 1e-6
BLOCK = 4096  # rows taken at once, so that only one standardised copy of the features is ever held

Weights = Mapping[int, float] | Literal["balanced"] | None  # of the classes


@dataclass(frozen=True)
class LinearHead:
    """A fitted head. mean, scale: (d,); weights: (d, C); bias: (C,), −∞ for a class without training rows."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the classes' probabilities, float32 (n, C), of features (n, d); 0 for a class it never saw."""
        found = np.empty((len(features), len(self.bias)), np.float32)
        for rows in _blocks(len(features)):
            found[rows] = _softmax(((features[rows] - self.mean) / self.scale) @ self.weights + self.bias)
        return found

    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel (d, C) and bias (C,), float32, of a head that reads features as they are stored.

        A class without training rows is RARE times less probable than any other at most, so that its loss stays finite.
        """
        kernel = self.weights / self.scale[:, None]
        seen = np.isfinite(self.bias)
        bias = np.where(seen, self.bias, self.bias[seen].min() + np.log(RARE)) - self.mean @ kernel
        return kernel.astype(np.float32), bias.astype(np.float32)


def fit(
    features: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    *,
    strength: float = STRENGTH,
    balanced: bool = False,
    rows: np.ndarray | None = None,
) -> LinearHead:
    """Fit a head to features (n, d), class indices y (n,) in 0…n_classes−1, or to the given rows of both.

    `balanced` gives every class the same total weight. Errors and method as of `fit_path`.
    """
    weights: Weights = "balanced" if balanced else None
    return next(fit_path(features, y, n_classes, [strength], weights=weights, rows=rows))


def fit_path(
    features: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    strengths: Sequence[float],
    *,
    weights: Weights = None,
    rows: np.ndarray | None = None,
    counts: np.ndarray | None = None,
) -> Iterator[LinearHead]:
    """Yield a head for each of the strengths, each fitted from the one before: so begin with the smallest.

    features: (n, d); y: class indices (n,) in 0…n_classes−1, or shares of the classes (n, n_classes), of which a row
    stands for one of each class, counted by its share. counts: how much each row counts, (n,); None: 1.
    Columns are standardised on the rows fitted to; a constant column is left out of account. The same rows give the
    same heads, as long as the number of BLAS threads is the same.
    Method: L2-penalised softmax regression by L-BFGS (scikit-learn's LogisticRegression), in float32.
    Raises InputError for features that are no finite numbers.
    """
    chosen = np.arange(len(y)) if rows is None else rows
    mean, scale = _moments(features, chosen)
    columns = np.empty((len(chosen), features.shape[1]), np.float32)
    for block in _blocks(len(chosen)):
        columns[block] = (features[chosen[block]] - mean) / scale
    columns, truth, counted = _single(columns, y[chosen], None if counts is None else counts[chosen])
    solver = LogisticRegression(tol=TOLERANCE, max_iter=ITERATIONS, class_weight=weights, warm_start=True)
    for strength in strengths:
        yield LinearHead(mean, scale, *_solve(solver.set_params(C=strength), columns, truth, n_classes, counted))


def _single(
    columns: np.ndarray, y: np.ndarray, counts: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows of one class each, their classes, and how much each counts (None: 1)."""
    if y.ndim == 1:
        return columns, y, counts
    row, of_class = np.nonzero(y)
    return columns[row], of_class, y[row, of_class] * (1 if counts is None else counts[row])


def out_of_fold(
    features: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    n_classes: int,
    *,
    strength: float = STRENGTH,
    balanced: bool = False,
    fitted: np.ndarray | None = None,
    done: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Return float32 (n, C) probabilities of every row by the head that was fitted to the other folds' rows.

    fold: (n,). fitted: which rows heads are fitted to, bool (n,); None: all. `done` is called after each fold. Other
    arguments and errors as of `fit`.
    """
    found = np.full((len(y), n_classes), np.nan, np.float32)
    for held in np.unique(fold):
        rows = np.flatnonzero((fold != held) & (True if fitted is None else fitted))
        head = fit(features, y, n_classes, strength=strength, balanced=balanced, rows=rows)
        found[fold == held] = head.probabilities(features[fold == held])
        done()
    return found


def _solve(
    solver: LogisticRegression, columns: np.ndarray, y: np.ndarray, n_classes: int, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (d, C) and bias (C,), −∞ for a class that has no rows."""
    weights = np.zeros((columns.shape[1], n_classes), np.float32)
    bias, present = np.full(n_classes, -np.inf, np.float32), np.unique(y)
    if len(present) == 1:
        bias[present] = 0
        return weights, bias
    solver.fit(columns, y, sample_weight=counts)
    if len(present) == 2:  # one set of weights, for the second class against the first
        weights[:, present[1]], bias[present] = solver.coef_[0], (0, solver.intercept_[0])
    else:
        weights[:, present], bias[present] = solver.coef_.T, solver.intercept_
    return weights, bias


def _moments(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns' means and standard deviations, float32 (d,); ∞ for those of a constant column."""
    total, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for block in _blocks(len(rows)):
        total += features[rows[block]].sum(axis=0, dtype=np.float64)
    if not np.isfinite(total).all():
        raise InputError("some stored features are NaN or infinite. Delete the run's features folder and run again.")
    mean = total / len(rows)
    for block in _blocks(len(rows)):
        squares += np.square(features[rows[block]] - mean).sum(axis=0)
    scale = np.sqrt(squares / len(rows))
    constant = scale <= np.finfo(np.float32).eps * np.abs(mean)
    return mean.astype(np.float32), np.where(constant, np.inf, scale).astype(np.float32)


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK):
        yield slice(start, start + BLOCK)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
