"""The best of all submissions to a competition, by the nested OOF that is kept beside each."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from made_up_predictions import drawn, frames, write_json
from ripik.analysis.best_submission import best_submissions
from ripik.analysis.metrics import get_metric
from ripik.ensemble.submission_log import append_log

CARS = {"run": "cars", "competition": {"root": "cars", "metric": "accuracy"}}
LEAVES = {"run": "leaves", "competition": {"root": "leaves", "metric": "log_loss"}}


def submit(
    folder: Path, name: str, seed: int | None, configuration: dict[str, Any] | None = None, rows: int = 90
) -> None:
    """Log a submission; with a seed, its OOF says of the same rows what chance made of it."""
    append_log(folder / "log.csv", {"file": f"{name}.csv", "time": f"2026-01-01T12:00:{len(name):02}", "cv": 0.5})
    write_json(folder / f"{name}.json", {"configuration": configuration or CARS})
    if seed is not None:
        values, targets = drawn(rows)
        said = np.random.default_rng(seed).permutation(values)
        made = frames(0.5 * said + 0.5 * values, targets, copies=3)
        table = made["oof"].assign(group=made["folds"]["group"])
        table.sample(frac=1, random_state=seed).to_csv(folder / f"{name}.oof.csv", index=False)


def test_the_best_of_several_is_corrected_and_older_ones_are_counted(tmp_path: Path) -> None:
    for seed in range(8):
        submit(tmp_path, "c" * (seed + 1), seed)
    submit(tmp_path, "o" * 20, None)
    submit(tmp_path, "l" * 21, 3, LEAVES)
    cars, leaves = best_submissions(tmp_path)
    assert (cars.submissions, cars.left_out, leaves.submissions, leaves.left_out) == (8, 1, 1, 0)
    assert cars.found.corrected.value < cars.found.naive.value
    said = cars.sentence()
    assert said.startswith(f"cars, accuracy: best of 8: {cars.found.naive.value:.4f} ({cars.file}), corrected")
    assert said.endswith("1 left out, as they have no complete and unchanged OOF predictions of these images")
    assert leaves.sentence().startswith("leaves, log_loss: one submission with its predictions")


def test_predictions_of_other_images_are_left_out(tmp_path: Path) -> None:
    submit(tmp_path, "a", 1, rows=60)
    submit(tmp_path, "bb", 2)
    submit(tmp_path, "ccc", 3)
    (best,) = best_submissions(tmp_path)
    assert (best.submissions, best.left_out) == (2, 1)


def test_submissions_without_predictions_have_no_best(tmp_path: Path) -> None:
    submit(tmp_path, "a", None)
    assert best_submissions(tmp_path) == []


@pytest.mark.parametrize(("old", "new"), [("p_7", "q_7"), ("group", "grup"), ("0.", "x."), ("image_id", "\x00")])
def test_damaged_predictions_are_left_out_and_counted(tmp_path: Path, old: str, new: str) -> None:
    for seed in (1, 2, 3):
        submit(tmp_path, "a" * seed, seed)
    path = tmp_path / "aaa.oof.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    (best,) = best_submissions(tmp_path)
    assert (best.submissions, best.left_out) == (2, 1)


def test_edited_predictions_are_left_out_as_their_score_is_not_the_recorded_one(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        submit(tmp_path, "a" * seed, seed)
    for seed in (1, 2, 3):
        table = pd.read_csv(tmp_path / f"{'a' * seed}.oof.csv", dtype={"label": str})
        said = table[["p_7", "p_3", "p_12"]].to_numpy().argmax(axis=1)
        cv = (np.array(["7", "3", "12"])[said] == table["label"]).mean()
        write_json(tmp_path / f"{'a' * seed}.json", {"configuration": CARS, "cv": cv})
    (best,) = best_submissions(tmp_path)
    assert (best.submissions, best.left_out) == (3, 0)
    for label in ("7", "3", "12"):
        table[f"p_{label}"] = (table["label"] == label).astype(float)
    table.to_csv(tmp_path / "aaa.oof.csv", index=False)
    (best,) = best_submissions(tmp_path)
    assert (best.submissions, best.left_out) == (2, 1)


def test_soft_labels_are_scored_by_their_shares_or_left_out(tmp_path: Path) -> None:
    soft = {"run": "soft", "competition": {**LEAVES["competition"], "label_columns": ["7", "3", "12"]}}
    for seed in (1, 2):
        submit(tmp_path, "s" * seed, seed, soft)
        write_json(tmp_path / f"{'s' * seed}.json", {"configuration": soft, "cv": 9.0})
    assert best_submissions(tmp_path) == []  # the logged score is not that of the greatest shares
    path = tmp_path / "ss.oof.csv"
    table = pd.read_csv(path, dtype={"label": str})
    for label in ("7", "3", "12"):
        table[f"share_{label}"] = np.where(table["label"] == label, 0.8, 0.1)
    table.to_csv(path, index=False)
    names = ("7", "3", "12")
    values, shares = (table[[f"{what}_{label}" for label in names]].to_numpy() for what in ("p", "share"))
    cv = get_metric("log_loss").function(shares, values)
    write_json(tmp_path / "ss.json", {"configuration": soft, "cv": cv})
    (best,) = best_submissions(tmp_path)
    assert (best.file, best.left_out) == ("ss.csv", 1)
    assert best.found.naive.value == pytest.approx(cv)
    write_json(tmp_path / "s.json", {"configuration": soft})  # no score to hold it against
    assert best_submissions(tmp_path)[0].left_out == 1
