"""Random weights that make a usable frozen backbone without any download or photo; for the demo.

A network drawn by Keras' initialisers and run in inference mode says little about an image: its features are about
1e-6, and even calibrated they follow colour and brightness. Shaping the draw helps: contrast-only first filters, no
random gating, averaging in the later blocks, then BatchNorm statistics from noise. Each step was kept because a linear
head on the demo's drawings scored lower without it.
"""

import keras
import numpy as np

from ripik.models.backbone import build_backbone

SEED = 0
CALIBRATION_IMAGES, CALIBRATION_SIZE = 64, 128
RESIDUAL_GAMMA = 0.5
LINEAR_BETA = 3.0  # far enough to the right for swish to be nearly the identity
EARLY_BLOCKS = ("block1", "block2")


def random_backbone(name: str) -> keras.Model:
    """Build a backbone with shaped random weights, a pure function of its name.

    The shaping is designed for EfficientNets; of any other network it takes in the layers whose kind and name fit, and
    every BatchNorm is calibrated.
    """
    keras.utils.set_random_seed(SEED)
    backbone = build_backbone(name, CALIBRATION_SIZE)
    _shape_convolutions(backbone)
    _shape_batch_norm(backbone)
    calibrate_batch_norm(backbone, natural_noise(CALIBRATION_IMAGES, CALIBRATION_SIZE, SEED))
    return backbone


def calibrate_batch_norm(backbone: keras.Model, images: np.ndarray) -> None:
    """Set the moving statistics of every BatchNorm to those of one batch, float32 (n, S, S, 3) of 0–255."""
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    drops = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Dropout)]
    kept = [(layer, "momentum", layer.momentum) for layer in norms] + [(layer, "rate", layer.rate) for layer in drops]
    for layer, attribute, _ in kept:
        setattr(layer, attribute, 0.0)
    backbone(images, training=True)
    for layer, attribute, value in kept:
        setattr(layer, attribute, value)


def natural_noise(count: int, size: int, seed: int) -> np.ndarray:
    """Return coloured noise with a falling spectrum like that of photos: float32, (count, size, size, 3), 0–255.

    It stands in for photos, so that no held-out photo touches the weights. Amplitude falls as 1/f^1.5, a little
    steeper than the 1/f of natural scenes (Field 1987, J. Opt. Soc. Am. A 4, 2379).
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * size
    frequency[0, 0] = 1
    white = np.fft.rfft2(rng.normal(size=(count, 3, size, size)))
    noise = np.fft.irfft2(white / frequency**1.5, s=(size, size))
    noise /= noise.std(axis=(2, 3), keepdims=True)
    contrast, tint = rng.uniform(25, 70, (count, 1, 1, 1)), rng.normal(0, 20, (count, 3, 1, 1))
    return np.clip(127 + contrast * noise + tint, 0, 255).transpose(0, 2, 3, 1).astype("float32")


def _shape_convolutions(backbone: keras.Model) -> None:
    for layer in backbone.layers:
        weights = layer.get_weights()
        if layer.name == "stem_conv":  # edges of brightness, no colour
            kernel = weights[0] - weights[0].mean(axis=(0, 1), keepdims=True)
            layer.set_weights([np.broadcast_to(kernel.mean(axis=2, keepdims=True), kernel.shape), *weights[1:]])
        elif layer.name.endswith("se_expand"):  # the same gate for every channel
            layer.set_weights([np.zeros_like(weights[0]), *weights[1:]])
        elif isinstance(layer, keras.layers.DepthwiseConv2D) and not layer.name.startswith(EARLY_BLOCKS[0]):
            layer.set_weights([np.abs(weights[0]), *weights[1:]])  # averages, not differences


def _shape_batch_norm(backbone: keras.Model) -> None:
    names = {layer.name for layer in backbone.layers}
    for layer in backbone.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        if layer.name.endswith("project_bn"):
            if layer.name.replace("project_bn", "add") in names:
                layer.gamma.assign(np.full(layer.gamma.shape, RESIDUAL_GAMMA))
        elif layer.name.startswith(("block", "top")) and not layer.name.startswith(EARLY_BLOCKS):
            layer.beta.assign(np.full(layer.beta.shape, LINEAR_BETA))
