import pickle
from typing import get_args

import numpy as np
import pytest
from sklearn import metrics as sk

from ripik.analysis.confusions import confusion_matrix, per_class_f1
from ripik.analysis.metrics import get_metric, score_part
from ripik.errors import InputError
from ripik.names import KnownMetric

NAMES = get_args(KnownMetric)


def drawn(seed: int, n: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    probabilities = rng.dirichlet(np.ones(classes), n) + 0.3 * np.eye(classes)[y]
    return y, probabilities / probabilities.sum(axis=1, keepdims=True)


def one_hot(predicted: list[int], classes: int) -> np.ndarray:
    return np.eye(classes)[predicted]


SKLEARN = {
    "macro_f1": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro", labels=range(p.shape[1]), zero_division=0),
    "weighted_f1": lambda y, p: sk.f1_score(
        y, p.argmax(1), average="weighted", labels=range(p.shape[1]), zero_division=0
    ),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=range(p.shape[1])),
    "balanced_accuracy": lambda y, p: sk.recall_score(
        y, p.argmax(1), average="macro", labels=range(p.shape[1]), zero_division=0
    ),
    "cohen_kappa": lambda y, p: sk.cohen_kappa_score(y, p.argmax(1), labels=range(p.shape[1])),
    "quadratic_kappa": lambda y, p: sk.cohen_kappa_score(y, p.argmax(1), labels=range(p.shape[1]), weights="quadratic"),
    "auc": lambda y, p: (
        sk.roc_auc_score(y, p[:, 1]) if p.shape[1] == 2 else sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    ),
    **{
        f"map@{k}": lambda y, p, k=k: np.mean(
            [
                sum(1 / (place + 1) for place, c in enumerate(np.argsort(-row)[:k]) if c == t)
                for t, row in zip(y, p, strict=True)
            ]
        )
        for k in (3, 5, 10)
    },
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 4, 7])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(name: str, classes: int, seed: int) -> None:
    y, p = drawn(seed, classes=classes)
    assert get_metric(name).function(y, p) == pytest.approx(SKLEARN[name](y, p), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_row_of_weight_three_counts_as_three_rows(name: str, classes: int) -> None:
    y, p = drawn(7, classes=classes)
    p = p.round(2) + 1e-4  # ties, for AUC
    p /= p.sum(axis=1, keepdims=True)
    times, metric = np.random.default_rng(7).integers(1, 4, len(y)), get_metric(name)
    repeated = metric.function(np.repeat(y, times), np.repeat(p, times, axis=0))
    assert metric.function(y, p, times / 3) == pytest.approx(repeated, abs=1e-12)
    assert metric.function(y, p, np.ones(len(y))) == pytest.approx(metric.function(y, p), abs=1e-12)


@pytest.mark.parametrize("weights", [np.zeros(200), np.ones(199), np.full(200, np.nan), -np.ones(200)])
def test_weights_are_positive_and_one_a_row(weights: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"weights must be one finite number above 0 per row \(200"):
        get_metric("macro_f1").function(*drawn(2), weights)


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "cohen_kappa", "log_loss"])
def test_an_absent_class_counts_as_scikit_learn_counts_it(name: str) -> None:
    y, p = drawn(5, classes=5)
    y, p = y[y != 2], p[y != 2]
    p[:, 2] = 0.0
    p /= p.sum(axis=1, keepdims=True)
    assert get_metric(name).function(y, p) == pytest.approx(SKLEARN[name](y, p), abs=1e-12)


def test_macro_f1_by_hand() -> None:
    y = np.array([0, 0, 1, 1])
    p = one_hot([0, 1, 1, 1], 3)
    # Class 0: 2/3, class 1: 4/5, class 2: neither present nor predicted.
    assert get_metric("macro_f1").function(y, p) == pytest.approx((2 / 3 + 4 / 5) / 3)
    assert per_class_f1(confusion_matrix(y, p.argmax(1), 3)).tolist() == pytest.approx([2 / 3, 4 / 5, 0])


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_scored_over_the_classes_that_it_has(name: str) -> None:
    y, p = drawn(6, classes=5)
    there = y != 2
    metric, found = get_metric(name), score_part(get_metric(name), y[there], p[there])
    over_all = metric.function(y[there], p[there])
    lacking = name in ("macro_f1", "balanced_accuracy")
    assert found == pytest.approx(over_all * 5 / 4 if lacking else over_all)
    assert score_part(metric, y, p) == metric.function(y, p)


def test_perfect_predictions_are_perfect_in_every_fold_of_rare_classes() -> None:
    y, fold = np.repeat(np.arange(100), 3), np.random.default_rng(0).integers(0, 5, 300)
    parts = [score_part(get_metric("macro_f1"), y[fold == k], np.eye(100)[y[fold == k]]) for k in range(5)]
    assert parts == pytest.approx([1] * 5)


