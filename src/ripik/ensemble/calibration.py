"""Bias-corrected temperature scaling: probabilities that match the accuracy, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ripik.analysis.metrics import FloatArray, IntArray, check_targets
from ripik.analysis.truth import dot, minus
from ripik.ensemble.probabilities import check_classes, check_distributions, logs, softmax
from ripik.errors import InputError

PRIOR = 0.25  # inverse variance of each parameter before any row is seen: rows that are all right ask for no infinity


@dataclass(frozen=True, eq=False)
class Calibration:
    """log p becomes exp(parameters[0]) x log p + parameters[1:], normalised; parameters (1 + C,)."""

    parameters: FloatArray

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Return the calibrated rows of (n, C) probabilities."""
        check_distributions(probabilities, "probabilities")
        check_classes(probabilities, self.parameters[1:])
        return self.of_logs(logs(probabilities))

    def of_logs(self, values: FloatArray) -> FloatArray:
        """Return the calibrated rows of (n, C) logarithms."""
        return softmax(np.exp(self.parameters[0]) * values + self.parameters[1:])

    def as_json(self) -> list[float]:
        """Return what `from_json` reads."""
        numbers: list[float] = self.parameters.tolist()
        return numbers

    @classmethod
    def from_json(cls, content: list[float]) -> Calibration:
        """Return the calibration from its `as_json`; raises `InputError` for anything else."""
        try:
            parameters = np.array(content, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"This is not a stored calibration ({error!r}): fit it again.") from error
        if parameters.ndim != 1 or len(parameters) < 3 or not np.isfinite(parameters).all():
            raise InputError(f"A calibration is a finite number and one more per class, not {parameters.tolist()}.")
        return cls(parameters)


def calibrate(probabilities: FloatArray, y: IntArray) -> Calibration:
    """Return the calibration under which the classes y (n,) are likeliest, given (n, C) probabilities of fresh rows.

    Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020, ICML): one temperature, and one bias a
    class, which undoes class weights in training. The log of the inverse temperature and the biases are held near 0 by
    a normal prior of deviation 2. Raises `InputError` for missing values and wrong shapes.
    """
    check_distributions(probabilities, "probabilities")
    y = np.asarray(y)
    check_targets(y, *probabilities.shape)
    values, start = logs(probabilities), np.zeros(1 + probabilities.shape[1])
    found = minimize(_loss, start, args=(values, y), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return Calibration(found.x)


def score_rows(calibration: Calibration, values: FloatArray, y: IntArray) -> FloatArray:
    """Return each row's slope of the loss by every parameter, (n, 1 + C); values are logarithms (n, C)."""
    rest = calibration.of_logs(values)
    minus(rest, y)
    by_scale = np.exp(calibration.parameters[0]) * (rest * values).sum(axis=1)
    return np.column_stack([by_scale, rest])


def curvature(calibration: Calibration, values: FloatArray) -> FloatArray:
    """Return the expected second derivative of the penalised loss, (1 + C, 1 + C), positive definite."""
    found, scaled = calibration.of_logs(values), np.exp(calibration.parameters[0]) * values
    mean = (found * scaled).sum(axis=1, keepdims=True)
    curved = np.empty((len(calibration.parameters),) * 2)
    curved[0, 0] = (found * (scaled - mean) ** 2).sum()
    curved[0, 1:] = curved[1:, 0] = (found * (scaled - mean)).sum(axis=0)
    curved[1:, 1:] = np.diag(found.sum(axis=0)) - found.T @ found
    return curved + PRIOR * np.eye(len(curved))


def _loss(parameters: FloatArray, values: FloatArray, y: IntArray) -> tuple[float, FloatArray]:
    scale = np.exp(parameters[0])
    moved = scale * values + parameters[1:]
    moved -= moved.max(axis=1, keepdims=True)
    powers = np.exp(moved)
    sums = powers.sum(axis=1)
    loss = float((np.log(sums) - dot(y, moved)).sum()) + PRIOR / 2 * float(parameters @ parameters)
    rest = minus(powers / sums[:, None], y)
    slope = np.concatenate([[scale * (rest * values).sum()], rest.sum(axis=0)])
    return loss, slope + PRIOR * parameters
