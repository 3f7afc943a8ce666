"""Folders of runs that hold nothing but files of predictions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.config import load_settings
from ripik.settings import Settings
from ripik.storage import artifacts

PHOTOS, COPIES, CLASSES = 80, 3, ["crack", "dent", "lamp broken"]
CONFIG = """
[competition]
label_type = "string"

[paths]
output = "{output}"
"""


class Runs:
    """Folders of runs that hold nothing but folds.csv and OOF CSVs: no photos, no competition."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "output"
        (folder / "here.toml").write_text(CONFIG.format(output=self.output.as_posix()), encoding="utf-8")
        ids = [f"{number:04d}" for number in range(PHOTOS * COPIES)]
        photo = np.arange(PHOTOS).repeat(COPIES)
        labels = np.array(CLASSES)[photo % len(CLASSES)]
        self.folds = pd.DataFrame({"image_id": ids, "label": labels, "group": photo, "fold": photo % 5})

    def settings(self, *overrides: str) -> Settings:
        return load_settings(self.folder / "here.toml", overrides)

    def write_folds(self, run: str = "here", change: Callable[[pd.DataFrame], pd.DataFrame] = lambda f: f) -> None:
        write(self.output / run / "folds.csv", change(self.folds))

    def write_oof(self, where: str, right: float, seed: int = 0, order: int | None = None) -> pd.DataFrame:
        """Write predictions that are right for a share of the photos, below the output folder; return them."""
        frame = self.predicted(right, seed)
        if order is not None:
            frame = frame.sample(frac=1, random_state=order)
        write(self.output / where / "oof.csv", frame)
        return frame

    def predicted(self, right: float, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        truth = np.arange(PHOTOS) % len(CLASSES)
        seen = np.where(rng.random(PHOTOS) < right, truth, (truth + 1) % len(CLASSES)).repeat(COPIES)
        values = pd.DataFrame(0.1 + 0.7 * np.eye(len(CLASSES))[seen], columns=[f"p_{label}" for label in CLASSES])
        return pd.concat([self.folds[["image_id", "fold", "label"]], values], axis=1)

    def edit(self, where: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = self.output / where
        write(path, change(pd.read_csv(path, dtype=str, keep_default_na=False)))


def write(path: Path, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)


def record(meta: Path, inputs: Mapping[str, Any], *outputs: Path) -> None:
    """Write the meta file of some files, as the step that made them would."""
    digests = {path.name: artifacts.file_digest(path) for path in outputs}
    artifacts.write_meta(meta, inputs=inputs, outputs=digests, seconds=1)
