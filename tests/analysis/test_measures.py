from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_up_predictions import CLASSES, drawn, predictions
from ripik.analysis import measures
from ripik.analysis.intervals import interval, per_class_f1
from ripik.analysis.metrics import get_metric
from ripik.analysis.predictions import Predictions
from ripik.errors import InputError

SIX = [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.7, 0.2], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7], [0.5, 0.1, 0.4]]
TRUTH = [0, 1, 1, 1, 2, 2]  # two of six wrong: rows 2 and 6


@pytest.fixture
def six(tmp_path: Path) -> Predictions:
    return predictions(tmp_path, SIX, TRUTH)


@pytest.fixture
def many(tmp_path: Path) -> Predictions:
    return predictions(tmp_path, *drawn(150), copies=3)


def test_known_answers(six: Predictions) -> None:
    found = measures.scores(six).set_index("score")
    f1 = [2 / 4, 4 / 5, 2 / 3]
    assert list(found.index) == ["macro_f1", "accuracy", "log_loss"]
    assert found.loc["macro_f1", "value"] == pytest.approx(np.mean(f1))
    assert found.loc["accuracy", "value"] == pytest.approx(4 / 6)
    assert found.loc["log_loss", "value"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.6, 0.7, 0.4]).mean())
    classes = measures.class_scores(six)
    assert classes["label"].tolist() == list(CLASSES)
    assert classes[["images", "groups"]].to_numpy().tolist() == [[1, 1], [3, 3], [2, 2]]
    assert classes["precision"].tolist() == pytest.approx([1 / 3, 1, 1])
    assert classes["recall"].tolist() == pytest.approx([1, 2 / 3, 1 / 2])
    assert classes["f1"].tolist() == pytest.approx(f1)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "log_loss", "auc"])
def test_intervals_are_the_bootstraps(many: Predictions, metric: str) -> None:
    p = replace(many, metric=metric)
    found = measures.scores(p)
    assert found["score"].tolist() == list(dict.fromkeys([metric, "accuracy", "log_loss"]))
    for row in found.itertuples():
        wanted = interval(p.targets, p.probabilities, p.groups, get_metric(str(row.score)))
        assert [row.value, row.low, row.high, row.error] == [wanted.value, wanted.low, wanted.high, wanted.error]
    wanted_f1 = per_class_f1(p.targets, p.probabilities, p.groups)
    columns = measures.class_scores(p)[["f1", "low", "high", "error"]].to_numpy().tolist()
    assert columns == [[of.value, of.low, of.high, of.error] for of in wanted_f1]


def test_order_of_rows_does_not_matter(many: Predictions) -> None:
    shuffled = replace(many, frame=many.frame.sample(frac=1, random_state=1))
    for measure in (measures.scores, measures.class_scores, measures.fold_scores, measures.confusion):
        pd.testing.assert_frame_equal(measure(many), measure(shuffled))
    for measure in (measures.errors, measures.uncertain):
        pd.testing.assert_frame_equal(measure(many), measure(shuffled))
    pd.testing.assert_frame_equal(measures.calibration(many), measures.calibration(shuffled))


@pytest.mark.parametrize("metric", ["macro_f1", "balanced_accuracy"])
def test_perfect_predictions_are_perfect_in_folds_that_lack_a_class(tmp_path: Path, metric: str) -> None:
    targets = [0, 0, 1, 1, 2, 2]  # in the folds 0, 1, 2, 0, 1, 2
    found = measures.fold_scores(predictions(tmp_path, np.eye(3)[targets], targets, metric=metric))
    assert found[metric].tolist() == [1, 1, 1]
    assert found["images"].tolist() == [2, 2, 2]


def test_copies_are_one_witness(tmp_path: Path) -> None:
    values, targets = drawn(60, seed=3)
    alone = predictions(tmp_path / "alone", values, targets)
    threefold = predictions(tmp_path / "three", values.repeat(3, axis=0), targets.repeat(3), copies=3)
    columns = ["score", "value", "low", "high"]
    pd.testing.assert_frame_equal(measures.scores(alone)[columns], measures.scores(threefold)[columns])
    assert measures.class_scores(threefold)["images"].tolist() == (3 * measures.class_scores(alone)["images"]).tolist()
    assert measures.class_scores(threefold)["groups"].tolist() == measures.class_scores(alone)["groups"].tolist()


def test_folds_hold_every_image_once(many: Predictions) -> None:
    found = measures.fold_scores(many)
    assert list(found.columns) == ["fold", "images", "groups", "macro_f1", "accuracy"]
    assert found["images"].sum() == len(many.frame)
    assert found["groups"].sum() == len(np.unique(many.groups))
    pooled = measures.scores(many).set_index("score").loc["accuracy", "value"]
    assert np.average(found["accuracy"], weights=found["images"]) == pytest.approx(pooled)
    held = many.frame["fold"].to_numpy() == 1
    wanted = get_metric("macro_f1").function(many.targets[held], many.probabilities[held])
    assert found.set_index("fold").loc[1, "macro_f1"] == wanted


def test_accuracy_as_the_metric_stands_once(many: Predictions) -> None:
    found = measures.fold_scores(replace(many, metric="accuracy"))
    assert list(found.columns) == ["fold", "images", "groups", "accuracy"]


