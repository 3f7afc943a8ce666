"""Comparison of two thumbnails without the freedom of a crop, for images that a crop makes alike to many others."""

import cv2
import numpy as np

from ripik.splits.near_copies.registration import (
    COARSE,
    TURNS,
    Prepared,
    correlation,
    laid_over,
    refine,
    softer,
    turned,
)

WIDE, FAINT = 16.0, 16.0  # deviation of the neighbourhood, px, and variance that stays small
EQUAL = 0.002  # a smaller prior of disagreement, since differences near 1 count
CONTRAST = 2.5  # factor between the contrasts of two copies; on a drawing tones prove as much as lines do
IN_PLACE = 0.03  # share of the side by which an edge of an image that was not cropped may seem to move


def similarity_in_place(a: Prepared, b: Prepared) -> float:
    """How well two images agree without the freedom of a crop: turned only, no edge moved by more than IN_PLACE.

    In [0, 1], 0.0 for contrasts that differ by more than CONTRAST: the correlation of the images normalised within a
    WIDE neighbourhood, so that faint noise on an empty ground counts little beside a drawing. It only tells more from
    less alike: flat pictures may be very much alike.
    """
    contrasts = sorted(float(each.smooth.std()) for each in (a, b))
    if contrasts[1] > CONTRAST * contrasts[0]:
        return 0.0
    small_a, small_b = (cv2.resize(each.detail, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for each in (a, b))
    fits = [float((turned(small_a, turn) * small_b).sum()) for turn in range(len(TURNS))]
    best = 0.0
    for turn in np.argsort(fits)[:-3:-1]:
        smooth = turned(a.smooth, turn)
        edges = refine(smooth, b.smooth, (0.0,) * 4)
        for tried in [np.zeros(4), *([edges] if np.abs(edges).max() <= IN_PLACE else [])]:
            for one, other in ((smooth, b.smooth), softer(smooth, b.smooth)):
                best = max(best, correlation(*laid_over(one, other, tried, WIDE, FAINT), EQUAL))
    return best
