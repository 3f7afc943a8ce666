"""Parts of a search by themselves, without a competition or trainings."""

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest

from ripik.analysis.metrics import get_metric
from ripik.config import load_settings
from ripik.errors import InputError, SurroundingsError
from ripik.report.blocks import Text
from ripik.report.sections.search import _old
from ripik.storage import artifacts
from ripik.training.diverged import DivergedError
from ripik.tuning import study, work
from ripik.tuning.made_from import differs, of_settings
from ripik.tuning.record import storage_path
from ripik.tuning.search import Search, _end_refused
from ripik.tuning.study import Study, Told, stored
from ripik.tuning.trial import Outcome
from ripik.tuning.tune import tune
from ripik.tuning.work import _raise_others

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


def test_a_storage_that_is_written_has_no_journal_beside_it(tmp_path: Path) -> None:
    """One that a killed process left would undo what the next process of its number writes there."""
    with closing(study._connection(tmp_path / "a.db", read_only=False)) as connection:
        connection.execute("create table trials (number integer)")
        connection.execute("insert into trials values (1)")
        assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


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


def test_a_trial_of_refused_values_is_not_tried(capsys: pytest.CaptureFixture[str]) -> None:
    tried: Any = SimpleNamespace(trial=SimpleNamespace(number=3, problem=lambda: "soup is too long"), ended=False)
    _end_refused(tried)
    assert tried.ended
    assert "trial 3 is not tried: soup is too long" in capsys.readouterr().err


def test_a_fold_of_one_class_drops_no_trial() -> None:
    run = SimpleNamespace(settings=SimpleNamespace(tune=SimpleNamespace(pruning=True, at_once=8)))
    number = SimpleNamespace(number=8)
    for metric in ("auc", "log_loss"):
        earlier = [SimpleNamespace(scores=[float("nan"), 0.5]) for _ in range(8)]
        search: Any = SimpleNamespace(run=run, metric=get_metric(metric), tried=earlier)
        assert Search._survives(search, cast(Any, SimpleNamespace(trial=number, scores=[float("nan")])))
        better, worse = (0.6, 0.4) if metric == "auc" else (0.4, 0.6)
        assert Search._survives(search, cast(Any, SimpleNamespace(trial=number, scores=[0.5, better])))
        assert not Search._survives(search, cast(Any, SimpleNamespace(trial=number, scores=[0.5, worse])))


def test_rounds_of_earlier_sessions_tell_how_long_the_next_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ripik.tuning.search.at_once", lambda jobs: 2)
    settings = SimpleNamespace(tune=SimpleNamespace(at_once=4), jobs=None)
    with patch.object(Search, "__post_init__", lambda self: None):
        search = Search(cast(Any, SimpleNamespace(settings=settings)), cast(Any, None), cast(Any, None))
    search.tried = [cast(Any, SimpleNamespace(seconds=seconds)) for seconds in (1.0, 2.0, 3.0, 4.0, 9.0)]
    begun = time.monotonic()
    search.go_on(10, until=begun + 8.0)  # nothing is asked: the round of 9 seconds would end too late
    assert (search.longest, search.round) == (9.0, [])


def test_what_is_wrong_is_seen_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    config = tmp_path / "cars.toml"
    config.write_text("[variants.head]\n", encoding="utf-8")
    settings = load_settings(config, [f"paths.output={tmp_path / 'out'}"])
    head, keys = settings.variants["head"], {"dropout": [0.1, 0.2]}
    for name in ("check_settings", "check_weights"):
        monkeypatch.setattr(f"ripik.tuning.tune.{name}", lambda each: None)
    with pytest.raises(InputError, match="TRIALS=0 is not a search"):
        tune(settings, "head", trials=0)
    made_from = of_settings(settings, head.model_copy(update={"label_smoothing": 0.1}), keys)
    Study(storage_path(settings, "head"), keys, 0, True, made_from).save()
    with pytest.raises(InputError, match=r"is from a search of other inputs: label_smoothing 0\.1 → 0"):
        tune(settings, "head")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="optuna is not installed"):
        tune(settings, "head")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["head.db"]


def test_the_record_of_a_search_tells_what_is_another_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "cars.toml"
    config.write_text("[variants.head]\n", encoding="utf-8")

    def present(folds: str, *overrides: str) -> Any:
        return SimpleNamespace(settings=load_settings(config, overrides), digest=folds)

    def made(run: Any, variant: Any, ranges: Any) -> dict[str, Any]:
        return {"folds": run.digest, **of_settings(run.settings, variant, ranges)}

    monkeypatch.setattr("ripik.tuning.made_from.made_from", made)
    before, keys = present("a"), {"dropout": [0.1, 0.2]}
    recorded = artifacts.as_json(made(before, before.settings.variants["head"], keys))
    record = {"variant": "head", "ranges": keys, "made_from": recorded}
    assert differs(present("a", "variants.head.dropout=0.1", "tune.pruning=false"), record) == []
    assert differs(present("b", "variants.head.epochs=7"), record) == ["other folds", "epochs 30 → 7"]
    assert differs(present("b"), {"variant": "head", "ranges": keys}) == []
    (text,) = _old(["other folds"], "head")
    assert isinstance(text, Text)
    assert "other inputs than the current run: other folds" in text.text
    assert _old([], "head") == []


def test_only_a_loss_that_is_no_number_ends_a_trial() -> None:
    _raise_others([DivergedError("loss is nan")])
    with pytest.raises(InputError, match="no label 9"):
        _raise_others([DivergedError("loss is nan"), InputError("class_weights: no label 9")])
