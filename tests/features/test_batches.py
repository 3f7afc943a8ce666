"""The input chain: what an epoch shows, in which order, and the batches read for it."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripik.features.batches import ArrayRows, Batches, epoch_examples, first_batch, id_keys, one_a_group, prefetched
from ripik.features.tta import VIEWS
from ripik.training.callbacks import Fed

PHOTOS = 200
KEYS = id_keys([str(number) for number in range(PHOTOS)])
ROWS = st.lists(st.integers(0, PHOTOS - 1), min_size=1, max_size=60, unique=True).map(np.array)
SEED, EPOCH = st.integers(0, 2**31 - 1), st.integers(0, 100)


def examples(rows: np.ndarray, blocks: int, per_row: int, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return epoch_examples(KEYS, rows, blocks, per_row, seed=seed, epoch=epoch)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 6), st.integers(1, 6), SEED, EPOCH)
def test_an_epoch_shows_every_row_exactly_per_row_times(
    rows: np.ndarray, blocks: int, per_row: int, seed: int, epoch: int
) -> None:
    per_row = min(per_row, blocks)
    found = examples(rows, blocks, per_row, seed, epoch)
    assert found.dtype == np.int64
    assert sorted(found % PHOTOS) == sorted(np.repeat(rows, per_row))
    assert len(np.unique(found)) == len(found) == len(rows) * per_row  # never the same copy twice
    assert found.min() >= 0
    assert found.max() < blocks * PHOTOS


@settings(max_examples=30, deadline=None)
@given(ROWS, SEED, EPOCH, st.randoms())
def test_a_photos_draw_depends_on_seed_epoch_and_id_alone(rows, seed, epoch, random) -> None:
    """Not on the order of the rows, nor on which other rows there are, nor on where the photo stands in the CSV."""
    found = examples(rows, 4, 2, seed, epoch)
    shuffled = random.sample(rows.tolist(), len(rows))
    np.testing.assert_array_equal(examples(np.array(shuffled), 4, 2, seed, epoch), found)
    some = rows[: len(rows) // 2 + 1]
    np.testing.assert_array_equal(examples(some, 4, 2, seed, epoch), found[np.isin(found % PHOTOS, some)])
    backwards = epoch_examples(KEYS[::-1], PHOTOS - 1 - rows, 4, 2, seed=seed, epoch=epoch)
    block, row = np.divmod(backwards, PHOTOS)
    np.testing.assert_array_equal(block * PHOTOS + PHOTOS - 1 - row, found)


def test_epochs_and_seeds_differ() -> None:
    rows = np.arange(100)
    assert len({examples(rows, 5, 1, seed, epoch).tobytes() for seed in range(9) for epoch in range(9)}) == 81


def test_all_copies_get_their_turn_evenly() -> None:
    blocks = np.concatenate([examples(np.arange(PHOTOS), 4, 1, 7, epoch) // PHOTOS for epoch in range(20)])
    assert np.bincount(blocks, minlength=4) / len(blocks) == pytest.approx(0.25, abs=0.03)


def test_examples_are_shuffled_across_photos_and_copies() -> None:
    found = examples(np.arange(PHOTOS), 5, 5)
    for part in np.divmod(found, PHOTOS):
        assert abs(np.corrcoef(part, np.arange(len(found)))[0, 1]) < 0.1


def test_ids_get_keys_of_their_own() -> None:
    assert len(set(KEYS.tolist())) == PHOTOS
    bits = (KEYS[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.2


def test_batches_hold_every_example_once_in_order_the_last_one_short() -> None:
    source = ArrayRows(np.arange(20, dtype="float32").reshape(20, 1))
    targets = np.eye(10, dtype="float32")
    chosen = epoch_examples(KEYS[:10], np.arange(1, 8), 2, 2, seed=0, epoch=0)
    batches = Batches(source, chosen, 4, targets=targets)
    found = [batches[index] for index in range(len(batches))]
    assert [len(inputs) for inputs, _ in found] == [4, 4, 4, 2]
    assert np.concatenate([inputs for inputs, _ in found])[:, 0].tolist() == chosen.tolist()
    assert np.concatenate([batch for _, batch in found]).argmax(axis=1).tolist() == (chosen % 10).tolist()


def test_pixels_stay_uint8_and_are_seen_through_the_view_features_are_not() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    (seen,) = [Batches(ArrayRows(photos), np.arange(5), 8, view="hflip")[0]]
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen, VIEWS["hflip"].apply(photos))
    features = photos[..., 0].astype(np.float16)
    (seen,) = [Batches(ArrayRows(features), np.arange(5), 8, view="hflip")[0]]
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, features)


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_prefetching_keeps_every_batch_and_the_order(rows: int) -> None:
    batches = Batches(ArrayRows(np.arange(40, dtype="float32")), np.arange(rows)[::-1], 3)
    np.testing.assert_array_equal(np.concatenate(list(prefetched(batches))), np.arange(rows)[::-1])


def test_an_error_while_prefetching_is_raised() -> None:
    with pytest.raises(IndexError):
        list(prefetched(Batches(ArrayRows(np.arange(4.0)), np.array([0, 9]), 1)))


def test_the_first_batch_of_a_short_source_is_short() -> None:
    np.testing.assert_array_equal(first_batch(ArrayRows(np.arange(3.0)), 8), np.arange(3.0))


def test_fit_gets_every_batch_once_and_in_order() -> None:
    """Also at first, when Keras looks at a batch to build the model."""
    source = ArrayRows(np.random.default_rng(0).random((60, 6)).astype("float32"))
    targets = np.eye(3, dtype="float32")[np.arange(20) % 3]
    chosen = epoch_examples(KEYS[:20], np.arange(20), 3, 3, seed=1, epoch=0)
    found = []
    for by_hand in (True, False):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax", kernel_initializer="zeros")])
        model.compile("adam", "categorical_crossentropy", jit_compile=False)
        batches = Batches(source, chosen, 7, targets=targets)
        if by_hand:
            for index in range(len(batches)):
                model.train_on_batch(*batches[index])
        else:
            model.fit(Fed(batches), shuffle=False, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_batches_may_be_asked_for_in_any_order() -> None:
    batches = Batches(ArrayRows(np.arange(40, dtype="float32")), np.arange(40), 4)
    for index in (0, 0, 5, 9, 2, 3, 0):
        np.testing.assert_array_equal(batches[index], np.arange(4 * index, 4 * index + 4))


@pytest.mark.parametrize("threads", [1, 7])
def test_as_many_threads_read_batches_as_the_process_has(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    batches = Batches(ArrayRows(np.arange(200, dtype="float32")), np.arange(200), 4)
    np.testing.assert_array_equal(np.concatenate([batches[index] for index in range(len(batches))]), np.arange(200))
    assert 1 <= len(batches.readers._threads) <= max(2, threads)


def test_dropout_is_the_same_draws_wherever_the_epoch_is_taken_up() -> None:
    source, targets = ArrayRows(np.ones((400, 50), "float32")), np.eye(2, dtype="float32")[np.arange(400) % 2]
    how = {"targets": targets, "dropout": 0.25, "seed": (7, 1)}
    whole = Batches(source, np.arange(400), 40, **how)
    inputs = np.concatenate([whole[index][0] for index in range(10)])
    assert set(np.unique(inputs)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert inputs.mean() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(inputs[:40].ravel(), inputs[40:80].ravel())[0, 1]) < 0.1
    rest = Batches(source, np.arange(400)[80:], 40, **how)
    np.testing.assert_array_equal(rest[0][0], inputs[80:120])
    other = Batches(source, np.arange(400), 40, **how | {"seed": (7, 2)})
    assert (other[0][0] != inputs[:40]).any()
    np.testing.assert_array_equal(Batches(source, np.arange(40), 40, dropout=0.25, seed=(7, 1))[0], 1)  # of prediction


GROUPS = st.lists(st.integers(0, 12), min_size=PHOTOS, max_size=PHOTOS).map(np.array)


@settings(max_examples=60, deadline=None)
@given(ROWS, GROUPS, SEED, EPOCH)
def test_one_row_of_each_group_is_drawn(rows: np.ndarray, groups: np.ndarray, seed: int, epoch: int) -> None:
    found = one_a_group(KEYS, rows, groups, seed=seed, epoch=epoch)
    assert set(found) <= set(rows)
    assert sorted(groups[found]) == sorted(set(groups[rows]))


@settings(max_examples=30, deadline=None)
@given(ROWS, GROUPS, SEED, EPOCH, st.randoms())
def test_the_row_drawn_depends_on_ids_and_groups_alone(rows, groups, seed, epoch, random) -> None:
    """Not on the order of the rows, the groups' numbers, or where the photos stand in the CSV."""
    found = one_a_group(KEYS, rows, groups, seed=seed, epoch=epoch)
    shuffled = np.array(random.sample(rows.tolist(), len(rows)))
    np.testing.assert_array_equal(
        np.sort(one_a_group(KEYS, shuffled, 99 - groups, seed=seed, epoch=epoch)), np.sort(found)
    )
    backwards = one_a_group(KEYS[::-1], PHOTOS - 1 - rows, groups[::-1], seed=seed, epoch=epoch)
    np.testing.assert_array_equal(PHOTOS - 1 - backwards, found)


def test_over_the_epochs_every_member_of_a_group_is_drawn_as_often() -> None:
    rows, groups = np.arange(PHOTOS - 2), np.arange(PHOTOS) // 3
    drawn = np.stack([one_a_group(KEYS, rows, groups, seed=0, epoch=epoch) for epoch in range(90)])
    counts = np.bincount(drawn.ravel(), minlength=PHOTOS)[rows]
    assert counts.sum() == 90 * len(np.unique(groups[rows]))
    assert 10 < counts.min() < 30 < counts.max() < 50
    other = one_a_group(KEYS, rows, groups, seed=1, epoch=0)
    assert not np.array_equal(other, drawn[0])


def test_a_large_group_stands_anywhere_in_an_epoch() -> None:
    groups = np.where(np.arange(PHOTOS) < 100, 0, np.arange(PHOTOS))
    places = []
    for epoch in range(40):
        rows = one_a_group(KEYS, np.arange(PHOTOS), groups, seed=0, epoch=epoch)
        places.append(np.flatnonzero(groups[examples(rows, 1, 1, epoch=epoch) % PHOTOS] == 0)[0])
    assert 30 < np.mean(places) < 70
