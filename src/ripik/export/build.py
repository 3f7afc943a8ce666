"""The step `export`: the finished blend as a folder that predicts without this package, in the form of ONNX."""

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from ripik.console import say, warn
from ripik.data.image_files import decode
from ripik.ensemble.folder import finished_models
from ripik.ensemble.recipe import Fitted
from ripik.errors import InputError
from ripik.execution.runner import execute, undivided
from ripik.execution.task import Reporter, Task
from ripik.export import predict
from ripik.features.pixels import resize
from ripik.models import backend
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import Training, predicting

EXPORT = 1  # to be raised when the graphs or labels.json change
PACKAGES = ("tf2onnx", "onnx", "onnxruntime")
RUNS_ON = {"onnxruntime": "onnxruntime", "numpy": "numpy", "cv2": "opencv-python-headless"}  # usual names by module
LABELS, SCRIPT, REQUIREMENTS = "labels.json", "predict.py", "requirements.txt"
SAMPLE = 8  # test images on which a graph is held against what the run said
AGREEMENT = 1e-4


def export(settings: Settings) -> Path:
    """Write the members of the finished blend as ONNX graphs, what else their predictions need, and a script.

    Returns the folder, `output/<run>/export/`. Raises InputError without the packages of the extra `onnx`, on another
    backend than TensorFlow, and as `ensemble.folder.finished_models` does.
    """
    _check_packages()
    members, fitted, shares = finished_models(settings)
    run = Run.open(settings)
    folder = run.layout.exported
    trainings = [each for name in members for each in predicting(run, settings.variants[name])]
    if artifacts.is_fresh(folder / "meta.json", _inputs(run, fitted, shares, trainings)):
        say(f"export: {folder} is up to date")
        return folder
    arguments = (settings, members, fitted, shares)
    execute([Task("export", "ripik.export.build:write", arguments)], undivided(settings.jobs))
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"export: wrote {folder} ({decimal(size)}); it predicts by `python {SCRIPT} FOLDER OUT.csv`")
    if fitted.recipe.copies_vote:
        warn("the run averages predictions over near copies of a photo; the exported blend predicts each photo alone")
    return folder


def write(settings: Settings, members: Sequence[str], fitted: Fitted, shares: np.ndarray, report: Reporter) -> None:
    """Write the folder, in this process: beside the old one, which stays until the new one is whole."""
    run = Run.open(settings)
    backend.make_deterministic(0)
    if not backend.backend().startswith("tensorflow"):
        raise InputError(
            f"graphs are made by TensorFlow, but Keras runs on {backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    trainings = [each for name in members for each in predicting(run, settings.variants[name])]
    folder, files = run.layout.exported.with_name(f".{run.layout.exported.name}-new"), list[Path]()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with artifacts.making(folder / "meta.json", _inputs(run, fitted, shares, trainings), files):
        graphs = _write_graphs(run, trainings, folder, report)
        jobs = [[each.job for each in predicting(run, settings.variants[name])] for name in members]
        models = models_of(jobs, apart=fitted.recipe.prior_shift)
        artifacts.write_json(folder / LABELS, _labels(run, fitted, shares, graphs, models))
        shutil.copyfile(predict.__file__, folder / SCRIPT)
        artifacts.write_text(folder / REQUIREMENTS, "".join(_pinned()))
        files += sorted(folder.iterdir())
    _put(folder, run.layout.exported)


def _put(made: Path, folder: Path) -> None:
    """Have a folder take the place of another one."""
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _check_packages() -> None:
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"the export needs the packages {', '.join(lacking)}. Run `make export`, which installs them, or "
            "`pip install -r requirements-export.txt`."
        )
    _pinned()


def _pinned() -> list[str]:
    """Return the lines of requirements.txt: what the script runs on, by the names that are installed here."""
    installed, lines = importlib.metadata.packages_distributions(), list[str]()
    for module, usual in RUNS_ON.items():
        names = sorted(set(installed.get(module, ())))
        if not names:
            raise InputError(
                f"{module} is not an installed package, so its version cannot be written to {REQUIREMENTS}. Run `make "
                "export`, which installs it, or `pip install -r requirements-export.txt`."
            )
        name = usual if usual in names else names[0]
        lines.append(f"{name}=={importlib.metadata.version(name)}\n")
    return lines


