"""What Keras calls while an epoch is trained."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from ripik.features.batches import Batches
from ripik.training.signs import EpochSigns


class Fed(keras.utils.PyDataset):
    """Batches as Keras takes them.

    Keras' own threads do not read ahead: with JAX, `fit` takes the first batch to build the model, and they would go on
    from the second.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__(workers=1)
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> np.ndarray | tuple[np.ndarray, ...]:
        """Return a batch."""
        return self.batches[index]


class EpochProgress(keras.callbacks.Callback):
    """Go on with an epoch's running scores, give signs of life, and stop after the present batch when asked to."""

    def __init__(self, signs: EpochSigns, metrics: Sequence[np.ndarray], asked: Callable[[], bool]) -> None:
        """Take the metrics' variables as the epoch's first batches left them; empty at its beginning."""
        super().__init__()
        self.signs, self.metrics, self.asked = signs, metrics, asked

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report where the training starts or resumes, and restore the metrics, which Keras has just reset."""
        for variable, value in zip(self.model.metrics_variables if self.metrics else (), self.metrics, strict=True):
            variable.assign(value)
        self.signs.begin()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the metrics of Keras after this many batches."""
        self.signs.after_batch(lambda: {name: float(value) for name, value in (logs or {}).items()})
        if self.asked():
            self.model.stop_training = True
