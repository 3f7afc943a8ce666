"""What a dataset of a run's models, weights or own files holds; `models_dataset` writes it, Kaggle's machine reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.errors import InputError
from ripik.storage import artifacts

MANIFEST = "manifest.json"
FOLDS, GROUPS = "folds.csv", "test-groups.csv"


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`.

    weights: of each variant, the name of the file with its backbone's initial weights; none for random ones.
    jobs: of each job of the blend, by its text `variant/fold0`: the records of the engines that ran its trained part
        and its frozen layers (None: it has none). rule: by which images are decoded, a `PixelRule`. test_images:
        `images_digest` of the test set that was predicted.
    """

    run: str
    kind: str  # weights, models or files
    files: dict[str, str]  # SHA-256 by file name
    weights: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    fitted: dict[str, Any] = field(default_factory=dict)  # the blend, as `recipe.Fitted.as_json`
    shares: list[float] = field(default_factory=list)  # of the classes, as estimated on the run's test set
    members: list[str] = field(default_factory=list)
    classes: list[int | str] = field(default_factory=list)
    rule: dict[str, Any] = field(default_factory=dict)
    test_images: str = ""
    form: dict[str, Any] = field(default_factory=dict)  # of the submission, as `Form.as_settings`

    def write(self, folder: Path) -> None:
        """Write it into the folder of the files."""
        artifacts.write_json(folder / MANIFEST, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read it, and hold the folder's files against it.

        Raises InputError for a file that is missing or not the one of the manifest.
        """
        manifest = cls(**artifacts.read_json(folder / MANIFEST))
        wrong = [name for name, digest in manifest.files.items() if not artifacts.is_whole(folder / name, digest)]
        if wrong:
            raise InputError(
                f"{folder}: {len(wrong)} of {len(manifest.files)} files are missing or damaged, the first {wrong[0]}. "
                "Run `make kernel kernel-push` again."
            )
        return manifest


def images_digest(rows: pd.DataFrame) -> str:
    """Return a hash of the ids and the images' bytes of a split's rows, wherever they lie."""
    contents = [
        artifacts.file_digest(path) if ok else "" for path, ok in zip(rows["path"], rows["readable"], strict=True)
    ]
    return artifacts.digest([list(rows["image_id"]), contents])


def job_file(job: str, name: str) -> str:
    """Return the name of a job's file in the dataset: a flat folder, as Kaggle serves it."""
    return f"{job.replace('/', '--')}--{name}"
