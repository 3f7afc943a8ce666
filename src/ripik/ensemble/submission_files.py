"""Write a blend's submission: the checked CSV, the record of its inputs, and its line of the log."""

import hashlib
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.submission_record import oof_path, record_path
from ripik.analysis.truth import is_soft
from ripik.ensemble.submission import submission_name, submission_of
from ripik.ensemble.submission_log import LOG, LOG_COLUMNS, append_log, logged
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.training.oof import probability_columns


def write_submission(run: Run, test: np.ndarray, oof: np.ndarray, record: dict[str, Any]) -> Path:
    """Write, check and log the submission of a blend that weights.json describes; return its path.

    Beside it: what made it, and the nested out-of-fold predictions (n, C) that it was chosen by. They are written
    first, and the log last, so that no submission is ever there or logged without them. One that a killed command
    began, or did not live to note in the blend's meta file, is completed, so that none is there twice or not logged.
    """
    text = artifacts.csv_text(submission_of(run.competition, test))
    made, folder, log = _made(run, record, text), run.layout.submissions, run.layout.submissions / LOG
    told = _begun(folder, made)
    if told is None:
        told = _named(run, made)
        artifacts.write_json(record_path(folder / told["file"]), told)
    path = folder / told["file"]
    if not path.exists():
        artifacts.write_csv(oof_path(path), _oof_frame(run, oof))
        artifacts.write_text(path, text)
    if path.name not in logged(log):
        append_log(log, {column: told[column] for column in LOG_COLUMNS if column in told})
    return path


def _made(run: Run, record: dict[str, Any], text: str) -> dict[str, Any]:
    """Return what the record of a submission tells but for its name and time."""
    configuration = _configuration(run)
    return {
        "commit": _commit(),
        "config_hash": artifacts.digest(configuration)[:12],
        "members": record["members"],
        "cv": record["scores"]["cross_fitted"],
        **_likeness_columns(record["test"]["shift"]),
        **{name: record[name] for name in ("metric", "method", "weights", "scores", "test")},
        **({"tuned": record["tuned"]} if record["tuned"] else {}),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "versions": artifacts.versions(),
        "configuration": configuration,
    }


def _named(run: Run, made: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a new submission; its name is no other's, as nothing ever overwrites a submission."""
    now = datetime.now()
    path = run.layout.submissions / submission_name(run.settings.run, now, made["cv"])
    while path.exists() or record_path(path).exists():
        path = path.with_stem(f"{path.stem}-again")
    return {"file": path.name, "time": now.isoformat(timespec="seconds"), **made}


def _begun(folder: Path, made: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of the very same submission, if it is the run's last, or was begun and is not logged yet.

    An older one is not the newest any more: the log gets another line for a blend that is made again.
    """
    wanted, known = artifacts.as_json(made), logged(folder / LOG)
    last = _last(folder, known, made["configuration"]["run"])
    for path in sorted(folder.glob("*.json")):
        told, csv = artifacts.read_if_whole(path), path.with_suffix(".csv")
        if not isinstance(told, dict) or told.get("file") != csv.name or "time" not in told:
            continue
        same = {key: value for key, value in told.items() if key not in ("file", "time")} == wanted
        if not same or csv.name in set(known) - {last}:
            continue
        if artifacts.is_whole(csv, made["sha256"]) or not (csv.exists() or csv.name in known):
            return told
    return None


def _last(folder: Path, known: Sequence[str], run: str) -> str:
    """Return the last submission of a run in the log, by its record; empty without one."""
    for name in reversed(known):
        told = artifacts.read_if_whole(record_path(folder / name))
        if isinstance(told, dict) and told.get("configuration", {}).get("run") == run:
            return name
    return ""


def _configuration(run: Run) -> dict[str, Any]:
    """Return the settings that can change a submission; of variants that were not tuned nothing says so."""
    found = run.settings.model_dump(mode="json", exclude={"paths", "jobs", "training", "kaggle", "tune"})
    for variant in found["variants"].values():
        if not variant["tuned"]:
            del variant["tuned"]
    return found


def _oof_frame(run: Run, oof: np.ndarray) -> pd.DataFrame:
    """Return image_id, fold, label, group (equal numbers: one witness) and p_<label> a class, for each training row.

    Where labels are soft and scored so, share_<label> of every class, too.
    """
    train = run.competition.train
    known = train[["image_id"]].assign(fold=run.folds["fold"], label=train["label"], group=witnesses.train(run))
    columns = probability_columns(run.competition.classes)
    shares = [train[run.competition.share_columns]] if is_soft(run.truth()) else []
    return pd.concat([known, pd.DataFrame(oof, columns=columns), *shares], axis=1)


def _likeness_columns(shift: dict[str, Any]) -> dict[str, float | None]:
    """Return the log's cells on a test set of another kind; empty ones where none is found."""
    differs = shift.get("differs", False)
    expected = shift["expected_score"] if differs else None
    return {"shift_auc": shift["auc"]["value"] if differs else None, "test_like": expected and expected["value"]}


def _commit() -> str:
    """Return the git commit of this source code, marked when it has changes; empty where git knows of none."""
    own = Path(__file__)
    if not _git(own.parent, "ls-files", own.name):  # installed in a folder of somebody else's repository
        return ""
    return _git(own.parent, "describe", "--always", "--dirty", "--exclude=*")


def _git(folder: Path, *command: str) -> str:
    try:
        found = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()
