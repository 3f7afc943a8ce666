import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ripik.errors import InputError
from ripik.models import linear_head
from ripik.models.linear_head import fit, out_of_fold


def clouds(n: int = 120, classes: int = 3, columns: int = 8, apart: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, columns), a cloud a class, and class indices (n,)."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    centres = rng.normal(0, apart, (classes, columns))
    return (centres[y] + rng.normal(0, 1, (n, columns))).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_it_is_scikit_learns_regression_of_standardised_columns(classes: int, balanced: bool) -> None:
    features, y = clouds(classes=classes, apart=0.7)
    y = np.where(np.arange(len(y)) < 40, 0, y)  # uneven classes
    peer = LogisticRegression(C=0.05, tol=1e-6, max_iter=1000, class_weight="balanced" if balanced else None)
    expected = make_pipeline(StandardScaler(), peer).fit(features.astype(float), y).predict_proba(features)
    found = fit(features, y, classes, strength=0.05, balanced=balanced).probabilities(features)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_clouds_far_apart_are_told_apart() -> None:
    features, y = clouds()
    found = fit(features, y, 3).probabilities(features)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == y).all()


@pytest.mark.parametrize("absent", [0, 1, 3])
def test_a_class_without_training_rows_has_probability_0(absent: int) -> None:
    features, y = clouds()
    shifted = np.array([label for label in range(4) if label != absent])[y]
    found = fit(features, shifted, 4).probabilities(features)
    assert (found[:, absent] == 0).all()
    np.testing.assert_array_equal(np.delete(found, absent, axis=1), fit(features, y, 3).probabilities(features))


def test_two_of_three_classes_present() -> None:
    features, y = clouds(classes=2)
    found = fit(features, 2 * y, 3).probabilities(features)
    np.testing.assert_array_equal(found[:, [0, 2]], fit(features, y, 2).probabilities(features))


def test_a_single_class_is_certain() -> None:
    features, _ = clouds()
    found = fit(features, np.full(len(features), 1), 3).probabilities(features)
    np.testing.assert_array_equal(found, np.tile(np.float32([0, 1, 0]), (len(features), 1)))


def test_units_and_origin_of_a_column_do_not_matter() -> None:
    features, y = clouds(apart=0.5)
    scale, origin = np.float32(10.0) ** np.arange(-6, 2), np.float32(10.0) ** np.arange(-6, 2)
    found = fit(features * scale + origin, y, 3).probabilities(features * scale + origin)
    np.testing.assert_allclose(found, fit(features, y, 3).probabilities(features), atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -7e5])
def test_a_column_constant_in_training_counts_for_nothing(value: float) -> None:
    features, y = clouds(apart=0.5)
    more = np.column_stack([features, np.full(len(y), value, np.float32)])
    head = fit(more, y, 3)
    elsewhere = more.copy()
    elsewhere[:, -1] = 3e5
    np.testing.assert_allclose(head.probabilities(more), fit(features, y, 3).probabilities(features), atol=1e-4)
    np.testing.assert_array_equal(head.probabilities(elsewhere), head.probabilities(more))


def test_rows_are_the_same_as_those_rows_alone() -> None:
    features, y = clouds(apart=0.5)
    rows = np.flatnonzero(np.arange(len(y)) % 3 != 1)
    found = fit(features, y, 3, rows=rows).probabilities(features)
    np.testing.assert_array_equal(found, fit(features[rows], y[rows], 3).probabilities(features))


def test_the_size_of_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    features, y = clouds(apart=0.5)
    whole = fit(features, y, 3).probabilities(features)
    monkeypatch.setattr(linear_head, "BLOCK", 7)
    np.testing.assert_allclose(fit(features, y, 3).probabilities(features), whole, atol=1e-5)


def test_the_features_are_not_changed_and_float16_will_do() -> None:
    features, y = clouds(apart=0.5)
    halves = features.astype(np.float16)
    before = halves.copy()
    found = fit(halves, y, 3).probabilities(halves)
    np.testing.assert_array_equal(halves, before)
    np.testing.assert_array_equal(found, fit(halves.astype(np.float32), y, 3).probabilities(halves))


def test_twice_the_same_bytes() -> None:
    features, y = clouds(apart=0.5)
    first, second = (fit(features, y, 3).probabilities(features) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_balanced_classes_are_as_likely_on_average() -> None:
    features = np.random.default_rng(0).normal(0, 1, (400, 4)).astype(np.float32)
    y = (np.arange(400) >= 360).astype(int)
    assert fit(features, y, 2).probabilities(features)[:, 1].mean() == pytest.approx(0.1, abs=0.01)
    assert fit(features, y, 2, balanced=True).probabilities(features)[:, 1].mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused(bad: float) -> None:
    features, y = clouds()
    features[5, 2] = bad
    with pytest.raises(InputError, match="are NaN or infinite"):
        fit(features, y, 3)


def test_rows_that_are_left_out_are_predicted_and_teach_nothing() -> None:
    features, y = clouds(apart=0.5)
    fold, fitted = np.arange(len(y)) % 3, np.arange(len(y)) % 5 != 0
    before = out_of_fold(features, y, fold, 3, fitted=fitted)
    after = out_of_fold(features, np.where(fitted, y, (y + 1) % 3), fold, 3, fitted=fitted)
    np.testing.assert_array_equal(before, after)
    assert np.isfinite(before).all()
    assert not np.array_equal(before, out_of_fold(features, y, fold, 3))


def test_a_held_fold_never_helps_its_own_head() -> None:
    features, y = clouds(apart=0.5)
    fold = np.arange(len(y)) // 3 % 4
    counted: list[int] = []
    before = out_of_fold(features, y, fold, 3, done=lambda: counted.append(1))
    changed, other = features.copy(), np.where(fold == 2, (y + 1) % 3, y)
    changed[fold == 2] += 100
    after = out_of_fold(changed, other, fold, 3)
    head = fit(features[fold != 2], y[fold != 2], 3)
    np.testing.assert_array_equal(before[fold == 2], head.probabilities(features[fold == 2]))
    np.testing.assert_array_equal(after[fold == 2], head.probabilities(changed[fold == 2]))
    assert len(counted) == 4
    assert np.isfinite(before).all()
