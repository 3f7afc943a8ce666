from itertools import product

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ripik.report.sections.advice import costliest, score_at_stake

CLASSES = ("a", "b", "c", "d")


def rows(counts: np.ndarray) -> tuple[list[int], list[int]]:
    """Return labels and predictions that have this confusion matrix."""
    cells = [cell for cell in product(range(len(counts)), repeat=2) for _ in range(int(counts[cell]))]
    return [label for label, _ in cells], [predicted for _, predicted in cells]


def f1(y: list[int], predicted: list[int], classes: int) -> float:
    return float(f1_score(y, predicted, labels=range(classes), average="macro", zero_division=0))


def stakes(counts: np.ndarray) -> dict[tuple[int, int], float]:
    """Return by how much macro F1 rises when the images of each cell off the diagonal are predicted right."""
    y, predicted = rows(counts)
    now, found = f1(y, predicted, len(counts)), {}
    for cell in product(range(len(counts)), repeat=2):
        if cell[0] != cell[1] and counts[cell]:
            pairs = zip(y, predicted, strict=True)
            mended = [label if (label, seen) == cell else seen for label, seen in pairs]
            found[cell] = f1(y, mended, len(counts)) - now
    return found


@pytest.mark.parametrize("seed", range(8))
def test_no_other_mistake_costs_more(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 9, (4, 4))
    found, wanted = costliest(counts, CLASSES), stakes(counts)
    assert found is not None
    cell = CLASSES.index(found.label), CLASSES.index(found.predicted)
    assert found.stake == pytest.approx(max(wanted.values()))
    assert found.stake == pytest.approx(wanted[cell])
    assert (found.count, found.of_label) == (counts[cell], counts[cell[0]].sum())


def test_mistakes_of_a_rare_class_cost_more_than_as_many_of_a_common_one() -> None:
    found = costliest(np.array([[90, 10, 0], [0, 100, 0], [0, 6, 4]]), CLASSES[:3])
    assert found is not None
    assert (found.label, found.predicted, found.count, found.of_label) == ("c", "b", 6, 10)


def test_a_known_stake() -> None:
    found = costliest(np.array([[1, 1], [0, 2]]), ("a", "b"))
    assert found is not None
    assert (found.label, found.predicted) == ("a", "b")
    assert found.stake == pytest.approx(1 - (2 / 3 + 4 / 5) / 2)


def test_the_matrix_is_left_as_it_was_and_nothing_wrong_costs_nothing() -> None:
    counts = np.array([[3, 2], [1, 4]])
    costliest(counts, ("a", "b"))
    assert counts.tolist() == [[3, 2], [1, 4]]
    assert costliest(np.diag([3, 4, 5]), CLASSES[:3]) is None


def test_of_equal_mistakes_the_first_is_told() -> None:
    found = costliest(np.array([[5, 2, 0], [0, 5, 2], [2, 0, 5]]), CLASSES[:3])
    assert found is not None
    assert (found.label, found.predicted) == ("a", "b")


def test_with_accuracy_as_the_metric_the_most_frequent_mistake_costs_most() -> None:
    found = costliest(np.array([[90, 10, 0], [0, 100, 0], [0, 6, 4]]), CLASSES[:3], "accuracy")
    assert found is not None
    assert (found.label, found.predicted) == ("a", "b")
    assert found.stake == pytest.approx(10 / 210)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("accuracy", "accuracy"),
        ("macro_f1", "macro F1"),
        ("log_loss", "macro F1, in which all classes count alike,"),
    ],
)
def test_the_score_at_stake_is_the_metric_or_says_why_it_is_another(metric: str, said: str) -> None:
    assert score_at_stake(metric) == said
