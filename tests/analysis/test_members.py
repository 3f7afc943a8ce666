from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_up_predictions import drawn, predictions
from ripik.analysis.members import agreement, correlation, hits
from ripik.analysis.predictions import Predictions
from ripik.errors import InputError

TRUTH = [0, 0, 1, 1, 2]


def hard(tmp_path: Path, name: str, predicted: list[int], truth: list[int] = TRUTH) -> Predictions:
    """Return predictions that give the named classes 0.8."""
    values = np.full((len(truth), 3), 0.1)
    values[np.arange(len(truth)), predicted] = 0.8
    return predictions(tmp_path, values, truth, name=name)


@pytest.fixture
def three(tmp_path: Path) -> dict[str, Predictions]:
    chosen = {"a": [0, 0, 1, 1, 0], "b": [0, 1, 1, 1, 2], "c": [0, 1, 2, 1, 0]}
    return {name: hard(tmp_path, name, predicted) for name, predicted in chosen.items()}


def test_hits_by_hand(three: dict[str, Predictions]) -> None:
    found = hits(three).set_index("member")
    assert found.loc["a"].to_dict() == {"right": 4, "only_right": 1, "only_wrong": 0}
    assert found.loc["b"].to_dict() == {"right": 4, "only_right": 1, "only_wrong": 0}
    assert found.loc["c"].to_dict() == {"right": 2, "only_right": 0, "only_wrong": 1}


def test_agreement_by_hand(three: dict[str, Predictions]) -> None:
    found = agreement(three)
    assert found.to_numpy().tolist() == [[1, 0.6, 0.6], [0.6, 1, 0.6], [0.6, 0.6, 1]]
    assert found.index.tolist() == found.columns.tolist() == ["a", "b", "c"]


def test_correlation_is_that_of_the_probability_of_the_truth(tmp_path: Path) -> None:
    values, targets = drawn(200)
    other = drawn(200, seed=9)[0]
    members = {
        "a": predictions(tmp_path, values, targets, name="a"),
        "b": predictions(tmp_path, other, targets, name="b"),
    }
    rows = np.arange(200)
    found = correlation(members)
    assert found.loc["a", "b"] == pytest.approx(np.corrcoef(values[rows, targets], other[rows, targets])[0, 1])
    assert np.diag(found).tolist() == [1, 1]
    assert found.loc["a", "b"] == found.loc["b", "a"]
    assert correlation({"a": members["a"], "again": members["a"]}).loc["a", "again"] == pytest.approx(1)


def test_rows_are_joined_by_id(three: dict[str, Predictions]) -> None:
    shuffled = three | {"b": replace(three["b"], frame=three["b"].frame.iloc[::-1])}
    for measure in (correlation, agreement, hits):
        pd.testing.assert_frame_equal(measure(shuffled), measure(three))


def test_a_constant_member_correlates_with_none(tmp_path: Path) -> None:
    right, mixed = hard(tmp_path, "right", TRUTH), hard(tmp_path, "mixed", [0, 1, 1, 0, 2])
    found = correlation({"right": right, "mixed": mixed})
    assert np.isnan(found.loc["right", "mixed"])
    assert np.diag(found).tolist() == [1, 1]


def test_one_member_alone(three: dict[str, Predictions]) -> None:
    alone = {"a": three["a"]}
    assert correlation(alone).to_numpy().tolist() == agreement(alone).to_numpy().tolist() == [[1]]
    assert hits(alone).iloc[0].tolist() == ["a", 4, 4, 1]


def test_members_of_other_images_and_no_members_are_errors(three: dict[str, Predictions], tmp_path: Path) -> None:
    fewer = replace(three["b"], frame=three["b"].frame.iloc[:-1])
    relabelled = hard(tmp_path / "other", "b", TRUTH, [0, 0, 1, 1, 1])
    for measure in (correlation, agreement, hits):
        with pytest.raises(InputError, match="different image ids"):
            measure({"a": three["a"], "b": fewer})
        with pytest.raises(InputError, match="different labels for 1 images"):
            measure({"a": three["a"], "b": relabelled})
        with pytest.raises(InputError, match="no members"):
            measure({})
