"""Out-of-fold predictions made up for tests, as objects and as the files of a run's folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.predictions import Predictions, load

CLASSES = ("7", "3", "12")  # an order that is neither that of numbers nor that of text


def drawn(rows: int, seed: int = 0, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (rows, 3) and class indices drawn by exactly these: a model that is perfectly calibrated."""
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.full(3, 1 / sharpness), rows)
    return values, (rng.random(rows)[:, None] > values.cumsum(axis=1)).sum(axis=1).clip(max=2)


def frames(values: np.ndarray, targets: np.ndarray, copies: int = 1, n_folds: int = 3) -> dict[str, pd.DataFrame]:
    """Return folds.csv and oof.csv of given probabilities; ids from 1, `copies` rows in turn are one group."""
    ids = [str(number + 1) for number in range(len(values))]
    group = np.arange(len(values)) // copies
    labels = np.array(CLASSES)[targets]
    folds = pd.DataFrame({"image_id": ids, "label": labels, "group": group, "fold": group % n_folds})
    columns = [f"p_{label}" for label in CLASSES]
    oof = pd.concat([folds[["image_id", "fold", "label"]], pd.DataFrame(values, columns=columns)], axis=1)
    return {"folds": folds, "oof": oof}


def write_run(run: Path, name: str, values: np.ndarray, targets: np.ndarray, copies: int = 1) -> Path:
    """Write folds.csv and one variant's oof.csv below `run`; return the variant's folder."""
    made, folder = frames(values, targets, copies), run / name
    folder.mkdir(parents=True, exist_ok=True)
    made["folds"].to_csv(run / "folds.csv", index=False)
    made["oof"].to_csv(folder / "oof.csv", index=False)
    return folder


def predictions(
    run: Path, values: Any, targets: Any, copies: int = 1, metric: str = "macro_f1", name: str = "made_up"
) -> Predictions:
    """Write such files and load them."""
    folder = write_run(run, name, np.asarray(values, dtype=float), np.asarray(targets), copies)
    return load(folder, metric=metric)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
