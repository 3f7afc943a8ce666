"""Made-up probabilities of known quality."""

import numpy as np

CLASSES = 3


def targets(seed: int, n: int = 150) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, n)


def noise(seed: int, members: int, n: int = 150) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(CLASSES), (members, n))


def skilled(y: np.ndarray, seed: int, members: int, skill: float = 1.0) -> np.ndarray:
    logits = skill * np.eye(CLASSES)[y] + np.random.default_rng(seed).normal(size=(members, len(y), CLASSES))
    return softmax(logits)


def confident(y: np.ndarray, margin: float) -> np.ndarray:
    return np.full((len(y), CLASSES), (1 - margin) / CLASSES) + margin * np.eye(CLASSES)[y]


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)
