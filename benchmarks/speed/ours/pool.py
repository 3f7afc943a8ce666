"""Make the pool: decode every photo, transform it as many times as there are copies, store them; by all cores.

python -m benchmarks.speed.ours.pool CONFIG
"""

import json
import sys
import time
from pathlib import Path

from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.features.pixels import pixels
from ripik.splits.run import Run

SIZE = 224


def main() -> None:
    """Make the copies of the training photos; print seconds, copies and bytes."""
    settings = load_settings(Path(sys.argv[1]))
    competition = read_competition(settings)
    start = time.perf_counter()
    path = pixels(Run(settings, competition), "train", True, SIZE)
    seconds = time.perf_counter() - start
    count = len(competition.train) * settings.augmentation.copies
    print(json.dumps({"seconds": seconds, "images": count, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
