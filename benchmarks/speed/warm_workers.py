"""Workers that keep their network from job to job: is a run of short trainings faster, and does their memory stay?

    python -m benchmarks.speed.warm_workers --work FOLDER [--before CHECKOUT] [--repeats 3] [--jobs 50]

A small competition is drawn into FOLDER, and what `finetuned` (EfficientNetB0, all layers, random weights, one epoch)
starts from is trained there. Then:

- with `--before`: `train --variants finetuned`, 5 folds, JOBS=2, by the code of another checkout and by this one, in
  turns. Start-up is the most of it here;
- `--jobs` of them, each with a seed of its own, in one process; prints its resident memory after each, in MB. Asked:
  after job 50 within 10 % of after job 5. 0: none. `--backbone` takes another network for them.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import interleave, ratio, say
from benchmarks.processes import MB, ROOT, run

CONFIG = """[folds]
n_splits = 5
near_copies = false

[competition]
root = "{folder}/input"

[paths]
output = "{folder}/output"
submissions = "{folder}/submissions"

[network]
weights = "random"
image_size = 64

[training]
epochs = 2
batch_size = 16

[finetuning]
epochs = 1
batch_size = 16
learning_rate = 1e-5

[prediction]
engine = "keras"

[jobs]
jobs = 2

[variants]
original = {{ data = "original", train_from = "head" }}
finetuned = {{ data = "original", train_from = "all", start = "original" }}
"""
PHOTOS, SIZE = {"train_photos": 30, "test_photos": 12}, 64
EARLY = 5  # the job after which memory is to stay


def prepare(folder: Path) -> Path:
    """Draw the competition and train `original`, unless it is there; return the configuration."""
    config = folder / "warm.toml"
    if not (folder / "output").exists():
        from ripik.data.demo.drawing import draw_competition

        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(CONFIG.format(folder=folder.as_posix()), encoding="utf-8")
        draw_competition(folder / "input", seed=0, size=SIZE, **PHOTOS)
        train(ROOT, config, "original")
    return config


def train(checkout: Path, config: Path, variant: str) -> float:
    """Train a variant by the code of a checkout; return the seconds."""
    command = [sys.executable, "-m", "ripik", "train", "--config", config, "--variants", variant]
    return run(command, extra={"PYTHONPATH": str(checkout / "src")}, cwd=config.parent).seconds


def train_anew(checkout: Path, config: Path) -> float:
    """Train `finetuned` from its beginning by the code of a checkout; return the seconds."""
    shutil.rmtree(config.parent / "output" / "warm" / "finetuned", ignore_errors=True)
    return train(checkout, config, "finetuned")


def compare(before: Path, config: Path, repeats: int) -> None:
    """Time both checkouts in turns and print the ratio."""
    things = {"before": lambda: train_anew(before, config), "after": lambda: train_anew(ROOT, config)}
    seconds = interleave(things, repeats)
    say(f"after / before: {ratio(seconds['after'], seconds['before'])} times the seconds")


def do_here(config: Path, jobs: int, backbone: str) -> None:
    """Do so many jobs in this process, and print its resident memory after each."""
    from ripik.config import load_settings
    from ripik.execution.environment import import_backend, prepare_environment
    from ripik.storage.paths import Job

    prepare_environment(1)
    import_backend()
    from ripik.models.weights import make_initial_weights
    from ripik.training.predict import work

    changes = f"network.backbone={backbone}", 'variants.finetuned.start=""'
    settings, found = load_settings(config, changes), list[float]()
    make_initial_weights(settings, settings.variants["finetuned"])
    for number in range(jobs):
        work(settings, Job("finetuned", number % 5, number // 5), lambda done, total, note="": None)
        found.append(_resident())
        say(f"job {number + 1}: {found[-1]:.0f} MB")
    if jobs > EARLY:
        say(f"after job {jobs} / after job {EARLY}: {found[-1] / found[EARLY - 1]:.3f} times the memory")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def main(words: Sequence[str] | None = None) -> None:
    """Do what the arguments ask for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, required=True, help="a folder to work in, kept for the next time")
    options.add_argument("--before", type=Path, help="a checkout to compare with")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--jobs", type=int, default=50, help="in one process; 0: none")
    options.add_argument("--backbone", default="EfficientNetB0", help="of the jobs in one process")
    given = options.parse_args(words)
    config = prepare(given.work.resolve())
    if given.before:
        compare(given.before.resolve(), config, given.repeats)
    if given.jobs:
        do_here(config, given.jobs, given.backbone)


if __name__ == "__main__":
    main()
