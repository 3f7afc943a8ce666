"""What a finished run does when one of its files is damaged: `python tests/faults.py --tries 3`.

Every kind of file of a tiny finished run is cut, flipped in a bit, emptied or taken away, its modification time kept,
as a failing disk would do it. Then the line is run again. It must end with the same bytes, or stop with one clear
message, after which the line (or what the message says) ends with the same bytes. Anything else is a silent error.
"""

import argparse
import contextlib
import io
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from conftest import draw_competition, in_this_process, write_competition
from ripik import cli
from ripik.storage.artifacts import read_meta
from torture_compare import content_of, same

LINE = ("folds", "train", "ensemble")
SMALL = (
    *("folds.n_splits=2", "training.epochs=2", "jobs.threads=1", "augmentation.copies=1"),
    "variants.finetuned.train_from=block7a",
)
VARIANTS = ("original", "finetuned")
PROMISED = ("folds.csv", "*/oof.csv", "*/test.csv", "ensemble/weights.json")  # equal bytes, with the submission's
KINDS = {  # of what a run keeps; the first file that matches is damaged
    "groups.csv": "run/groups.csv",
    "groups' meta": "run/groups.meta.json",
    "folds.csv": "run/folds.csv",
    "folds' meta": "run/folds.meta.json",
    "gallery of near copies": "run/near-copies.html",
    "unreadable.csv": "run/unreadable.csv",
    "unreadable's meta": "run/unreadable.meta.json",
    "pixels": "run/pixels/32/train.npy",
    "pixels' checksums": "run/pixels/32/train.crc32",
    "pixels' meta": "run/pixels/32/train.meta.json",
    "features": "run/features/*-head-*/train.npy",
    "features' checksums": "run/features/*-head-*/train.crc32",
    "features' meta": "run/features/*-head-*/train.meta.json",
    "initial weights": "run/backbones/*.weights.h5",
    "initial weights' meta": "run/backbones/*.meta.json",
    "saved state": "run/original/fold0/state.npz",
    "last weights": "run/original/fold0/last.weights.h5",
    "best weights": "run/original/fold0/best.weights.h5",
    "history": "run/original/fold0/history.csv",
    "training's meta": "run/original/fold0/meta.json",
    "predictions": "run/original/fold0/predictions.npz",
    "predictions' meta": "run/original/fold0/predictions.meta.json",
    "oof.csv": "run/original/oof.csv",
    "test.csv": "run/original/test.csv",
    "variant's meta": "run/original/meta.json",
    "blend's oof.csv": "run/ensemble/oof.csv",
    "blend's test.csv": "run/ensemble/test.csv",
    "weights.json": "run/ensemble/weights.json",
    "blend's meta": "run/ensemble/meta.json",
    "config.toml": "run/config.toml",
    "images.csv": "run/images.csv",
    "submission": "submissions/*.csv",
    "submission's record": "submissions/*.json",
}
READ_AGAIN = {  # what is taken away besides, so that a store is read by what is made anew
    "pixels": ("features", "original/fold0", "finetuned/fold0"),
    "features": ("original/fold0",),
    "initial": ("features/*-block7a-*", "finetuned/fold0"),
    "saved": ("original/fold0/meta.json", "original/fold0/last.weights.h5"),
}
THE_USERS = ("groups.meta.json", "folds.meta.json")  # without these, a line says, the CSVs count as edited by hand
FAULTS = ("cut", "flipped", "emptied", "lost")


@dataclass(frozen=True)
class Outcome:
    """What became of one fault. verdict: redone, told (an error first, then redone), or what went wrong."""

    kind: str
    fault: str
    verdict: str
    told: str

    @property
    def good(self) -> bool:
        return self.verdict in ("redone", "told")


