import cv2
import numpy as np
import pytest

from ripik.splits.near_copies import candidates
from ripik.splits.near_copies.candidates import (
    CROPS,
    FLOOR,
    INNER,
    WAVES,
    candidate_pairs,
    describe,
    turned_descriptors,
)
from ripik.splits.near_copies.registration import SIZE, TURNS, turned


def thumbnail(seed: int) -> np.ndarray:
    """Shapes on grey, uint8 (SIZE, SIZE)."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), 128, np.uint8)
    for _ in range(12):
        centre, axes = rng.integers(0, SIZE, 2).tolist(), rng.integers(2, 16, 2).tolist()
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(0, 255)), -1)
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def altered(image: np.ndarray, seed: int) -> np.ndarray:
    """Mirrored or turned, cropped by up to 5 px at each side, with noise."""
    rng = np.random.default_rng(seed)
    left, top, right, bottom = rng.integers(0, 6, 4)
    crop = cv2.resize(image[top : SIZE - bottom, left : SIZE - right], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    noise = rng.normal(0, 8, crop.shape)
    return turned(np.clip(crop * rng.uniform(0.6, 1) + noise, 0, 255).astype(np.uint8), int(rng.integers(len(TURNS))))


def described(photos: int, copies: int) -> np.ndarray:
    """Descriptors of photos, each followed by its copies."""
    images = [[thumbnail(k), *(altered(thumbnail(k), 1000 * k + c) for c in range(copies))] for k in range(photos)]
    return np.stack([describe(image) for row in images for image in row])


def test_descriptors_are_unit_vectors_without_tone() -> None:
    image = thumbnail(0)
    found = describe(image)
    assert (found.shape, found.dtype) == ((len(CROPS), WAVES**2), np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    paler = (image * 0.6 + 60).astype(np.uint8)
    assert (found * describe(paler)).sum(axis=1).min() > 0.99
    assert not describe(np.full((SIZE, SIZE), 7, np.uint8)).any()


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_turned_descriptors_are_those_of_the_turned_image(turn: int) -> None:
    image = thumbnail(3)
    centred = [
        index for index, (x, y, side) in enumerate(CROPS) if x == y and np.isclose(2 * x + side, 1)
    ]  # they stay in place
    expected = describe(turned(image, turn))[centred]
    assert centred
    np.testing.assert_allclose(turned_descriptors(describe(image))[centred, turn], expected, atol=5e-3)


def test_copies_are_candidates() -> None:
    pairs = set(map(tuple, candidate_pairs(described(photos=80, copies=2)).tolist()))
    true = [(3 * k + a, 3 * k + b) for k in range(80) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert sum(pair in pairs for pair in true) >= 0.99 * len(true)


def test_pairs_are_sorted_ascending_and_each_once() -> None:
    pairs = candidate_pairs(described(photos=10, copies=3))
    assert (pairs[:, 0] < pairs[:, 1]).all()
    np.testing.assert_array_equal(pairs, np.unique(pairs, axis=0))
    assert pairs.dtype == np.int64


def test_no_image_has_more_neighbours_than_asked_for() -> None:
    descriptors = described(photos=2, copies=20)
    pairs = candidates._nearest(descriptors, candidates.Buckets(descriptors), 5, np.arange(10))
    assert np.bincount(pairs[:, 0]).tolist() == [5] * 10
    assert (pairs[:, 0] != pairs[:, 1]).all()


def test_neighbours_are_the_most_alike_ones() -> None:
    descriptors = described(photos=6, copies=5)
    queries = turned_descriptors(descriptors[0, : len(INNER)]).reshape(-1, WAVES**2)
    alike = (queries @ descriptors.reshape(-1, WAVES**2).T).max(axis=0)
    alike = alike.reshape(len(descriptors), -1).max(axis=1)[1:]
    pairs = candidates._nearest(descriptors, candidates.Buckets(descriptors), 4, np.arange(1))
    assert pairs[:, 1].tolist() == (1 + np.argsort(-alike)[:4]).tolist()


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images_have_no_pairs(n: int) -> None:
    assert candidate_pairs(np.zeros((n, len(CROPS), WAVES**2), np.float32)).shape == (0, 2)


def test_flat_images_are_no_candidates() -> None:
    flat = [describe(np.full((SIZE, SIZE), tone, np.uint8)) for tone in (0, 100, 200)]
    assert len(candidate_pairs(np.stack([*flat, describe(thumbnail(0))]))) == 0


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = described(photos=30, copies=2)
    whole = candidate_pairs(descriptors)
    monkeypatch.setattr(candidates, "CHUNK", 7)
    np.testing.assert_array_equal(candidate_pairs(descriptors, workers=3), whole)


def test_buckets_find_nearly_what_comparing_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = described(photos=150, copies=2)
    whole = set(map(tuple, candidate_pairs(descriptors, neighbours=2).tolist()))
    monkeypatch.setattr(candidates, "BUCKET", 100)  # 31 buckets, of which 6 are looked into for each turn
    parted = set(map(tuple, candidate_pairs(descriptors, neighbours=2).tolist()))
    assert len(whole & parted) > 0.9 * len(whole)
    true = {(3 * k, 3 * k + c) for k in range(150) for c in (1, 2)}
    assert len(true & parted) > 0.98 * len(true)


def test_every_descriptor_is_in_one_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = described(photos=60, copies=1)
    monkeypatch.setattr(candidates, "BUCKET", 50)
    monkeypatch.setattr(candidates, "PART", 100)
    buckets = candidates.Buckets(descriptors)
    assert (len(buckets.centres), buckets.starts[0], buckets.starts[-1]) == (16, 0, len(buckets.entries))
    assert np.bincount(buckets.images).tolist() == [len(CROPS)] * len(descriptors)
    for cell, (start, stop) in enumerate(zip(buckets.starts[:-1], buckets.starts[1:], strict=True)):
        assert ((buckets.entries[start:stop] @ buckets.centres.T).argmax(axis=1) == cell).all()


def test_a_crowd_of_hits_is_thinned_to_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "CROWD", 3)
    products = np.array([[0.9, 0.7, 0.8, 0.95, 0.1], [FLOOR, 0.2, 0.2, 0.2, 0.2]], np.float32)
    rows, columns, values = candidates._hits(products)
    assert (rows.tolist(), columns.tolist()) == ([0, 0, 0, 1], [0, 2, 3, 0])
    np.testing.assert_array_equal(values, products[rows, columns])
