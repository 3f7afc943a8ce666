"""A tiny competition's line, step by step: run, kept before and after each step, brought back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from conftest import draw_competition, write_competition
from torture_compare import differences

SETTINGS = (
    *("folds.n_splits=2", "training.epochs=5", "training.batch_size=4", "finetuning.batch_size=4", "jobs.jobs=2"),
    *("training.inner_split=0.4", "training.early_stopping=2", "training.learning_rate=0.02", "network.dropout=0.3"),
    *("jobs.threads=1", "augmentation.copies=2", "variants.finetuned.train_from=block7a", "blend.bags=2"),
    "tune.at_once=4",
)
LATER = ("original/fold0/predictions", "finetuned/fold1/predictions")  # taken away, for `predict` to make


@dataclass(frozen=True)
class Step:
    """A command of the line; `train` comes in parts, so that a kill leaves little to run again."""

    name: str
    command: str
    variants: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        return [self.command, *(["--variants", *self.variants] if self.variants else []), *self.options]


ALL = ("original", "augmented", "finetuned")
STEPS = (
    Step("folds", "folds"),
    Step("augment", "augment"),
    Step("train-original", "train", ALL[:1]),
    Step("tune", "tune", (), ("--variant", "original", "--trials", "8")),
    Step("train-augmented", "train", ALL[:2]),
    Step("train-finetuned", "train", ALL),
    Step("predict", "predict", ALL),
    Step("ensemble", "ensemble", ALL),
    Step("report", "report"),
)
STATUS = Step("status", "status")  # it changes nothing


class Line:
    """The line in a folder of its own: `tiny` is where it runs, `kept` what stood before and after each step."""

    def __init__(self, work: Path, source: Path | None = None) -> None:
        self.work, self.source = work, source
        self.tiny, self.kept = work / "tiny", work / "kept"
        self.config = self.tiny / "tiny.toml"
        if not self.config.exists():
            self.tiny.mkdir(parents=True)
            write_competition(self.tiny, draw_competition())

    def seconds(self, step: Step) -> float:
        """Return how long the uninterrupted step took."""
        return json.loads((self.kept / step.name / "told.json").read_text())["seconds"]

    def moments(self, step: Step) -> dict[int, str]:
        """Return what the uninterrupted step did to files, by its number from 1."""
        lines = (self.kept / step.name / "moments.txt").read_text().splitlines()
        return {int(number): moment for number, _, moment in (line.partition(" ") for line in lines)}

    def run_once(self, step: Step) -> None:
        """Run a step uninterrupted and keep what stood before and after; nothing when that is done."""
        folder = self.kept / step.name
        if (folder / "told.json").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        before = STEPS.index(step)
        if before:
            self.bring(self.kept / STEPS[before - 1].name / "after")
        if step.name == "predict":
            self._forget_predictions()
        self.keep(folder / "before")
        start, counter, moments = time.monotonic(), self.work / "count", self.work / "killed"
        for path in (counter, moments):
            path.unlink(missing_ok=True)
        with self.start(step, kill=0) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{step.name} ended with {process.returncode} uninterrupted:\n{said}")
        seconds = time.monotonic() - start
        self.keep(folder / "after")
        moments.rename(folder / "moments.txt")
        (folder / "told.json").write_text(json.dumps({"seconds": seconds}))

    def _forget_predictions(self) -> None:
        run = self.run
        for stem in LATER:
            for path in (run / f"{stem}.npz", run / f"{stem}.meta.json"):
                path.unlink()
            for path in (run / stem).parents[1].glob("*.*"):
                path.unlink()

    def start(
        self,
        step: Step,
        kill: int | None = None,
        sets: Sequence[str] = (),
        told: Mapping[str, str] | None = None,
        pipe: int | None = None,
    ) -> subprocess.Popen[str]:
        """Start a step in a process group of its own.

        kill: the moment at which it is killed, 0 to count them. sets: more settings. told: more of the environment.
        pipe: a file descriptor that the process gets.
        """
        words = [word for setting in (*SETTINGS, *sets) for word in ("--set", setting)]
        path = [str(self.source)] if self.source else []
        path += filter(None, [os.environ.get("PYTHONPATH")])
        environment = os.environ | dict(told or {}) | {"PYTHONPATH": os.pathsep.join(path)}
        if kill is not None:
            watched = f"{self.tiny}/"
            files = [watched, str(self.work / "count"), str(kill), str(self.work / "killed")]
            environment["RIPIK_KILL"] = "\n".join(files)
        return subprocess.Popen(
            [sys.executable, "-m", "ripik", *step.words, "--config", str(self.config), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a background job is born ignoring it
            cwd=self.tiny,
            pass_fds=() if pipe is None else (pipe,),
        )

    def keep(self, folder: Path) -> None:
        """Copy what the line has made so far, modification times included."""
        for name in ("output", "submissions"):
            (self.tiny / name).mkdir(exist_ok=True)
            shutil.copytree(self.tiny / name, folder / name)

    def bring(self, folder: Path) -> None:
        """Bring back what was kept."""
        for name in ("output", "submissions"):
            shutil.rmtree(self.tiny / name, ignore_errors=True)
            shutil.copytree(folder / name, self.tiny / name)

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.tiny / "output" / "tiny"

    def bring_before(self, step: Step) -> None:
        """Bring back what stood before a step."""
        self.bring(self.kept / STEPS[0].name / "after" if step is STATUS else self.kept / step.name / "before")

    def differences(self, step: Step) -> list[str]:
        """Return in what the line's files differ from those after the uninterrupted step."""
        return differences(self.kept / step.name / "after", self.tiny)
