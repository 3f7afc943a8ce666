"""One operation of a list, drawn evenly, by a degree drawn evenly (TrivialAugment, Müller and Hutter 2021, ICCV)."""

from collections.abc import Callable

import cv2
import numpy as np

from ripik.augmentation.photometric import coloured

Operation = Callable[[np.ndarray, float], np.ndarray]  # of an image and a degree in −1 … 1
SHEAR, SHIFT, TURN = 0.5, 0.25, 45.0  # tangent, of the side, degrees
GAIN = 0.9  # of contrast, saturation, sharpness; brightness moves by this share of half the range
BITS = 6  # that posterize may take


def apply(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return the image, uint8 (S, S, 3), after one operation.

    By a strength of 1 it goes to half of the greatest degree, by 2 to all of it.
    """
    chosen, degree = OPERATIONS[int(rng.integers(len(OPERATIONS)))], rng.uniform(-1, 1) * min(1.0, strength / 2)
    return chosen(image, degree)


def _mapped(image: np.ndarray, linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    middle = np.full(2, (image.shape[0] - 1) / 2)
    matrix = np.column_stack([linear, middle - linear @ middle + shift * image.shape[0]])
    return cv2.warpAffine(image, matrix, image.shape[:2], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _shear_x(image: np.ndarray, degree: float) -> np.ndarray:
    return _mapped(image, np.array([[1, SHEAR * degree], [0, 1]]), np.zeros(2))


def _shear_y(image: np.ndarray, degree: float) -> np.ndarray:
    return _mapped(image, np.array([[1, 0], [SHEAR * degree, 1]]), np.zeros(2))


def _shift_x(image: np.ndarray, degree: float) -> np.ndarray:
    return _mapped(image, np.eye(2), np.array([SHIFT * degree, 0]))


def _shift_y(image: np.ndarray, degree: float) -> np.ndarray:
    return _mapped(image, np.eye(2), np.array([0, SHIFT * degree]))


def _turn(image: np.ndarray, degree: float) -> np.ndarray:
    angle = np.radians(TURN * degree)
    return _mapped(image, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), np.zeros(2))


def _sharpen(image: np.ndarray, degree: float) -> np.ndarray:
    smooth = cv2.filter2D(image, -1, np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13)
    return cv2.addWeighted(image, 1 + GAIN * degree, smooth, -GAIN * degree, 0)


def _posterize(image: np.ndarray, degree: float) -> np.ndarray:
    return image & np.uint8(256 - 2 ** round(BITS * abs(degree)))


def _solarize(image: np.ndarray, degree: float) -> np.ndarray:
    return np.where(image > 255 * (1 - abs(degree)), 255 - image, image)


def _stretch(image: np.ndarray, degree: float) -> np.ndarray:
    low, high = image.min(axis=(0, 1)).astype(float), image.max(axis=(0, 1)).astype(float)
    gain = np.where(high > low, 255 / np.maximum(high - low, 1), 1)
    offset = np.where(high > low, -low * gain, 0)
    return cv2.transform(image, np.column_stack([np.diag(gain), offset]))


def _equalize(image: np.ndarray, degree: float) -> np.ndarray:
    return np.dstack([cv2.equalizeHist(channel) for channel in cv2.split(image)])


OPERATIONS: tuple[Operation, ...] = (
    lambda image, degree: image,
    _shear_x,
    _shear_y,
    _shift_x,
    _shift_y,
    _turn,
    lambda image, degree: coloured(image, 1.0, GAIN * degree * 127.5, 1.0),
    lambda image, degree: coloured(image, 1 + GAIN * degree, 0.0, 1.0),
    lambda image, degree: coloured(image, 1.0, 0.0, 1 + GAIN * degree),
    _sharpen,
    _posterize,
    _solarize,
    _stretch,
    _equalize,
)
