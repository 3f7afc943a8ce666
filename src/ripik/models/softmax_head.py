"""A head in plain NumPy: one product of matrices and a softmax, trained by Adam on categorical cross-entropy.

What it computes is what Keras does, to rounding. The bytes are decided by NumPy, its BLAS and the CPU's instructions:
BLAS gets one thread (`one_blas_thread`), and no head shares an operation with another, so that neither the number of
threads nor the company changes a bit.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import ThreadpoolController

from ripik.models.predictor import Predictor
from ripik.names import FLOAT32, NUMPY

BETAS = 0.9, 0.999  # Keras' defaults, as is EPSILON
MOMENTUM, VELOCITY = map(np.float32, BETAS)
NEW_MOMENTUM, NEW_VELOCITY = (np.float32(1 - beta) for beta in BETAS)  # not 1 - float32(beta), which is 5e-5 off
EPSILON = np.float32(1e-7)
ONE = np.float32(1)


def glorot_uniform(seed: int) -> Callable[..., np.ndarray]:
    """Return an initialiser that draws the same with every backend (Glorot & Bengio 2010, AISTATS)."""

    def draw(shape: Sequence[int], dtype: str | None = None) -> np.ndarray:
        limit = np.sqrt(6 / sum(shape))
        return np.random.default_rng(seed).uniform(-limit, limit, shape).astype(dtype or FLOAT32)

    return draw


def one_blas_thread() -> AbstractContextManager:
    """Return a context in which products of matrices use one thread, in the whole process."""
    return _controller().limit(limits=1, user_api="blas")


@functools.lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015, ICLR) as Keras computes it, on one vector of float32.

    The moments and the number of steps are its state.
    """

    momentum: np.ndarray
    velocity: np.ndarray
    steps: int = 0
    _room: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._room = np.empty_like(self.momentum), np.empty_like(self.momentum)

    @classmethod
    def of(cls, size: int) -> "Adam":
        """Return the state before the first step."""
        return cls(np.zeros(size, np.float32), np.zeros(size, np.float32))

    def update(self, values: np.ndarray, gradient: np.ndarray, rate: np.float32) -> None:
        """Change `values` by one step of this learning rate."""
        self.steps += 1
        one, other = self._room
        _approach(self.momentum, gradient, NEW_MOMENTUM, one)
        np.multiply(gradient, gradient, other)
        _approach(self.velocity, other, NEW_VELOCITY, one)
        np.sqrt(self.velocity, one)
        np.add(one, EPSILON, one)
        np.multiply(self.momentum, self._size(rate), other)
        np.divide(other, one, other)
        np.subtract(values, other, values)

    def _size(self, rate: np.float32) -> np.float32:
        step = np.float32(self.steps)
        return np.float32(rate) * np.sqrt(ONE - np.power(VELOCITY, step)) / (ONE - np.power(MOMENTUM, step))


def _approach(mean: np.ndarray, value: np.ndarray, part: np.float32, room: np.ndarray) -> None:
    np.subtract(value, mean, room)
    np.multiply(room, part, room)
    np.add(mean, room, mean)


class SoftmaxHead:
    """A kernel (d, C) and a bias (C,), float32, which stand in one vector, `values`."""

    def __init__(
        self, kernel: np.ndarray, bias: np.ndarray, label_smoothing: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        """Copy kernel and bias; the smoothing takes so much of every target and shares it among all classes.

        Each step takes rate × weight_decay × value from the kernel (AdamW, Loshchilov and Hutter 2019, ICLR).
        """
        self.values = np.concatenate([kernel.ravel(), bias]).astype(np.float32)
        self.gradient = np.empty_like(self.values)
        self.shape, self.smoothing = kernel.shape, np.float32(label_smoothing)
        self.decay = np.float32(weight_decay)
        self.kernel, self.bias = self.parts(self.values)

    def parts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the kernel and the bias in such a vector, as views."""
        size = self.shape[0] * self.shape[1]
        return values[:size].reshape(self.shape), values[size:]

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Return the softmax of inputs (n, d), float32 (n, C)."""
        found = np.exp(self._centred(inputs))
        return found / found.sum(axis=1, keepdims=True)

    def learn(
        self,
        optimizer: Adam,
        rate: np.float32,
        inputs: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> tuple[float, int]:
        """Take one step on a batch: inputs (n, d), targets (n, C) as shares, weights of the examples (n,).

        Returns the sum of the weighted losses before the step, and how many examples were right.
        """
        centred = self._centred(inputs)
        found = np.exp(centred)
        sums = found.sum(axis=1, keepdims=True)
        found /= sums
        right = int((found.argmax(axis=1) == targets.argmax(axis=1)).sum())
        targets = self._smoothed(targets)
        losses = (targets * (np.log(sums) - centred)).sum(axis=1)
        found -= targets
        if weights is not None:
            losses, found = losses * weights, found * weights[:, None]
        found /= np.float32(len(inputs))
        kernel, bias = self.parts(self.gradient)
        np.matmul(inputs.T, found, out=kernel)
        found.sum(axis=0, out=bias)
        if self.decay:
            self.kernel *= ONE - np.float32(rate) * self.decay
        optimizer.update(self.values, self.gradient, rate)
        return float(losses.sum()), right

    def _centred(self, inputs: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # who asks looks for numbers that are none
            logits = inputs @ self.kernel
            logits += self.bias
            logits -= logits.max(axis=1, keepdims=True)
        return logits

    def _smoothed(self, targets: np.ndarray) -> np.ndarray:
        if not self.smoothing:
            return targets
        return targets * (ONE - self.smoothing) + self.smoothing / np.float32(targets.shape[1])


def head_predictor(kernel: np.ndarray, bias: np.ndarray) -> Predictor:
    """Return what predicts with a head alone, from the outputs of the frozen layers."""
    head = SoftmaxHead(kernel, bias)

    def run(batch: np.ndarray) -> np.ndarray:
        with one_blas_thread():
            return head.probabilities(batch)

    return Predictor(NUMPY, 1, 0.0, bias.shape, FLOAT32, run)
