"""Grad-CAM: where in a photo a network sees the evidence for a class.

Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", ICCV, doi 10.1109/ICCV.2017.74.
"""

from typing import Any

import keras
import numpy as np

from ripik.errors import InputError
from ripik.models import backend

BATCH = 32


class GradCam:
    """A backbone in two, at its last spatial feature map, so that several classes of a photo share one pass.

    The map is the input of the final global pooling. What follows it is differentiated, not assumed: ConvNeXt, for one,
    normalises the pooled features. For a network that only averages, the result is that of CAM (Zhou, Khosla,
    Lapedriza, Oliva and Torralba 2016, CVPR, doi 10.1109/CVPR.2016.319).
    """

    def __init__(self, backbone: keras.Model) -> None:
        """Split a backbone of `build_backbone`; the parts share its weights, also those it gets later.

        Raises InputError for a network without global average pooling.
        """
        border = _last_pooling(backbone).input
        self._body = keras.Model(backbone.inputs[0], border)
        self._body.jit_compile = backend.compiles()
        self._tail = keras.Model(border, backbone.output)

    def feature_maps(self, images: np.ndarray) -> np.ndarray:
        """Return the last spatial feature maps, float32 (n, h, w, k), of images (n, S, S, 3), RGB of 0–255."""
        return self._body.predict_on_batch(images)

    def heat_maps(self, maps: np.ndarray, classes: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """Return what speaks for the classes, float32 (n, h, w): the largest value of a map is 1, or all of it is 0.

        maps: as of `feature_maps`; classes: int (n,), one class index a map; kernel: the head's, (d, C). A class's
        score is the head's output before softmax, whose bias has no gradient. Each channel is weighted by the mean
        of the score's gradient over the map, and the positive part of the weighted sum is kept.
        Raises InputError where the backend gives no gradients (see `backend.gradient`).
        """
        columns = kernel.T[classes]

        def score(maps: Any) -> Any:
            return keras.ops.sum(self._tail(maps, training=False) * columns)  # of all: no map acts on another's score

        weights = backend.gradient(score, maps).mean(axis=(1, 2))
        return _scaled(np.einsum("nhwk,nk->nhw", maps, weights))


def grad_cam(
    backbone: keras.Model, images: np.ndarray, classes: np.ndarray, kernel: np.ndarray, batch_size: int = BATCH
) -> np.ndarray:
    """Return the heat maps of images (n, S, S, 3), RGB of 0–255, each for one class, float32 (n, h, w) of 0–1.

    n is at least 1. Arguments and errors otherwise as of `GradCam.heat_maps`.
    """
    how = GradCam(backbone)
    parts = [slice(start, start + batch_size) for start in range(0, len(images), batch_size)]
    return np.concatenate([how.heat_maps(how.feature_maps(images[part]), classes[part], kernel) for part in parts])


def _last_pooling(backbone: keras.Model) -> keras.Layer:
    poolings = [layer for layer in backbone.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not poolings:
        raise InputError(f"{backbone.name} has no global average pooling layer, which Grad-CAM needs.")
    return poolings[-1]


def _scaled(heat: np.ndarray) -> np.ndarray:
    positive = np.maximum(heat, 0, dtype=np.float32)
    largest = positive.max(axis=(1, 2), keepdims=True)
    return np.divide(positive, largest, out=np.zeros_like(positive), where=largest > 0)
