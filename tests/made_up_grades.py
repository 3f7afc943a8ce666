"""Ordered classes of which all is known, for tests and `benchmarks.quality.grades`."""

import numpy as np

CLASSES = 5


def graded(rows: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of a model that is drawn to the common low ranks, and the classes: rare high ones."""
    rng = np.random.default_rng(seed)
    y = rng.choice(CLASSES, rows, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    seen = y + rng.normal(0, noise, rows)
    prior = np.log([0.9, 0.06, 0.02, 0.015, 0.005])
    logits = prior - (seen[:, None] - np.arange(CLASSES)) ** 2 / (2 * noise**2)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True), y
