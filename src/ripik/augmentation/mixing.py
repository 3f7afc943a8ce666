"""Mixed batches: each example and its target are mixed with another one of the batch, by one share a batch."""

import numpy as np

from ripik.names import Mixing


def mixed(
    images: np.ndarray, targets: np.ndarray, rng: np.random.Generator, how: Mixing, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of uint8 (n, S, S, 3) and its targets, float32 (n, C), mixed with the batch in another order.

    mixup: pixels are weighted (Zhang et al. 2018, ICLR). cutmix: a rectangle is of the other image (Yun et al. 2019,
    ICCV). The share is drawn from Beta(alpha, alpha).
    """
    share, order = rng.beta(alpha, alpha), rng.permutation(len(images))
    if how == "mixup":
        blended = share * images.astype(np.float32) + (1 - share) * images[order].astype(np.float32)
        images = np.rint(blended).astype(np.uint8)
    else:
        images, share = _pasted(images, order, share, rng)
    weight = np.float32(share)
    return images, weight * targets + (1 - weight) * targets[order]


def _pasted(images: np.ndarray, order: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the images with a rectangle of the others, and the share of their own pixels that is left."""
    size = images.shape[1]
    side, (down, across) = np.sqrt(1 - share) * size, rng.random(2) * size
    top, left = (max(0, round(each - side / 2)) for each in (down, across))
    bottom, right = (min(size, round(each + side / 2)) for each in (down, across))
    images = images.copy()
    images[:, top:bottom, left:right] = images[order, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / size**2
