"""Finetuning fed by the input chain, against `train_on_batch` on one batch that stays in memory.

python -m benchmarks.speed.ours.step CONFIG VARIANT [--steps 6] [--rounds 3]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ripik.config import load_settings
from ripik.features.batches import Batches
from ripik.features.prepare import prepare
from ripik.models import backend
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training.callbacks import Fed
from ripik.training.examples import Course
from ripik.training.jobs import Training
from ripik.training.trainer import Trainer


def epoch_of(course: Course, steps: int) -> Batches:
    """Return the first batches of a training's first epoch."""
    run, size, examples = course.training.run, course.variant.batch_size, course.examples(0)
    if len(examples) < steps * size:
        raise SystemExit(f"{steps} batches of {size} need more photos than {len(examples)}")
    targets = np.eye(len(run.competition.classes), dtype="float32")[run.targets()]
    return Batches(course.source, examples[: steps * size], size, targets=targets)


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Time both, one after the other, round after round; print the images/s of every round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("variant")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    backend.make_deterministic(0)
    run = Run.open(load_settings(given.config))
    prepare(run, [run.settings.variants[given.variant]])
    trainer = Trainer.create(Training(run, Job(given.variant, 0)))
    batches = epoch_of(trainer.course, given.steps)
    model, one = trainer.model, batches[0]

    def fed() -> None:
        model.fit(Fed(batches), epochs=1, verbose=0, shuffle=False)

    def in_memory() -> None:
        for _ in range(given.steps):
            model.train_on_batch(*one)

    fed()
    in_memory()
    images = given.steps * batches.batch_size
    rounds = [(images / seconds(fed), images / seconds(in_memory)) for _ in range(given.rounds)]
    print(json.dumps({"fed": [a for a, _ in rounds], "in_memory": [b for _, b in rounds], "images": images}))


if __name__ == "__main__":
    main()
