"""Download a competition's files: from a Kaggle dataset, or from a Kaggle competition."""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ripik.data.fetch import fetch
from ripik.data.survey.configuration import write_configuration
from ripik.errors import InputError
from ripik.kaggle.client import failure, has_credentials, reason_of, run_kaggle
from ripik.kaggle_addresses import competition_name, dataset_name
from ripik.settings import Settings

NAME = re.compile(r"\w[\w-]*/\w[\w.-]*(/\d+)?")


def data(settings: Settings, source: Path | None = None) -> Path:
    """Fill the input folder from a folder or zip, or else from Kaggle, and return it: the step `data`."""
    return fetch(settings, source, download)


def new(settings: Settings, source: str, config: Path, answers: Sequence[str]) -> Path:
    """Write the configuration of a folder, a zip, or what Kaggle has under a name or address: the step `new`.

    source: a path, else owner/name of a dataset, else a competition's name. Other arguments as of
    `survey.configuration.write_configuration`; raises as it and `download` do.
    """
    if not source.strip():
        raise InputError("SOURCE is empty. Give a folder, a zip, or a name on Kaggle with SOURCE= or --source.")
    if Path(source).exists() or source.lower().endswith(".zip") or source.startswith((".", "/")):
        return write_configuration(Path(source), config, answers)
    dataset, slug = dataset_name(source), competition_name(source)
    with tempfile.TemporaryDirectory(prefix="ripik-new-") as scratch:
        if "/" in dataset and slug == source:
            archive = download_dataset(dataset, Path(scratch))
            return write_configuration(archive, config, answers, {"kaggle_dataset": dataset})
        archive = download_competition(slug, Path(scratch))
        return write_configuration(archive, config, answers, {"competition": slug})


def download(settings: Settings, folder: Path) -> Path:
    """Download the competition that the settings name, as a dataset or a Kaggle competition; return the zip's path.

    Raises as `download_dataset` and `download_competition` do.
    """
    if settings.competition.kaggle_dataset:
        return download_dataset(settings.competition.dataset, folder)
    return download_competition(settings.kaggle.competition, folder)


def download_dataset(name: str, folder: Path) -> Path:
    """Download all files of the Kaggle dataset `owner/name` as one zip into `folder`, and return its path.

    A download that was cut goes on where it stopped, also in a later call with the same folder.
    Raises InputError for a bad or unknown name, missing credentials or access, and SurroundingsError for the network,
    the disk, Kaggle's rate limit and its own failures.
    """
    if not NAME.fullmatch(name):
        slug = competition_name(name)
        hint = f', or set kaggle.competition = "{slug}" in its place' if slug != name else ""
        raise InputError(
            f"competition.kaggle_dataset = {name!r} is not the name of a dataset. Write it as owner/name, as in "
            f"https://www.kaggle.com/datasets/owner/name{hint}."
        )
    archive = folder / f"{name.split('/')[1]}.zip"
    code, said = _download(["datasets", "download", name], folder)
    if code or not archive.is_file():
        raise failure(f"the Kaggle dataset {name}", f"https://www.kaggle.com/datasets/{name}", code, said)
    return archive


def download_competition(slug: str, folder: Path) -> Path:
    """Download all files of a Kaggle competition as one zip into `folder`, and return its path.

    Goes on, and raises, as `download_dataset` does; a competition whose rules were not accepted is an InputError.
    """
    archive, page = folder / f"{slug}.zip", f"https://www.kaggle.com/competitions/{slug}"
    code, said = _download(["competitions", "download", slug], folder)
    if (code or not archive.is_file()) and reason_of(said) == "forbidden" and has_credentials():
        raise InputError(
            f"Kaggle refuses the files of the competition {slug} (403). Open {page}/rules in a browser, logged in as "
            "the user of your credentials, accept the rules, and run the same command again."
        )
    if code or not archive.is_file():
        raise failure(f"the Kaggle competition {slug}", page, code, said)
    return archive


def _download(arguments: list[str], folder: Path) -> tuple[int, str]:
    folder.mkdir(parents=True, exist_ok=True)
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    return run_kaggle([*arguments, "--path", str(folder), *quiet])
