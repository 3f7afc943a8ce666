from dataclasses import astuple, replace

import numpy as np
import pytest

from ripik.analysis import confusions, metrics
from ripik.analysis.confusions import confusion_matrix, macro_f1, margins
from ripik.analysis.confusions import per_class_f1 as f1_of
from ripik.analysis.intervals import Interval, difference, effective_groups, interval, per_class_f1, predictive, verdict
from ripik.analysis.metrics import get_metric
from ripik.analysis.resampling import Drawable
from ripik.errors import InputError

NAMES = ["macro_f1", "accuracy", "log_loss", "balanced_accuracy", "cohen_kappa", "quadratic_kappa", "auc"]
MACRO_F1, ACCURACY, LOG_LOSS = (get_metric(name) for name in ("macro_f1", "accuracy", "log_loss"))
COPIES = 3


class World:
    """Photos of known class shares and confusions, each as copies that a classifier mostly sees alike."""

    def __init__(self, shares: list[float], right: list[float], alike: float = 0.9) -> None:
        self.shares, self.alike = np.array(shares), alike
        others = self.shares * (1 - np.eye(len(shares)))
        others /= others.sum(axis=1, keepdims=True)
        correct = np.array(right)[:, None]
        self.predicts = correct * np.eye(len(shares)) + (1 - correct) * others
        self.truth = macro_f1(*margins(self.shares[:, None] * self.predicts))

    def labels(self, rng: np.random.Generator, groups: int) -> np.ndarray:
        """Return the class of every group; drawn again until none is absent."""
        while True:
            y = rng.choice(len(self.shares), groups, p=self.shares)
            if len(np.unique(y)) == len(self.shares):
                return y

    def predict(self, rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
        """Return the class predicted for each copy, (groups, COPIES)."""
        seen = (rng.random((len(y), COPIES + 1, 1)) > self.predicts.cumsum(axis=1)[y][:, None]).sum(axis=2)
        seen = np.minimum(seen, len(self.shares) - 1)
        return np.where(rng.random((len(y), COPIES)) < self.alike, seen[:, :1], seen[:, 1:])

    def draw(self, rng: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return class indices, one-hot predictions and groups of all copies."""
        y = self.labels(rng, groups)
        return y.repeat(COPIES), self.one_hot(self.predict(rng, y)), np.arange(groups).repeat(COPIES)

    def one_hot(self, predicted: np.ndarray) -> np.ndarray:
        return np.eye(len(self.shares))[predicted.ravel()]


EVEN = World([0.4, 0.3, 0.2, 0.1], [0.8, 0.7, 0.75, 0.6])
RARE = World([0.42, 0.35, 0.21, 0.02], [0.8, 0.75, 0.85, 0.5])


def drawn(seed: int, groups: int = 60, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities and groups of one to five rows, one class to a group."""
    rng = np.random.default_rng(seed)
    group = np.arange(groups).repeat(rng.integers(1, 6, groups))
    y = (rng.permutation(groups) % classes)[group]
    p = rng.dirichlet(np.ones(classes), len(y)) + 0.4 * np.eye(classes)[y]
    return y, p / p.sum(axis=1, keepdims=True), group


def covered(found: list[Interval], truth: float | list[float]) -> float:
    values = np.broadcast_to(truth, len(found))
    return float(np.mean([one.low <= value <= one.high for one, value in zip(found, values, strict=True)]))


@pytest.mark.long
def test_intervals_cover_the_truth_and_a_bootstrap_of_rows_does_not() -> None:
    rng = np.random.default_rng(0)
    sets = [EVEN.draw(rng, 150) for _ in range(400)]
    of_groups = [interval(*one, MACRO_F1, draws=300, seed=seed) for seed, one in enumerate(sets)]
    of_rows = [interval(y, p, np.arange(len(y)), MACRO_F1, draws=300, seed=i) for i, (y, p, _) in enumerate(sets)]
    assert covered(of_groups, EVEN.truth) >= 0.91
    assert covered(of_rows, EVEN.truth) <= 0.85


def test_intervals_cover_the_truth_with_about_three_groups_of_a_class() -> None:
    rng = np.random.default_rng(1)
    found = [interval(*RARE.draw(rng, 150), MACRO_F1, draws=300, seed=seed) for seed in range(200)]
    assert covered(found, RARE.truth) >= 0.9


@pytest.mark.long
def test_intervals_of_a_class_cover_its_f1() -> None:
    rng = np.random.default_rng(2)
    found = [per_class_f1(*EVEN.draw(rng, 150), draws=300, seed=seed) for seed in range(200)]
    truth = f1_of(EVEN.shares[:, None] * EVEN.predicts)
    for index in range(4):
        assert covered([one[index] for one in found], truth[index]) >= 0.9


@pytest.mark.long
def test_predictive_intervals_cover_the_score_of_a_fresh_test_set() -> None:
    rng = np.random.default_rng(3)
    found, scores, sure = [], [], []
    for seed in range(200):
        y, p, groups = EVEN.draw(rng, 150)
        found.append(predictive(y, p, groups, MACRO_F1, 70, draws=300, seed=seed))
        sure.append(interval(y, p, groups, MACRO_F1, draws=300, seed=seed))
        scores.append(MACRO_F1.function(*EVEN.draw(rng, 70)[:2]))
    assert 0.91 <= covered(found, scores) < 1
    assert covered(sure, scores) < 0.85


@pytest.mark.long
@pytest.mark.parametrize("changed", [4, 20, 100])
def test_classifiers_that_are_equally_good_are_rarely_told_apart(changed: int) -> None:
    rng = np.random.default_rng(changed)
    said = []
    for seed in range(200):
        y = EVEN.labels(rng, 300)
        common = EVEN.predict(rng, y)
        sides = []
        for _ in range(2):
            own = rng.random((300, 1)) < changed / 2 / 300
            sides.append(EVEN.one_hot(np.where(own, EVEN.predict(rng, y), common)))
        groups = np.arange(300).repeat(COPIES)
        found = difference(y.repeat(COPIES), *sides, groups, MACRO_F1, draws=300, seed=seed)
        said.append(verdict(found, MACRO_F1) != "cannot tell")
    assert np.mean(said) <= 0.08


def test_a_better_classifier_is_told_apart() -> None:
    rng = np.random.default_rng(4)
    y, a, groups = EVEN.draw(rng, 300)
    mended = np.where(rng.random((300, 1)).repeat(COPIES, axis=0) < 0.2, np.eye(4)[y], a)
    found = difference(y, a, mended, groups, MACRO_F1)
    assert verdict(found, MACRO_F1) == "better"
    assert verdict(difference(y, mended, a, groups, MACRO_F1), MACRO_F1) == "worse"
    assert found.value == pytest.approx(MACRO_F1.function(y, mended) - MACRO_F1.function(y, a))


@pytest.mark.parametrize("copies", [1, 3])
def test_accuracy_has_the_binomial_error_of_its_groups(copies: int) -> None:
    y = np.zeros(400 * copies, dtype=int)
    p = np.eye(2)[np.repeat(np.arange(400) % 5 == 0, copies).astype(int)]
    found = interval(y, p, np.arange(400).repeat(copies), ACCURACY, draws=4000)
    error = np.sqrt(0.8 * 0.2 / 400)
    assert found.value == pytest.approx(0.8)
    assert found.error == pytest.approx(error, rel=0.05)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_a_predictive_interval_adds_both_errors() -> None:
    y, p = np.zeros(400, dtype=int), np.eye(2)[(np.arange(400) % 5 == 0).astype(int)]
    found = predictive(y, p, np.arange(400), ACCURACY, 100, draws=4000)
    assert found.error == pytest.approx(np.sqrt(0.16 / 400 + 0.16 / 100), rel=0.05)


def test_a_predictive_interval_ends_at_a_perfect_score() -> None:
    y, p = np.zeros(40, dtype=int), np.eye(2)[[0] * 39 + [1]]
    assert predictive(y, p, np.arange(40), ACCURACY, 10).high == 1
    sure = np.tile([0.999, 0.001], (40, 1))
    sure[0] = [0.2, 0.8]
    assert predictive(y, sure, np.arange(40), LOG_LOSS, 10).low == 0


def test_few_witnesses_widen_an_interval() -> None:
    y, a = np.zeros(400, dtype=int), np.eye(2)[[1] * 5 + [0] * 395]
    b = np.eye(2)[[0] * 400]
    few = difference(y, a, b, np.arange(400), ACCURACY)
    assert verdict(few, ACCURACY) == "cannot tell"  # five coins on one side: a sign test gives 6 %
    many = difference(y, np.eye(2)[[1] * 12 + [0] * 388], b, np.arange(400), ACCURACY)
    assert verdict(many, ACCURACY) == "better"


@pytest.mark.parametrize("name", NAMES)
def test_equal_predictions_do_not_differ(name: str) -> None:
    y, p, groups = drawn(0)
    found = difference(y, p, p.copy(), groups, get_metric(name), draws=50)
    assert astuple(found) == (0, 0, 0, 0)
    assert verdict(found, get_metric(name)) == "cannot tell"


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_rows_and_the_names_of_groups_do_not_matter(name: str) -> None:
    y, a, groups = drawn(1)
    b, metric = drawn(2)[1][: len(y)], get_metric(name)
    b = np.concatenate([b, a[len(b) :]])
    rng = np.random.default_rng(0)
    order, names = rng.permutation(len(y)), rng.permutation(groups.max() + 1).astype(str)
    moved = y[order], a[order], b[order], names[groups][order]
    for found, again in [
        (interval(y, a, groups, metric, draws=50), interval(*moved[:2], moved[3], metric, draws=50)),
        (difference(y, a, b, groups, metric, draws=50), difference(*moved, metric, draws=50)),
        (predictive(y, a, groups, metric, 20, draws=50), predictive(*moved[:2], moved[3], metric, 20, draws=50)),
    ]:
        assert astuple(again) == pytest.approx(astuple(found), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_difference_the_other_way_round_is_its_negative(name: str) -> None:
    y, a, groups = drawn(1)
    b, metric = np.roll(a, 1, axis=0), get_metric(name)
    there, back = (difference(y, *sides, groups, metric, draws=50) for sides in ((a, b), (b, a)))
    assert (-back.value, -back.high, -back.low) == pytest.approx((there.value, there.low, there.high), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_an_interval_holds_the_metrics_value_and_is_the_same_again(name: str) -> None:
    (y, p, groups), metric = drawn(3), get_metric(name)
    found = interval(y, p, groups, metric, draws=200)
    assert found.value == metric.function(y, p)
    assert found.low < found.value < found.high
    assert found == interval(y, p, groups, metric, draws=200)
    assert found != interval(y, p, groups, metric, draws=200, seed=1)


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_a_higher_level_is_a_wider_interval(name: str) -> None:
    y, p, groups = drawn(4)
    narrow, wide = (interval(y, p, groups, get_metric(name), level=level, draws=200) for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_paired_draws_make_a_difference_surer_than_its_sides() -> None:
    rng = np.random.default_rng(5)
    y, a, groups = EVEN.draw(rng, 200)
    b = a.copy()
    b[:30] = np.eye(4)[rng.integers(0, 4, 30)]
    assert difference(y, a, b, groups, MACRO_F1).error < interval(y, a, groups, MACRO_F1).error / 2


@pytest.mark.parametrize(("change", "word"), [(-0.1, "worse"), (0.1, "better")])
@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_a_verdict_knows_which_way_is_better(change: float, word: str, name: str) -> None:
    metric = get_metric(name)
    value = metric.utility(change)
    assert verdict(Interval(value, value - 0.05, value + 0.05, 0.02), metric) == word
    assert verdict(Interval(value, value - 0.2, value + 0.2, 0.1), metric) == "cannot tell"


def test_a_class_without_rows_counts_as_the_metric_counts_it() -> None:
    y, p, groups = drawn(6)
    p[:, 3] = 0
    p[y == 3], y = np.eye(4)[2], np.minimum(y, 2)
    found = interval(y, p, groups, MACRO_F1)
    assert found.value == pytest.approx(f1_of(confusion_matrix(y, p.argmax(1), 4)).sum() / 4)
    assert found.low < found.value < found.high <= 0.75
    last = per_class_f1(y, p, groups)[3]
    assert last.value == 0
    assert np.isnan([last.low, last.high, last.error]).all()


def test_the_f1_of_each_class_has_its_own_interval() -> None:
    y, p, groups = EVEN.draw(np.random.default_rng(7), 300)
    found = per_class_f1(y, p, groups)
    assert [one.value for one in found] == pytest.approx(f1_of(confusion_matrix(y, p.argmax(1), 4)).tolist())
    assert all(one.low < one.value < one.high for one in found)
    assert found[0].error < found[3].error  # 40 % of the photos against 10 %


def test_a_draw_without_either_class_has_no_auc_and_is_left_out() -> None:
    y, p = np.array([0, 0, 0, 1]), np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.5, 0.5]])
    found = interval(y, p, np.arange(4), get_metric("auc"), draws=200)
    assert 0 <= found.low <= found.value <= found.high <= 1


Y, P, G = drawn(8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval(Y, P, np.zeros(len(Y)), ACCURACY), "All rows are in one group"),
        (lambda: interval(Y, P, G[1:], ACCURACY), "one value per row"),
        (lambda: interval(Y, P, np.where(G == 3, np.nan, G), ACCURACY), "none of them missing"),
        (lambda: interval(Y, np.where(P.max() > P, P, np.nan), G, ACCURACY), "missing or infinite"),
        (lambda: per_class_f1(Y[1:], P, G), "shape"),
        (lambda: interval(Y, P, G, ACCURACY, level=95), "not 95"),
        (lambda: difference(Y, P, np.hstack([P, 0 * P[:, :1]]), G, ACCURACY), "4 and 5 classes"),
        (lambda: difference(Y, P, P[1:], G, ACCURACY), "shape"),
        (lambda: predictive(Y, P, G, ACCURACY, 0), "test set of 0 groups"),
        (lambda: interval(0 * Y, P, G, get_metric("auc")), "auc has no value"),
    ],
)
def test_wrong_input_is_an_error(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()


def test_an_interval_without_ends_comes_back_from_json() -> None:
    found = Interval.from_json({"value": 0.5, "low": None, "high": None, "error": None})
    assert found.value == 0.5
    assert np.isnan([found.low, found.high, found.error]).all()


@pytest.mark.parametrize("name", NAMES)
def test_equal_weights_expect_of_a_test_set_what_none_expect(name: str) -> None:
    (y, p, groups), metric = drawn(8, groups=120), get_metric(name)
    plain, weighted = (
        predictive(y, p, groups, metric, 80, draws=400, weights=weights) for weights in (None, np.ones(len(y)))
    )
    assert weighted.value == pytest.approx(plain.value, abs=1e-12)
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high), abs=0.7 * plain.error)