class World:
    """A finished tiny run, kept aside, and a place where copies of it are damaged and run again."""

    def __init__(self, folder: Path) -> None:
        folder.joinpath("tiny").mkdir()
        tiny = write_competition(folder / "tiny", draw_competition())
        self.config, self.run, self.kept = tiny.config, tiny.run, folder / "kept"
        self.submissions = tiny.folder / "submissions"

    def finish(self) -> None:
        """Run the line, and keep what it made."""
        for step in LINE:
            code, told = self.step(step)
            if code:
                raise RuntimeError(f"{step} ended with {code}: {told}")
        shutil.copytree(self.run, self.kept / "run")
        shutil.copytree(self.submissions, self.kept / "submissions")

    def restore(self) -> None:
        """Bring the finished run back."""
        for name, folder in (("run", self.run), ("submissions", self.submissions)):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.kept / name, folder)

    def step(self, name: str) -> tuple[int, str]:
        """Run a step in this process; return its exit code and what it said."""
        options = [word for setting in SMALL for word in ("--set", setting)]
        chosen = [] if name == "folds" else ["--variants", *VARIANTS]
        with in_this_process(), _listening() as said:
            code = cli.main([name, "--config", str(self.config), *options, *chosen])
        keras.utils.clear_session(free_memory=True)  # a process for each task would not need it
        return code, said.getvalue()

    def find(self, pattern: str) -> Path:
        """Return the file of the finished run to damage."""
        name, rest = pattern.split("/", 1)
        folder = {"run": self.run, "submissions": self.submissions}[name]
        return next(path for path in sorted(folder.glob(rest)) if path.name != "log.csv")

    def differences(self) -> list[str]:
        """Return which of the promised files differ from those of the finished run."""
        found = [path for pattern in PROMISED for path in sorted((self.kept / "run").glob(pattern))]
        changed = [path for path in found if _bytes(self.run / path.relative_to(self.kept / "run")) != _bytes(path)]
        csvs = [sorted(folder.glob("*-cv*[0-9].csv"))[-1] for folder in (self.kept / "submissions", self.submissions)]
        names = [str(path.relative_to(self.kept / "run")) for path in changed]
        return names + (["submission"] if _bytes(csvs[0]) != _bytes(csvs[1]) else [])

    def suffer(self, kind: str, fault: str, seed: int) -> Outcome:
        """Damage a file of this kind, run the line, and judge."""
        self.restore()
        path = self.find(KINDS[kind])
        for pattern in READ_AGAIN.get(kind.split()[0].removesuffix("'"), ()):
            for needed in self.run.glob(pattern):
                needed.unlink() if needed.is_file() else shutil.rmtree(needed)
        damage(path, fault, random.Random(f"{kind} {fault} {seed}"))
        told: list[str] = []
        for _ in range(2):
            code, message = self._line()
            if not code:
                return Outcome(kind, fault, self._verdict(path, told), told[0] if told else "")
            if code not in (2, 3) or "Traceback" in message:
                return Outcome(kind, fault, f"BUG: exit code {code}", message)
            told.append(message)
            if "Delete it" in message:
                path.unlink()
        return Outcome(kind, fault, "STUCK: the same error again", told[-1])

    def _verdict(self, path: Path, told: Sequence[str]) -> str:
        """Judge what stands after the line was run to its end."""
        different = self.differences()
        if different:
            return f"SILENT: {', '.join(different)} differ"
        if self.run in path.parents and path.name not in THE_USERS and not self._is_mended(path):
            return "UNNOTICED: the damaged file still stands"
        return "told" if told else "redone"

    def _is_mended(self, path: Path) -> bool:
        """Whether a file of the run is again what it was; of a meta file, which tells seconds, whether it is whole."""
        if path.name.endswith("meta.json"):
            return read_meta(path) is not None
        kept = self.kept / "run" / path.relative_to(self.run)
        return path.exists() and same(content_of(path), content_of(kept))

    def _line(self) -> tuple[int, str]:
        """Run the line up to its first failure; return its exit code and message."""
        for step in LINE:
            try:
                code, said = self.step(step)
            except Exception as error:  # what a user would see as a traceback
                return 1, f"{step}: {type(error).__name__}: {error}"
            if code:
                return code, " ".join(said[said.rindex("ripik: ") :].split())
        return 0, ""


@contextlib.contextmanager
def _listening() -> Iterator[io.StringIO]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def damage(path: Path, fault: str, rng: random.Random) -> None:
    """Do to a file what a failing disk does: its modification time stays."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    if fault == "lost":
        path.unlink()
        return
    if fault == "cut":
        content = content[: rng.randrange(1, len(content))]
    elif fault == "emptied":
        content = bytearray()
    else:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def show(outcomes: Sequence[Outcome]) -> str:
    """Return the table of what became of the faults."""
    rows = [f"{'file':26}" + "".join(f"{fault:>22}" for fault in FAULTS)]
    for kind in KINDS:
        cells = [Counter(o.verdict for o in outcomes if (o.kind, o.fault) == (kind, fault)) for fault in FAULTS]
        texts = [", ".join(f"{number} {verdict.split(':')[0]}" for verdict, number in cell.items()) for cell in cells]
        rows.append(f"{kind:26}" + "".join(f"{text:>22}" for text in texts))
    bad = [outcome for outcome in outcomes if not outcome.good]
    silent = sum(outcome.verdict.startswith("SILENT") for outcome in outcomes)
    rows += [f"{o.kind}, {o.fault}: {o.verdict}. {o.told}" for o in outcomes if o.told]
    return "\n".join(
        [*rows, f"{len(outcomes)} faults: {len(outcomes) - len(bad)} mended, silent wrong results: {silent}"]
    )


def main() -> int:
    """Try the faults and print the table; 1 when one was not mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=3, help="of each fault in each kind of file (default: 3)")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    options = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.finish()
        for kind in options.kinds:
            for fault in FAULTS:
                tries = 1 if fault in ("lost", "emptied") else options.tries
                outcomes += [world.suffer(kind, fault, seed) for seed in range(tries)]
            print(f"{kind}: {Counter(o.verdict for o in outcomes if o.kind == kind)}", file=sys.stderr, flush=True)
    print(show(outcomes))
    return int(not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
