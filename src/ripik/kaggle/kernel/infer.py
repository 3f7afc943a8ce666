"""Predict a test set with the finished models of a run, as the run itself does, far from its training images."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.console import say, warn
from ripik.data.competition import Competition, read_test_set
from ripik.data.image_check import examine_all
from ripik.data.lost_content import notes_of, tell
from ripik.data.pixel_rule import PixelRule
from ripik.data.submission_form import tell_form
from ripik.ensemble.fold_models import as_blended
from ripik.ensemble.recipe import Fitted, MemberPredictions
from ripik.ensemble.submission import submission_of
from ripik.errors import InputError
from ripik.execution.runner import execute
from ripik.execution.task import Reporter, Task
from ripik.features.frozen_passes import fill_passes, frozen_predictor
from ripik.features.pixels import pixels
from ripik.features.store import Pass, Reading, VariantData
from ripik.kaggle.kernel.manifest import FOLDS, GROUPS, Manifest, images_digest, job_file
from ripik.models import backend
from ripik.models.predictor import Predictor
from ripik.models.weights import make_initial_weights
from ripik.names import KERAS, NUMPY
from ripik.settings import JobSettings, Settings
from ripik.splits.groups import search_readable
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import Training, predicting
from ripik.training.network import predictor_of
from ripik.training.predictions import first_pass, predict_test

TEST = "test.npy"  # of a job: its probabilities of the test set by view, float32 (views, m, C)


@dataclass(frozen=True)
class Trained:
    """A run as its dataset of models describes it, with the mounted test set."""

    run: Run
    manifest: Manifest
    models: Path

    def jobs(self, variant: str) -> list[Job]:
        """Return the jobs whose mean predicts the test set."""
        return [each.job for each in predicting(self.run, self.run.settings.variants[variant])]

    def recorded(self, job: Job) -> dict[str, Any]:
        """Return what the run recorded of the engines that predicted with a job."""
        return self.manifest.jobs[str(job)]


def infer(settings: Settings, models: Path, target: Path) -> None:
    """Predict the test set of `settings` with the models of a dataset's folder and write the submission to `target`.

    Every process has the threads that the run's own had, and the engine is the one it used, or Keras where
    `kaggle.engine` asks for it.
    Raises InputError for a dataset that is not whole, a test set that is none, and an engine that is not installed.
    """
    trained = open_trained(settings, models)
    variants = {name: trained.run.settings.variants[name] for name in trained.manifest.members}
    for size in {side for variant in variants.values() for side in Reading(trained.run.settings, variant).sides}:
        pixels(trained.run, "test", False, size)
    for name, variant in variants.items():
        data = VariantData(trained.run, variant)
        if not data.reading.from_pixels and lacking_test_passes(data):
            frozen = trained.recorded(trained.jobs(name)[0])["frozen"]
            _run(f"frozen passes of {name}", "fill_test", (trained, name), frozen["threads"])
    for name in trained.manifest.members:
        for job in trained.jobs(name):
            _run(str(job), "predict_job", (trained, job), trained.recorded(job)["engine"]["threads"])
    _write(trained, target)


def _run(name: str, function: str, arguments: tuple, threads: int) -> None:
    task = Task(name, f"ripik.kaggle.kernel.infer:{function}", arguments)
    execute([task], JobSettings(jobs=1, threads=threads))


def open_trained(settings: Settings, models: Path) -> Trained:
    """Return the run of a dataset's folder, with the test set of `settings`, its images tried."""
    manifest = Manifest.read(models)
    settings = _pinned(settings, manifest, models)
    folds = pd.read_csv(models / FOLDS, dtype={"image_id": str, "label": str}, keep_default_na=False)
    labels = {str(label): label for label in manifest.classes}
    train = folds.assign(label=folds["label"].map(labels), path="", readable=False)
    competition = read_test_set(settings, train, tuple(manifest.classes))
    tell_form(competition.form)
    competition = _tried(competition, PixelRule(**manifest.rule))
    opened = Run(settings, competition, (folds, manifest.files[FOLDS]))
    _place(opened, manifest, models)
    return Trained(opened, manifest, models)


def _pinned(settings: Settings, manifest: Manifest, models: Path) -> Settings:
    """Return the settings with the dataset's weights, and the run's form of submission and engine.

    Keras is the engine where that is asked for.
    """
    used = {record["name"].split()[0] for job in manifest.jobs.values() for record in job.values() if record}
    others = used - {KERAS, NUMPY}
    engine = others.pop() if others and settings.kaggle.engine != KERAS else KERAS
    weights = {name: str(models / file) for name, file in manifest.weights.items()}
    variants = {
        name: variant.model_copy(update={"weights": weights[name]}) if name in weights else variant
        for name, variant in settings.variants.items()
    }
    prediction = settings.prediction.model_copy(update={"engine": engine})
    competition = settings.competition.model_copy(update=manifest.form)
    changed = {"variants": variants, "prediction": prediction, "competition": competition}
    return settings.model_copy(update=changed)


