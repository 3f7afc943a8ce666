"""The merge of the views of test-time augmentation: arrays alone, no images."""

import numpy as np


def merge(probabilities: np.ndarray, how: str) -> np.ndarray:
    """Merge the probabilities of several views, (views, n, C) → (n, C), rows summing to 1.

    `arithmetic` is the mean; `geometric` the normalised geometric mean (the mean of log-probabilities).
    """
    if how == "arithmetic":
        return probabilities.mean(axis=0)
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).mean(axis=0)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
