from dataclasses import replace

import numpy as np
import pytest
from benchmarks.quality import blend_worlds
from benchmarks.quality.blend_regret import Found, regrets, run_task, show
from benchmarks.quality.blend_strategies import Task
from benchmarks.quality.blend_worlds import simulated

from ripik.analysis.metrics import get_metric


@pytest.fixture
def few_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blend_worlds, "FRESH", 400)


@pytest.mark.usefixtures("few_fresh")
def test_a_world_gives_photos_in_copies_and_its_first_member_sees_something() -> None:
    known, fresh = simulated(3, 150, seed=0)
    assert known.rows.probabilities.shape[:3] == (3, 1, 150)
    np.testing.assert_allclose(known.rows.probabilities.sum(axis=-1), 1)
    assert 1 <= np.bincount(known.group).min() <= np.bincount(known.group).max() <= 3
    assert all(len(np.unique(known.fold[known.group == group])) == 1 for group in known.group)
    assert len(fresh.y) == 400
    right = (fresh.rows.probabilities[0, 0].argmax(axis=1) == fresh.y).mean()
    assert right > np.bincount(fresh.y).max() / len(fresh.y)
    again, _ = simulated(3, 150, seed=0)
    np.testing.assert_array_equal(known.rows.probabilities, again.rows.probabilities)


@pytest.mark.usefixtures("few_fresh")
def test_every_way_meets_fresh_rows_and_only_methods_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    known, fresh = simulated(2, 100, seed=1)
    found = [run_task(Task(known, fresh, get_metric(name)), ("all",)) for name in ("accuracy", "log_loss")]
    for each in found:
        assert set(each.chosen.values()) <= set(each.fixed.values())
        assert set(each.votes.values()) == {each.votes["on"], each.votes["off"]}
    assert "greedy by log loss" not in found[1].fixed
    alike = np.concatenate([known.rows.probabilities[:1]] * 2)
    task = Task(replace(known, rows=replace(known.rows, probabilities=alike)), known, get_metric("accuracy"))
    assert task.chosen(task.fixed())["greedy, unless any gains > 1 error"] == "greedy"
    show(found, "accuracy", one_world=False)
    assert "half way to equal" in capsys.readouterr().out


def test_regret_is_over_each_worlds_best_or_over_the_best_of_all_draws_of_one() -> None:
    draws = [Found(("all",), "accuracy", {"a": a, "b": b}, {"choice": b}, {}) for a, b in ((0.9, 0.7), (0.6, 0.7))]
    of_worlds, of_one = (regrets(draws, "all", one_world=one) for one in (False, True))
    assert of_worlds["a"] == pytest.approx([0.0, 0.1])
    assert of_worlds["choice"] == pytest.approx([0.2, 0.0])
    assert of_one["a"] == pytest.approx([0.0, 0.0])
    assert of_one["choice"] == pytest.approx([0.2, -0.1])
