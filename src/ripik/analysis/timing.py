"""How long each step of a run took, by the meta files of its outputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ripik.analysis.predictions import BLEND, read_config
from ripik.analysis.small_files import job_of, jobs_in, number_at, read_object
from ripik.errors import InputError

AGAIN = "Delete it and run the step that wrote it again."
FIXED = (  # step, what, the meta file in the run's folder
    ("folds", "near copies", "groups.meta.json"),
    ("folds", "near copies, gallery", "near-copies.meta.json"),
    ("folds", "folds", "folds.meta.json"),
    ("folds --audit", "audit", "audit.meta.json"),
    ("augment", "copies as JPEG", "augmented_images/meta.json"),
)
STORES = (("pixels", "pixels {}"), ("features", "frozen outputs {}"))


def times(run: str | Path) -> pd.DataFrame:
    """Return what the run spent its time on, in the order of the steps, from the `meta.json` files.

    Columns: step (of the command), what (it made), seconds (of work, summed over files; jobs that ran side by side
    count in full). What the run lacks is left out, as are trainings that a variant's predictions are not of; no row at
    all for an empty folder.
    Raises InputError when a meta file is broken or the folder is missing.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}. Give the folder of a run, output/<run>.")
    rows = [(step, what, [folder / name]) for step, what, name in FIXED]
    rows += [("train", "initial weights", sorted(folder.glob("backbones/*.meta.json")))]
    for store, what in STORES:
        rows += [("train", what.format(of.name), _metas(of)) for of in sorted(folder.glob(f"{store}/*"))]
    jobs = {name: list(jobs_in(folder / name)) for name in _variants(folder)}
    rows += [("train", name, [job / "meta.json" for job in made]) for name, made in jobs.items()]
    for name, made in jobs.items():
        rows += [("predict", name, [*(job / "predictions.meta.json" for job in made), folder / name / "meta.json"])]
    rows += [("ensemble", "blend", [folder / BLEND / "meta.json"])]
    rows += [("analyse", _topic(path), [path]) for path in _metas(folder / "analysis")]
    rows += [("report", "report", _metas(folder / "report"))]
    found = [(step, what, [path for path in paths if path.is_file()]) for step, what, paths in rows]
    answer = [(step, what, _seconds(paths)) for step, what, paths in found if paths]
    return pd.DataFrame(answer, columns=["step", "what", "seconds"]).astype({"seconds": "float64"})


def _metas(folder: Path) -> list[Path]:
    return sorted({*folder.glob("*.meta.json"), *folder.glob("meta.json")})


def _topic(path: Path) -> str:
    return path.name.removesuffix(".meta.json")


def _variants(run: Path) -> list[str]:
    """Return the folders that hold trainings, in the configuration's order, or else by name."""
    made = sorted({job.parent.name for job in run.glob("*/*") if job.is_dir() and job_of(job.name)})
    order = dict.fromkeys([*read_config(run).get("variants", {}), *made])
    return [name for name in order if name in made]


def _seconds(paths: Iterable[Path]) -> float:
    total = 0.0
    for path in paths:
        seconds = number_at(read_object(path, AGAIN), ("seconds",))
        if not seconds >= 0:
            raise InputError(f"{path} does not record the seconds. {AGAIN}")
        total += seconds
    return total
