from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ripik.analysis.metrics import get_metric
from ripik.ensemble.slopes import value_and_slope
from ripik.errors import InputError
from ripik.names import LabelMetric

LABEL_METRICS = get_args(LabelMetric)


@given(st.sampled_from(LABEL_METRICS), st.integers(2, 7), st.integers(0, 2**32 - 1))
@effort(max_examples=100, deadline=None)
def test_values_are_the_metrics_and_slopes_their_differences(name: str, classes: int, seed: int) -> None:
    metric = get_metric(name)
    assert metric.from_confusion is not None
    confusion = np.random.default_rng(seed).uniform(0.5, 50, (classes, classes))
    value, slope = value_and_slope(metric, confusion)
    assert value == pytest.approx(metric.from_confusion(confusion), abs=1e-12)
    for cell in np.ndindex(classes, classes):
        step = np.zeros_like(confusion)
        step[cell] = 1e-4
        numeric = metric.from_confusion(confusion + step) - metric.from_confusion(confusion - step)
        assert slope[cell] == pytest.approx(numeric / 2e-4, abs=1e-7)


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_classes_without_rows_or_predictions_have_finite_slopes(name: str) -> None:
    metric = get_metric(name)
    assert metric.from_confusion is not None
    for confusion in (np.diag([3.0, 0.0, 2.0]), np.diag([5.0, 0.0]), np.array([[2.0, 1.0], [0.0, 0.0]])):
        value, slope = value_and_slope(metric, confusion)
        assert value == pytest.approx(metric.from_confusion(confusion))
        assert np.isfinite(slope).all()


def test_a_metric_of_the_probabilities_has_no_slope_by_counts() -> None:
    with pytest.raises(InputError, match="log_loss is not computed from counts"):
        value_and_slope(get_metric("log_loss"), np.eye(2))
