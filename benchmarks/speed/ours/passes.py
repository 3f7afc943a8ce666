"""Passes of the frozen backbone over the pool, with the engine that the configuration chooses; nothing is stored.

python -m benchmarks.speed.ours.passes CONFIG [--limit 256] [--out features.npy]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.features.batches import Batches, first_batch, prefetched
from ripik.features.frozen_passes import build_frozen_part
from ripik.features.pixels import pixels
from ripik.features.store import VariantData
from ripik.models.engines import SAMPLE, make_predictor
from ripik.models.weights import make_initial_weights
from ripik.names import HEAD
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows


def main() -> None:
    """Pass once over the first copies after a warm-up; print seconds, images, engine, weights and pool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--out", type=Path, help=".npy for the features")
    given = parser.parse_args()
    settings = load_settings(given.config)
    variant = next(variant for variant in settings.variants.values() if variant.train_from == HEAD)
    run = Run(settings, read_competition(settings))
    pool = pixels(run, "train", True, variant.image_size)
    weights, source = make_initial_weights(settings, variant), PackedRows([pool])
    frozen_part = build_frozen_part(VariantData(run, variant))
    predictor = make_predictor(frozen_part, settings.prediction.engine, first_batch(source, SAMPLE))
    batches = Batches(source, np.arange(min(given.limit, len(source))), settings.prediction.batch_size)
    list(predictor.stream([first_batch(source, SAMPLE)]))
    start = time.perf_counter()
    features = np.concatenate(list(predictor.stream(prefetched(batches))))
    seconds = time.perf_counter() - start
    if given.out:
        np.save(given.out, features)
    found = {"seconds": seconds, "images": len(features), "engine": str(predictor)}
    print(json.dumps(found | {"weights": str(weights), "pool": str(pool)}))


if __name__ == "__main__":
    main()
