"""What finished trainings leave behind, made up: no network is trained."""

from collections.abc import Callable

import numpy as np

from conftest import CLASSES, Tiny
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import Training, jobs_of

Values = Callable[[Job, str, int, int], np.ndarray]


def random_values(job: Job, split: str, views: int, rows: int) -> np.ndarray:
    """Return probabilities, (views, rows, C), that only this job and split have."""
    seed = sum(map(ord, f"{job}{split}"))
    return np.random.default_rng(seed).dirichlet(np.ones(len(CLASSES)), (views, rows)).astype("float32")


def finish(run: Run, job: Job, values: Values = random_values) -> None:
    """Write what a trained and predicted job leaves behind; its held rows stand in reverse order."""
    views = len(run.settings.prediction.views)
    train, test = run.competition.train["image_id"], run.competition.test["image_id"]
    held = train.to_numpy(dtype=str)[Training(run, job).held_rows][::-1]
    path = Training(run, job).predictions
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"oof": values(job, "oof", views, len(held)), "test": values(job, "test", views, len(test))}
    np.savez(path, held_ids=held, test_ids=test.to_numpy(dtype=str), **arrays)
    artifacts.write_meta(path.parent / "meta.json", inputs=Training(run, job).inputs(), outputs={}, seconds=1)
    artifacts.write_meta(
        path.with_suffix(".meta.json"),
        inputs=Training(run, job).prediction_inputs(),
        outputs={path.name: artifacts.file_digest(path)},
        seconds=1,
    )


def finished(tiny: Tiny, *overrides: str, values: Values = random_values) -> Run:
    """A run whose variant `original` has all of its jobs done."""
    tiny.write_folds()
    run = Run.open(tiny.settings(*overrides))
    for job in jobs_of(run.settings, run.settings.variants["original"]):
        finish(run, job, values)
    return run