def test_weighted_rows_expect_the_score_of_a_test_set_of_such_rows() -> None:
    """Half of the groups are read at 0.9, half at 0.5; of the test set 0.9 are of the second kind."""
    rng, hard = np.random.default_rng(9), np.arange(600) % 2
    y, groups, weights = rng.integers(0, 2, 600), np.arange(600), np.where(hard, 1.8, 0.2)
    p = np.eye(2)[np.where(rng.random(600) < np.where(hard, 0.5, 0.9), y, 1 - y)]
    found = predictive(y, p, groups, ACCURACY, 400, weights=weights)
    assert found.value == pytest.approx(np.average(p.argmax(axis=1) == y, weights=weights))
    assert found.low < 0.54 < found.high < predictive(y, p, groups, ACCURACY, 400).value
    shuffled = rng.permutation(600)
    again = predictive(y[shuffled], p[shuffled], -groups[shuffled], ACCURACY, 400, weights=weights[shuffled])
    assert astuple(again) == pytest.approx(astuple(found), abs=1e-12)


def test_few_heavy_groups_are_few_witnesses() -> None:
    groups = np.repeat(np.arange(10), 3)
    assert effective_groups(np.ones(30), groups) == pytest.approx(10)
    assert effective_groups(np.where(groups < 2, 1.0, 1e-9), groups) == pytest.approx(2)


