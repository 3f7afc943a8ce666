"""Time whole commands by another checkout's code and by this one's, in turn.

    python -m benchmarks.speed.whole demo --before CHECKOUT --work FOLDER
    python -m benchmarks.speed.whole train --before CHECKOUT --config CONFIG --work FOLDER --variant finetuned
        [--folds 0 1] [--also near_copies_per_epoch=one epochs=5 batch_size=16]

`demo` runs `ripik demo` in an empty folder each time, and shows the scores that it prints. `train` copies the run of
CONFIG, which both checkouts must be able to read, and trains one variant anew each time, with what it starts from
already trained; `--also` times this checkout a second time, with other values of `[finetuning]`. Each checkout is run
by the interpreter that runs this script, with its own `src` on the path; what the commands print is kept in FOLDER.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import interleave, ratio, say
from benchmarks.processes import Finished, run
from ripik.config import load_settings
from ripik.storage.paths import layout_of

HERE = Path(__file__).resolve().parents[2]
SCORES = "CV macro_f1|hidden test labels"


def main(words: Sequence[str] | None = None) -> None:
    """Time what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("demo", "train"))
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--work", type=Path, required=True, help="a folder to work in")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--config", type=Path, help="with train: the configuration of a run with folds")
    parser.add_argument("--variant", default="finetuned")
    parser.add_argument("--folds", nargs="+", default=[], help="default: all")
    parser.add_argument("--also", nargs="+", default=[], metavar="KEY=VALUE", help="other values of [finetuning]")
    given = parser.parse_args(words)
    given.work.mkdir(parents=True, exist_ok=True)
    before, work = given.before.resolve(), given.work.resolve()
    if given.what == "demo":
        things = {"before": demo(before, work / "before"), "now": demo(HERE, work / "now")}
    else:
        things = trainings(given, before, work)
    seconds = interleave(things, given.repeats)
    for name in list(things)[1:]:
        say(f"{name} / before: {ratio(seconds[name], seconds['before'])} times the seconds")


def trainings(given: argparse.Namespace, before: Path, work: Path) -> dict[str, Callable[[], float]]:
    """Return what trains the variant by both checkouts, and once more with `--also`."""
    config, folds = given.config.resolve(), ["--folds", *given.folds] if given.folds else []
    choice = [given.variant, *folds]
    things = {
        "before": train(before, config, choice, work / "before"),
        "now": train(HERE, config, choice, work / "now"),
    }
    if given.also:
        others = [f"finetuning.{part}" for part in given.also]
        things["also"] = train(HERE, config, choice, work / "also", others)
    return things


def command(checkout: Path, words: Sequence[str], folder: Path) -> Finished:
    """Run a command of a checkout in a folder, and add what it prints to a log there."""
    done = run([sys.executable, "-m", "ripik", *words], extra={"PYTHONPATH": str(checkout / "src")}, cwd=folder)
    with (folder / "log").open("a") as log:
        log.write(done.output)
    return done


def overrides(settings: Sequence[str]) -> list[str]:
    """Return settings as options of a command."""
    return [part for setting in settings for part in ("--set", setting)]


def demo(checkout: Path, folder: Path) -> Callable[[], float]:
    """Return what runs the whole demo of a checkout from nothing, and returns the seconds."""

    def measure() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = command(checkout, ["demo", "--config", str(checkout / "configs" / "demo.toml")], folder)
        say("; ".join(line.strip() for line in done.output.splitlines() if re.search(SCORES, line)))
        return done.seconds

    return measure


def train(
    checkout: Path, config: Path, choice: Sequence[str], folder: Path, settings: Sequence[str] = ()
) -> Callable[[], float]:
    """Return what trains a variant anew by a checkout, from the command to `oof.csv`, and returns the seconds."""
    source = layout_of(load_settings(config)).run
    copied, variant = folder / source.name, choice[0]
    if not copied.exists():
        shutil.copytree(source, copied, ignore=shutil.ignore_patterns("ensemble", "report", "analysis"))
    start_variant = load_settings(config).variants[variant].start
    words = ["train", "--config", str(config), *overrides([f"paths.output={folder}", *settings]), "--variants"]
    if start_variant:
        command(checkout, [*words, start_variant], folder)

    def measure() -> float:
        shutil.rmtree(copied / variant, ignore_errors=True)
        return command(checkout, [*words, *choice], folder).seconds

    return measure


if __name__ == "__main__":
    main()
