from typing import get_args

import numpy as np
import pytest

from ripik.augmentation import trivial
from ripik.augmentation.live import GREY, HIDDEN, SQUARE, Live, affine, hidden
from ripik.augmentation.mixing import mixed
from ripik.augmentation.photometric import LUMA, coloured, degraded
from ripik.names import LivePolicy, Mixing

POLICIES = get_args(LivePolicy)


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Return a smooth made-up picture, so that neighbouring pixels are alike."""
    down, across = np.mgrid[:height, :width] / 16
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return np.dstack([127 + 90 * np.sin(down * (k + 1) / 2 + across + phase[k]) for k in range(3)]).astype(np.uint8)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_version_is_a_function_of_the_generators_seed_alone(policy: LivePolicy) -> None:
    live, image = Live(policy, 1.0, 40), photo()
    kept = image.copy()
    versions = [live.apply(image, np.random.default_rng([7, seed])) for seed in range(20)]
    again = [live.apply(image, np.random.default_rng([7, seed])) for seed in range(20)]
    assert all(each.shape == (40, 40, 3) and each.dtype == np.uint8 for each in versions)
    assert all(map(np.array_equal, versions, again))
    assert len({each.tobytes() for each in versions}) == 20
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_strength_leaves_a_photo_of_the_size_as_it_is(policy: LivePolicy) -> None:
    image = photo(40, 40)
    versions = [Live(policy, 0.0, 40).apply(image, np.random.default_rng(seed)) for seed in range(60)]
    unchanged = [np.abs(each.astype(int) - image).mean() <= 1 for each in versions]
    steady = 1.0 if policy == "standard" else 1 - 2 / len(trivial.OPERATIONS)  # two operations have no degree
    assert np.mean(unchanged) == pytest.approx(steady, abs=0.15)


def test_a_crop_without_a_turn_lies_inside_the_image_and_covers_what_it_may() -> None:
    areas = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        matrix = affine((48, 64), 32, rng, 1.0, 0.0)
        corners = matrix @ np.array([[-0.5, -0.5, 31.5, 31.5], [-0.5, 31.5, -0.5, 31.5], [1, 1, 1, 1]])
        assert corners[0].min() >= -0.5 - 1e-9
        assert corners[0].max() <= 63.5 + 1e-9
        assert corners[1].min() >= -0.5 - 1e-9
        assert corners[1].max() <= 47.5 + 1e-9
        areas.append(abs(np.linalg.det(matrix[:, :2])) * 32 * 32 / (48 * 64))
    assert 0.4 < min(areas) < 0.6
    assert 0.95 < max(areas) <= 1


def test_half_of_the_versions_are_mirrored() -> None:
    signs = [np.linalg.det(affine((48, 64), 32, np.random.default_rng(s), 1.0, 15.0)[:, :2]) < 0 for s in range(400)]
    assert 0.4 < np.mean(signs) < 0.6


def test_a_large_photo_is_averaged_and_not_sampled() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    found = Live("standard", 0.0, 50).apply(stripes, np.random.default_rng(0))
    assert np.abs(found.astype(int) - 127).max() <= 2


def test_the_grey_square_has_its_size_and_its_chance() -> None:
    image = np.full((40, 40, 3), 10, np.uint8)
    found = [(hidden(image, np.random.default_rng(seed), 1.0) == GREY).all(axis=2).sum() for seed in range(500)]
    assert set(found) == {0, round(SQUARE * 40) ** 2}
    assert np.mean(np.array(found) > 0) == pytest.approx(HIDDEN, abs=0.06)


def test_colours_keep_a_photo_at_their_middle_and_do_what_they_say() -> None:
    image = photo()
    assert np.array_equal(coloured(image, 1, 0, 1), image)
    assert np.abs(coloured(image, 1, 10, 1).astype(int) - image - 10).max() == 0
    grey = coloured(image, 1, 0, 0).astype(int)
    assert np.abs(grey - grey[..., :1]).max() == 0
    flat = coloured(image, 0.5, 0, 1)
    assert flat.std(axis=(0, 1)) == pytest.approx(image.std(axis=(0, 1)) / 2, rel=0.02)
    assert flat.mean(axis=(0, 1)) @ LUMA == pytest.approx(image.mean(axis=(0, 1)) @ LUMA, abs=1)


def test_degrading_keeps_the_mean_and_happens_by_chance() -> None:
    image = photo(64, 64)
    found = [degraded(image, np.random.default_rng(seed), 1.0) for seed in range(200)]
    changed = [not np.array_equal(each, image) for each in found]
    assert np.mean(changed) == pytest.approx(1 - 0.85**3, abs=0.1)
    assert max(abs(each.mean() - image.mean()) for each in found) < 3


@pytest.mark.parametrize("number", range(len(trivial.OPERATIONS)))
def test_every_operation_keeps_the_shape_and_is_bounded(number: int) -> None:
    image, operation = photo(40, 40), trivial.OPERATIONS[number]
    for degree in (-1.0, -0.5, 0.0, 0.5, 1.0):
        found = operation(image, degree)
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
    without_degree = len(trivial.OPERATIONS) - 2
    assert number >= without_degree or np.abs(operation(image, 0.0).astype(int) - image).mean() <= 1


@pytest.mark.parametrize("how", get_args(Mixing))
def test_targets_are_mixed_as_the_pixels_are(how: Mixing) -> None:
    images = np.repeat(np.array([0, 100, 200], np.uint8), 16 * 16 * 3).reshape(3, 16, 16, 3)
    targets = np.eye(3, dtype=np.float32)
    for seed in range(50):
        found, mixture = mixed(images, targets, np.random.default_rng(seed), how, 1.0)
        assert mixture.dtype == np.float32
        assert mixture.sum(axis=1) == pytest.approx(1, abs=1e-6)
        brightness = mixture @ np.array([0, 100, 200])
        assert found.reshape(3, -1).mean(axis=1) == pytest.approx(brightness, abs=0.51)
    assert images[1].max() == 100
