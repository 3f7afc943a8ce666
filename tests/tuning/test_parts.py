"""Parts of a search by themselves, without a competition or trainings."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ripik.analysis.metrics import get_metric
from ripik.errors import InputError, SurroundingsError
from ripik.tuning import study, work
from ripik.tuning.search import Search, _drop_refused
from ripik.tuning.study import Study, Told, stored
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


def study_at(path: Path, **ranges: Any) -> Study:
    pytest.importorskip("optuna")
    return Study(path, ranges or {"dropout": {"low": 0.0, "high": 0.5}}, 0, True, {"ranges": 1})


def test_a_range_of_whole_numbers_proposes_whole_numbers(tmp_path: Path) -> None:
    made = study_at(tmp_path / "a.db", epochs={"low": 10.0, "high": 40}, learning_rate={"low": 1, "high": 9})
    values = [proposal.values for proposal in made.propose(range(4), None)]
    assert all(isinstance(each["epochs"], int) for each in values)
    assert not all(each["learning_rate"].is_integer() for each in values)


def test_a_storage_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "50%20 {of}?a=b#c" / "head.db"
    made = study_at(path)
    made.propose([0], None)
    made.tell(0, Told((0.5,), whole=True))
    made.save()
    content = path.read_bytes()
    assert [told for _, told in study_at(path).trials()] == [Told((0.5,), whole=True)]
    assert ([each.name for each in path.parent.iterdir()], path.read_bytes()) == (["head.db"], content)


def test_a_storage_is_only_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    path = tmp_path / "head.db"
    path.touch()
    with pytest.raises(InputError, match="is damaged"):
        stored(path)
    assert path.stat().st_size == 0
    monkeypatch.setattr(study, "WAITING", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("create table studies (a)")
        other.execute("begin exclusive")
        with pytest.raises(SurroundingsError, match="cannot be read: database is locked"):
            stored(path)


def test_a_trial_of_refused_values_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    tried: Any = SimpleNamespace(trial=SimpleNamespace(number=3, problem=lambda: "soup is too long"), ended=False)
    _drop_refused(tried)
    assert tried.ended
    assert "trial 3 is dropped: soup is too long" in capsys.readouterr().err
