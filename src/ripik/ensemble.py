"""The step `ensemble`: blend the variants by weights tuned on OOF, score the blend, write and log the submission."""

import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik import artifacts
from ripik.blend import blend, cross_fit, search_weights
from ripik.console import say, table
from ripik.jobs import Run, choose_variants, open_run
from ripik.metrics import get_metric
from ripik.oof import check_oof, probability_columns, read_predictions
from ripik.pipeline import predict
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
    inputs = _inputs(run, members)
    meta = run.layout.ensemble / "meta.json"
    if artifacts.is_fresh(meta, inputs):
        submission = Path(artifacts.read_json(meta)["submission"])
        if submission.exists():
            say(f"ensemble: up to date, {submission}")
            return submission
    return _blend(run, members, inputs)


def _inputs(run: Run, members: Sequence[str]) -> dict[str, Any]:
    files = [run.layout.variant(name) / csv for name in members for csv in ("oof.csv", "test.csv")]
    return {
        "members": {f"{path.parent.name}/{path.name}": artifacts.file_digest(path) for path in files},
        "blend": run.settings.blend.model_dump(),
        "competition": run.settings.competition.model_dump(mode="json"),
        "sample": artifacts.digest(run.competition.sample.to_csv(index=False)),
    }


def _blend(run: Run, members: Sequence[str], inputs: dict[str, Any]) -> Path:
    start = time.monotonic()
    how, metric = run.settings.blend, get_metric(run.settings.competition.metric)
    columns = probability_columns(run.competition.classes)
    frames = {split: [_member(run, name, split) for name in members] for split in ("train", "test")}
    oof = np.stack([frame[columns].to_numpy() for frame in frames["train"]])
    truth, fold = run.targets(), run.folds["fold"].to_numpy()
    found = search_weights(oof, truth, metric, seed=how.seed, restarts=how.restarts)
    honest = cross_fit(oof, truth, fold, metric, seed=how.seed, restarts=how.restarts)
    test = blend(np.stack([frame[columns].to_numpy() for frame in frames["test"]]), found.weights)
    scores = {
        "in_sample": found.score,
        "cross_fitted": honest.score,
        "cross_fitted_accuracy": get_metric("accuracy").function(truth, honest.blended),
        "members": {name: metric.function(truth, values) for name, values in zip(members, oof, strict=True)},
    }
    folder = run.layout.ensemble
    _write_frame(folder / "oof.csv", frames["train"][0], columns, honest.blended)
    _write_frame(folder / "test.csv", frames["test"][0], columns, test)
    artifacts.write_json(
        folder / "weights.json",
        {
            "members": list(members),
            "weights": dict(zip(members, found.weights.tolist(), strict=True)),
            "method": METHOD,
            "metric": metric.name,
            "scores": scores,
            "cross_fitted_weights": {str(held): w.tolist() for held, w in honest.weights.items()},
            "seed": how.seed,
            "restarts": how.restarts,
            "trajectory": found.trajectory,
        },
    )
    submission = _submit(run, members, test, honest.score)
    outputs = [folder / name for name in ("oof.csv", "test.csv", "weights.json")]
    seconds = time.monotonic() - start
    artifacts.write_meta(
        folder / "meta.json", inputs=inputs, outputs=outputs, seconds=seconds, submission=str(submission)
    )
    _show(run, members, found.weights, scores, submission)
    return submission


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
    """Return the short git commit of the working folder; empty where there is no git or no repository."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def _show(run: Run, members: Sequence[str], weights: np.ndarray, scores: dict[str, Any], submission: Path) -> None:
    metric = run.settings.competition.metric
    rows = [
        [name, f"{weight:.3f}", f"{scores['members'][name]:.4f}"] for name, weight in zip(members, weights, strict=True)
    ]
    rows += [
        ["blend, cross-fitted (the CV)", "", f"{scores['cross_fitted']:.4f}"],
        ["blend, in-sample (optimistic)", "", f"{scores['in_sample']:.4f}"],
    ]
    table("Ensemble", ["member", "weight", f"OOF {metric}"], rows)
    say(f"submission: {submission} ({len(run.competition.test)} rows, checked against the sample submission)")
