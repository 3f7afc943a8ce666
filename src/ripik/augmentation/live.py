"""Live augmentation: a new version of a photo each time a training shows it, drawn by a generator of its own.

Everything moves with one number, the strength: 0 leaves the photo alone (but for its size), 1 is made for photos of
things that stand upright, 2 is twice as far. A geometric step is drawn first, as one affine map, so that pixels are
interpolated once; then either some colour, blur, noise and JPEG (`standard`), or one operation of a list
(`trivial`); then a grey square that hides a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ripik.augmentation import trivial
from ripik.augmentation.photometric import colours, degraded
from ripik.names import LivePolicy

AREA = 0.45  # of the photo that a crop may leave out
ASPECT = 0.25  # of the logarithm of width / height
TURN = 15.0  # degrees either way
HIDDEN = 0.3  # chance of a grey square
SQUARE = 0.25  # its side, of the photo's
GREY = 128


@dataclass(frozen=True)
class Live:
    """How photos are altered: see the module. `size`: pixels a side of what comes out."""

    policy: LivePolicy
    strength: float
    size: int

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a version of an image, uint8 (H, W, 3) → (size, size, 3), by the generator's draws alone."""
        turn = TURN * self.strength if self.policy == "standard" else 0.0
        found = _mapped(image, affine(image.shape[:2], self.size, rng, self.strength, turn), self.size)
        if self.policy == "standard":
            found = degraded(colours(found, rng, self.strength), rng, self.strength)
        else:
            found = trivial.apply(found, rng, self.strength)
        return hidden(found, rng, self.strength)


def affine(shape: tuple[int, int], size: int, rng: np.random.Generator, strength: float, turn: float) -> np.ndarray:
    """Return the map from pixels of the result to pixels of the image, float64 (2, 3): a crop, turned and mirrored.

    shape: the image's height and width. turn: the most degrees that the crop is turned. The crop lies inside the image
    but for what the turn moves beyond it (Szegedy et al. 2015, CVPR, for the random area and aspect).
    """
    height, width = shape
    area = rng.uniform(max(0.1, 1 - AREA * strength), 1) if strength else 1.0
    aspect = math.exp(rng.uniform(-ASPECT, ASPECT) * strength)
    across, down = (min(1.0, math.sqrt(area * each)) for each in (aspect, 1 / aspect))
    centre = (rng.uniform(across / 2, 1 - across / 2) * width, rng.uniform(down / 2, 1 - down / 2) * height)
    angle, mirrored = math.radians(rng.uniform(-turn, turn)), bool(strength) and rng.random() < 0.5
    scale = np.diag([across * width / size * (-1 if mirrored else 1), down * height / size])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = rotation @ scale
    middle = np.full(2, (size - 1) / 2)
    return np.column_stack([linear, np.array(centre) - 0.5 - linear @ middle])


def _mapped(image: np.ndarray, inverse: np.ndarray, size: int) -> np.ndarray:
    """Return the image through a map from its result's pixels; beyond its border it is mirrored."""
    smaller = np.sqrt(abs(np.linalg.det(inverse[:, :2])))
    if smaller > 1.5:  # two pixels or more become one: means of them first, or fine patterns turn into coarse ones
        step = 1 / smaller
        image = cv2.resize(image, None, fx=step, fy=step, interpolation=cv2.INTER_AREA)
        inverse = inverse * step
        inverse[:, 2] += (step - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, inverse, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def hidden(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return the image with a grey square somewhere, by chance (DeVries and Taylor 2017, arXiv 1708.04552)."""
    chance, (top, left) = rng.random(), rng.random(2)
    if chance >= HIDDEN * strength:
        return image
    side = round(SQUARE * image.shape[0])
    first, second = (int(each * (image.shape[0] - side + 1)) for each in (top, left))
    image = image.copy()
    image[first : first + side, second : second + side] = GREY
    return image
