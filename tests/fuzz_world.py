"""A tiny competition that is spoiled, read, and mended again, case by case."""

from __future__ import annotations

import contextlib
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ripik import cli, config
from ripik.ensemble.submission_log import append_log
from ripik.storage.artifacts import write_csv

TRAIN, TEST, SAMPLE = "input/train/train.csv", "input/test/test.csv", "input/sample_submission.csv"
GROUPS, FOLDS = "output/tiny/groups.csv", "output/tiny/folds.csv"
OOF_A, OOF_B, CORRECTIONS, LOG = "a.csv", "b.csv", "input/corrections.csv", "submissions/log.csv"
PHOTOS, COPIES, CLASSES, SIDE = 12, 2, (1, 2, 3), 16
CONFIG = """[competition]
root = "input"

[folds]
n_splits = 2
tries = 2
near_copies = false

[network]
weights = "random"
image_size = 32
"""


class World:
    """The competition in a folder that is the working folder: `files` are all its texts, `texts` configurations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._draw()
        self.files = {path: (folder / path).read_bytes() for path in (TRAIN, TEST, SAMPLE, "tiny.toml", CORRECTIONS)}
        with contextlib.redirect_stdout(io.StringIO()):
            if cli.main(["folds", "--config", "tiny.toml"]):
                raise RuntimeError("the plain competition is refused")
        self._made = {path: path.read_bytes() for path in (folder / "output").rglob("*") if path.is_file()}
        self._predict()
        self.files |= {path: (folder / path).read_bytes() for path in (GROUPS, FOLDS, OOF_A, OOF_B, LOG)}
        own = [path.read_text("utf-8") for path in sorted(Path(__file__).parents[1].glob("configs/*.toml"))]
        effective = config.to_toml(config.load_settings(folder / "tiny.toml"))
        self.texts = [CONFIG, *own, effective, effective]

    def _draw(self) -> None:
        rows: dict[str, list[str]] = {"train": ["image_id,filename,label,photo"], "test": ["image_id,filename,photo"]}
        for number in range(PHOTOS * COPIES):
            photo, split = number // COPIES, "train" if number < (PHOTOS - 3) * COPIES else "test"
            label = [str(CLASSES[photo % len(CLASSES)])] if split == "train" else []
            rows[split].append(",".join([str(number + 1), f"{number + 1}.jpg", *label, f"photo {photo}"]))
            images = self.folder / "input" / split / "images"
            images.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            (images / f"{number + 1}.jpg").write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
        for split, lines in rows.items():
            (self.folder / "input" / split / f"{split}.csv").write_text("\n".join([*lines, ""]), "utf-8")
        ids = [line.split(",")[0] for line in rows["test"][1:]]
        (self.folder / SAMPLE).write_text("\n".join(["image_id,label", *(f"{each},1" for each in ids), ""]), "utf-8")
        (self.folder / CORRECTIONS).write_text("image_id,label\n3,1\n4,1\n", "utf-8")
        (self.folder / "tiny.toml").write_text(CONFIG, "utf-8")

    def _predict(self) -> None:
        """Make up two sets of out-of-fold predictions, and what is recorded of two submissions."""
        folds = pd.read_csv(self.folder / FOLDS, dtype={"image_id": str})
        for number, path in enumerate((OOF_A, OOF_B)):
            values = np.random.default_rng(number).dirichlet(np.ones(len(CLASSES)), len(folds)).astype(np.float32)
            columns = pd.DataFrame(values, columns=[f"p_{label}" for label in CLASSES])
            write_csv(self.folder / path, pd.concat([folds[["image_id", "fold", "label"]], columns], axis=1))
            (self.folder / LOG).parent.mkdir(exist_ok=True)
            row = {"file": f"tiny-{number}.csv", "time": f"2024-05-0{number + 1}T10:00:00", "commit": "abc", "cv": 0.5}
            append_log(self.folder / LOG, {**row, "members": ["a", "b"], "config_hash": "123", "public": 0.25})

    @contextlib.contextmanager
    def spoiled(self, files: Mapping[str, bytes]) -> Iterator[None]:
        """Write these files for the block; afterwards they, and all that was made from them, are as they were."""
        before = {path: (self.folder / path).read_bytes() for path in files}
        for path, content in files.items():
            (self.folder / path).write_bytes(content)
        self._edited = [path for path, content in files.items() if "output/" in path and content != before[path]]
        yield
        for path, content in before.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)
        self._mend_output()

    def _mend_output(self) -> None:
        there = {path for path in (self.folder / "output").rglob("*") if path.is_file()}
        for path in there - set(self._made):
            path.unlink()
        for path, content in self._made.items():
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def users_files(self) -> dict[str, object]:
        """Return what no step may change: the organiser's files, and the CSVs that the user has edited."""
        images = list((self.folder / "input").rglob("*.jpg"))
        stats: dict[str, object] = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in images}
        texts = [*(path for path in self.files if "output/" not in path), *self._edited]
        return stats | {path: (self.folder / path).read_bytes() for path in texts}


def documented(texts: Sequence[str]) -> list[str]:
    """Return the dotted names of all settings of the last configuration, which is a whole one, and of its tables."""
    found = []
    todo = list(tomllib.loads(texts[-1]).items())
    while todo:
        name, value = todo.pop()
        found.append(name)
        if isinstance(value, dict):
            todo += [(f"{name}.{key}", inner) for key, inner in value.items()]
    return [name for name in sorted(found) if "." in name] + ["training.epochs", "network.dropout", "finetuning.warmup"]
