"""The datasets a kernel needs besides the competition's: to train, the backbones' weights and its user's own files; to
predict, a finished run's models."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ripik.ensemble.folder import finished_models
from ripik.execution.runner import execute, undivided
from ripik.execution.task import Task
from ripik.kaggle.datasets import METADATA
from ripik.kaggle.kernel.manifest import FOLDS, GROUPS, Manifest, images_digest, job_file
from ripik.kaggle.kernel.names import identity, title_of
from ripik.kaggle.kernel.own_files import own_files
from ripik.models.weight_files import RANDOM, initial_weights
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.training.jobs import Training, predicting
from ripik.variants import Variant

LICENCE = "other"  # pretrained weights have their own, and so may the data


def write_weights(settings: Settings, folder: Path) -> bool:
    """Write the dataset of the backbones' initial weights; return whether there is any: random ones need no file.

    Raises InputError or SurroundingsError where the weights cannot be had, as `weights.make_initial_weights` does.
    """
    variants = [variant for variant in settings.variants.values() if variant.weights != RANDOM]
    if variants:
        names = _copy_weights(settings, variants, _emptied(folder))
        _finish(settings, folder, Manifest(settings.run, "weights", _digests(folder), names))
    return bool(variants)


def write_own_files(settings: Settings, folder: Path) -> bool:
    """Write the dataset of the files that the run's user wrote; return whether there is any."""
    files = own_files(settings)
    if files:
        _emptied(folder)
        for name, path in files.items():
            shutil.copyfile(path, folder / name)
        _finish(settings, folder, Manifest(settings.run, "files", _digests(folder)))
    return bool(files)


def write_models(settings: Settings, folder: Path) -> Manifest:
    """Write the dataset of the models that the finished blend uses, with what their predictions need; return what it
    tells of them.

    Raises InputError where the run has no blend of the present settings and data, or no sample submission; the folder
    stays as it is then.
    """
    members, fitted, shares = finished_models(settings)
    opened = Run.open(settings)
    form = opened.competition.asked.as_settings()
    names = _copy_weights(settings, [settings.variants[name] for name in members], _emptied(folder))
    trainings = [each for name in members for each in predicting(opened, settings.variants[name])]
    for each in trainings:
        for path in (each.weights, each.meta):
            shutil.copyfile(path, folder / job_file(str(each), path.name))
    shutil.copyfile(opened.layout.folds, folder / FOLDS)
    artifacts.write_csv(folder / GROUPS, opened.competition.test[["image_id"]].assign(group=opened.photos("test")))
    manifest = Manifest(
        run=settings.run,
        kind="models",
        files=_digests(folder),
        weights=names,
        jobs={str(each): _engines(each) for each in trainings},
        fitted=fitted.as_json(),
        shares=shares.tolist(),
        members=members,
        classes=list(opened.competition.classes),
        rule=asdict(opened.competition.rule),
        test_images=images_digest(opened.competition.test),
        form=form,
    )
    _finish(settings, folder, manifest)
    return manifest


def _engines(training: Training) -> dict[str, Any]:
    meta = artifacts.read_json(training.predictions_meta)
    return {"engine": meta["engine"], "frozen": meta["frozen"]}


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _copy_weights(settings: Settings, variants: Sequence[Variant], folder: Path) -> dict[str, str]:
    """Copy the variants' initial weights, made if they are not there; return the file's name of each."""
    execute([Task("initial weights", "ripik.models.weights:make_all", (settings, variants))], undivided(settings.jobs))
    paths = {variant.name: initial_weights(settings, variant) for variant in variants}
    for path in set(paths.values()):
        shutil.copyfile(path, folder / path.name)
    return {name: path.name for name, path in paths.items()}


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: artifacts.file_digest(path) for path in sorted(folder.iterdir())}


def _finish(settings: Settings, folder: Path, manifest: Manifest) -> None:
    manifest.write(folder)
    metadata = {
        "id": identity(settings, manifest.kind),
        "title": title_of(settings, manifest.kind),
        "licenses": [{"name": LICENCE}],
    }
    artifacts.write_json(folder / METADATA, metadata)
