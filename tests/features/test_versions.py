"""Batches with live augmentation: every draw a function of seed, epoch and id."""

import numpy as np
import pytest

from ripik.augmentation.live import Live
from ripik.features.batches import ArrayRows, Batches, id_keys
from ripik.features.versions import Versions

PHOTOS, SIDE, SIZE, CLASSES = 12, 40, 32, 3
KEYS = id_keys([f"photo {number}" for number in range(PHOTOS)])
IMAGES = np.random.default_rng(0).integers(0, 256, (2 * PHOTOS, SIDE, SIDE, 3), dtype=np.uint8)  # two versions of each
TARGETS = np.eye(CLASSES, dtype="float32")[np.arange(PHOTOS) % CLASSES]


def batches(examples: np.ndarray, how: Versions, batch_size: int = 5) -> list[tuple[np.ndarray, ...]]:
    made = Batches(ArrayRows(IMAGES), examples, batch_size, targets=TARGETS, altered=how)
    return [made[index] for index in range(len(made))]


def versions(epoch: int = 0, mix: str = "none", seed: int = 1) -> Versions:
    return Versions(Live("standard", 1.0, SIZE), mix, 0.4, KEYS, (seed, epoch))  # type: ignore[arg-type]


def test_an_image_is_the_same_in_any_batch_and_company() -> None:
    examples = np.array([3, 17, 0, 9, 23, 5, 12])
    whole = np.concatenate([images for images, _ in batches(examples, versions())])
    assert whole.shape == (7, SIZE, SIZE, 3)
    assert whole.dtype == np.uint8
    for place, example in enumerate(examples):
        alone = batches(np.array([example]), versions())[0][0][0]
        np.testing.assert_array_equal(alone, whole[place])


def test_epochs_seeds_photos_and_versions_of_a_photo_differ() -> None:
    same = np.repeat(IMAGES[:1], 2 * PHOTOS, axis=0)
    drawn = [
        Batches(ArrayRows(same), np.array([0, 1, PHOTOS]), 3, targets=TARGETS, altered=versions(epoch, seed=seed))
        for epoch, seed in ((0, 1), (1, 1), (0, 2))
    ]
    assert len({image.tobytes() for each in drawn for image in each[0][0]}) == 9


def test_a_photos_draw_depends_on_its_id_and_not_on_its_row() -> None:
    other = Versions(Live("standard", 1.0, SIZE), "none", 0.4, KEYS[::-1], (1, 0))
    backwards = np.concatenate([IMAGES[:PHOTOS][::-1], IMAGES[PHOTOS:][::-1]])
    made = Batches(ArrayRows(backwards), np.array([PHOTOS - 1 - 4]), 1, targets=TARGETS, altered=other)
    np.testing.assert_array_equal(made[0][0], batches(np.array([4]), versions())[0][0])


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_a_mixed_batch_has_mixed_targets_and_is_the_same_again(mix: str) -> None:
    examples = np.arange(PHOTOS)
    first, again = (batches(examples, versions(mix=mix)) for _ in range(2))
    for (images, targets), (others, other_targets) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(targets, other_targets)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert any(((targets > 0).sum(axis=1) > 1).any() for _, targets in first)


def test_weights_of_classes_are_those_of_the_mixture() -> None:
    weights = np.array([1.0, 2.0, 4.0])
    made = Batches(
        ArrayRows(IMAGES), np.arange(4), 4, targets=TARGETS, class_weights=weights, altered=versions(mix="mixup")
    )
    _, targets, told = made[0]
    np.testing.assert_allclose(told, targets @ weights, rtol=1e-6)
