import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripik.batches import Batches, epoch_examples

ROWS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(np.array)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31 - 1), st.integers(0, 100))
def test_an_epoch_shows_every_row_exactly_per_row_times(
    rows: np.ndarray, sources: int, per_row: int, seed: int, epoch: int
) -> None:
    per_row = min(per_row, sources)
    examples = epoch_examples(rows, sources, per_row, seed, epoch)
    assert examples.shape == (len(rows) * per_row, 2)
    assert examples.dtype == np.int64
    assert sorted(examples[:, 1]) == sorted(np.repeat(rows, per_row))
    assert len(np.unique(examples, axis=0)) == len(examples)  # never the same copy twice
    assert examples[:, 0].min() >= 0
    assert examples[:, 0].max() < sources


@settings(max_examples=20, deadline=None)
@given(ROWS, st.integers(0, 2**31 - 1), st.integers(0, 100))
def test_an_epoch_is_a_pure_function_of_seed_and_epoch(rows: np.ndarray, seed: int, epoch: int) -> None:
    alone = epoch_examples(rows, 4, 2, seed, epoch)
    np.random.seed(seed % 1000)
    epoch_examples(rows, 4, 2, seed, epoch + 1)
    assert np.array_equal(epoch_examples(rows, 4, 2, seed, epoch), alone)


def test_epochs_and_seeds_differ() -> None:
    rows = np.arange(100)
    seen = {epoch_examples(rows, 5, 1, seed, epoch).tobytes() for seed in range(4) for epoch in range(4)}
    assert len(seen) == 16


def test_all_copies_get_their_turn_evenly() -> None:
    sources = np.concatenate([epoch_examples(np.arange(200), 4, 1, 7, epoch)[:, 0] for epoch in range(20)])
    share = np.bincount(sources, minlength=4) / len(sources)
    assert share == pytest.approx(0.25, abs=0.03)


def test_examples_are_shuffled() -> None:
    rows = np.arange(300)
    assert abs(np.corrcoef(epoch_examples(rows, 1, 1, 0, 0)[:, 1], rows)[0, 1]) < 0.2


def test_batches_hold_every_example_once_in_order_the_last_one_short() -> None:
    sources = [np.arange(10, dtype="uint8").reshape(10, 1) + 100 * number for number in range(2)]
    targets = np.eye(10, dtype="float32")
    examples = epoch_examples(np.arange(1, 8), 2, 2, 0, 0)
    batches = Batches(sources, targets, examples, 4)
    found = [batches[index] for index in range(len(batches))]
    assert [len(inputs) for inputs, _ in found] == [4, 4, 4, 2]
    inputs = np.concatenate([batch for batch, _ in found])
    assert inputs.dtype == np.uint8
    assert inputs[:, 0].tolist() == [100 * source + row for source, row in examples]
    assert np.concatenate([batch for _, batch in found]).argmax(axis=1).tolist() == examples[:, 1].tolist()
