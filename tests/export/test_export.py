"""The step `export`: which trainings share a graph, what the graphs compute, and what is refused; without ONNX."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import FAST, Tiny, ripik
from ripik.errors import InputError
from ripik.export import build
from ripik.export.build import export, places
from ripik.features.store import Pass
from ripik.splits.run import Run
from ripik.storage.packed_rows import PackedRows
from ripik.storage.paths import Job
from ripik.training.jobs import Training, predicting


def trainings(tiny: Tiny, *overrides: str) -> list[Training]:
    """Return those that predict the test set, of all variants."""
    run = Run.open(tiny.settings(*FAST, *overrides))
    return [each for variant in run.settings.variants.values() for each in predicting(run, variant)]


def test_a_graph_computes_once_what_its_trainings_share(finished: Tiny) -> None:
    from ripik.export.graphs import shared_by

    heads = [f"{name}/fold{fold}" for name in ("original", "augmented") for fold in (0, 1)]
    alone = [["finetuned/fold0"], ["finetuned/fold1"]]
    blocks = ["augmented_finetuned/fold0", "augmented_finetuned/fold1"]
    assert [[str(each) for each in group] for group in shared_by(trainings(finished))] == [heads, *alone, blocks]

    larger = "variants.augmented.image_size=48"
    groups = [[str(each) for each in group] for group in shared_by(trainings(finished, larger))]
    assert groups[:2] == [heads[:2], heads[2:]]


def test_the_networks_say_what_the_run_recorded(finished: Tiny) -> None:
    from ripik.export.graphs import networks, shared_by

    seen = []
    for group in shared_by(trainings(finished)):
        images = PackedRows([group[0].data.reading.pixels_path(Pass("test"))]).read(np.arange(3))
        for own, network in networks(group):
            said = network.predict_on_batch(images)
            recorded = [np.load(each.predictions)["test"][0, :3] for each in own]
            np.testing.assert_allclose(said, np.stack(recorded, axis=1), atol=2e-6)
            seen += own
    assert seen == [each for group in shared_by(seen) for each in group]
    assert len(seen) == 8


def test_a_graph_that_would_be_too_large_is_several(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from ripik.export import graphs

    blocks = graphs.shared_by(trainings(finished))[-1]
    monkeypatch.setattr(graphs, "MOST_BYTES", 1000)
    assert [[str(each) for each in own] for own, _ in graphs.networks(blocks)] == [[str(each)] for each in blocks]


def test_places_are_told_together_or_fold_by_fold() -> None:
    first = [Job("a", fold, seed) for fold in (0, 1) for seed in (0, 1)]
    members, order = [first, [Job("b", None)]], [Job("b", None), *first]
    assert places(members, order, apart=False) == [[[1, 2, 3, 4], [0]]]
    assert places(members, order, apart=True) == [[[1, 2], [0]], [[3, 4], [0]]]
    assert places(members[1:], order, apart=True) == [[[0]]]


def test_the_packages_it_needs_are_named(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    there: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else there(name))
    monkeypatch.setattr(build, "PACKAGES", ("keras", "onnx"))
    with pytest.raises(InputError, match=r"needs the packages onnx\. Run `make export`"):
        export(finished.settings(*FAST))


def test_a_run_without_a_blend_is_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PACKAGES", ())
    done = ripik(tiny, "export")
    assert done.returncode == 2
    assert "Run `make ensemble` first" in done.stderr


def test_the_requirements_are_those_of_the_script() -> None:
    pinned = (Path(__file__).parents[2] / "requirements-export.txt").read_text(encoding="utf-8")
    assert {line.partition("==")[0] for line in pinned.splitlines()} == set(build.PACKAGES)
