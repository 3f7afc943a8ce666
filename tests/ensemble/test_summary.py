"""What is printed of a finished blend."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ripik.ensemble import summary
from ripik.ensemble.expectation import size_told
from ripik.ensemble.nested_cv import Nested
from ripik.ensemble.recipe import Recipe
from ripik.training.scores import Scores, beside

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6, "error": 0.05}
SCORE = {"pooled": INTERVAL, "accuracy": INTERVAL, "mean_of_folds": 0.5, "by_fold": [0.5, 0.5], "class_f1": {}}

FOUND = Nested(SimpleNamespace(recipe=Recipe("greedy")), [], 0.6, np.zeros((2, 2)), {}, [0.51, 0.53])


def record(metric: str) -> dict[str, Any]:
    """Return what weights.json tells of a blend of one member."""
    scores = {"members": {"one": SCORE}, "intervals": SCORE, "in_sample": 0.6, "cross_fitted": 0.5}
    more = {"cross_fitted_by_partition": [0.51, 0.53], "cross_fitted_by_fold": [0.4, 0.6]}
    return {"method": "greedy", "metric": metric, "weights": {"one": 1.0}, "scores": scores | more}


@pytest.mark.parametrize(("metric", "times"), [("accuracy", 1), ("macro_f1", 1)])
def test_accuracy_stands_once_in_the_table_of_members(
    metric: str, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    summary._members(record(metric))
    assert capsys.readouterr().out.count("accuracy") == times


def test_a_scores_cells_are_as_many_as_the_columns() -> None:
    scores = Scores.from_json(SCORE)
    for metric in ("accuracy", "macro_f1"):
        assert len(scores.cells(accuracy=bool(beside(metric)))) == 3 + len(beside(metric))


def test_the_spread_by_other_partitions_is_of_those_alone(capsys: pytest.CaptureFixture[str]) -> None:
    summary._say_spread(record("macro_f1"), FOUND)
    assert "over 2 other partitions 0.5100–0.5300 (standard deviation 0.0141)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ({"photos": 110, "images": 120}, "A test set of 120 such images (110 groups)"),
        ({"photos": 120, "images": 120}, "A test set of 120 such images"),
        ({"photos": 110}, "A test set of 110 such images"),
    ],
)
def test_the_test_set_is_as_large_as_its_images(test: dict[str, int], told: str) -> None:
    assert size_told(test) == told


@pytest.mark.parametrize(
    ("without", "told"), [("greedy", "the same in all 2 folds"), ("best", "the same in 1 of 2 folds")]
)
def test_how_often_the_same_was_chosen_is_told_by_fold(
    without: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = replace(FOUND, recipes={0: Recipe("greedy"), 1: Recipe(without)})
    summary._say_spread(record("macro_f1"), found)
    assert f"Chosen again without each fold, the blend's options were {told}." in capsys.readouterr().out


def option(name: str, score: float, error: float, *, chosen: bool = False) -> dict[str, Any]:
    gain = {"value": score - 0.7, "error": error}
    return {"stage": "copies vote", "name": name, "score": score, "gain": gain, "chosen": chosen}


def test_why_a_better_option_was_not_chosen() -> None:
    options = [
        option("a", 0.7, 0.0, chosen=True),
        option("b", 0.7024, 0.0085),
        option("c", 0.712, 0.01),
        option("d", 0.6, 0.01),
    ]
    assert summary.verdicts(options, "accuracy") == [
        "chosen",
        "gain within its error",
        "gain only 1.2 × its error",
        "",
    ]
    assert summary.verdicts(options, "log_loss") == ["chosen", "", "", "gain only 10.0 × its error"]
    unknown = {**option("e", 0.7, 0.0), "score": None, "gain": {"value": None, "error": None}}
    assert summary.verdicts([options[0], unknown], "accuracy") == ["chosen", ""]
