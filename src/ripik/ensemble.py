"""The step `ensemble`: blend the variants by weights tuned on OOF, score the blend, write and log the submission."""

import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik import artifacts
from ripik.blend import BlendResult, CrossFit, blend, cross_fit, search_weights
from ripik.console import say, table
from ripik.jobs import Run, choose_variants, open_run
from ripik.metrics import get_metric
from ripik.oof import check_oof, probability_columns, read_predictions
from ripik.pipeline import predict, score_rows
from ripik.settings import Settings
from ripik.submission import append_log, check_submission, submission_frame, submission_name

METHOD = "coordinate search on the simplex, by the competition's metric"


def ensemble(settings: Settings, variants: Sequence[str] = ()) -> Path:
    """Blend the variants (none: all), predicting what is missing first; return the path of the submission CSV.

    Writes ensemble/oof.csv (each row blended by weights tuned on the other folds), test.csv (by the weights tuned on
    all), weights.json, and a checked, logged submission. A blend whose inputs did not change is not made again.
    """
    predict(settings, variants)
    run = open_run(settings)
    members = list(dict.fromkeys(variants)) or [variant.name for variant in choose_variants(settings)]
    inputs = blend_inputs(run, members)
    meta = run.layout.ensemble / "meta.json"
    if artifacts.is_fresh(meta, inputs):
        submission = Path(artifacts.read_json(meta)["submission"])
        if submission.exists():
            say(f"ensemble: up to date, {submission}")
            return submission
    return _blend(run, members, inputs)


def blend_inputs(run: Run, members: Sequence[str]) -> dict[str, Any]:
    """Return what determines a blend of the members and its submission."""
    files = [run.layout.variant(name) / csv for name in members for csv in ("oof.csv", "test.csv")]
    return {
        "members": {f"{path.parent.name}/{path.name}": artifacts.file_digest(path) for path in files},
        "blend": run.settings.blend.model_dump(),
        "competition": run.settings.competition.model_dump(mode="json"),
        "sample": artifacts.digest(run.competition.sample.to_csv(index=False)),
    }


def _blend(run: Run, members: Sequence[str], inputs: dict[str, Any]) -> Path:
    folder = run.layout.ensemble
    outputs = [folder / name for name in ("oof.csv", "test.csv", "weights.json")]
    artifacts.check_writable(run.layout.submissions)
    with artifacts.making(folder / "meta.json", inputs, outputs) as more:
        columns = probability_columns(run.competition.classes)
        oof, test = (_stack(run, members, split, columns) for split in ("train", "test"))
        found, honest = _tune(run, oof)
        blended = blend(test, found.weights)
        _write_frame(outputs[0], _member(run, members[0], "train"), columns, honest.blended)
        _write_frame(outputs[1], _member(run, members[0], "test"), columns, blended)
        told = _told(run, members, oof, found, honest)
        artifacts.write_json(outputs[2], told)
        submission = _submit(run, members, blended, honest.score)
        more["submission"] = str(submission)
    _show(run, told, submission)
    return submission


def _stack(run: Run, members: Sequence[str], split: str, columns: Sequence[str]) -> np.ndarray:
    return np.stack([_member(run, name, split)[list(columns)].to_numpy() for name in members])


def _tune(run: Run, oof: np.ndarray) -> tuple[BlendResult, CrossFit]:
    how, metric, truth = run.settings.blend, get_metric(run.settings.competition.metric), run.targets()
    found = search_weights(oof, truth, metric, seed=how.seed, restarts=how.restarts)
    fold = run.folds["fold"].to_numpy()
    return found, cross_fit(oof, truth, fold, metric, seed=how.seed, restarts=how.restarts)


def _told(run: Run, members: Sequence[str], oof: np.ndarray, found: BlendResult, honest: CrossFit) -> dict[str, Any]:
    """Return the content of weights.json."""
    how, metric = run.settings.blend, get_metric(run.settings.competition.metric)
    cv = score_rows(run, honest.blended)
    return {
        "members": list(members),
        "weights": dict(zip(members, found.weights.tolist(), strict=True)),
        "method": METHOD,
        "metric": metric.name,
        "scores": {
            "in_sample": found.score,
            "cross_fitted": cv.pooled,
            "cross_fitted_by_fold": cv.by_fold,
            "cross_fitted_mean_of_folds": cv.mean_of_folds,
            "cross_fitted_accuracy": cv.accuracy,
            "members": {name: score_rows(run, values).pooled for name, values in zip(members, oof, strict=True)},
        },
        "cross_fitted_weights": {str(held): weights.tolist() for held, weights in honest.weights.items()},
        "seed": how.seed,
        "restarts": how.restarts,
        "trajectory": found.trajectory,
    }


def _member(run: Run, name: str, split: str) -> pd.DataFrame:
    csv = "oof.csv" if split == "train" else "test.csv"
    frame = read_predictions(run.layout.variant(name) / csv, run, split)
    if split == "train":
        check_oof(frame, run)
    return frame


def _write_frame(path: Path, like: pd.DataFrame, columns: Sequence[str], values: np.ndarray) -> None:
    known = like.drop(columns=list(columns))
    artifacts.write_csv(path, pd.concat([known, pd.DataFrame(values, columns=list(columns))], axis=1))


def _submit(run: Run, members: Sequence[str], test: np.ndarray, cv: float) -> Path:
    how, classes, sample = run.settings.competition, run.competition.classes, run.competition.sample
    names: dict[str, Any] = {"id_column": how.id_column, "label_column": how.label_column, "kind": how.submission}
    frame = submission_frame(sample, run.competition.test["image_id"], test, classes, **names)
    check_submission(frame, sample, classes, **names)
    now = datetime.now()
    path = run.layout.submissions / submission_name(run.settings.run, now, cv)
    while path.exists():  # nothing ever overwrites a submission
        path = path.with_stem(f"{path.stem}-again")
    artifacts.write_csv(path, frame)
    row = {
        "file": path.name,
        "time": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "config_hash": artifacts.digest(run.settings.model_dump(mode="json", exclude={"paths", "jobs"}))[:12],
        "members": list(members),
        "cv": cv,
    }
    append_log(run.layout.submissions / "log.csv", row)
    return path


def _commit() -> str:
    """Return the git commit of this source code, marked when it has changes; empty where there is no repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def _show(run: Run, told: dict[str, Any], submission: Path) -> None:
    scores = told["scores"]
    rows = [[name, f"{told['weights'][name]:.3f}", f"{score:.4f}", ""] for name, score in scores["members"].items()]
    folds, accuracy = scores["cross_fitted_mean_of_folds"], scores["cross_fitted_accuracy"]
    rows += [
        ["blend, cross-fitted (the CV)", "", f"{scores['cross_fitted']:.4f}", f"{folds:.4f}, {accuracy:.4f}"],
        ["blend, in-sample (optimistic)", "", f"{scores['in_sample']:.4f}", ""],
    ]
    table("Ensemble", ["member", "weight", f"OOF {told['metric']}", "mean of folds, accuracy"], rows)
    say(f"submission: {submission} ({len(run.competition.test)} rows, checked against the sample submission)")
