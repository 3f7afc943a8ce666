"""Draws the demo's competition: a small car-damage data set, so that the whole pipeline runs without a download.

It behaves like the real one: imbalanced classes, each photo present as three altered copies whose ids lie anywhere,
train and test made of different photos. The test labels follow from the seed and are never written.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripik.data.demo.cars import Image
from ripik.data.demo.damages import draw_photo
from ripik.errors import InputError, SurroundingsError

__all__ = ["CLASS_NAMES", "COPIES", "draw_competition", "draw_photo", "hidden_labels", "photo_groups"]

Labels = NDArray[np.int64]

CLASS_NAMES = {1: "crack", 2: "scratch", 3: "tire flat", 4: "dent", 5: "glass shatter", 6: "lamp broken"}
SHARES = np.array([0.07, 0.25, 0.13, 0.22, 0.18, 0.15])
LEAST_PHOTOS_OF_A_CLASS = 2
COPIES = 3
TRAIN, TEST = 0, 1
# What a random stream is for: streams of one seed and split differ by this last number only.
LABELS, ORDER, PHOTO, COPY = range(4)


def draw_competition(root: Path, *, seed: int, train_photos: int, test_photos: int, size: int) -> None:
    """Write the competition (three CSVs and size×size JPEGs) to `root`, whole or not at all.

    Raises InputError for fewer than 12 photos or an existing `root`, SurroundingsError where it cannot be written.
    """
    if root.exists():
        raise InputError(f"{root} already exists: remove it, or generate the demo's competition elsewhere.")
    train, test = (
        _image_labels(seed, TRAIN, train_photos),
        hidden_labels(seed=seed, train_photos=train_photos, test_photos=test_photos),
    )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
            whole = Path(scratch) / root.name
            _draw_split(whole / "train" / "images", seed, TRAIN, train_photos, size, first_id=1)
            _draw_split(whole / "test" / "images", seed, TEST, test_photos, size, first_id=len(train) + 1)
            _write_tables(whole, train, test)
            whole.rename(root)
    except OSError as error:
        raise SurroundingsError(f"Cannot write the demo's competition to {root}: {error}.") from error


def hidden_labels(*, seed: int, train_photos: int, test_photos: int) -> "pd.Series[int]":
    """Return the test labels (1…6) indexed by image_id: a pure function of the arguments, nowhere on disk."""
    labels = _image_labels(seed, TEST, test_photos)
    return labels.set_axis(labels.index + COPIES * train_photos)


def photo_groups(*, seed: int, train_photos: int) -> "pd.Series[int]":
    """Return which photo (0…train_photos-1) each training image shows, indexed by image_id: the true groups."""
    return _by_id(_photo_of_image(seed, TRAIN, train_photos), "group")


def _image_labels(seed: int, split: int, photos: int) -> "pd.Series[int]":
    return _by_id(_photo_labels(seed, split, photos)[_photo_of_image(seed, split, photos)], "label")


def _by_id(values: Labels, name: str) -> "pd.Series[int]":
    return pd.Series(values, index=pd.RangeIndex(1, len(values) + 1, name="image_id"), name=name)


def _photo_labels(seed: int, split: int, photos: int) -> Labels:
    """Share the photos out by largest remainder, after the least number for every class, in random order."""
    spare = photos - LEAST_PHOTOS_OF_A_CLASS * len(SHARES)
    if spare < 0:
        raise InputError(f"{photos} photos are too few for six classes: ask for at least {photos - spare}.")
    quota = SHARES * spare
    counts = np.floor(quota).astype(int)
    counts[np.argsort(counts - quota)[: spare - counts.sum()]] += 1
    labels = np.repeat(list(CLASS_NAMES), counts + LEAST_PHOTOS_OF_A_CLASS)
    return np.random.default_rng([seed, split, LABELS]).permutation(labels)


def _photo_of_image(seed: int, split: int, photos: int) -> Labels:
    return np.random.default_rng([seed, split, ORDER]).permutation(np.repeat(np.arange(photos), COPIES))


def _draw_split(folder: Path, seed: int, split: int, photos: int, size: int, *, first_id: int) -> None:
    folder.mkdir(parents=True)
    labels, order = _photo_labels(seed, split, photos), _photo_of_image(seed, split, photos)
    for photo in range(photos):
        original = draw_photo(int(labels[photo]), np.random.default_rng([seed, split, photo, PHOTO]), size)
        for copy, position in enumerate(np.flatnonzero(order == photo)):
            altered = _alter(original, np.random.default_rng([seed, split, photo, COPY, copy]))
            _write_jpeg(folder / f"{first_id + position}.jpg", altered)


def _alter(image: Image, rng: np.random.Generator) -> Image:
    """Make one copy of a photo as the real data has them: mirrored or not, cropped, blurred, recoloured, grainy."""
    size = len(image)
    mirrored = image[:, ::-1] if rng.random() < 0.25 else image
    top, left, bottom, right = rng.integers(0, max(1, size // 24) + 1, 4)
    view = cv2.resize(np.ascontiguousarray(mirrored[top : size - bottom, left : size - right]), (size, size))
    blurred = cv2.GaussianBlur(view, (3, 3), rng.uniform(0.05, 0.6)).astype(np.float32)
    grey = blurred.mean(axis=2, keepdims=True)
    toned = (grey + (blurred - grey) * rng.uniform(0.7, 1.3)) * rng.uniform(0.8, 1.2) + rng.uniform(-15, 15)
    toned += rng.normal(0, rng.uniform(0, 7), toned.shape)
    return np.clip(toned, 0, 255).astype(np.uint8)


def _write_jpeg(path: Path, image: Image) -> None:
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not encoded:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(data.tobytes())


def _write_tables(root: Path, train: "pd.Series[int]", test: "pd.Series[int]") -> None:
    for folder, index in (("train", train.index), ("test", test.index)):
        table = pd.DataFrame({"image_id": index, "filename": [f"{image_id}.jpg" for image_id in index]})
        if folder == "train":
            table["label"] = train.to_numpy()
        table.to_csv(root / folder / f"{folder}.csv", index=False)
    sample = pd.DataFrame({"image_id": test.index, "label": next(iter(CLASS_NAMES))})
    sample.to_csv(root / "sample_submission.csv", index=False)
