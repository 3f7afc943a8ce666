"""Read the small files of a run folder; every error says where and what to do."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.data.csv_tables import line_of
from ripik.errors import InputError

JOB = re.compile(r"(?:fold(\d+)|refit)(?:-seed(\d+))?")
REFIT = -1
STORED, META = "predictions.npz", "predictions.meta.json"  # of a training


def job_of(folder: str) -> tuple[int, int] | None:
    """Return (fold, seed number) of a training's folder by its name, fold -1 for the refit; None for another folder."""
    found = JOB.fullmatch(folder)
    return (REFIT if found[1] is None else int(found[1]), int(found[2] or 0)) if found else None


def jobs_in(variant: Path) -> dict[Path, tuple[int, int]]:
    """Return the folders of a variant's trainings, by name, each with its fold and seed number.

    Those that its predictions were merged from, where its `meta.json` tells: what is left of others may be of other
    folds.
    """
    found = {path: job for path in sorted(variant.glob("*")) if (job := job_of(path.name))}
    try:
        merged = merged_jobs(read_object(variant / "meta.json", ""))
    except InputError:
        merged = {}
    return {path: job for path, job in found.items() if not merged or path.name in merged}


def merged_jobs(meta: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return fold and seed number, by folder, of the trainings that the `meta.json` of an `oof.csv` says it is of."""
    inputs = meta.get("inputs")
    made_from = inputs.get("predictions") if isinstance(inputs, dict) else None
    return {name: job for name in made_from if (job := job_of(name))} if isinstance(made_from, dict) else {}


def read_object(path: Path, make: str) -> dict[str, Any]:
    """Return what a JSON file of one object holds; `make` says what (re)makes the file.

    Raises InputError when there is no such file or it holds anything else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise InputError(f"there is no file {path}. {make}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}. {make}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a JSON {type(found).__name__}, not an object. {make}")
    return found


def number_at(content: Any, keys: tuple[str, ...]) -> float:
    """Return the number at a place in nested objects; NaN where there is no number."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return float(content) if isinstance(content, int | float) else float("nan")


def numbers(texts: pd.Series, path: Path, make: str) -> pd.Series:
    """Return a column of text as finite float64, empty cells as NaN; InputError names the line of any other cell."""
    values = pd.to_numeric(texts, errors="coerce").astype("float64")
    wrong = texts.index[~np.isfinite(values) & (texts.str.strip() != "")]
    if len(wrong):
        raise InputError(f"{path}, line {line_of(wrong[0])}: {texts.name} {texts[wrong[0]]!r} is not a number. {make}")
    return values
