import numpy as np
import pytest

from ripik.diagnostics.suspects import COPIES, MODEL, find_suspects

CLASSES = 5


def made_up(seed: int, n: int = 1000, copies: int = 1, sharpness: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Return true labels (n,) and the probabilities (n, C) of a model that is right on about nine of ten photos."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.choice(CLASSES, n // copies, p=[0.4, 0.3, 0.15, 0.1, 0.05]), copies)
    logits = rng.normal(size=(len(truth), CLASSES)) + sharpness * np.eye(CLASSES)[truth]
    odds = np.exp(1.3 * logits)
    return truth, odds / odds.sum(axis=1, keepdims=True)


def flipped(truth: np.ndarray, chosen: np.ndarray, seed: int) -> np.ndarray:
    labels = truth.copy()
    labels[chosen] = (truth[chosen] + np.random.default_rng(seed).integers(1, CLASSES, len(chosen))) % CLASSES
    return labels


def alone(labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels))


@pytest.mark.parametrize("seed", range(4))
def test_flipped_labels_are_found_first(seed: int) -> None:
    truth, probabilities = made_up(seed)
    wrong = np.random.default_rng(seed).choice(len(truth), len(truth) // 20, replace=False)
    labels = flipped(truth, wrong, seed)
    found = find_suspects(labels, probabilities, alone(labels))
    hits = found["row"].isin(wrong)
    assert hits.sum() / len(wrong) > 0.6  # recall; 0.80 over many seeds
    assert hits.mean() > 0.6  # precision; 0.80 over many seeds
    assert hits.head(20).mean() > 0.9
    assert (found["suggested"] == truth[found["row"]])[hits].mean() > 0.8
    assert set(found["reason"]) == {MODEL}


def test_a_copy_of_another_label_is_found_whatever_the_model_says() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, CLASSES, 100), 3)
    probabilities = rng.dirichlet(np.ones(CLASSES), 300)
    wrong = 3 * np.arange(0, 100, 10) + 1
    labels = flipped(truth, wrong, 0)
    found = find_suspects(labels, probabilities, np.repeat(np.arange(100), 3))
    first = found.head(len(wrong))
    assert set(first["reason"]) == {COPIES}
    assert COPIES not in set(found["reason"].iloc[len(wrong) :])
    assert sorted(first["row"]) == wrong.tolist()
    assert (first["suggested"] == truth[first["row"]]).all()


def test_between_equal_copies_the_more_probable_label_is_suggested() -> None:
    probabilities = np.array([[0.7, 0.3], [0.6, 0.4], [0.9, 0.1], [0.1, 0.9]])
    found = find_suspects(np.array([0, 1, 0, 1]), probabilities, np.array([5, 5, 6, 7]))
    assert found["row"].tolist() == [1]
    assert found["suggested"].tolist() == [0]
    assert found["p_label"].to_numpy() == pytest.approx([0.35])
    assert found["p_suggested"].to_numpy() == pytest.approx([0.65])


def test_each_part_is_ordered_by_quality() -> None:
    truth, probabilities = made_up(1, 600, copies=3)
    wrong = np.random.default_rng(1).choice(600, 30, replace=False)
    found = find_suspects(flipped(truth, wrong, 1), probabilities, np.repeat(np.arange(200), 3))
    assert found["reason"].tolist() == sorted(found["reason"])  # "copies …" before "model …"
    for _, part in found.groupby("reason"):
        assert part["quality"].is_monotonic_increasing


def test_copies_that_agree_are_suspected_together() -> None:
    truth, probabilities = made_up(2, 600, copies=3, sharpness=4)
    groups = np.repeat(np.arange(200), 3)
    labels = np.repeat(flipped(truth[::3], np.arange(0, 200, 20), 2), 3)
    found = find_suspects(labels, probabilities, groups)
    assert set(found["reason"]) == {MODEL}
    assert (found.groupby(groups[found["row"]])["row"].count() == 3).all()
    assert found["row"].isin([60 * number + copy for number in range(10) for copy in range(3)]).sum() > 20


def test_no_suspect_suggests_the_label_it_has() -> None:
    truth, probabilities = made_up(3, sharpness=0.3)
    found = find_suspects(truth, probabilities, alone(truth))
    assert len(found)
    assert (found["suggested"] != found["label"]).all()
    assert (found["p_suggested"] >= found["p_label"]).all()


def test_a_model_that_agrees_leaves_no_suspect() -> None:
    truth = np.arange(50) % CLASSES
    found = find_suspects(truth, 0.8 * np.eye(CLASSES)[truth] + 0.04, alone(truth))
    assert found.empty
    assert found.columns.tolist() == ["row", "label", "suggested", "p_label", "p_suggested", "quality", "reason"]


def test_classes_without_rows_do_no_harm() -> None:
    labels = np.array([0, 2] * 20)
    probabilities = np.full((40, 4), 0.05) + 0.8 * np.eye(4)[labels]
    probabilities[7] = [0.9, 0.03, 0.04, 0.03]
    assert find_suspects(labels, probabilities, alone(labels))["row"].tolist() == [7]


def test_the_order_of_the_rows_does_not_matter() -> None:
    truth, probabilities = made_up(4, 600, copies=3)
    labels, groups = flipped(truth, np.arange(0, 600, 25), 4), np.repeat(np.arange(200), 3)
    order = np.random.default_rng(4).permutation(600)
    one = find_suspects(labels, probabilities, groups)
    other = find_suspects(labels[order], probabilities[order], groups[order])
    assert set(one["row"]) == set(order[other["row"]])
    assert one.equals(find_suspects(labels, probabilities, groups))
