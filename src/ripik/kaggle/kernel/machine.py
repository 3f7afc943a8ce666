"""The two kinds of kernel: all steps with a time limit, resuming from the previous version, or prediction alone."""

import os
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ripik.config import load_settings
from ripik.console import say, warn
from ripik.data.archives import files_in
from ripik.data.fetch import fetch
from ripik.errors import InputError, OutOfTimeError
from ripik.execution import command
from ripik.kaggle.kernel.manifest import MANIFEST, Manifest
from ripik.kaggle.kernel.own_files import CORRECTIONS, forget, place
from ripik.settings import Settings
from ripik.steps import step
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

INPUT, WORKING, SCRATCH = "/kaggle/input", "/kaggle/working", "/kaggle/temp"
DEPTH = 3  # Kaggle mounts x at input/x, or at input/datasets/<owner>/x, input/competitions/x, input/notebooks/<owner>/x


@dataclass(frozen=True)
class Machine:
    """input: read-only mounts. working: what is kept. scratch: what is gone when the kernel ends."""

    input: Path
    working: Path
    scratch: Path

    def mounted(self, name: str) -> Path | None:
        """Return the folder of a dataset, competition or kernel by the last part of its address; None: not there."""
        for depth in range(DEPTH):
            for path in sorted(self.input.glob("/".join(["*"] * depth + [name]))):
                if path.is_dir():
                    return path
        return None

    def need(self, name: str, what: str) -> Path:
        """Return the folder of what must be mounted; InputError where it is not."""
        found = self.mounted(name)
        if found is None:
            there = sorted(path.name for path in self.input.glob("*")) if self.input.is_dir() else []
            raise InputError(
                f"{what} {name} is not mounted below {self.input} (there: {', '.join(there) or 'nothing'}). Add it to "
                "the kernel's inputs, or run `make kernel kernel-push` again."
            )
        return found


def this_machine() -> Machine:
    """Return Kaggle's folders, or those that RIPIK_KAGGLE_INPUT, _WORKING and _SCRATCH name."""
    given = [os.environ.get(f"RIPIK_KAGGLE_{name}") for name in ("INPUT", "WORKING", "SCRATCH")]
    usual = (INPUT, WORKING, SCRATCH)
    paths = [Path(named or default) for named, default in zip(given, usual, strict=True)]
    for path in paths[1:]:
        path.mkdir(parents=True, exist_ok=True)
    return Machine(*paths)


STEPS = ("folds", "train", "ensemble")  # the report asks for packages that Kaggle does not have
SUBMISSION = "submission.csv"
LEAST = 60.0  # seconds, with fewer of which no step is begun


def run(facts: dict[str, Any]) -> int:
    """Do what the facts of a kernel ask for on this machine; return the exit code.

    Raises InputError for inputs that are not mounted or not those that the kernel was built with.
    """
    machine = this_machine()
    config = machine.scratch / f"{facts['run']}.toml"
    artifacts.write_text(config, facts["settings"])
    files = _own_files(machine, facts)
    overrides = [*_paths(machine, facts), *_corrections(files, machine)]
    overrides += _data(config, overrides, machine, facts)
    if facts["kind"] == "infer":
        return _infer(config, overrides, machine, facts)
    return _train(config, [*overrides, *_weights(machine, facts)], machine, facts, files)


def _paths(machine: Machine, facts: dict[str, Any]) -> list[str]:
    kept = machine.scratch if facts["kind"] == "infer" else machine.working
    return [
        f"paths.input={machine.scratch / 'input'}",
        f"paths.output={kept / 'output'}",
        f"paths.submissions={kept / 'submissions'}",
    ]


def _data(config: Path, overrides: Sequence[str], machine: Machine, facts: dict[str, Any]) -> list[str]:
    """Return where the competition's files are: as they are mounted, or put in order in the scratch folder.

    For a training always the latter, each file's time of change made of its content: a training goes on only with
    images that have not changed since, which the times tell, and Kaggle may give a mount new times.
    """
    mount, how = machine.need(facts["data"], "the competition's data"), load_settings(config).competition
    wanted = [how.table("test"), how.sample_submission if how.has_sample else "", *how.image_folders("test")]
    if facts["kind"] == "infer" and all((mount / name).exists() for name in wanted if name):
        return [f"competition.root={mount}"]
    root = machine.scratch / "input" / facts["run"]
    fetch(load_settings(config, [*overrides, f"competition.root={root}"]), mount)
    for path in files_in(root):
        content = zlib.crc32(path.read_bytes())
        os.utime(path, (content, content))
    return [f"competition.root={root}"]


