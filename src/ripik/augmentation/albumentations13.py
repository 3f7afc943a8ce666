"""Image functions with the meaning they had in Albumentations 1.3, where 2.0.8 changed, dropped or slowed them.

Each takes a uint8 H×W×3 RGB image and a random generator, and returns a new image or the given one's mirror; none
writes into the given image. They need OpenCV and NumPy only, so that the old version's interpreter can run them too.
"""

from __future__ import annotations

from functools import cache, lru_cache
from statistics import NormalDist

import cv2
import numpy as np

REFLECT = cv2.BORDER_REFLECT_101  # 1.3's border everywhere; 2.0.8's default is constant black


def flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror vertically, horizontally or both, each with probability 1/3 (2.0.8 has no `Flip`)."""
    return cv2.flip(image, int(rng.integers(-1, 2)))


def transpose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Swap rows and columns; the same as 2.0.8's, which takes ten times longer to lay out the result."""
    return cv2.transpose(image)


def motion_blur(image: np.ndarray, rng: np.random.Generator, *, sizes: tuple[int, ...]) -> np.ndarray:
    """Average along a line between two distinct random cells of a k×k kernel, k drawn from `sizes`.

    2.0.8 draws the line through the kernel's centre instead: about a sixth less pixel change.
    """
    size = int(rng.choice(sizes))
    x1, x2 = rng.integers(0, size, 2).tolist()
    y1, y2 = (rng.choice(size, 2, replace=False) if x1 == x2 else rng.integers(0, size, 2)).tolist()
    kernel = cv2.line(np.zeros((size, size), np.uint8), (x1, y1), (x2, y2), (1.0,), thickness=1)
    return cv2.filter2D(image, -1, kernel.astype(np.float32) / kernel.sum())


@cache
def _normal_quantiles() -> np.ndarray:
    """65,536 equally likely values of a standard normal: the middle of each slice, float32."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((step + 0.5) / 65536) for step in range(65536)], np.float32)


def gauss_noise(image: np.ndarray, rng: np.random.Generator, *, variance: tuple[float, float]) -> np.ndarray:
    """Add noise per pixel and channel; its variance (0–255 scale, squared) is uniform over the range.

    2.0.8 draws the deviation uniformly, which makes the mean variance 27.5 where it was 30, and rounds where
    1.3 cut off the fraction. The noise is one of 65,536 quantiles, five times faster than a normal generator;
    its largest deviation is 4.3, which one pixel in 65,536 exceeds by chance.
    """
    deviation = rng.uniform(*variance) ** 0.5
    steps = np.floor(_normal_quantiles() * np.float32(deviation)).astype(np.int16)
    noise = np.take(steps, rng.integers(0, 65536, image.shape, dtype=np.uint16))
    return cv2.add(image, noise, dtype=cv2.CV_8U)


@lru_cache(maxsize=2)
def _lens(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels right of and below the middle, and r² + r⁴ where r is the distance in image sides."""
    x = np.arange(width, dtype=np.float32) - (width - 1) / 2
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[:, None]
    square = (x / width) ** 2 + (y / height) ** 2
    return x, y, square + square**2


def optical_distortion(image: np.ndarray, rng: np.random.Generator, *, limit: float) -> np.ndarray:
    """Bulge or pinch radially by k(r² + r⁴), k within ±limit, about the middle.

    The map is that of OpenCV's `initUndistortRectifyMap` for the camera 1.3 gave it, its shift by half a pixel
    included. 1.3's shift_limit=0.05 was rounded to whole pixels, so to none.
    """
    height, width = image.shape[:2]
    x, y, bulge = _lens(height, width)
    factor = bulge * np.float32(rng.uniform(-limit, limit)) + 1
    return cv2.remap(image, factor * x + width / 2, factor * y + height / 2, cv2.INTER_LINEAR, borderMode=REFLECT)


def _bent_axis(length: int, rng: np.random.Generator, steps: int, limit: float) -> np.ndarray:
    """Source coordinate of each pixel along an axis; a last, cut-off cell ends at the image's edge."""
    step, axis, position = length // steps, np.empty(length, np.float32), 0.0
    for start in range(0, length, step):
        end = start + step
        factor = 1 + rng.uniform(-limit, limit)
        target = length if end > length else position + step * factor
        axis[start:end] = np.linspace(position, target, min(end, length) - start)
        position = target
    return axis


def grid_distortion(image: np.ndarray, rng: np.random.Generator, *, steps: int, limit: float) -> np.ndarray:
    """Stretch columns and rows of a steps×steps grid by 1±limit, not normalised to the image's bounds.

    2.0.8 squeezes a whole cell into the few pixels left over when the side is no multiple of `steps`.
    """
    height, width = image.shape[:2]
    x, y = np.meshgrid(_bent_axis(width, rng, steps, limit), _bent_axis(height, rng, steps, limit))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=REFLECT)


def elastic(
    image: np.ndarray, rng: np.random.Generator, *, alpha: float, sigma: float, alpha_affine: float
) -> np.ndarray:
    """Move three anchors by up to alpha_affine pixels (affine), then every pixel by smoothed uniform noise.

    After Simard et al. 2003, as 1.3 had it: its Gaussian filter ends at four deviations, as OpenCV's does for
    float32. 2.0.8 lacks the affine part, and blurs both fields as one array with a replicated border, which more
    than doubles the displacement at the edges.
    """
    height, width = image.shape[:2]
    centre, reach = np.array([height, width]) // 2, min(height, width) // 3
    anchors = (centre + reach * np.array([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = anchors + rng.uniform(-alpha_affine, alpha_affine, anchors.shape).astype(np.float32)
    matrix = cv2.getAffineTransform(anchors, moved)
    image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=REFLECT)
    x = _smooth_noise(height, width, rng, sigma) * np.float32(alpha) + np.arange(width, dtype=np.float32)
    y = _smooth_noise(height, width, rng, sigma) * np.float32(alpha) + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=REFLECT)


def _smooth_noise(height: int, width: int, rng: np.random.Generator, sigma: float) -> np.ndarray:
    noise = rng.random((height, width), dtype=np.float32)
    noise *= 2
    noise -= 1
    return cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def shift_hsv(
    image: np.ndarray, rng: np.random.Generator, *, hue: float, saturation: float, value: float
) -> np.ndarray:
    """Shift OpenCV's hue (0–179, cyclic), saturation and value by up to ± the given limits.

    1.3 cut off fractions and tinted greys (hue 0) when saturation rose; 2.0.8 rounds and leaves greys alone.
    """
    shifts = rng.uniform(-1, 1, 3) * (hue, saturation, value)
    table = np.arange(256)[:, None] + shifts
    table[:, 0] %= 180
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.clip(table, 0, 255).astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def shift_scale_rotate(
    image: np.ndarray, rng: np.random.Generator, *, shift: float, scale: float, rotate: float
) -> np.ndarray:
    """Turn by up to ±rotate degrees, zoom by 1±scale about the middle, then move by up to ±shift of the sides.

    2.0.8's zooms the two sides apart and moves by whole pixels only.
    """
    height, width = image.shape[:2]
    angle, zoom, right, down = rng.uniform(-1, 1, 4) * (rotate, scale, shift, shift)
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, 1 + zoom)
    matrix[:, 2] += right * width, down * height
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=REFLECT)
