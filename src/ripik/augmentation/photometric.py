"""Colour, blur, noise and compression of a photo, by draws of a generator; no pixel moves."""

import cv2
import numpy as np

CONTRAST, BRIGHTNESS = 0.25, 25.0
FADED, VIVID = 0.6, 0.4  # of the saturation, taken away and added
RARE = 0.15  # chance of each way to degrade a photo
BLUR = (0.3, 1.5)  # deviation, pixels
NOISE = (2.0, 10.0)  # deviation, of 255
QUALITY = (40, 95)  # of a JPEG
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def colours(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return the image, uint8 (H, W, 3) RGB, with another contrast, brightness and saturation."""
    contrast = 1 + rng.uniform(-CONTRAST, CONTRAST) * strength
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS) * strength
    return coloured(image, contrast, brightness, max(0.0, 1 + rng.uniform(-FADED, VIVID) * strength))


def coloured(image: np.ndarray, contrast: float, brightness: float, saturation: float) -> np.ndarray:
    """Return contrast × (image − its mean) + its mean + brightness, colours moved from their grey by `saturation`.

    1, 0 and 1 leave the image as it is.
    """
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1)))
    mean = cv2.mean(image)[:3] @ LUMA
    shift = np.full((3, 1), (1 - contrast) * mean + brightness)
    return cv2.transform(image, np.hstack([matrix, shift]))


def degraded(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return the image blurred, noisy and compressed, each by chance and by a random degree."""
    chances = rng.random(3) < RARE * strength
    if chances[0]:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*BLUR))
    if chances[1]:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
        image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    if chances[2]:
        image = _compressed(image, int(rng.integers(*QUALITY, endpoint=True)))
    return image


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    found = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert found is not None, "it was encoded here"
    return found
