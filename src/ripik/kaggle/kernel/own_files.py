"""What a run's user wrote that its training goes by: found here, and put in its place on Kaggle's machine."""

import shutil
from pathlib import Path

from ripik.console import say
from ripik.data.corrections import corrections_path
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import Layout, layout_of

CORRECTIONS = "corrections.csv"


def own_files(settings: Settings) -> dict[str, Path]:
    """Return the user's files by the names they travel under: `competition.corrections`, and `groups.csv` and
    `folds.csv` where they were written or edited by hand; those that `folds` made, it makes there again.

    Raises InputError where the corrections are missing, SurroundingsError for a damaged file.
    """
    layout, corrections = layout_of(settings), settings.competition.corrections
    files = {path.name: path for path in (layout.groups, layout.folds) if artifacts.is_the_users(path)}
    return files | ({CORRECTIONS: corrections_path(corrections, layout.input)} if corrections else {})


def place(folder: Path, layout: Layout) -> None:
    """Copy the user's groups and folds from a folder into the run's, over what an earlier version had there."""
    for path in (layout.groups, layout.folds):
        if (folder / path.name).is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            artifacts.meta_beside(path).unlink(missing_ok=True)  # without it the file counts as the user's
            path.unlink(missing_ok=True)
            shutil.copyfile(folder / path.name, path)
            say(f"kernel: {path.name} is your own file, included in the kernel")


def forget(layout: Layout) -> None:
    """Remove the user's groups and folds of an earlier version: this one carries its own, or `folds` makes them."""
    for path in (layout.groups, layout.folds):
        if artifacts.is_the_users(path):
            path.unlink()
