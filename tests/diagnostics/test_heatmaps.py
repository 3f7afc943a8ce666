"""Heat maps of a run: the model that held a photo out explains it, once, and what is kept is up to date."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import SPLITS, Drawn, Tiny, write_competition
from ripik.data.image_files import decode
from ripik.diagnostics import heatmaps
from ripik.diagnostics.heatmaps import heat_maps, work
from ripik.errors import InputError
from ripik.execution import runner
from ripik.execution.task import Task
from ripik.features.pixels import resize
from ripik.models.gradcam import grad_cam
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training.jobs import Training
from ripik.training.network import whole_network
from ripik.variants import Variant
from trainings_here import predict_job, prepare_here, silent, train

SET = ("training.epochs=1", "training.batch_size=8", "variants.finetuned.train_from=block7a", "network.image_size=64")
TRAINED = {"original": range(SPLITS), "finetuned": range(2)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Tiny:
    """Return the tiny competition after training and predicting a head, and two folds from block 7 on."""
    tiny = write_competition(tmp_path_factory.mktemp("trained"), drawn)
    tiny.write_folds()
    settings = tiny.settings(*SET)
    few = {name: settings.variants[name] for name in TRAINED}
    run = prepare_here(settings.model_copy(update={"variants": few}))
    for job in [Job(variant, fold) for variant, folds in TRAINED.items() for fold in folds]:
        train(Training(run, job), silent)
        predict_job(Training(run, job), silent)
    return tiny


@pytest.fixture
def run(trained: Tiny) -> Run:
    """Return the opened run, without heat maps."""
    opened = Run.open(trained.settings(*SET))
    shutil.rmtree(opened.layout.report, ignore_errors=True)
    return opened


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Let the job run in this process; return the list of what it reports."""
    reports: list[tuple[float, int]] = []

    def run_here(tasks: Sequence[Task], settings: object) -> None:
        for task in tasks:
            work(*task.arguments, lambda done, total, note="": reports.append((done, total)))

    monkeypatch.setattr(runner, "execute", run_here)
    return reports


@pytest.fixture
def made_up(here: list, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the job make maps up; return the list of how many it made each time."""
    made: list[int] = []

    def explain(run: Run, variant: Variant, asked: pd.DataFrame, report: object) -> np.ndarray:
        made.append(len(asked))
        return np.linspace(0, 1, len(asked) * 4, dtype="float32").reshape(-1, 2, 2)

    monkeypatch.setattr(heatmaps, "_explain", explain)
    return made


def refuse(tasks: Sequence[Task], settings: object) -> None:
    raise AssertionError("nothing was to be made")


def some(run: Run, variant: str = "original") -> list[tuple[str, str]]:
    """Return requests in every trained fold: of two photos the first class, of the first one another, too."""
    ids = run.competition.train["image_id"]
    chosen = [ids[Training(run, Job("original", fold)).held_rows[:2]].tolist() for fold in TRAINED[variant]]
    return [(image_id, "1") for pair in chosen for image_id in pair] + [(pair[0], "3") for pair in chosen]


def photo(run: Run, image_id: str, size: int) -> np.ndarray:
    (path,) = run.competition.train.set_index("image_id")["path"].loc[[image_id]]
    return resize(decode(path), size)


@pytest.mark.parametrize("variant", TRAINED)
def test_the_whole_network_predicts_what_the_job_did(run: Run, variant: str) -> None:
    job, backbone = Job(variant, 1), whole_network(Training(run, Job(variant, 0)))[0]
    backbone, kernel, bias = whole_network(Training(run, job), backbone)
    with np.load(run.layout.job(job) / "predictions.npz") as stored:
        ids, expected = stored["held_ids"], stored["oof"][0]
    pixels = np.stack([photo(run, image_id, 64) for image_id in ids])
    scores = backbone.predict_on_batch(pixels) @ kernel + bias
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=2e-3)


@pytest.mark.parametrize("variant", TRAINED)
def test_every_photo_is_explained_by_the_model_that_held_it_out(run: Run, here: list, variant: str) -> None:
    found = heat_maps(run, variant, some(run, variant))
    assert sorted(found) == sorted(some(run, variant))
    fold, backbone = run.folds.set_index("image_id")["fold"], None
    for number in TRAINED[variant]:
        backbone, kernel, _ = whole_network(Training(run, Job(variant, number)), backbone)
        asked = [request for request in found if fold[request[0]] == number]
        pixels = np.stack([photo(run, image_id, 64) for image_id, _ in asked])
        classes = np.array([run.competition.classes.index(int(label)) for _, label in asked])
        expected = grad_cam(backbone, pixels, classes, kernel)
        np.testing.assert_allclose(np.stack([found[request] for request in asked]), expected, atol=1e-4)
    assert len({heat.tobytes() for heat in found.values()}) >= len(TRAINED[variant])  # a map may be all 0
    photos = 2 * len(TRAINED[variant])
    assert here == [(done, photos) for done in range(2, photos + 1, 2)]


def test_what_is_kept_is_read_and_not_made_again(run: Run, made_up: list, monkeypatch: pytest.MonkeyPatch) -> None:
    first = heat_maps(run, "original", some(run))
    monkeypatch.setattr(runner, "execute", refuse)
    again = heat_maps(run, "original", [*reversed(some(run)), *some(run)])
    assert first.keys() == again.keys()
    for request, heat in first.items():
        np.testing.assert_array_equal(heat, again[request])
        assert heat.dtype == np.float32


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("harm", [cut_short, Path.unlink, lambda path: path.with_suffix(".meta.json").unlink()])
def test_a_damaged_file_is_made_again(run: Run, made_up: list, harm: Callable[[Path], None]) -> None:
    first = heat_maps(run, "original", some(run)[:2])
    harm(run.layout.report / "heatmaps-original.npz")
    again = heat_maps(run, "original", some(run)[:2])
    assert made_up == [2, 2]
    np.testing.assert_array_equal(list(first.values()), list(again.values()))


def test_other_requests_are_made(run: Run, made_up: list) -> None:
    heat_maps(run, "original", some(run)[:1])
    assert list(heat_maps(run, "original", some(run)[1:2])) == some(run)[1:2]


def test_maps_of_another_model_are_made(run: Run, made_up: list, monkeypatch: pytest.MonkeyPatch) -> None:
    heat_maps(run, "original", some(run)[:1])
    monkeypatch.setattr("ripik.training.jobs.Training.weights_digest", "another")
    heat_maps(run, "original", some(run)[:1])
    assert made_up == [1, 1]


@pytest.mark.long
def test_a_process_of_its_own_makes_them(run: Run) -> None:
    ((request, heat),) = heat_maps(run, "original", some(run)[:1]).items()
    assert request == some(run)[0]
    assert heat.shape == (16, 16)


def test_no_requests_need_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "execute", refuse)
    assert heat_maps(run, "original", []) == {}


@pytest.mark.parametrize(
    ("variant", "request_", "told"),
    [
        ("augmented", ("1", "1"), r"augmented/fold\d is not trained .* `make train`"),
        ("orignal", ("1", "1"), "no variant 'orignal'.*original"),
        ("original", ("1x", "1"), "no training image '1x'"),
        ("original", ("1", "4"), "no class '4'"),
    ],
)
def test_what_cannot_be_explained_is_told(run: Run, variant: str, request_: tuple[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        heat_maps(run, variant, [request_])
