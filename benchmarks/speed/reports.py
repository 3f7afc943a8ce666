"""Measure the report: seconds and size of the page for many images, with made-up predictions.

    python -m benchmarks.speed.reports --photos FOLDER --count 7200 --classes 6 --variants 4

Makes a competition of as many training images as asked for (links to FOLDER's photos, again and again, three of one
label a group), a made-up `oof.csv` and `test.csv` for each variant, right for 80 % of the groups, and no models: heat
maps are left out, which are at most 120 pictures. The folder is removed in the end.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.config import load_settings
from ripik.report.page import report

COPIES, FOLDS, RIGHT = 3, 5, 0.8
CONFIG = """
[competition]
root = "{root}/input"
[paths]
output = "{root}/output"
submissions = "{root}/submissions"
"""


def main() -> None:
    """Read the command line, make the run, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of .jpg photos")
    parser.add_argument("--count", type=int, default=7200, help="training images")
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--variants", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = make_run(Path(folder), options.photos, options.count, options.classes, options.variants)
        start = time.monotonic()
        page = report(load_settings(config))
        seconds = time.monotonic() - start
        print(f"{options.count} images, {options.classes} classes: {seconds:.1f} s, {page.stat().st_size / 1e6:.2f} MB")


def make_run(folder: Path, photos: Path, count: int, classes: int, variants: int) -> Path:
    """Write the competition and the predictions; return the path of the configuration."""
    sources, rng = sorted(photos.glob("*.jpg")), np.random.default_rng(0)
    names = [f"model{number}" for number in range(variants)]
    config = folder / "made_up.toml"
    tables = [f'[variants.{name}]\ndata = "original"\n' for name in names]
    config.write_text(CONFIG.format(root=folder.as_posix()) + "".join(tables), encoding="utf-8")
    train, test = _rows(0, count, classes), _rows(count, count // 2, classes)
    for split, rows in (("train", train), ("test", test)):
        images = folder / "input" / split / "images"
        images.mkdir(parents=True)
        for row, name in enumerate(rows["filename"]):
            shutil.copyfile(sources[row % len(sources)], images / name)
        columns = ["image_id", "filename", *(["label"] if split == "train" else [])]
        rows[columns].to_csv(images.parent / f"{split}.csv", index=False)
    test[["image_id", "label"]].to_csv(folder / "input" / "sample_submission.csv", index=False)
    _write_run(folder / "output" / "made_up", train, test, names, rng)
    return config


def _rows(start: int, count: int, classes: int) -> pd.DataFrame:
    number = np.arange(start, start + count)
    frame = pd.DataFrame({"image_id": number + 1, "group": number // COPIES})
    return frame.assign(filename=[f"{name}.jpg" for name in frame["image_id"]], label=frame["group"] % classes + 1)


def _write_run(run: Path, train: pd.DataFrame, test: pd.DataFrame, names: list[str], rng: np.random.Generator) -> None:
    run.mkdir(parents=True)
    folds = train[["image_id", "label", "group"]].assign(fold=train["group"] // int(train["label"].max()) % FOLDS)
    folds.to_csv(run / "folds.csv", index=False)
    both = pd.concat([train.assign(split="train"), test.assign(split="test")])
    both[["image_id", "split", "group"]].assign(matched_id="", similarity="").to_csv(run / "groups.csv", index=False)
    for name in names:
        (run / name).mkdir()
        oof = pd.concat([folds[["image_id", "fold", "label"]], _guesses(train, rng)], axis=1)
        oof.to_csv(run / name / "oof.csv", index=False)
        pd.concat([test[["image_id"]], _guesses(test, rng)], axis=1).to_csv(run / name / "test.csv", index=False)


def _guesses(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return probabilities that agree within a group."""
    classes = int(rows["label"].max())
    groups, member = np.unique(rows["group"], return_inverse=True)
    truth = rows.groupby("group")["label"].first().to_numpy() - 1
    seen = np.where(rng.random(len(groups)) < RIGHT, truth, rng.integers(classes, size=len(groups)))
    logits = rng.normal(0, 0.5, (len(groups), classes)) + 2 * np.eye(classes)[seen]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(values[member], columns=[f"p_{label}" for label in range(1, classes + 1)])


if __name__ == "__main__":
    main()