def _inputs(run: Run, fitted: Fitted, shares: np.ndarray, trainings: Sequence[Training]) -> dict[str, Any]:
    return {
        "version": [EXPORT, artifacts.file_digest(Path(predict.__file__))],
        "trainings": {str(each): each.predictions_digest for each in trainings},
        "about": artifacts.digest(_labels(run, fitted, shares, [], [])),
    }


def _write_graphs(run: Run, trainings: Sequence[Training], folder: Path, report: Reporter) -> list[dict[str, Any]]:
    """Write a graph for each frozen part and side of photos; return what is told of them."""
    from ripik.export.graphs import (
        forget,
        networks,
        shared_by,
        write_graph,
    )  # loads Keras, which the step does not need
    from ripik.models.weights import make_initial_weights

    for name in dict.fromkeys(each.job.variant for each in trainings):
        make_initial_weights(run.settings, run.settings.variants[name])
    graphs, apart, done, sharings = list[dict[str, Any]](), list[float](), 0, shared_by(trainings)
    total = sum(len(each.trainings) for each in sharings)
    for sharing in sharings:
        for own, network in networks(sharing):
            path = folder / f"graph{len(graphs) + 1}.onnx"
            report(done, total, f"{path.name}: {len(own)} trainings at {sharing.side} pixels")
            write_graph(network, path)
            apart += _difference(path, own, sharing.side)
            graphs.append({"file": path.name, "size": sharing.side, "trainings": [str(each) for each in own]})
            done += len(own)
            del network
            forget()
    report(done, total)
    _tell(f"export: {len(graphs)} graphs of {len(trainings)} trainings", apart)
    return graphs


def _tell(made: str, apart: Sequence[float]) -> None:
    """Say what was made, and how far the graphs are from the run, where they were compared."""
    if not apart:
        say(f"{made}; not compared with the run, which has no readable test image")
        return
    furthest = max(apart)
    say(f"{made}, within {furthest:.0e} of the run on test images")
    if not furthest <= AGREEMENT:
        warn(f"the graphs compute in float32 and differ from the run by {furthest:.0e}, more than {AGREEMENT:.0e}")


def _difference(path: Path, trainings: Sequence[Training], side: int) -> list[float]:
    """Return how far a graph is from the recorded probabilities of some test images, at most; [] without an image."""
    run, reading = trainings[0].run, trainings[0].data.reading
    number, seen = next((at, each) for at, each in enumerate(reading.predicted("test")) if reading.side(each) == side)
    rows = np.flatnonzero(run.competition.test["readable"].to_numpy())[:SAMPLE]
    if not len(rows):
        return []
    import onnxruntime

    photos = [decode(file, run.competition.rule) for file in run.competition.test["path"].iloc[rows]]
    images = np.stack([predict.VIEWS[seen.view](resize(photo, side)) for photo in photos])
    session = onnxruntime.InferenceSession(path)
    (said,) = session.run(None, {session.get_inputs()[0].name: images})
    recorded = [np.load(each.predictions, allow_pickle=False)["test"][number, rows] for each in trainings]
    return [float(np.abs(said - np.stack(recorded, axis=1)).max())]


def models_of(members: Sequence[Sequence[Job]], *, apart: bool) -> list[list[list[str]]]:
    """Return, each time that the blend is applied, which of each member's jobs it is applied to; see `fold_models`.

    apart: it is applied to each fold's models, or else once, to all.
    """
    if not apart:
        return [[[str(job) for job in jobs] for jobs in members]]
    folds: list[int | None] = [*sorted({job.fold for jobs in members for job in jobs if job.fold is not None})] or [
        None
    ]
    return [[[str(job) for job in jobs if job.fold in (fold, None)] for jobs in members] for fold in folds]


def _labels(
    run: Run, fitted: Fitted, shares: np.ndarray, graphs: list[dict[str, Any]], models: list[list[list[str]]]
) -> dict[str, Any]:
    """Return the content of labels.json.

    graphs: each with the side of the photos and the trainings whose probabilities it tells. models: each member's
    trainings, once for all folds together, or fold by fold.
    """
    how, told = run.settings.prediction, fitted.as_json()
    told["blend"].pop("trajectory")
    return {
        "run": run.settings.run,
        "classes": list(run.competition.classes),
        "rule": asdict(run.competition.rule),
        "views": list(how.views),
        "merge": how.merge,
        "views_chosen": run.settings.blend.views == "auto",
        "graphs": graphs,
        "models": models,
        "fitted": told,
        "shares": shares.tolist(),
        "class_shares": run.competition.class_shares().astype(float).tolist(),
        "copies_vote": fitted.recipe.copies_vote,
    }
