"""What a training shows of a batch with live augmentation: a version of each image, mixed with others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ripik.augmentation.live import Live
from ripik.augmentation.mixing import mixed
from ripik.names import NONE, Mixing


@dataclass(frozen=True)
class Versions:
    """Draws that depend on `seed` (of the training, and the epoch), and the photos' ids and versions, alone.

    live: None for images as they are. keys: `batches.id_keys` of all n photos; example e is of photo e % n.
    """

    live: Live | None
    mix: Mixing
    alpha: float
    keys: np.ndarray
    seed: Sequence[int]

    def __call__(self, examples: np.ndarray, images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images, uint8 (n, size, size, 3), and targets, float32 (n, C), for those of the examples (n,)."""
        if self.live is not None:
            versions = [self.live.apply(image, self._rng(each)) for each, image in zip(examples, images, strict=True)]
            images = np.stack(versions)
        if self.mix == NONE:
            return images, targets
        return mixed(images, targets, self._rng(examples[0], 1), self.mix, self.alpha)

    def _rng(self, example: int, *purpose: int) -> np.random.Generator:
        version, row = divmod(int(example), len(self.keys))
        return np.random.default_rng([*self.seed, int(self.keys[row]), version, *purpose])
