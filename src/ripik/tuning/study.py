"""The sampler and the storage of a search, by Optuna (https://optuna.org; Akiba et al. 2019, KDD).

The storage on disk holds whole rounds alone and is replaced at once, so that a killed search resumes
from the start of a round: the sampler is seeded by the trial's number, proposes the same again, and folds that were
finished are found on disk.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ripik.errors import InputError, SurroundingsError
from ripik.search_ranges import kind_of
from ripik.storage import artifacts
from ripik.storage.atomic import replacing
from ripik.tuning.ranges import Ranges
from ripik.tuning.trial import Proposal

NAME, MADE_FROM, COUNT = "search", "made_from", "trials"
WAITING = 5.0  # seconds for another program that writes to the storage
REFUSED = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_LOCKED", "SQLITE_PERM", "SQLITE_READONLY")
STARTUP = 10  # trials that are drawn at random


@dataclass(frozen=True)
class Told:
    """What became of a trial: its scores after each fold it was tried on, and whether it went through all of them."""

    scores: tuple[float, ...]
    whole: bool


def import_optuna() -> Any:
    """Return the package; raises InputError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise InputError(
            'the package optuna is not installed. `make tune` installs it; without make, `pip install -e ".[tune]"`.'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@dataclass(eq=False)
class Study:
    """A search in memory, and its storage at `path`. maximize: whether greater scores are better."""

    path: Path
    ranges: Ranges
    seed: int
    maximize: bool
    made_from: dict[str, Any]
    optuna: Any = field(default_factory=import_optuna)
    asked: dict[int, Any] = field(default_factory=dict)
    stored: int = 0  # trials in the storage

    def __post_init__(self) -> None:
        """Begin, or take up what is stored. Raises InputError where the storage is damaged."""
        direction = "maximize" if self.maximize else "minimize"
        self.study = self.optuna.create_study(study_name=NAME, direction=direction)
        for trial in self._read():
            self.study.add_trial(trial)
        self.stored = len(self.study.trials)

    def propose(self, numbers: Sequence[int], first: dict[str, Any] | None) -> list[Proposal]:
        """Return the proposals of these numbers, which follow those reported. first: the values of trial 0, if any."""
        if first is not None and list(numbers[:1]) == [0]:
            self.study.enqueue_trial(first)
        return [self._ask(number) for number in numbers]

    def tell(self, number: int, told: Told) -> None:
        """Report the result of a proposal; to be called in the order of the numbers."""
        trial, states = self.asked.pop(number), self.optuna.trial.TrialState
        for step, score in enumerate(told.scores):
            trial.report(score, step)
        if told.whole:
            self.study.tell(trial, told.scores[-1])
        else:
            self.study.tell(trial, state=states.PRUNED)

    def save(self) -> None:
        """Write the results reported since to the storage."""
        with replacing(self.path) as temporary:
            if self.path.exists():
                shutil.copyfile(self.path, temporary)
            with self._storage(temporary) as storage:
                direction = self.study.direction
                study = self.optuna.create_study(
                    storage=storage, study_name=NAME, direction=direction.name.lower(), load_if_exists=True
                )
                study.set_user_attr(MADE_FROM, json.dumps(artifacts.as_json(self.made_from)))
                for trial in self.study.trials[self.stored :]:
                    study.add_trial(trial)
                study.set_user_attr(COUNT, len(self.study.trials))
        self.stored = len(self.study.trials)

    def trials(self) -> list[tuple[Proposal, Told]]:
        """Return the results reported so far, in the order of the numbers."""
        whole = self.optuna.trial.TrialState.COMPLETE
        return [
            (
                Proposal(trial.number, dict(trial.params)),
                Told(
                    tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values)),
                    trial.state == whole,
                ),
            )
            for trial in self.study.trials
        ]

    def importances(self) -> dict[str, float]:
        """Return how much of the scores' spread each key explains, the largest first; empty where undefined."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
                found = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
            except (ValueError, RuntimeError, ZeroDivisionError):  # too few trials, or all of one score
                return {}
        return {str(key): float(value) for key, value in found.items()}

    def _ask(self, number: int) -> Proposal:
        seed = int(artifacts.digest([self.seed, number])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in Optuna
            self.study.sampler = self.optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, constant_liar=True
            )
            trial = self.study.ask({key: self._distribution(key, where) for key, where in self.ranges.items()})
        assert trial.number == number
        self.asked[number] = trial
        return Proposal(number, dict(trial.params))

    def _distribution(self, key: str, where: Any) -> Any:
        kinds = self.optuna.distributions
        if isinstance(where, list):
            return kinds.CategoricalDistribution(where)
        kind = kind_of(key)
        distribution = kinds.IntDistribution if kind is int else kinds.FloatDistribution
        return distribution(kind(where["low"]), kind(where["high"]), log=where.get("log", False))

    def _storage(self, path: Path) -> _Opened:
        return _Opened(self.optuna, path)

    def _read(self) -> list[Any]:
        recorded = stored(self.path, self.optuna)
        return recorded[1] if recorded else []


@dataclass
class _Opened:
    """A storage that is closed at the end of a block, so that its file can be renamed.

    Its path goes to SQLite alone, quoted: in SQLAlchemy's URL, signs such as % and ? would mean something else.
    """

    optuna: Any
    path: Path
    read_only: bool = False

    def __enter__(self) -> Any:
        from sqlalchemy import URL
        from sqlalchemy.pool import NullPool

        how = {"creator": lambda: _connection(self.path, read_only=self.read_only), "poolclass": NullPool}
        url = URL.create("sqlite").render_as_string()
        self.storage = self.optuna.storages.RDBStorage(url, engine_kwargs=how, skip_table_creation=self.read_only)
        return self.storage

    def __exit__(self, *_: object) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()


def stored(path: Path, optuna: Any = None) -> tuple[dict[str, Any], list[Any]] | None:
    """Return what a search at a path was made from, and its trials; None where there is none. Nothing is written.

    Raises InputError for a file that is no such storage, SurroundingsError for one that cannot be read now.
    """
    if not path.exists():
        return None
    optuna = optuna or import_optuna()
    _check_readable(path)
    try:
        with _Opened(optuna, path, read_only=True) as storage:
            study = optuna.load_study(study_name=NAME, storage=storage)
            made_from, trials = json.loads(study.user_attrs[MADE_FROM]), study.trials
            if len(trials) != study.user_attrs[COUNT]:
                raise ValueError(f"{len(trials)} of {study.user_attrs[COUNT]} trials are there")
            return made_from, trials
    except MemoryError:
        raise
    except Exception as error:  # SQLAlchemy, SQLite and Optuna have one each for every kind of damage
        raise _damaged(path, error) from None


def _connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAITING)
    if not read_only:  # what is written is a copy: a journal beside it would outlive a killed process, to undo another
        connection.execute("pragma journal_mode = memory")
    return connection


def _check_readable(path: Path) -> None:
    """Raise SurroundingsError where the file cannot be read now, InputError where it is no storage."""
    try:
        with closing(_connection(path, read_only=True)) as connection:
            connection.execute("select count(*) from studies").fetchone()
    except sqlite3.Error as error:
        name = str(getattr(error, "sqlite_errorname", ""))
        if name.startswith(REFUSED):
            raise SurroundingsError(
                f"{path} cannot be read: {error}. Stop the process that locks it, or give read permission, and run "
                "again."
            ) from None
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"{path} is damaged, or not the storage of a search by this project ({reason}). Move it away and run `make "
        "tune` again: finished folds of trials are reused where the same values are proposed."
    )
