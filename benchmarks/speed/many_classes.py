"""How long does the report of very many classes take, and where does its time go?

    python -m benchmarks.speed.many_classes [--count 15000] [--classes 1000] [--variants 1] [--top 15]

Makes a run as `benchmarks.speed.reports` does, of photos of noise, and reports it twice: for the seconds, then under
cProfile for what each of the slowest functions of ripik took, with all it calls. Asked: 15,000 images of 1,000 classes
within 2 minutes, with the trying of the images, which the second time finds done.
"""

import argparse
import cProfile
import pstats
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed.reports import make_run
from ripik.config import load_settings
from ripik.console import table
from ripik.report.page import report
from ripik.settings import Settings
from ripik.storage.paths import layout_of

PHOTOS, SIDE = 40, 96


def make_photos(folder: Path) -> Path:
    """Write photos of noise; return their folder."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(PHOTOS):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return folder


def slowest(settings: Settings, top: int) -> list[list[str]]:
    """Make the report anew; return seconds with all it calls, calls and place of the slowest functions of ripik."""
    shutil.rmtree(layout_of(settings).report)
    profile = cProfile.Profile()
    profile.runcall(report, settings)
    told = []
    for (file, line, name), (_, calls, _, seconds, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if "/ripik/" in Path(file).as_posix():
            told.append((seconds, calls, f"{Path(file).name}:{line} {name}"))
    return [[f"{seconds:.1f}", f"{calls}", place] for seconds, calls, place in sorted(told, reverse=True)[:top]]


def main() -> None:
    """Read the command line, make the run, and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=15_000, help="training images, at least 15 a class")
    options.add_argument("--classes", type=int, default=1000)
    options.add_argument("--variants", type=int, default=1)
    options.add_argument("--top", type=int, default=15, help="functions shown; 0: the report is not made again")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder) / "photos")
        settings = load_settings(make_run(Path(folder), photos, given.count, given.classes, given.variants))
        start = time.monotonic()
        page = report(settings)
        seconds, size = time.monotonic() - start, page.stat().st_size / 1e6
        print(
            f"{given.count} images, {given.classes} classes, {given.variants} variants: {seconds:.1f} s, {size:.2f} MB"
        )
        if given.top:
            table("Where it goes", ["seconds", "calls", "function"], slowest(settings, given.top))


if __name__ == "__main__":
    main()
