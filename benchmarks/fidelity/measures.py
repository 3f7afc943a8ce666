"""What is measured on a transformed image, and how two libraries' measurements are compared.

NumPy and exact arithmetic only, so that it does not depend on the interpreter that runs it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from photos import SIZE, ramp

Apply = Callable[[np.ndarray], np.ndarray]

STATISTICS = ("change", "brightness", "contrast", "saturation", "high frequencies", "black")
FLOW = "flow"
GEOMETRIC = ("Flip", "Transpose", "OpticalDistortion", "GridDistortion", "ElasticTransform", "ShiftScaleRotate")
SMALLER = 200  # what Resize is asked for


def levels(image: np.ndarray) -> np.ndarray:
    """Return an image's brightness, contrast, saturation, high-frequency energy and share of black pixels.

    Brightness and contrast: mean and standard deviation of the grey level; saturation: 255·(max − min)/max of the
    channels, averaged; energy: root mean square of the grey level's Laplacian; black: percent of pixels that are 0.
    """
    red, green, blue = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    grey = red.astype(np.int32) + green + blue
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    mean = grey.sum() / grey.size
    variance = (grey * grey).sum(dtype=np.int64) / grey.size - mean**2
    saturation = ((high - low) / np.maximum(high, 1).astype(np.float64)).mean()
    energy = (laplacian * laplacian).sum(dtype=np.int64) / laplacian.size
    black = 100 * np.count_nonzero(high == 0) / high.size
    return np.array([mean / 3, max(variance, 0) ** 0.5 / 3, 255 * saturation, energy**0.5 / 3, black])


def difference(before: np.ndarray, after: np.ndarray) -> float:
    """Return the mean absolute change of a pixel's channel; of another size, against the nearest pixel before."""
    if after.shape != before.shape:
        nearest = (np.arange(after.shape[0]) * 2 + 1) * before.shape[0] // (2 * after.shape[0])
        before = before[nearest][:, nearest]
    return float((np.maximum(before, after) - np.minimum(before, after)).sum(dtype=np.int64) / before.size)


def flow(sampled: np.ndarray) -> float:
    """Return the mean distance in pixels between a pixel and where it was taken from, out of a transformed ramp."""
    here = np.arange(SIZE)
    return float(np.hypot(sampled[..., 0] - here, sampled[..., 1] - here[:, None]).mean(dtype=np.float64))


def measure(name: str, apply: Apply, images: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
    """Apply a transform to every image; return statistic → its change per image, float64 (n,).

    before: `levels` of the images. A geometric transform is also applied to as many ramps.
    """
    rows = []
    for image, level in zip(images, before, strict=True):
        copy = apply(image)
        rows.append([difference(image, copy), *(levels(copy) - level)])
    values = dict(zip(STATISTICS, np.array(rows).T, strict=True))
    if name in GEOMETRIC:
        template = ramp()
        values[FLOW] = np.array([flow(apply(template)) for _ in images])
    return values


def shares(values: np.ndarray) -> np.ndarray:
    """Return each image's share in the spread: its mean over images moves as the standard deviation does.

    values: float64, (seeds, n). The deviation's linear approximation (delta method): squared distance from the
    seed's mean over twice the deviation, averaged over seeds. 0 where nothing varies.
    """
    deviation = values.std(1).mean()
    return (values - values.mean(1, keepdims=True)) ** 2 / (2 * deviation) if deviation > 0 else np.zeros_like(values)


def self_error(values: np.ndarray) -> float:
    """Return the standard error of one seed's mean against the mean of the other seeds, paired by image.

    values: float64, (seeds, n).
    """
    seeds, images = values.shape
    others = (values.sum(0) - values) / (seeds - 1)
    return float(np.sqrt((values - others).var(1, ddof=1).mean() / images))


def summary(values: np.ndarray) -> dict[str, float]:
    """Return mean and spread (standard deviation over images) averaged over seeds, with their standard errors.

    values: float64, (seeds, n).
    """
    return {
        "mean": float(values.mean()),
        "mean_error": self_error(values),
        "spread": float(values.std(1).mean()),
        "spread_error": self_error(shares(values)),
    }
