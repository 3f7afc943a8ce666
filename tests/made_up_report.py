"""A run made of files alone, with photos, that a report can be made of: no training."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from conftest import draw_photo
from ripik.config import load_settings
from ripik.settings import Settings

CONFIG = """
[competition]
root = "{folder}/input"
label_type = "string"

[paths]
output = "{folder}/output"

[folds]
n_splits = 2

[variants.plain]
data = "original"
train_from = "all"
"""


def write_photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", draw_photo(seed))[1].tobytes())


def made_up_run(folder: Path, labels: list[str], names: list[str], values: np.ndarray) -> Settings:
    """Write a competition and a run of one variant without models.

    labels: of the training photos; names: their files; values: probabilities (n, C), of the sorted labels in turn.
    """
    ids, classes = [f"<i>{number}</i>" for number in range(len(labels))], sorted(set(labels))
    for number, name in enumerate(names):
        write_photo(folder / "input" / "train" / "images" / name, number)
    write_photo(folder / "input" / "test" / "images" / "t.jpg", 10_000)
    train = pd.DataFrame({"image_id": ids, "filename": names, "label": labels})
    train.to_csv(folder / "input" / "train" / "train.csv", index=False)
    test = pd.DataFrame({"image_id": ["t"], "filename": ["t.jpg"]})
    test.to_csv(folder / "input" / "test" / "test.csv", index=False)
    test[["image_id"]].assign(label=labels[0]).to_csv(folder / "input" / "sample_submission.csv", index=False)
    run = folder / "output" / "here"
    known = train[["image_id", "label"]].assign(group=range(len(ids)))
    known["fold"] = known.groupby("label").cumcount() % 2
    columns = pd.DataFrame(values, columns=[f"p_{label}" for label in classes])
    (run / "plain").mkdir(parents=True)
    known.to_csv(run / "folds.csv", index=False)
    near = [*((image_id, "train") for image_id in ids), ("t", "test")]
    groups = pd.DataFrame(near, columns=["image_id", "split"]).assign(group=range(len(near)))
    groups.assign(matched_id="", similarity="").to_csv(run / "groups.csv", index=False)
    oof = pd.concat([known[["image_id", "fold", "label"]], columns], axis=1)
    oof.to_csv(run / "plain" / "oof.csv", index=False)
    pd.concat([test[["image_id"]], columns[:1]], axis=1).to_csv(run / "plain" / "test.csv", index=False)
    (folder / "here.toml").write_text(CONFIG.format(folder=folder.as_posix()), encoding="utf-8")
    return load_settings(folder / "here.toml")
