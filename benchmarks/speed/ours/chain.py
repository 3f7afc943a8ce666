"""The input chain alone: shuffled batches of an epoch from the pool, checked and prefetched, into nothing.

python -m benchmarks.speed.ours.chain CONFIG [--batch-size 64] [--rounds 3]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.features.batches import Batches, epoch_examples, id_keys, prefetched
from ripik.features.pixels import pixels
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows

SIZE = 224


def main() -> None:
    """Make the pool if it is missing, read it epoch after epoch; print seconds and images of all but the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    settings = load_settings(given.config)
    competition = read_competition(settings)
    source = PackedRows([pixels(Run(settings, competition), "train", copies, SIZE) for copies in (False, True)])
    keys, blocks = id_keys(competition.train["image_id"]), 1 + settings.augmentation.copies
    targets = np.eye(len(competition.classes), dtype="float32")[competition.class_indices().to_numpy()]
    seconds, images = 0.0, 0
    for epoch in range(given.rounds + 1):
        start = time.perf_counter()
        examples = epoch_examples(keys, np.arange(len(keys)), blocks, blocks, seed=0, epoch=epoch)
        read = sum(
            len(labels) for _, labels in prefetched(Batches(source, examples, given.batch_size, targets=targets))
        )
        if epoch:
            seconds, images = seconds + time.perf_counter() - start, images + read
    print(json.dumps({"seconds": seconds, "images": images, "batch_size": given.batch_size}))


if __name__ == "__main__":
    main()
