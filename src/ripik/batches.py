"""From rows to training batches: each epoch is a pure function of (seed, epoch), whatever came before it."""

from collections.abc import Sequence

import keras
import numpy as np


def epoch_examples(rows: np.ndarray, sources: int, per_row: int, seed: int, epoch: int) -> np.ndarray:
    """Return the examples of an epoch, shuffled: int64 (n, 2) of (source, row).

    rows: the training rows; sources: how many copies of each there are; per_row: how many different ones of them an
    epoch shows.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.random((len(rows), sources)).argsort(axis=1)[:, :per_row]
    examples = np.stack([order.ravel(), np.repeat(rows, order.shape[1])], axis=1)
    return rng.permutation(examples)


class Batches(keras.utils.PyDataset):
    """The batches of one epoch: inputs as stored (uint8 pixels or float32 features) and one-hot targets."""

    def __init__(
        self, sources: Sequence[np.ndarray], targets: np.ndarray, examples: np.ndarray, batch_size: int
    ) -> None:
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self.sources, self.targets = sources, targets
        self.examples, self.batch_size = examples, batch_size

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.examples[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = np.stack([self.sources[source][row] for source, row in chosen])
        return inputs, self.targets[chosen[:, 1]]