def test_confusion_matrix_has_truth_in_rows() -> None:
    assert confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]


def test_auc_counts_ties_half() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([[0.5, 0.5], [0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    assert get_metric("auc").function(y, p) == pytest.approx(3.5 / 4)


def test_kappa_of_one_class_only_is_zero() -> None:
    y, p = np.zeros(4, dtype=int), one_hot([0, 0, 0, 0], 2)
    assert get_metric("cohen_kappa").function(y, p) == 0.0


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    loss = get_metric("log_loss").function(np.array([0]), np.array([[0.0, 1.0]]))
    assert loss == pytest.approx(-np.log(np.finfo(float).eps))


@pytest.mark.parametrize("name", NAMES)
def test_utility_ranks_a_perfect_prediction_above_a_bad_one(name: str) -> None:
    y, _ = drawn(0)
    perfect = np.full((len(y), 4), 0.01) + 0.96 * np.eye(4)[y]
    metric = get_metric(name)
    good, bad = metric.function(y, perfect), metric.function(y, perfect[:, [1, 2, 3, 0]])
    assert metric.utility(good) > metric.utility(bad)
    assert metric.greater_is_better == (good > bad)


@pytest.mark.parametrize("name", NAMES)
def test_metric_flags_and_pickling(name: str) -> None:
    y, p = drawn(1)
    metric = pickle.loads(pickle.dumps(get_metric(name)))
    assert metric.name == name
    assert metric.uses_probabilities == (metric.from_confusion is None) == name.startswith(("log_loss", "auc", "map"))
    if metric.from_confusion is not None:
        from_counts = metric.from_confusion(confusion_matrix(y, p.argmax(1), 4))
        assert from_counts == metric.function(y, p)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_probabilities_are_never_scored(name: str, value: float) -> None:
    y, p = drawn(2)
    p[[7, 9], 1] = value
    with pytest.raises(InputError, match=r"2 of 200 rows .*first: row 7"):
        get_metric(name).function(y, p)


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        (np.array([0, 1]), np.ones((3, 2)) / 2, r"shape \(2,\) for 3 rows"),
        (np.array([0.0, 1.0]), np.ones((2, 2)) / 2, "float64"),
        (np.array([0, 2]), np.ones((2, 2)) / 2, r"0 to 2.*0\.\.1"),
        (np.array([-1, 1]), np.ones((2, 2)) / 2, r"-1 to 1"),
        (np.array([0, 0]), np.ones((2, 1)), r"shape \(2, 1\)"),
        (np.array([0, 0]), np.ones(2), r"shape \(2,\)"),
        (np.array([], dtype=int), np.ones((0, 2)), r"shape \(0, 2\)"),
    ],
)
def test_wrong_shapes_and_targets_are_errors(y: np.ndarray, p: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get_metric("macro_f1").function(y, p)


def test_log_loss_refuses_rows_that_do_not_sum_to_one() -> None:
    y, p = drawn(3)
    p[4] *= 2
    with pytest.raises(InputError, match=r"1 of 200 do not \(first: row 4\)"):
        get_metric("log_loss").function(y, p)


def test_auc_is_the_mean_over_the_classes_that_are_there() -> None:
    y, p = drawn(3)
    y = np.minimum(y, 2)
    expected = np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in range(3)])
    assert get_metric("auc").function(y, p) == pytest.approx(expected)
    assert np.isnan(get_metric("auc").function(np.zeros_like(y), p))


@pytest.mark.parametrize(
    ("name", "near"), [("makro_f1", "macro_f1"), ("Accuracy", "accuracy"), ("logged_loss", "log_loss")]
)
def test_unknown_metric_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"no metric '{name}' \(did you mean {near}\?\)"):
        get_metric(name)


def test_unknown_metric_without_a_neighbour_lists_all() -> None:
    with pytest.raises(InputError, match=r"no metric 'zzz' \(known: " + ", ".join(sorted(NAMES))):
        get_metric("zzz")


def test_map_at_k_by_hand() -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [0.4, 0.3, 0.2, 0.1]])
    y = np.array([3, 2, 1, 3])  # ranks 1, 2, 2 (the first of equals ranks first), 4
    assert get_metric("map@3").function(y, p) == pytest.approx((1 + 1 / 2 + 1 / 2 + 0) / 4)
    assert get_metric("map@5").function(y, p) == pytest.approx((1 + 1 / 2 + 1 / 2 + 1 / 4) / 4)
    assert get_metric("map@3").function(y, p, np.array([3.0, 1, 1, 1])) == pytest.approx(4 / 6)
