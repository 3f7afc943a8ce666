"""A network ready to predict, whichever engine runs it; imported without Keras."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ripik.models import backend as runtime
from ripik.names import FLOAT32, KERAS

Compute = Callable[[np.ndarray], np.ndarray]  # a batch of a network's inputs → its outputs


@dataclass(frozen=True)
class Predictor:
    """A network ready to predict: the engine that runs it, and how far it is from Keras on real images."""

    engine: str
    threads: int
    disagreement: float
    output: tuple[int, ...]  # shape of an image's output
    precision: str
    _run: Compute

    def record(self) -> dict[str, Any]:
        """Return what a meta file tells of the engine."""
        name = f"{self.engine} {importlib.metadata.version(self.engine)}"
        if self.engine != KERAS:
            return {"name": name, "precision": FLOAT32, "threads": self.threads}
        return {"name": name, "backend": runtime.backend(), "precision": self.precision, "threads": self.threads}

    def decides_bits(self, batch_size: int) -> dict[str, Any]:
        """Return what of the engine decides the last bits of an output: for Keras also threads and batch size."""
        record = self.record()
        return record | {"batch_size": batch_size} if self.engine == KERAS else {"name": record["name"]}

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the outputs, float32 (n, …), of batches of the network's inputs."""
        return map(self._run, batches)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        agreement = f"; differs from Keras by {self.disagreement:.0e}" if self.engine != KERAS else ""
        return f"{self.record()['name']}, {self.precision}, {threads}{agreement}"