def _tried(competition: Competition, rule: PixelRule) -> Competition:
    """Return the competition with the rule of the run, and the test images that cannot be read marked."""
    paths = list(competition.test["path"])
    found = examine_all(paths, "test images checked", rule)
    tell(notes_of(found, [path.name for path in paths], rule))
    readable = np.array([not examined.problem for examined in found])
    if not readable.all():
        warn(
            "unreadable test images are predicted with the class shares of the training images: "
            f"{(~readable).sum()} of {len(readable)}"
        )
    ruled = ("test",) if any(examined.is_changed_by(rule) for examined in found) else ()
    return replace(competition, test=competition.test.assign(readable=readable), rule=rule, ruled=ruled)


def _place(opened: Run, manifest: Manifest, models: Path) -> None:
    """Put the trained weights where the run's own code looks for them."""
    for name in manifest.members:
        for each in predicting(opened, opened.settings.variants[name]):
            each.folder.mkdir(parents=True, exist_ok=True)
            for link in (each.weights, each.meta):
                link.unlink(missing_ok=True)
                link.symlink_to((models / job_file(str(each), link.name)).absolute())


def lacking_test_passes(data: VariantData) -> list[Pass]:
    """Return the passes of the test set whose outputs are not stored, or are of other images."""
    wanted = set(data.reading.predicted("test"))
    return [pass_ for pass_ in data.lacking() if pass_ in wanted]


def _write(trained: Trained, target: Path) -> None:
    run, fitted = trained.run, Fitted.from_json(trained.manifest.fitted)
    members, photos = trained.manifest.members, _photos(trained, fitted)
    models = as_blended([said(trained, name) for name in members], run.settings, apart=fitted.recipe.prior_shift)
    same = images_digest(run.competition.test) == trained.manifest.test_images
    shares = np.array(trained.manifest.shares) if same else None  # of another test set: estimated anew
    frame = submission_of(
        run.competition, fitted.apply([MemberPredictions(values, photos) for values in models], shares)
    )
    artifacts.write_csv(target, frame)
    say(f"infer: wrote {target} ({len(frame)} rows, checked against the sample submission)")


def said(trained: Trained, name: str) -> dict[Job, np.ndarray]:
    """Return what each of a variant's jobs says of the test set, (views, m, C)."""
    return {job: np.load(trained.run.layout.job(job) / TEST, allow_pickle=False) for job in trained.jobs(name)}


def _photos(trained: Trained, fitted: Fitted) -> np.ndarray:
    """Return which test images show one photo, where copies vote: by the run, or searched again for other images."""
    settings, test = trained.run.settings, trained.run.competition.test
    if not fitted.recipe.copies_vote:
        return np.arange(len(test))
    if images_digest(test) == trained.manifest.test_images:
        known = pd.read_csv(trained.models / GROUPS, dtype={"image_id": str}, keep_default_na=False)
        return known.set_index("image_id")["group"].loc[test["image_id"]].to_numpy()
    if settings.folds.near_copies:
        say("infer: the test set differs from the run's, so near copies are searched in it")
    return search_readable(settings, trained.run.competition.rule, test).group


def check_engine(recorded: dict[str, Any], used: dict[str, Any], settings: Settings, what: str) -> None:
    """Raise InputError when another engine runs than the run recorded; warn when it is another version of it.

    A head alone, which NumPy runs, was run by Keras in former versions.
    """
    engines = {record["name"].split()[0] for record in (recorded, used)}
    if settings.kaggle.engine == "recorded" and len(engines) > 1 and engines != {KERAS, NUMPY}:
        raise InputError(
            f'{what} was predicted by {recorded["name"]}, not by {used["name"]}. Set kaggle.engine = "keras" to '
            "predict with Keras anyway: probabilities then differ by up to 1e-4."
        )
    if recorded != used:
        warn(f"{what}: {used} instead of {recorded}: the last digits may differ")


def fill_test(trained: Trained, name: str, report: Reporter) -> None:
    """Store what the frozen layers of a variant make of the test set, view by view."""
    backend.make_deterministic(0)
    settings = trained.run.settings
    data = VariantData(trained.run, settings.variants[name])
    make_initial_weights(settings, data.variant)
    predictor = frozen_predictor(data, PackedRows([data.reading.pixels_path(Pass("test"))]))
    recorded = trained.recorded(trained.jobs(name)[0])["frozen"]
    check_engine(recorded, predictor.record(), settings, f"the frozen part of {name}")
    fill_passes(data, lacking_test_passes(data), predictor, report)


def predict_job(trained: Trained, job: Job, report: Reporter) -> None:
    """Write a job's probabilities of the test set, (views, m, C), as `training.predictions.predict_test` makes them."""
    training, settings = Training(trained.run, job), trained.run.settings
    backend.make_deterministic(training.seed)
    make_initial_weights(settings, training.variant)
    view, recorded = first_pass(training).view, trained.recorded(job)["engine"]

    @functools.cache
    def at_size(size: int) -> Predictor:
        source = PackedRows([training.data.path(Pass("test", view=view, size=size))])
        predictor = predictor_of(training, source, size)
        check_engine(recorded, predictor.record(), settings, str(job))
        return predictor

    values = predict_test(training, at_size, report)
    with artifacts.replacing(training.folder / TEST) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
