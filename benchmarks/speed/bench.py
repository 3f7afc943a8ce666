"""`make bench`: ours and peers side by side in one run, one table.

    python -m benchmarks.speed.bench [--quick] [--only pool,heads] [--photos FOLDER] [--weights FILE] [--real]

Writes benchmarks/speed/results/<date>.md and .json. Peers need the packages of benchmarks/requirements.txt in an
interpreter of their own, named by --peers-python or BENCH_PYTHON.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Results, say
from benchmarks.processes import ROOT, commit, describe_machine, versions
from benchmarks.speed.context import THREADS, Bench
from benchmarks.speed.sections import augmentation, finetuning, frozen, growth

SECTIONS: dict[str, Callable[[Bench], None]] = {
    "blend": growth.blend,
    "pool": augmentation.pool,
    "chain": frozen.chain,
    "passes": frozen.passes,
    "agreement": frozen.agreement,
    "heads": frozen.heads,
    "parts": frozen.parts,
    "fed": finetuning.fed,
    "cuts": finetuning.cuts,
    "torch": finetuning.torch,
    "scaling": growth.scaling,
    "real": growth.real,
}
LONG = ("real",)  # an hour or so: only when asked for
NOT_QUICK = ("scaling", "parts")  # a small run is all start and no passes
OURS = ("ripik", "tensorflow", "keras", "openvino", "albumentations", "opencv-python-headless", "numpy")
PEERS = ("torch", "efficientnet-pytorch", "albumentations", "opencv-python-headless", "numpy")


def main() -> int:
    """Run the sections and write the table; return 1 when a section failed."""
    given = _arguments()
    names = given.only.split(",") if given.only else _chosen(given)
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    if not given.peers_python.exists():
        print(f"there is no {given.peers_python}: `make bench` makes it, or name one in BENCH_PYTHON", file=sys.stderr)
        return 2
    results = _results(given)
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder.resolve(), given.peers_python, given.photos, str(given.weights), given.quick, results)
    failed = [name for name in names if not _run(name, bench)]
    path = given.results / f"{time.strftime('%Y-%m-%d')}{_suffix(given)}.md"
    results.write(path)
    say(f"written: {path}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, ten minutes at most")
    parser.add_argument("--real", action="store_true", help="also the pass of 108,000 copies")
    parser.add_argument("--only", default="", metavar="SECTIONS", help=", ".join(SECTIONS))
    parser.add_argument(
        "--photos", type=_existing, help="folder of .jpg photos to build the data from (default: drawn)"
    )
    parser.add_argument(
        "--weights", type=_existing, default="", help="EfficientNetB0, Keras .weights.h5 (default: random)"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "output" / "bench", help="where data and runs are kept")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "speed" / "results")
    default = Path(os.environ.get("BENCH_PYTHON") or ROOT / ".venv-bench" / "bin" / "python")
    parser.add_argument("--peers-python", type=Path, default=default, help="the peers' interpreter")
    return parser.parse_args()


def _chosen(given: argparse.Namespace) -> list[str]:
    left_out = (() if given.real else LONG) + (NOT_QUICK if given.quick else ())
    return [name for name in SECTIONS if name not in left_out]


def _existing(text: str) -> Path:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no {text}")
    return Path(text).resolve()


def _results(given: argparse.Namespace) -> Results:
    ours, peers = versions(sys.executable, OURS), versions(given.peers_python, PEERS)
    title = f"Ours and peers, {time.strftime('%Y-%m-%d')}{', quick' if given.quick else ''}"
    found = Results(title, describe_machine(), {"Ours": ours, "Peers (PyTorch)": peers}, commit())
    photos, weights = "a folder of photos" if given.photos else "drawn", "a file" if given.weights else "random"
    found.notes += [
        f"Everything on {THREADS} threads, float32, CPU, without XLA; sides take turns (A B A B …). A ratio is the "
        "median over pairs of repeats, with the smallest and largest in brackets.",
        f"Photos: {photos}; weights: {weights}.",
    ]
    return found


def _run(name: str, bench: Bench) -> bool:
    say(f"== {name}")
    start = time.monotonic()
    try:
        SECTIONS[name](bench)
    except RuntimeError as error:  # a process failed: the other sections may still do
        bench.results.notes.append(f"Section {name} failed: {str(error).strip().splitlines()[-1]}")
        say(f"{name} FAILED: {error}")
        return False
    say(f"== {name}: {time.monotonic() - start:.0f} s")
    return True


def _suffix(given: argparse.Namespace) -> str:
    return ("-quick" if given.quick else "") + (f"-{given.only.replace(',', '-')}" if given.only else "")


if __name__ == "__main__":
    sys.exit(main())
