"""Heat maps of training photos: Grad-CAM by the model that was not trained on the photo."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripik.data.image_files import decode
from ripik.data.pixel_rule import PixelRule
from ripik.errors import InputError, nearest
from ripik.execution import runner
from ripik.execution.runner import undivided
from ripik.execution.task import Reporter, Task
from ripik.features.pixels import resize
from ripik.features.store import Pass, VariantData
from ripik.models import backend
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.storage.up_to_date import Artifact
from ripik.training.jobs import Training, choose_variants
from ripik.variants import Variant

if TYPE_CHECKING:
    from ripik.models.gradcam import GradCam

HEATMAPS = 1  # to be raised when the maps change
BATCH = 32  # photos a pass
Request = tuple[str, str]  # image id and class label, both as text


def heat_maps(run: Run, name: str, requests: Iterable[Request]) -> dict[Request, np.ndarray]:
    """Return a map for each request, (image id, label as text): float32 (h, w) of 0–1, Grad-CAM of that class.

    A training photo is explained by the variant's model, of the first seed, whose fold held it out, in the plain view.
    Maps have the resolution of the network's last features and cover the whole photo. They are
    kept in `report/heatmaps-<variant>.npz` (image_ids, labels, maps) and made anew, in a process of its own, when the
    models, the photos or the requests are others.
    Raises InputError for an unknown variant, id or label, a model that is not trained, or an unreadable photo.
    """
    wanted = sorted(set(requests))
    if not wanted:
        return {}
    variant, path = choose_variants(run.settings, [name])[-1], run.layout.report / f"heatmaps-{name}.npz"
    if not Artifact.of(path, _inputs(run, variant, _table(run, wanted))).is_fresh:
        task = Task(f"heat maps of {name}", "ripik.diagnostics.heatmaps:work", (run.settings, name, wanted, path))
        runner.execute([task], undivided(run.settings.jobs))
    with np.load(path, allow_pickle=False) as kept:
        keys = zip(kept["image_ids"].tolist(), kept["labels"].tolist(), strict=True)
        return dict(zip(keys, kept["maps"], strict=True))


def work(settings: Settings, name: str, requests: Sequence[Request], path: Path, report: Reporter) -> None:
    """Write the requested maps of a variant to `path`, in this process; reports photos. Errors as of `heat_maps`."""
    from ripik.models.weights import (
        make_initial_weights,  # loads Keras, which the process that asks for maps does not need
    )

    run, variant = Run.open(settings), settings.variants[name]
    backend.make_deterministic(variant.seed)
    asked = _table(run, requests)
    with Artifact.of(path, _inputs(run, variant, asked)).making():
        make_initial_weights(settings, variant)
        maps = _explain(run, variant, asked, report)
        arrays = {column: asked[column].to_numpy(dtype=str) for column in ("image_id", "label")}
        with artifacts.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, image_ids=arrays["image_id"], labels=arrays["label"], maps=maps)


def _explain(run: Run, variant: Variant, asked: pd.DataFrame, report: Reporter) -> np.ndarray:
    """Return the maps, (n, h, w), in the order of the table, by fold: each fold's weights go into one network."""
    from ripik.models.gradcam import GradCam
    from ripik.training.network import whole_network

    backbone, how, found, done = None, None, [], 0
    for fold in asked["fold"].unique().tolist():
        rows = asked[asked["fold"] == fold]
        backbone, kernel, _ = whole_network(Training(run, Job(variant.name, fold)), backbone)
        how = how or GradCam(backbone)
        batch = pd.factorize(rows["image_id"])[0] // BATCH
        for _, part in rows.groupby(batch):
            found.append(_maps(how, part, kernel, variant.image_size, run.competition.rule))
            done += part["image_id"].nunique()
            report(done, asked["image_id"].nunique(), "photos")
    return np.concatenate(found)


def _maps(how: "GradCam", asked: pd.DataFrame, kernel: np.ndarray, size: int, rule: PixelRule) -> np.ndarray:
    """Return the maps of some photos, each of which passes the network once."""
    photos = asked.drop_duplicates("image_id")
    features = how.feature_maps(np.stack([resize(decode(path, rule), size) for path in photos["path"]]))
    return how.heat_maps(features[pd.factorize(asked["image_id"])[0]], asked["class"].to_numpy(), kernel)


def _table(run: Run, requests: Sequence[Request]) -> pd.DataFrame:
    """Return image_id, label, path, fold and class index of the requests, fold by fold, those of a photo together."""
    asked = pd.DataFrame(requests, columns=["image_id", "label"])
    photos = run.competition.train.set_index("image_id")["path"]
    classes = {str(label): index for index, label in enumerate(run.competition.classes)}
    for column, known, what in (("image_id", photos.index, "training image"), ("label", classes, "class")):
        unknown = sorted(set(asked[column]) - set(known))
        if unknown:
            raise InputError(f"heat maps: there is no {what} {unknown[0]!r}{nearest(unknown[0], list(known))}.")
    folds = run.folds.set_index("image_id")["fold"]
    asked["path"], asked["fold"] = asked["image_id"].map(photos), asked["image_id"].map(folds)
    return asked.assign(**{"class": asked["label"].map(classes)}).sort_values(["fold", "image_id", "label"])


def _inputs(run: Run, variant: Variant, asked: pd.DataFrame) -> dict[str, Any]:
    """Return what determines the maps; InputError when a model is missing or stale."""
    jobs = [Job(variant.name, fold) for fold in asked["fold"].unique().tolist()]
    for job in jobs:
        if not Training(run, job).is_trained:
            raise InputError(f"{job} is not trained with the current folds, data and configuration. Run `make train`.")
    return {
        "version": HEATMAPS,
        "requests": artifacts.digest(asked[["image_id", "label"]].to_numpy().tolist()),
        "models": {
            job.folder: [artifacts.digest(Training(run, job).inputs()), Training(run, job).weights_digest]
            for job in jobs
        },
        "pixels": VariantData(run, variant).pixel_inputs(Pass("train")),
    }
