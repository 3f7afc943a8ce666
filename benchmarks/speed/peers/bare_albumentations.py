"""The bare rate of one thread of Albumentations: the source's transforms on photos that are decoded already.

python bare_albumentations.py DATA [--limit 40] [--copies 5]
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import pandas as pd
from source_transforms import source_transforms


def main() -> None:
    """Transform the first photos of train.csv in memory; print seconds and copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the competition's folder")
    parser.add_argument("--limit", type=int, default=40, help="photos")
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    names = pd.read_csv(given.data / "train" / "train.csv")["filename"].head(given.limit)
    photos = [
        cv2.cvtColor(cv2.imread(str(given.data / "train" / "images" / name)), cv2.COLOR_BGR2RGB) for name in names
    ]
    transform = source_transforms(given.size)
    transform(image=photos[0])
    start = time.perf_counter()
    for photo in photos:
        for _ in range(given.copies):
            transform(image=photo)
    print(json.dumps({"seconds": time.perf_counter() - start, "images": len(photos) * given.copies}))


if __name__ == "__main__":
    main()
