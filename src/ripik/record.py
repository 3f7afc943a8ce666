"""What a run tells of itself to whoever studies it: its configuration, and where its images lie."""

from pathlib import Path

import pandas as pd

from ripik.config import to_toml
from ripik.data.competition import Competition
from ripik.jobs import Run
from ripik.storage import artifacts


def record_run(run: Run) -> None:
    """Write `config.toml` (every default written out) and `images.csv`, unless they stand there as they would be.

    Columns of `images.csv`: image_id, split (train or test), path (absolute), train above test; and where labels are
    corrected, corrected (the label as it is trained on, where that is another than the organiser's).
    """
    _write_if_changed(run.layout.config, to_toml(run.settings))
    _write_if_changed(run.layout.images, artifacts.csv_text(_images(run.competition)))


def _images(competition: Competition) -> pd.DataFrame:
    splits = [competition.rows(split)[["image_id", "path"]].assign(split=split) for split in ("train", "test")]
    both = pd.concat(splits, ignore_index=True)
    both = both.assign(path=[str(Path(path).absolute()) for path in both["path"]])[["image_id", "split", "path"]]
    other = competition.is_corrected
    if not other.any():
        return both
    labels = competition.train["training_label"].astype(str).where(other, "")
    return both.assign(corrected=[*labels, *[""] * len(competition.test)])


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        artifacts.write_text(path, text)