def _dataset(machine: Machine, facts: dict[str, Any], what: str) -> Path:
    """Return the folder of one of the kernel's own datasets, in the version the kernel was built with."""
    wanted = facts["datasets"][what]
    folder = machine.need(wanted["slug"], f"the dataset of {what}")
    manifest = folder / MANIFEST
    if not manifest.is_file() or artifacts.file_digest(manifest) != wanted["manifest"]:
        raise InputError(
            f"{folder} is a different version of the dataset than the kernel was built with. Set the dataset to its "
            "latest version in the kernel's inputs, or run `make kernel kernel-push` again."
        )
    return folder


def _weights(machine: Machine, facts: dict[str, Any]) -> list[str]:
    if "weights" not in facts["datasets"]:
        return []
    folder = _dataset(machine, facts, "weights")
    return [f"variants.{name}.weights={folder / file}" for name, file in Manifest.read(folder).weights.items()]


def _own_files(machine: Machine, facts: dict[str, Any]) -> Path | None:
    """Return the folder of the files that the run's user wrote, whole; None where the kernel carries none."""
    if "files" not in facts["datasets"]:
        return None
    folder = _dataset(machine, facts, "files")
    Manifest.read(folder)
    return folder


def _corrections(files: Path | None, machine: Machine) -> list[str]:
    """Return where the corrected labels are: copied to where they are for every version, as a blend records it.

    Without them, nowhere: the configuration names a place on another machine.
    """
    if files is None or not (files / CORRECTIONS).is_file():
        return ["competition.corrections="]
    path = machine.scratch / CORRECTIONS
    shutil.copyfile(files / CORRECTIONS, path)
    return [f"competition.corrections={path}"]


def _infer(config: Path, overrides: Sequence[str], machine: Machine, facts: dict[str, Any]) -> int:
    from ripik.kaggle.kernel.infer import infer

    infer(load_settings(config, overrides), _dataset(machine, facts, "models"), machine.working / SUBMISSION)
    return 0


def _train(config: Path, overrides: Sequence[str], machine: Machine, facts: dict[str, Any], files: Path | None) -> int:
    """Do all steps; the time limit counts from `start` of the facts, so that it holds what was done before, too."""
    settings = load_settings(config, overrides)
    _go_on_from_before(machine, facts["kernel"], settings)
    if files is not None:
        place(files, layout_of(settings))
    with _pixels_elsewhere(settings, machine):
        code = _all_steps(config, overrides, float(facts["start"]) + float(facts["seconds"]))
    if code == OutOfTimeError.exit_code:
        warn("NOT FINISHED: the time limit was reached; push the kernel again, and its next version resumes")
        return 0
    if code == 0:
        made = artifacts.read_json(layout_of(settings).ensemble / "meta.json").get("submission")
        if made is None:
            say("FINISHED: there is no sample submission, so no submission is written")
            return code
        submission = Path(made)
        shutil.copyfile(submission, machine.working / SUBMISSION)
        say(f"FINISHED: {machine.working / SUBMISSION}, a copy of {submission.name}")
    return code


def _all_steps(config: Path, overrides: Sequence[str], end: float) -> int:
    """Run the steps one after the other until one does not end with 0, or the time is over; return the exit code."""
    for name in STEPS:
        left = end - time.monotonic()
        if left < LEAST:
            return OutOfTimeError.exit_code
        sets = [*overrides, f"training.time_limit={int(left)}s"]
        say(f"ripik {name}")
        code = command.run(step(name), partial(load_settings, config, sets), {})
        if code:
            return code
    return 0


def _go_on_from_before(machine: Machine, kernel: str, settings: Settings) -> None:
    """Copy what the kernel's version before left into this one's working folder, unless something is there."""
    layout, before = layout_of(settings), machine.mounted(kernel)
    if layout.run.exists():
        say(f"resuming {layout.run}, which already exists")
        return
    if before is None or not (before / "output" / settings.run).is_dir():
        say("no earlier version's output is mounted: starting from scratch")
        return
    say(f"resuming from {before}")
    _copy(before / "output" / settings.run, layout.run)
    forget(layout)
    if (before / "submissions").is_dir():
        _copy(before / "submissions", layout.submissions)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder of a read-only mount to be written in."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@contextmanager
def _pixels_elsewhere(settings: Settings, machine: Machine) -> Iterator[None]:
    """Keep the decoded pixels, by far the largest files and quickly made again, out of what Kaggle keeps."""
    link, target = layout_of(settings).run / "pixels", machine.scratch / "pixels"
    target.mkdir(parents=True, exist_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(target)
    try:
        yield
    finally:
        if link.is_symlink():
            link.unlink()
