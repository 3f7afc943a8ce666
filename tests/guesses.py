"""Made-up probabilities of known quality."""

import numpy as np

CLASSES = 3
EVEN, STEEP = np.full(4, 0.25), np.array([0.75, 0.15, 0.06, 0.04])


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


def world(seed: int, shares: np.ndarray, n: int, separation: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw classes of these shares and return their exact posterior probabilities (n, 4), and the classes (n,)."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(shares), size=n, p=shares)
    seen = separation * np.eye(len(shares))[y] + rng.normal(size=(n, len(shares)))
    return softmax(separation * seen + np.log(shares)), y
