"""How a run's kernels and datasets are called on Kaggle: titles whose slugs are the ids' own."""

import re
from pathlib import Path

from ripik.errors import InputError
from ripik.settings import Settings

LONGEST = 50  # letters of a title
KINDS = ("train", "infer")


def title_of(settings: Settings, what: str) -> str:
    """Return the title of a run's kernel or dataset: small letters, digits and single spaces, `ripik infer <run>`.

    Raises InputError where the run's name makes it too long.
    """
    words = re.findall(r"[a-z0-9]+", settings.run.lower())
    title = " ".join(["ripik", what, *words])
    if len(title) > LONGEST:
        raise InputError(
            f"{title!r} is longer than the {LONGEST} characters of a title on Kaggle. Give the configuration file a "
            "shorter name; the run is named after it."
        )
    return title


def slug_of(title: str) -> str:
    """Return the part of the address that Kaggle makes of a title of ours."""
    return title.replace(" ", "-")


def identity(settings: Settings, what: str) -> str:
    """Return `<user>/<slug>` of a run's kernel (`train`, `infer`) or dataset (`weights`, `models`, `files`).

    Raises InputError without `kaggle.user`.
    """
    if not settings.kaggle.user:
        raise InputError(
            "kaggle.user is empty: set it to your user name on Kaggle, the last part of https://www.kaggle.com/<name>, "
            'in the configuration ([kaggle] user = "…") or by SET="kaggle.user=…".'
        )
    return f"{settings.kaggle.user.lower()}/{slug_of(title_of(settings, what))}"


def code_file(settings: Settings, kind: str) -> str:
    """Return the name of a kernel's code file."""
    return f"{slug_of(title_of(settings, kind))}.py"


def dataset_folder(kernel: Path, what: str) -> Path:
    """Return where a dataset of a kernel is kept."""
    return kernel / "datasets" / what
