"""Predict photos that belong to no split, with the finished models of a blend; runs in a process of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.data.image_files import decode
from ripik.data.pixel_rule import PixelRule
from ripik.ensemble.fold_models import as_blended
from ripik.ensemble.recipe import Fitted, MemberPredictions
from ripik.execution.task import Reporter
from ripik.features.batches import ArrayRows
from ripik.features.frozen_passes import frozen_predictor
from ripik.features.pixels import resize
from ripik.features.store import Pass, Reading, VariantData
from ripik.models.engines import SAMPLE, Predictor
from ripik.models.weights import make_all
from ripik.settings import Settings
from ripik.splits.near_copies.find import near_copy_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import predicting
from ripik.training.network import predictor_of
from ripik.training.oof import probability_columns
from ripik.training.predictions import predict_rows, predict_views

CHUNK = 256
Pixels = dict[int, np.ndarray]  # the same images by their side, uint8 (n, side, side, 3)


class MemberModels:
    """The loaded networks of one member: the frozen part they share (None: empty), and a trained part a job."""

    def __init__(self, run: Run, name: str, sample: Pixels) -> None:
        """Load them; sample: some images, on which the engines that run them are compared."""
        self.settings, data = run.settings, VariantData(run, run.settings.variants[name])
        self.variant = data.variant
        self.frozen_part: Predictor | None = None
        if not data.reading.from_pixels:
            self.frozen_part = frozen_predictor(data, ArrayRows(sample[self.variant.image_size]))
        inputs = {pass_.size: self._inputs(sample, Pass("test", size=pass_.size)) for pass_ in self.seen}
        self.trained_parts = {
            each.job: {size: predictor_of(each, source, size) for size, source in inputs.items()}
            for each in predicting(run, self.variant)
        }

    @property
    def seen(self) -> list[Pass]:
        """How it looks at photos: through which views, at which sizes."""
        return Reading(self.settings, self.variant).predicted("test")

    def predict(self, images: Pixels) -> dict[Job, np.ndarray]:
        """Return what each of the jobs says, float32 (views, n, C), of images."""
        inputs = {pass_: self._inputs(images, pass_) for pass_ in self.seen}
        rows = np.arange(len(next(iter(inputs.values()))))
        size = self.settings.prediction.batch_size
        return {job: predict_views(by.__getitem__, inputs, rows, size) for job, by in self.trained_parts.items()}

    def engines(self) -> list[dict]:
        """Return the record of the engines: the frozen part's, where there is one, and the trained parts'."""
        trained = [predictor for by_size in self.trained_parts.values() for predictor in by_size.values()]
        predictors = [*([self.frozen_part] if self.frozen_part else []), *trained]
        return [predictor.record() for predictor in predictors]

    def _inputs(self, images: Pixels, pass_: Pass) -> ArrayRows:
        source = ArrayRows(images[Reading(self.settings, self.variant).side(pass_)])
        if self.frozen_part is None:
            return source
        outputs = predict_rows(
            self.frozen_part, source, np.arange(len(source)), pass_.view, self.settings.prediction.batch_size
        )
        return ArrayRows(outputs.astype(self.settings.features.dtype))


def predict_paths(
    settings: Settings,
    members: Sequence[str],
    fitted: Fitted,
    shares: np.ndarray,
    folder: Path,
    photos: Mapping[str, Path],
    readable: np.ndarray,
    target: Path,
    report: Reporter,
) -> None:
    """Write the blend's predictions of the photos to `target`: filename, label, one `p_<label>` a class.

    folder: where they were found, for the record. photos: their files by the names to be written.
    shares: of the classes, (C,), as estimated on the test set; a few photos would tell too little of them.
    readable: bool (n,); the other photos get the class shares of the training images.
    """
    run = Run.open(settings)
    rule = run.competition.rule
    sizes = {size for name in members for size in Reading(settings, settings.variants[name]).sides}
    paths = list(photos.values())
    good = [path for path, can_be_read in zip(paths, readable, strict=True) if can_be_read]
    sample = _pixels(good[:SAMPLE], sizes, rule)
    make_all(settings, [settings.variants[name] for name in members], lambda done, total, note="": None)
    models = [MemberModels(run, name, sample) for name in members]
    found = []
    for start in range(0, len(good), CHUNK):
        pixels = _pixels(good[start : start + CHUNK], sizes, rule)
        said = [model.predict(pixels) for model in models]
        found.append(as_blended(said, settings, apart=fitted.recipe.prior_shift))
        report(min(start + CHUNK, len(good)), len(good))
    probabilities = np.tile(run.competition.class_shares().astype(np.float64), (len(paths), 1))
    photo = _photos(settings, fitted, good, rule)
    rows = [MemberPredictions(np.concatenate(chunks, axis=2), photo) for chunks in zip(*found, strict=True)]
    probabilities[readable] = fitted.apply(rows, shares)
    labels = np.array(run.competition.classes)[probabilities.argmax(axis=1)]
    frame = pd.DataFrame(probabilities, columns=probability_columns(run.competition.classes))
    frame.insert(0, "label", labels)
    frame.insert(0, "filename", list(photos))
    inputs = {"blend": fitted.as_json(), "photos": artifacts.files_digest(paths), "rule": asdict(rule)}
    with artifacts.making(artifacts.meta_beside(target), inputs, [target]) as more:
        more |= {"folder": str(folder), "engines": {model.variant.name: model.engines() for model in models}}
        artifacts.write_csv(target, frame)


def _photos(settings: Settings, fitted: Fitted, paths: Sequence[Path], rule: PixelRule) -> np.ndarray:
    """Return which of the photos are near copies of one another, where copies vote."""
    if not (fitted.recipe.copies_vote and settings.folds.near_copies):
        return np.arange(len(paths))
    return near_copy_groups(paths, threshold=settings.folds.near_copy_threshold, rule=rule).group


def _pixels(paths: Sequence[Path], sizes: Collection[int], rule: PixelRule) -> Pixels:
    """Return the photos at every size, each decoded once."""
    pixels: dict[int, list[np.ndarray]] = {size: [] for size in sizes}
    for path in paths:
        photo = decode(path, rule)
        for size, images in pixels.items():
            images.append(resize(photo, size))
    return {size: np.stack(images) for size, images in pixels.items()}
