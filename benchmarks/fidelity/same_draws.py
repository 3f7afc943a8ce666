"""Give our functions and Albumentations 1.3.1's the same random draws, and compare the pixels:

    old/bin/python benchmarks/fidelity/same_draws.py

To be run by the interpreter of record.py: one OpenCV serves both. Motion blur and noise draw what they need in
another way, so there only the drawn kernel and noise could be compared; the statistics cover them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import albumentations.augmentations.functional as pixel
import albumentations.augmentations.geometric.functional as geometric
import cv2
import numpy as np
from photos import photos

IMAGES = 100


def ours() -> ModuleType:
    """Return our functions without the rest of the package, which this interpreter is too old for."""
    path = Path(__file__).parents[2] / "src" / "ripik" / "augmentation" / "albumentations13.py"
    spec = importlib.util.spec_from_file_location("transforms", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Replay:
    """Stands for NumPy's RandomState in 1.3.1's elastic transform, and draws as our function does."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def uniform(self, low: float, high: float, size: tuple) -> np.ndarray:
        """Draw the anchors' moves."""
        return self.rng.uniform(low, high, size)

    def rand(self, *shape: int) -> np.ndarray:
        """Draw a displacement field."""
        return self.rng.random(shape, dtype=np.float32).astype(np.float64)


def pairs(new: ModuleType) -> dict[str, tuple[Callable, Callable]]:
    """Return name → (ours, 1.3.1's), each a function of (image, seed)."""

    def drawn(seed: int, limits: tuple) -> np.ndarray:
        return np.random.default_rng(seed).uniform(-1, 1, len(limits)) * limits

    def optical(image: np.ndarray, seed: int) -> np.ndarray:
        return geometric.optical_distortion(image, np.random.default_rng(seed).uniform(-0.05, 0.05), 0, 0)

    def grid(image: np.ndarray, seed: int) -> np.ndarray:
        factors = 1 + np.random.default_rng(seed).uniform(-0.3, 0.3, 12)
        return geometric.grid_distortion(image, 5, factors[:6], factors[6:])

    def shift_scale_rotate(image: np.ndarray, seed: int) -> np.ndarray:
        angle, zoom, right, down = drawn(seed, (45, 0.2, 0.0625, 0.0625))
        return geometric.shift_scale_rotate(image, angle, 1 + zoom, right, down)

    def mine(function: Callable, **values: float) -> Callable:
        return lambda image, seed: function(image, np.random.default_rng(seed), **values)

    def flip(image: np.ndarray, seed: int) -> np.ndarray:
        return geometric.random_flip(image, int(np.random.default_rng(seed).integers(-1, 2)))

    return {
        "flip": (mine(new.flip), flip),
        "transpose": (mine(new.transpose), lambda image, seed: geometric.transpose(image)),
        "optical_distortion": (mine(new.optical_distortion, limit=0.05), optical),
        "grid_distortion": (mine(new.grid_distortion, steps=5, limit=0.3), grid),
        "elastic": (
            mine(new.elastic, alpha=120, sigma=6, alpha_affine=3.6),
            lambda image, seed: geometric.elastic_transform(image, 120, 6, 3.6, random_state=Replay(seed)),
        ),
        "shift_hsv": (
            mine(new.shift_hsv, hue=20, saturation=30, value=20),
            lambda image, seed: pixel.shift_hsv(image, *drawn(seed, (20, 30, 20))),
        ),
        "shift_scale_rotate": (mine(new.shift_scale_rotate, shift=0.0625, scale=0.2, rotate=45), shift_scale_rotate),
    }


def main() -> None:
    """Print how many values differ, and by how much at most."""
    images = photos(IMAGES)
    print(f"OpenCV {cv2.__version__}, {IMAGES} images\n")
    print("| function | values that differ | largest difference |\n|---|--:|--:|")
    for name, (new, old) in pairs(ours()).items():
        differences = [np.abs(new(x, seed).astype(int) - old(x, seed)) for seed, x in enumerate(images)]
        share = np.mean([np.mean(difference > 0) for difference in differences])
        print(f"| {name} | {share:.2g} | {max(difference.max() for difference in differences)} |")


if __name__ == "__main__":
    main()
