"""Does a change keep every byte of a run? `python tests/golden.py --before CHECKOUT --work FOLDER`.

The tiny competition goes through folds, train and ensemble by the code of another checkout and by this one, both with
the interpreter that runs this script; OOF, test and submission files are compared byte for byte. Then this code runs on
in the folder of the other: a run made before a change is found up to date after it, so that nothing is written again.
Prints a line a file; exit code 1 where one differs, 2 where a step fails.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import FAST, draw_competition, write_competition

HERE = Path(__file__).resolve().parents[1]
STEPS = ("folds", "train", "ensemble")


def made_by(checkout: Path, folder: Path) -> dict[str, str]:
    """Run the steps by a checkout's code in a folder that holds the competition; returns the digest of each file."""
    places = [str(checkout / "src"), str(checkout / "tests" / "hooks")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    overrides = [part for override in FAST for part in ("--set", override)]
    for step in STEPS:
        command = [sys.executable, "-m", "ripik", step, "--config", "tiny.toml", *overrides]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{step} by {checkout} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            sys.exit(2)
    return digests(folder)


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every CSV whose bytes must stay, by its name; submissions are named without time."""
    found = {}
    for path in sorted([*folder.glob("output/**/*.csv"), *folder.glob("submissions/*.csv")]):
        if path.name not in ("log.csv", "history.csv", "images.csv"):  # they hold times or the folder's path
            name = path.relative_to(folder).as_posix()
            if path.parent.name == "submissions":
                name = "submissions/" + ("nested OOF" if path.name.endswith(".oof.csv") else "submission")
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def times(folder: Path) -> dict[Path, int]:
    """Return when each file of the run was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("output/*/**/fold*/*") if path.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--work", type=Path, required=True, help="a folder to work in; what is in it is replaced")
    given = parser.parse_args()
    if not (given.before / "src" / "ripik").is_dir():
        parser.error(f"{given.before} is no checkout: it has no src/ripik")
    runs = []
    for name, checkout in (("before", given.before.resolve()), ("after", HERE)):
        folder = given.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_competition(folder.resolve(), draw_competition())
        runs.append(made_by(checkout, folder.resolve()))
    before, after = runs
    differing = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    for name in sorted(before | after):
        print(f"{'differs' if name in differing else 'equal  '} {name}")
    old = given.work.resolve() / "before"
    written = times(old)
    made_by(HERE, old)
    again = [path.relative_to(old).as_posix() for path, when in times(old).items() if written.get(path) != when]
    print(f"{len(before)} files, {len(differing)} differ; of {len(written)} files of jobs, {len(again)} made again")
    for name in again:
        print(f"made again {name}")
    sys.exit(1 if differing or again else 0)


if __name__ == "__main__":
    main()
