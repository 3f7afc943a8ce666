"""The images of the fidelity comparison: photo-like, from integers only, so that every interpreter makes the same.

A shaded ground, soft blotches, a dozen shapes in strong, grey and nearly black colours, and grain.
"""

from __future__ import annotations

import hashlib

import numpy as np

SIZE = 256
COUNT = 500


def photos(count: int = COUNT) -> np.ndarray:
    """Return the first `count` images: uint8, (count, 256, 256, 3), RGB, the same on every machine."""
    return np.stack([_photo(np.random.default_rng([20240, number])) for number in range(count)])


def digest(images: np.ndarray) -> str:
    """Return the SHA-256 of the pixels, to show that both sides saw the same."""
    return hashlib.sha256(images.tobytes()).hexdigest()


def ramp() -> np.ndarray:
    """Return the image whose red is its column and whose green is its row: what a flow field is read from.

    float32, because the halves of a uint8 are rounded one way by OpenCV 4 and the other by OpenCV 5.
    """
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    image[..., 0], image[..., 1] = np.arange(SIZE), np.arange(SIZE)[:, None]
    return image


def _photo(rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.arange(SIZE)[:, None], np.arange(SIZE)
    slopes = rng.integers(-40, 41, (2, 3))
    canvas = _colour(rng) + (rows[..., None] * slopes[0] + columns[:, None] * slopes[1]) // SIZE
    for _ in range(12):
        top, left, height, width = rng.integers((0, 0, 12, 12), (220, 220, 110, 110))
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        if rng.integers(2):
            distance = (2 * (rows - top) - height) ** 2 * width**2 + (2 * (columns - left) - width) ** 2 * height**2
            inside = distance < height**2 * width**2
        canvas[inside] = _colour(rng)
    canvas = canvas + _blotches(rng)[..., None]
    grain = int(rng.integers(1, 9))
    canvas = canvas + rng.integers(-grain, grain + 1, canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return np.repeat(rng.integers(0, 256), 3)
    return rng.integers(0, 30, 3) if kind == 1 else rng.integers(0, 256, 3)


def _blotches(rng: np.random.Generator) -> np.ndarray:
    """Noise of 8×8 cells, stretched and averaged over 33×33 pixels."""
    field = np.kron(rng.integers(-90, 91, (9, 9)), np.ones((36, 36), np.int64))[: SIZE + 33, : SIZE + 33]
    for _ in range(2):
        total = np.cumsum(field, axis=0)
        field = ((total[33:] - total[:-33]) // 33).T
    return field
