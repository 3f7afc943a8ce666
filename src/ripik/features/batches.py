"""The input chain: from image ids to batches, the same for training and for prediction.

ids → examples (which copy of which photo, in which order) → rows of packed files → batches as they are stored (uint8
pixels, or outputs of frozen layers) → targets beside them. Every choice is a function of (seed, epoch, id), and
nothing but reading is left to threads, so their number and order never change a batch.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from typing import Protocol

import numpy as np

from ripik.errors import RipikError
from ripik.execution import environment
from ripik.features.tta import IDENTITY, VIEWS

READERS, AHEAD = 2, 2  # threads that read batches, at least, and how many of them each may be ahead of the network
MOST_AHEAD = 2**28  # bytes of them


class Source(Protocol):
    """Rows that can be read at random: packed files, or an array in memory."""

    dtype: np.dtype
    row_shape: tuple[int, ...]

    def __len__(self) -> int:
        """Return how many rows there are."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the given rows."""


Altered = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


Draws = Callable[[tuple[int, ...], tuple[int, ...]], np.ndarray]


def uniform(seed: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Return draws from [0, 1) that depend on the seed alone, float32 of a shape."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


class ArrayRows:
    """An array in memory as a source."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.dtype, self.row_shape = array, array.dtype, array.shape[1:]

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the given rows."""
        return self.array[rows]


def id_keys(ids: Iterable[str]) -> np.ndarray:
    """Return 64 well-mixed bits for every id, uint64 (n,)."""
    return np.array([int.from_bytes(blake2b(i.encode(), digest_size=8).digest(), "big") for i in ids], np.uint64)


def epoch_examples(
    keys: np.ndarray, rows: np.ndarray, blocks: int, per_row: int, *, seed: int, epoch: int
) -> np.ndarray:
    """Return the examples of an epoch in their order: int64 numbers, block × n + row, of a source of n rows a block.

    keys: `id_keys` of all n photos; rows: those to train on; blocks: how many versions of them there are; per_row: how
    many of these an epoch shows. Every (photo, block) gets a random number from (seed, epoch, id, block) alone: the
    smallest `per_row` of a photo are shown, in the order of the numbers.
    """
    epoch_key = _mixed(_mixed(np.array([seed], np.uint64)) + np.uint64(epoch))
    draws = _mixed(keys[rows][:, None] ^ _mixed(epoch_key + np.arange(blocks, dtype=np.uint64)))
    chosen = draws.argsort(axis=1)[:, :per_row]
    examples = chosen * len(keys) + rows[:, None]
    return examples.ravel()[np.take_along_axis(draws, chosen, axis=1).ravel().argsort()]


def one_a_group(keys: np.ndarray, rows: np.ndarray, groups: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
    """Return one of the rows for every group they are of, in the order of the rows.

    keys: `id_keys` of all n photos; groups: (n,), equal numbers are one group. Every photo gets a random number from
    (seed, epoch, id) alone; of each group's rows the one with the smallest is returned.
    """
    epoch_key = _mixed(_mixed(np.array([seed], np.uint64)) + np.uint64(epoch))
    by_draw = rows[_mixed(keys[rows] ^ _mixed(~epoch_key)).argsort()]
    _, first = np.unique(groups[by_draw], return_index=True)
    return rows[np.isin(rows, by_draw[first])]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit numbers (the finaliser of SplitMix64; Steele, Lea & Flood 2014, OOPSLA)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Batches:
    """The batches of given examples, in their order, the last one short: inputs, or (inputs, targets).

    Pixels are seen through `view`, and stay uint8; float16 becomes float32. Asked for one, threads read the next few
    too.
    class_weights: float (C,); a third element then has the weight of every example. row_weights: the same of every row
    of the targets, (n,); the two are multiplied. devices: among so many of them each batch is divided evenly: the last
    one is filled up with examples of weight 0, and the others of it weigh so much more that the mean loss stays that of
    the short batch. dropout: the rate at which inputs are dropped, as
    `keras.layers.Dropout` does, by draws that depend on `seed` and a batch's first example alone, with any backend.
    altered: what becomes of a batch's examples, images and targets before it is fed. draws: `uniform`, or what
    remembers what that has drawn.
    """

    def __init__(
        self,
        source: Source,
        examples: np.ndarray,
        batch_size: int,
        *,
        targets: np.ndarray | None = None,
        class_weights: np.ndarray | None = None,
        row_weights: np.ndarray | None = None,
        devices: int = 1,
        dropout: float = 0.0,
        seed: Sequence[int] = (),
        view: str = IDENTITY,
        altered: Altered | None = None,
        draws: Draws = uniform,
    ) -> None:
        self.source, self.examples, self.batch_size = source, examples, batch_size
        self.targets, self.view = targets, VIEWS[view]
        self.class_weights, self.row_weights, self.devices = class_weights, row_weights, devices
        self.dropout, self.seed, self.altered, self.draws = dropout, tuple(seed), altered, draws
        self.failure: RipikError | None = None
        readers = max(READERS, environment.threads())
        size = max(1, batch_size * math.prod(source.row_shape) * source.dtype.itemsize)
        self.readers = ThreadPoolExecutor(readers)
        self.ahead = max(READERS, min(AHEAD * readers, MOST_AHEAD // size))
        self.asked: dict[int, Future] = {}

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, index: int) -> np.ndarray | tuple[np.ndarray, ...]:
        """Return a batch; what could not be read is also kept in `failure`."""
        wanted = range(index, min(index + 1 + self.ahead, len(self)))
        self.asked = {number: self.asked.get(number) or self.readers.submit(self.make, number) for number in wanted}
        return self.asked.pop(index).result()

    def make(self, index: int) -> np.ndarray | tuple[np.ndarray, ...]:
        """Read a batch and make it what the network gets."""
        chosen = self.examples[index * self.batch_size : (index + 1) * self.batch_size]
        if self.targets is None:
            return self._read(chosen)
        filled = np.concatenate([chosen, chosen[:1].repeat(-len(chosen) % self.devices)])
        rows = filled % len(self.targets)
        inputs, targets, own = self._dropped(self._read(filled), int(chosen[0])), self.targets[rows], self._own(rows)
        if self.altered is not None:
            inputs, both = self.altered(filled, inputs, np.concatenate([targets, own], axis=1))
            targets, own = np.split(both, [targets.shape[1]], axis=1)  # an example's weight is mixed as its target
        if self.class_weights is None and self.row_weights is None and self.devices == 1:
            return inputs, targets
        weights = np.ones(len(filled)) if self.class_weights is None else targets @ self.class_weights
        weights = weights * own[:, 0] if own.size else weights
        weights[len(chosen) :] = 0
        return inputs, targets, (weights * len(filled) / len(chosen)).astype(np.float32)

    def _own(self, rows: np.ndarray) -> np.ndarray:
        """Return the weights of rows as a column, float32 (len(rows), 1); (len(rows), 0) where they have none."""
        if self.row_weights is None:
            return np.empty((len(rows), 0), np.float32)
        return self.row_weights[rows, None].astype(np.float32)

    def _dropped(self, inputs: np.ndarray, first: int) -> np.ndarray:
        if not self.dropout:
            return inputs
        draws = self.draws((*self.seed, first), inputs.shape)
        kept = np.divide(inputs, np.float32(1 - self.dropout))
        np.copyto(kept, np.float32(0), where=draws < self.dropout)
        return kept

    def _read(self, examples: np.ndarray) -> np.ndarray:
        try:
            inputs = self.source.read(examples)
        except RipikError as error:
            self.failure = error
            raise
        if is_pixels(self.source):
            return np.ascontiguousarray(self.view.apply(inputs))
        return inputs.astype(np.float32) if inputs.dtype == np.float16 else inputs


def first_batch(source: Source, size: int) -> np.ndarray:
    """Return the first rows of a source, at most `size`, as a network gets them."""
    return next(iter(prefetched(Batches(source, np.arange(min(size, len(source))), size))))


def is_pixels(source: Source) -> bool:
    """Whether a source holds images rather than outputs of frozen layers."""
    return source.dtype == np.uint8


def prefetched(batches: Batches) -> Iterator:
    """Yield the batches in order, while threads read the next few."""
    return map(batches.__getitem__, range(len(batches)))
