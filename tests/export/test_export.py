"""The step `export`: which trainings share a graph, what the graphs compute, and what is refused; without ONNX."""

import contextlib
import importlib.metadata
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import FAST, Tiny, copy_of, ripik
from ripik.errors import InputError
from ripik.export import build
from ripik.export.build import export, models_of
from ripik.features.store import Pass
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import Training, predicting


def trainings(tiny: Tiny, *overrides: str) -> list[Training]:
    """Return those that predict the test set, of all variants."""
    run = Run.open(tiny.settings(*FAST, *overrides))
    return [each for variant in run.settings.variants.values() for each in predicting(run, variant)]


def names(sharings: list[Any]) -> list[list[str]]:
    return [[str(each) for each in sharing.trainings] for sharing in sharings]


def test_a_graph_computes_once_what_its_trainings_share(finished: Tiny) -> None:
    from ripik.export.graphs import shared_by

    heads = [f"{name}/fold{fold}" for name in ("original", "augmented") for fold in (0, 1)]
    alone = [["finetuned/fold0"], ["finetuned/fold1"]]
    blocks = ["augmented_finetuned/fold0", "augmented_finetuned/fold1"]
    assert names(shared_by(trainings(finished))) == [heads, *alone, blocks]

    larger = "variants.augmented.image_size=48"
    assert names(shared_by(trainings(finished, larger)))[:2] == [heads[:2], heads[2:]]

    sizes = shared_by(trainings(finished, "variants.finetuned.predict_sizes=[48,32]"))
    assert [(name, each.side) for each in sizes[1:-1] for name in names([each])[0]] == [
        (name, side) for (name,) in alone for side in (48, 32)
    ]


@pytest.mark.long
def test_the_networks_say_what_the_run_recorded(finished: Tiny) -> None:
    from ripik.export.graphs import networks, shared_by

    seen = 0
    for sharing in shared_by(trainings(finished)):
        images = PackedRows([sharing.trainings[0].data.reading.pixels_path(Pass("test"))]).read(np.arange(3))
        for own, network in networks(sharing):
            said = network.predict_on_batch(images)
            recorded = [np.load(each.predictions)["test"][0, :3] for each in own]
            np.testing.assert_allclose(said, np.stack(recorded, axis=1), atol=2e-6)
            seen += len(own)
    assert seen == 8


def test_a_network_reads_photos_of_another_side(finished: Tiny) -> None:
    from ripik.export.graphs import Sharing, networks
    from ripik.training.network import trained_network

    finetuned = next(each for each in trainings(finished) if each.job.variant == "finetuned")
    images = np.random.default_rng(0).integers(0, 256, (2, 49, 49, 3), dtype=np.uint8)
    ((_, network),) = networks(Sharing([finetuned], 49))
    wanted = trained_network(finetuned, 49).predict_on_batch(images)
    np.testing.assert_allclose(network.predict_on_batch(images)[:, 0], wanted, atol=2e-6)


