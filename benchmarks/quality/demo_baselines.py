"""How far simple classifiers get on the demo's drawings, on the demo's own folds: it should not be far.

    make demo && .venv/bin/python benchmarks/quality/demo_baselines.py

Features: mean colours (3 numbers) and 8 × 8 thumbnails (192 numbers). Models: logistic regression, random forest.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ripik.config import load_settings
from ripik.console import table
from ripik.data.image_files import decode
from ripik.features.pixels import resize
from ripik.splits.run import Run


def main() -> None:
    """Print a table of pooled out-of-fold macro F1."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", type=Path, default=Path("configs/demo.toml"))
    run = Run.open(load_settings(options.parse_args().config))
    photos = [decode(path) for path in run.competition.train["path"]]
    features = {
        "mean colours": np.array([photo.mean(axis=(0, 1)) for photo in photos]),
        "8 × 8 thumbnails": np.array([resize(photo, 8).ravel() for photo in photos]),
    }
    models = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "random forest": RandomForestClassifier(300, random_state=0),
    }
    folds, truth = PredefinedSplit(run.folds["fold"].to_numpy()), run.targets()
    rows = []
    for name, values in features.items():
        found = (cross_val_predict(model, values, truth, cv=folds) for model in models.values())
        rows.append([name, *(f"{f1_score(truth, predicted, average='macro'):.3f}" for predicted in found)])
    table("Out-of-fold macro F1", ["features", *models], rows)


if __name__ == "__main__":
    main()
