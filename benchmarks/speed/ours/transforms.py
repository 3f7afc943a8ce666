"""The bare rate of one thread of our transforms, on photos that are decoded already.

python -m benchmarks.speed.ours.transforms DATA [--limit 40] [--copies 5]
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd

from ripik.augmentation.pipeline import build_pipeline, make_copies
from ripik.data.image_files import decode


def main() -> None:
    """Transform the first photos of train.csv in memory; print seconds and copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the competition's folder")
    parser.add_argument("--limit", type=int, default=40, help="photos")
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    names = pd.read_csv(given.data / "train" / "train.csv")["filename"].head(given.limit)
    photos = [decode(given.data / "train" / "images" / name) for name in names]
    pipeline, numbers = build_pipeline("source", given.size), range(1, given.copies + 1)
    list(make_copies(photos[0], "warm-up", [1], pipeline=pipeline, seed=0))
    start = time.perf_counter()
    made = sum(
        1 for row, photo in enumerate(photos) for _ in make_copies(photo, row, numbers, pipeline=pipeline, seed=0)
    )
    print(json.dumps({"seconds": time.perf_counter() - start, "images": made}))


if __name__ == "__main__":
    main()
