"""The parts of `infer` that run a network, each in a process of its own with the threads that the run recorded."""

import numpy as np

from ripik.execution.task import Reporter
from ripik.features.batches import first_batch
from ripik.features.frozen_passes import build_prefix, fill_items
from ripik.features.pixels import pixel_path
from ripik.features.store import Item, source_path
from ripik.kernel.infer import TEST, Trained, check_engine, lacking_test_items
from ripik.models import backend
from ripik.models.engines import SAMPLE, make_predictor
from ripik.models.weights import make_initial_weights
from ripik.storage import artifacts
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import job_seed
from ripik.training.network import predict_rows, predictor_of, trained_network


def fill_test(trained: Trained, name: str, report: Reporter) -> None:
    """Store what the frozen layers of a variant make of the test set, view by view."""
    backend.make_deterministic(0)
    settings, competition = trained.run.settings, trained.run.competition
    variant, items = settings.variants[name], lacking_test_items(trained, name)
    make_initial_weights(settings, variant)
    sample = first_batch(PackedRows([pixel_path(settings, "test", False, variant.image_size)]), SAMPLE)
    predictor = make_predictor(build_prefix(settings, variant), settings.prediction.engine, sample)
    recorded = trained.recorded(trained.jobs(name)[0])["frozen"]
    check_engine(recorded, predictor.record(), settings, f"the frozen part of {name}")
    fill_items(settings, competition, variant, items, predictor, report)


def predict_test(trained: Trained, job: Job, report: Reporter) -> None:
    """Write a job's probabilities of the test set, (views, m, C); those of unreadable images are the class shares."""
    run, variant = trained.run, trained.run.settings.variants[job.variant]
    how, rows = run.settings.prediction, np.arange(len(run.competition.test))
    backend.make_deterministic(job_seed(variant, job))
    make_initial_weights(run.settings, variant)
    sources = {view: PackedRows([source_path(run.settings, variant, Item("test", view=view))]) for view in how.views}
    predictor = predictor_of(run, variant, trained_network(run, job), sources[how.views[0]])
    check_engine(trained.recorded(job)["engine"], predictor.record(), run.settings, str(job))
    found = []
    for number, (view, source) in enumerate(sources.items(), start=1):
        found.append(predict_rows(predictor, source, rows, view, how.batch_size))
        report(number, len(sources), f"predicted test {number}/{len(sources)}, {view}")
    values = np.stack(found)
    values[:, ~run.competition.test["readable"].to_numpy()] = run.competition.class_shares()
    with artifacts.replacing(run.layout.job(job) / TEST) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