BY_MARGINS = [metric.name for metric in metrics.known_metrics() if metric.from_margins]


@pytest.mark.parametrize("name", BY_MARGINS)
def test_draws_without_a_matrix_score_as_those_of_the_matrix(name: str) -> None:
    rng = np.random.default_rng(0)
    y, values = rng.integers(0, 7, 300), rng.dirichlet(np.ones(9), 300)
    data, metric = Drawable.of(y, [values], rng.integers(0, 90, 300)), metrics.get_metric(name)
    of_matrix, of_margins, count = metric.from_confusion, metric.from_margins, data.margins()
    assert of_matrix is not None
    assert of_margins is not None
    for times in rng.integers(0, 4, (50, 300)):
        matrix = data.confusion()(times)
        assert of_margins(*count(times)) == of_matrix(matrix)
        assert all(map(np.array_equal, count(times), confusions.margins(matrix)))


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_of_a_mean_over_rows_score_as_repeated_rows_and_repeat_none(weighted: bool) -> None:
    y, values, group = drawn(5)
    weights = np.random.default_rng(0).uniform(0.5, 2, group.max() + 1)[group] if weighted else None
    data = Drawable.of(y, [values], group, weights)
    score = data.score(replace(LOG_LOSS, unchecked=None))  # type: ignore[arg-type]
    for times in np.random.default_rng(1).integers(0, 4, (50, len(y))):
        rows = [data.y, data.sides[0], *([] if data.weights is None else [data.weights])]
        repeated = metrics.log_loss(*(np.repeat(each, times, axis=0) for each in rows))
        assert score(times) == pytest.approx(repeated, rel=1e-12)
