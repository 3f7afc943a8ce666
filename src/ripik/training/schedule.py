"""The learning rate of every optimizer step."""

import numpy as np

from ripik.variants import Variant


def warmup_steps(variant: Variant, steps: int) -> int:
    """Return over how many of the steps the rate rises."""
    return round(variant.warmup * steps)


def learning_rates(variant: Variant, steps: int) -> np.ndarray:
    """Return the learning rate after 0, 1, … `steps` optimizer steps, float32 (steps + 1,).

    constant, or cosine: linear warm-up from 0 over `warmup` of the steps, then half a cosine to 0 (Loshchilov & Hutter
    2017, SGDR). To rounding, what Keras' schedule gives (see `optimizer`).
    """
    rate = np.float32(variant.learning_rate)
    if variant.schedule != "cosine":
        return np.full(steps + 1, rate)
    warmup = warmup_steps(variant, steps)
    step, decay = np.arange(steps + 1, dtype=np.float32), np.float32(max(1, steps - warmup))
    part = np.minimum(step - np.float32(warmup), decay) / decay
    cosine = rate * (np.float32(0.5) * (1 + np.cos(np.float32(np.pi) * part)))
    return np.where(step < warmup, rate * (step / np.float32(max(1, warmup))), cosine)
