"""Parts of a search by themselves, without a competition or trainings."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ripik.analysis.metrics import get_metric
from ripik.tuning import work
from ripik.tuning.search import Search
from ripik.tuning.trial import Outcome

LOG_LOSS = get_metric("log_loss")


def of_soft_labels() -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a run of six photos of soft labels, their shares, and probabilities."""
    rng = np.random.default_rng(0)
    shares, said = rng.dirichlet(np.ones(3), 6), rng.dirichlet(np.ones(3), 6)
    settings = SimpleNamespace(competition=SimpleNamespace(metric="log_loss"))
    return SimpleNamespace(truth=lambda: shares, targets=lambda: shares.argmax(axis=1), settings=settings), shares, said


def test_trials_of_soft_labels_are_scored_by_their_shares() -> None:
    run, shares, said = of_soft_labels()
    search: Any = SimpleNamespace(run=run, metric=LOG_LOSS)
    wanted = pytest.approx(LOG_LOSS.function(shares, said))
    assert Search._score(search, said, np.arange(6)) == wanted
    trial: Any = SimpleNamespace(base=run, trainings=lambda fold: [SimpleNamespace(held_rows=np.arange(6))])
    assert work._score(trial, 0, Outcome(said, [], 0.0)) == wanted