def test_confusion_counts_every_image(many: Predictions, six: Predictions) -> None:
    found = measures.confusion(many)
    assert found.to_numpy().sum() == len(many.frame)
    assert found.sum(axis=1).to_dict() == many.frame["label"].value_counts().to_dict()
    assert found.sum(axis=0).to_dict() == many.frame["predicted"].value_counts().to_dict()
    assert measures.confusion(six).to_numpy().tolist() == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert measures.confusion(six).loc["3", "7"] == 1
    assert (found.index.name, found.columns.name) == ("label", "predicted")


def test_errors_are_the_wrong_rows_the_most_confident_first(six: Predictions, many: Predictions) -> None:
    assert measures.errors(six)["image_id"].tolist() == ["2", "6"]
    found = measures.errors(many)
    assert len(found) == len(many.frame) - np.trace(measures.confusion(many).to_numpy())
    assert (found["predicted"] != found["label"]).all()
    assert (found["margin"] < 0).all()
    assert found["confidence"].is_monotonic_decreasing


def test_ties_go_by_image_id(tmp_path: Path) -> None:
    p = predictions(tmp_path, [[0.2, 0.6, 0.2]] * 4, [0, 0, 2, 2])
    backwards = replace(p, frame=p.frame.iloc[::-1])
    assert measures.errors(backwards)["image_id"].tolist() == ["1", "2", "3", "4"]
    assert measures.uncertain(backwards)["image_id"].tolist() == ["1", "2", "3", "4"]


def test_uncertain_lists_all_rows_the_least_confident_first(six: Predictions) -> None:
    found = measures.uncertain(six)
    assert found["image_id"].tolist() == ["6", "2", "4", "3", "5", "1"]
    assert list(found.columns) == list(six.frame.columns)


def test_calibration_by_hand(six: Predictions) -> None:
    found = measures.calibration(six, bins=2)
    assert found[["low", "high", "images", "groups"]].to_numpy().tolist() == [[0, 0.5, 1, 1], [0.5, 1, 5, 5]]
    assert found["confidence"].tolist() == pytest.approx([0.5, 0.68])
    assert found["accuracy"].tolist() == pytest.approx([0, 0.8])
    assert found[["accuracy_low", "accuracy_high"]].iloc[0].isna().all()  # one group
    assert measures.calibration_error(six, bins=2) == pytest.approx(0.5 / 6 + 5 / 6 * 0.12)


def test_calibration_error_is_the_tables(many: Predictions) -> None:
    found = measures.calibration(many)
    gaps = (found["accuracy"] - found["confidence"]).abs()
    assert measures.calibration_error(many) == pytest.approx(np.average(gaps, weights=found["images"]))
    assert found["images"].sum() == len(many.frame)
    assert ((found["low"] < found["confidence"]) & (found["confidence"] <= found["high"])).all()
    assert (found["accuracy_low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["accuracy_high"]).all()


def test_a_perfectly_calibrated_model_has_hardly_any_error(tmp_path: Path) -> None:
    values, targets = drawn(20_000, seed=5)
    calibrated = predictions(tmp_path / "calibrated", values, targets)
    sharper = values**3 / (values**3).sum(axis=1, keepdims=True)
    assert measures.calibration_error(calibrated) < 0.015
    assert measures.calibration_error(predictions(tmp_path / "sharper", sharper, targets)) > 0.1


@pytest.mark.long
def test_intervals_of_bins_cover_the_confidence_of_a_calibrated_model(tmp_path: Path) -> None:
    covered = []
    for seed in range(20):
        found = measures.calibration(predictions(tmp_path / str(seed), *drawn(400, seed)), bins=5)
        found = found[found["groups"] >= 30]
        covered += (
            (found["accuracy_low"] <= found["confidence"]) & (found["confidence"] <= found["accuracy_high"])
        ).tolist()
    assert 0.88 < np.mean(covered) < 1


def test_edges_and_sure_predictions_fall_into_bins(tmp_path: Path) -> None:
    p = predictions(tmp_path, [[1, 0, 0], [0.5, 0.25, 0.25], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], [0, 0, 1, 2])
    found = measures.calibration(p)
    assert found["high"].tolist() == pytest.approx([0.4, 0.5, 0.7, 1.0])
    assert measures.calibration(p, bins=1)["images"].tolist() == [4]


def test_no_bins_and_one_group_are_errors(six: Predictions, tmp_path: Path) -> None:
    for measure in (measures.calibration, measures.calibration_error):
        with pytest.raises(InputError, match="at least one bin, not 0"):
            measure(six, bins=0)
    one = replace(six, frame=six.frame.assign(group=0))
    with pytest.raises(InputError, match="All rows are in one group"):
        measures.scores(one)
    assert measures.confusion(one).to_numpy().sum() == 6


def test_a_class_without_images_has_no_interval(tmp_path: Path) -> None:
    found = measures.class_scores(predictions(tmp_path, SIX[:4], TRUTH[:4])).set_index("label").loc["12"]
    assert found[["images", "groups", "precision", "recall", "f1"]].tolist() == [0, 0, 0, 0, 0]
    assert found[["low", "high", "error"]].isna().all()
