"""Measure Albumentations 1.3.1 and write down the numbers. To be run by an interpreter that has it (Python 3.10):

    uv venv --python 3.10 old && uv pip install --python old/bin/python albumentations==1.3.1 "numpy<2"
    old/bin/python benchmarks/fidelity/record.py

It writes benchmarks/fidelity/albumentations-1.3.1.json: for each transform at p = 1, and for the whole chain, over
500 images of 256×256, each statistic's mean and spread, averaged over the seeds, and the standard errors of one seed
against the others. It takes about four minutes.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import random
import sys
from collections.abc import Callable
from pathlib import Path

import albumentations as alb
import cv2
import numpy as np
from measures import SMALLER, levels, measure, summary
from photos import COUNT, SIZE, digest, photos

CHAIN = "chain"
TARGET = Path(__file__).with_name("albumentations-1.3.1.json")


def transforms(size: int, certain: bool) -> list:
    """Return the source's transforms, at their own probabilities or for certain."""
    p = (lambda own: 1.0) if certain else (lambda own: own)
    return [
        alb.Resize(size, size),
        alb.Flip(p=p(0.5)),
        alb.Transpose(p=p(0.5)),
        alb.RandomBrightnessContrast(p=p(0.5)),
        alb.MedianBlur(blur_limit=3, p=p(0.1)),
        alb.MotionBlur(p=p(0.2)),
        alb.GaussNoise(p=p(0.1)),
        alb.OpticalDistortion(p=p(0.3)),
        alb.GridDistortion(p=p(0.1)),
        alb.ElasticTransform(alpha=120, sigma=120 * 0.05, alpha_affine=120 * 0.03, p=p(0.1)),
        alb.HueSaturationValue(p=p(0.5)),
        alb.CLAHE(p=p(0.5)),
        alb.ShiftScaleRotate(shift_limit=0.0625, scale_limit=0.2, rotate_limit=45, p=p(0.5)),
        alb.CoarseDropout(p=p(0.1)),
    ]


def _apply(step: Callable[..., dict], image: np.ndarray) -> np.ndarray:
    return step(image=image)["image"]


def main() -> None:
    """Measure every transform and the chain with every seed, and write the record."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=16)
    options.add_argument("--images", type=int, default=COUNT)
    options.add_argument("--to", type=Path, default=TARGET)
    given = options.parse_args()
    cv2.setNumThreads(1)
    images = photos(given.images)
    before = np.array([levels(image) for image in images])
    steps = {type(step).__name__: step for step in transforms(SMALLER, certain=True)}
    steps[CHAIN] = alb.Compose(transforms(SIZE, certain=False))
    measured = {}
    for position, (name, step) in enumerate(steps.items()):
        runs = []
        for seed in range(given.seeds):
            random.seed(1000 * position + seed)
            runs.append(measure(name, functools.partial(_apply, step), images, before))
        measured[name] = {what: summary(np.array([run[what] for run in runs])) for what in runs[0]}
        print(name, flush=True)
    record = {"made_by": made_by(given), "photos": digest(images), "transforms": measured}
    given.to.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def made_by(given: argparse.Namespace) -> dict:
    """Return the command, versions and sizes for the record."""
    return {
        "command": " ".join(["python", "benchmarks/fidelity/record.py", *sys.argv[1:]]),
        "python": platform.python_version(),
        "albumentations": alb.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "seeds": given.seeds,
        "images": given.images,
        "size": SIZE,
    }


if __name__ == "__main__":
    main()
