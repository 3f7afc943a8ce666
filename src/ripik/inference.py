"""Predict photos that belong to no split, with the finished models of a blend; runs in a process of its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ripik import artifacts
from ripik.blend import blend
from ripik.engine import Reporter
from ripik.features import batches, initial_weights
from ripik.images import decode, resize
from ripik.jobs import Run, open_run, predicting_jobs
from ripik.network import predict_rows, trained_network
from ripik.oof import probability_columns
from ripik.prefix import build_prefix
from ripik.settings import ALL, Settings
from ripik.views import merge

CHUNK = 256


class MemberModels:
    """The loaded networks of one member: the frozen prefix they share (None: empty), and a suffix a job."""

    def __init__(self, run: Run, name: str, weight: float) -> None:
        self.weight = weight
        self.how = run.settings.prediction
        self.variant = run.settings.variants[name]
        weights = initial_weights(run.settings, self.variant)
        self.prefix = None if self.variant.train_from == ALL else build_prefix(self.variant, weights)
        self.suffixes = [trained_network(run, job) for job in predicting_jobs(run.settings, self.variant)]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the mean over jobs of the merged views, (n, C), of uint8 images (n, S, S, 3)."""
        rows = np.arange(len(images))
        views = [self._inputs(images, rows, view) for view in self.how.views]
        found = []
        for suffix in self.suffixes:
            by_view = [predict_rows(suffix, *view, self.how.batch_size) for view in views]
            found.append(merge(np.stack(by_view), self.how.merge))
        return np.mean(found, axis=0)

    def _inputs(self, images: np.ndarray, rows: np.ndarray, view: str) -> tuple[np.ndarray, np.ndarray, str]:
        if self.prefix is None:
            return images, rows, view
        passes = [self.prefix.predict_on_batch(batch) for batch in batches(images, rows, view, self.how.batch_size)]
        return np.concatenate(passes), rows, view


def predict_paths(
    settings: Settings, weights: dict[str, float], paths: Sequence[Path], target: Path, report: Reporter
) -> None:
    """Write the blend's predictions of the photos to `target`: filename, label, one `p_<label>` a class."""
    run = open_run(settings)
    models = [MemberModels(run, name, weight) for name, weight in weights.items()]
    found = []
    for start in range(0, len(paths), CHUNK):
        found.append(_blend(models, paths[start : start + CHUNK]))
        report(min(start + CHUNK, len(paths)), len(paths))
    probabilities = np.concatenate(found)
    labels = np.array(run.competition.classes)[probabilities.argmax(axis=1)]
    frame = pd.DataFrame(probabilities, columns=probability_columns(run.competition.classes))
    frame.insert(0, "label", labels)
    frame.insert(0, "filename", [path.name for path in paths])
    artifacts.write_csv(target, frame)


def _blend(models: Sequence[MemberModels], paths: Sequence[Path]) -> np.ndarray:
    pixels: dict[int, list[np.ndarray]] = {model.variant.image_size: [] for model in models}
    for path in paths:
        photo = decode(path)
        for size, images in pixels.items():
            images.append(resize(photo, size))
    members = np.stack([model.predict(np.stack(pixels[model.variant.image_size])) for model in models])
    return blend(members, np.array([model.weight for model in models]))
