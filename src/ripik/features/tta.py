"""Test-time augmentation: named views of a batch of images."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

IDENTITY = "identity"
Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """A named way to look at a batch: `apply` maps uint8 (n, S, S, 3) to the same shape."""

    name: str
    apply: Transform


def _crop(share: float, vertical: float = 0.5, horizontal: float = 0.5) -> Transform:
    """Cut a window of `share` of the side at the given position (0…1) and bring it back to the full size."""

    def apply(images: np.ndarray) -> np.ndarray:
        size = images.shape[1]
        side = round(size * share)
        top, left = round((size - side) * vertical), round((size - side) * horizontal)
        windows = images[:, top : top + side, left : left + side]
        return np.stack([cv2.resize(window, (size, size), interpolation=cv2.INTER_LINEAR) for window in windows])

    return apply


# In the order of `names.ViewName`; names that do not begin with crop are symmetries of the square.
VIEWS = {
    view.name: view
    for view in (
        View(IDENTITY, lambda images: images),
        View("hflip", lambda images: images[:, :, ::-1]),
        View("vflip", lambda images: images[:, ::-1]),
        View("rot180", lambda images: images[:, ::-1, ::-1]),
        View("transpose", lambda images: images.swapaxes(1, 2)),
        View("rot90", lambda images: np.rot90(images, 1, (1, 2))),
        View("rot270", lambda images: np.rot90(images, 3, (1, 2))),
        View("transverse", lambda images: images.swapaxes(1, 2)[:, ::-1, ::-1]),
        View("crop90", _crop(0.9)),
        View("crop80", _crop(0.8)),
        View("crop80_top_left", _crop(0.8, 0, 0)),
        View("crop80_top_right", _crop(0.8, 0, 1)),
        View("crop80_bottom_left", _crop(0.8, 1, 0)),
        View("crop80_bottom_right", _crop(0.8, 1, 1)),
    )
}