def test_a_graph_that_would_be_too_large_is_several(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from ripik.export import graphs

    blocks = graphs.shared_by(trainings(finished))[-1]
    monkeypatch.setattr(graphs, "MOST_BYTES", 1000)
    assert [[str(each) for each in own] for own, _ in graphs.networks(blocks)] == [
        [str(each)] for each in blocks.trainings
    ]


def test_what_is_blended_is_told_together_or_fold_by_fold() -> None:
    first = [Job("a", fold, seed) for fold in (0, 1) for seed in (0, 1)]
    members, (zero, zeros_second, one, ones_second) = [first, [Job("b", None)]], map(str, first)
    assert models_of(members, apart=False) == [[[str(job) for job in first], ["b/refit"]]]
    assert models_of(members, apart=True) == [[[zero, zeros_second], ["b/refit"]], [[one, ones_second], ["b/refit"]]]
    assert models_of(members[1:], apart=True) == [[["b/refit"]]]


def test_without_a_readable_test_image_the_graphs_are_not_compared(
    finished: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    own = trainings(finished)[:1]
    test = own[0].run.competition.test
    none = replace(own[0].run.competition, test=test.assign(readable=False))
    lacking = [replace(own[0], run=replace(own[0].run, competition=none))]
    assert build._difference(Path("none.onnx"), lacking, 32) == []
    build._tell("export: 1 graphs", [])
    assert "not compared with the run" in capsys.readouterr().out


@pytest.mark.parametrize("fails", [True, False])
def test_an_export_that_fails_leaves_the_old_one(
    fails: bool, finished: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = copy_of(finished, tmp_path / "mine")
    settings = tiny.settings(*FAST)
    folder = tiny.run / "export"
    folder.mkdir()
    (folder / "graph1.onnx").write_text("old")

    def graphs(run: Run, trainings: object, folder: Path, report: object) -> list[Any]:
        (folder / "graph1.onnx").write_text("new")
        if fails:
            raise ValueError
        return []

    monkeypatch.setattr(build, "_write_graphs", graphs)
    monkeypatch.setattr(build.backend, "make_deterministic", lambda seed: None)
    monkeypatch.setattr(build.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(build, "_pinned", list)
    members, fitted, shares = build.finished_models(settings)
    with contextlib.suppress(ValueError):
        build.write(settings, members, fitted, shares, lambda *_: None)
    assert (folder / "graph1.onnx").read_text() == ("old" if fails else "new")
    assert (folder / "meta.json").exists() != fails


def test_the_packages_it_needs_are_named(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    there: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else there(name))
    monkeypatch.setattr(build, "PACKAGES", ("keras", "onnx"))
    with pytest.raises(InputError, match=r"needs the packages onnx\. Run `make export`"):
        export(finished.settings(*FAST))


def test_packages_are_pinned_by_the_names_they_are_installed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {
        "onnxruntime": ["onnxruntime-gpu"],
        "numpy": ["numpy"],
        "cv2": ["opencv-python", "opencv-python-headless"],
    }
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: installed)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: str(len(name)))
    assert build._pinned() == ["onnxruntime-gpu==15\n", "numpy==5\n", "opencv-python-headless==22\n"]
    del installed["onnxruntime"]
    with pytest.raises(InputError, match="onnxruntime is not an installed package"):
        build._pinned()


def test_a_run_without_a_blend_is_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PACKAGES", ())
    monkeypatch.setattr(build, "RUNS_ON", {})
    done = ripik(tiny, "export")
    assert done.returncode == 2
    assert f"Run `make ensemble CONFIG={tiny.config}` first" in done.stderr


def test_the_requirements_are_those_of_the_script() -> None:
    pinned = (Path(__file__).parents[2] / "requirements-export.txt").read_text(encoding="utf-8")
    assert {line.partition("==")[0] for line in pinned.splitlines()} == set(build.PACKAGES)


@pytest.mark.parametrize(("apart", "warned"), [([5e-5, 2e-4], True), ([5e-5], False), ([float("nan")], True)])
def test_graphs_far_from_the_run_are_a_warning(
    apart: list[float], warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    build._tell("export: 1 graphs", apart)
    assert ("differ from the run" in "".join(capsys.readouterr())) == warned


@pytest.mark.parametrize("vote", [True, False])
def test_a_vote_of_near_copies_that_the_script_lacks_is_a_warning(
    vote: bool, finished: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = copy_of(finished, tmp_path / "tiny")
    settings = tiny.settings(*FAST)
    members, fitted, shares = build.finished_models(settings)
    fitted = replace(fitted, recipe=replace(fitted.recipe, copies_vote=vote))
    monkeypatch.setattr(build, "_check_packages", lambda: None)
    monkeypatch.setattr(build, "finished_models", lambda _: (members, fitted, shares))
    monkeypatch.setattr(build, "execute", lambda *_: (tiny.run / "export").mkdir())
    export(settings)
    assert ("each photo alone" in "".join(capsys.readouterr())) == vote
