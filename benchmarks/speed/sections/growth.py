"""What grows with the data: time, memory, disk; and the blend's search."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.harness import Ratio, Row
from benchmarks.speed.context import Bench
from benchmarks.speed.sections.frozen import TRAINING

GB = 1e9
PHOTOS, COPIES = 7200, 15


def scaling(bench: Bench) -> None:
    """Compare the marginal time of a row from 1× to 4× and from 4× to 16× rows."""
    count = bench.size(80, 1250)
    seconds = []
    for rows in (1, 4, 16):
        variant = {"data": "original"} if rows == 1 else {"data": "augmented"}
        tables = {"augmentation": {"copies": max(1, rows - 1)}, "training": TRAINING}
        config = bench.config(f"rows-{rows}", count, {"head": variant}, **tables)
        seconds.append(bench.ripik("train", config).seconds)
    early, late = ((seconds[1] - seconds[0]) / (3 * count), (seconds[2] - seconds[1]) / (12 * count))
    bench.results.add(
        Row(
            "marginal time of a row from 4× to 16× rows, against that from 1× to 4×",
            f"{1000 * late:.2f} ms",
            f"{1000 * early:.2f} ms",
            Ratio(late / early, late / early, late / early),
            1.15,
            at_most=True,
            note=f"{count} photos as they are, with 3 and with 15 copies of each: "
            + ", ".join(f"{each:.0f} s" for each in seconds)
            + ", everything from an empty run to the heads of 5 folds.",
        )
    )


def real(bench: Bench) -> None:
    """Go once through 108,000 copies: copies, store, heads of Model 2 on five folds; and through 7,200 for memory."""
    peaks = []
    for copies in (1, COPIES):
        tables = {"augmentation": {"copies": copies}, "training": TRAINING}
        config = bench.config(f"real-{copies}", PHOTOS, {"augmented": {"data": "augmented"}}, **tables)
        pool = bench.ours("pool", config)
        trained = bench.ripik("train", config)
        peaks.append((trained.peak_mb, trained.tree_mb))
    disk = {name: _size(config.parent / "output" / config.stem / name) / GB for name in ("pixels", "features")}
    total = pool["seconds"] + trained.seconds
    bench.results.add(
        Row(
            f"a real pass of {PHOTOS * COPIES:,} copies at 224 px: copies, store, heads of Model 2 on 5 folds",
            f"{total:.0f} s (copies {pool['seconds']:.0f} s); {sum(disk.values()):.1f} GB on disk "
            f"(pool {disk['pixels']:.1f}); {peaks[1][0]:.0f} MB in the largest process",
            note=f"{len(bench.source)} different photos in turn.",
        ),
        Row(
            f"peak memory, growth from {PHOTOS:,} to {PHOTOS * COPIES:,} copies",
            f"{(peaks[1][0] - peaks[0][0]) / 1000:.2f} GB",
            bound=0.5,
            at_most=True,
            value=(peaks[1][0] - peaks[0][0]) / 1000,
            unit="GB",
            note=f"Largest process {peaks[0][0]:.0f} → {peaks[1][0]:.0f} MB; all processes together (sampled) "
            f"{peaks[0][1]:.0f} → {peaks[1][1]:.0f} MB.",
        ),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def blend(bench: Bench) -> None:
    """Search the weights of eight members."""
    found = [bench.ours("blend") for _ in range(bench.size(2, 5))]
    seconds = statistics.median(each["seconds"] for each in found)
    fitted = statistics.median(each["cross_fit_seconds"] for each in found)
    bench.results.add(
        Row(
            "blend search, 8 members × 7,200 × 6",
            f"{seconds:.2f} s",
            bound=2,
            at_most=True,
            value=seconds,
            unit="s",
            note=f"The cross-fitted score, five more searches, takes {fitted:.2f} s.",
        )
    )
