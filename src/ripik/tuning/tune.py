"""The step `tune`: tune a variant's hyperparameters, and correct the best trial's score for the selection."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ripik.analysis.intervals import difference
from ripik.analysis.metrics import get_metric
from ripik.analysis.selection import DRAWS, Selection, Trials, select
from ripik.console import progress, say, table
from ripik.errors import InputError
from ripik.execution.locks import present, turn
from ripik.features.prepare import prepare
from ripik.models.weight_files import check_weights
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.run import Run, record_run, split_run
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.storage.up_to_date import differences
from ripik.training.examples import check_class_weights
from ripik.training.jobs import chain, choose_variants
from ripik.training.pipeline import check_settings, train
from ripik.tuning.made_from import WORDS, made_from, of_settings
from ripik.tuning.ranges import Ranges, ranges_of, stores_of
from ripik.tuning.record import lines, record_path, sentences, storage_path, toml_path
from ripik.tuning.search import Search, Tried
from ripik.tuning.study import Study, import_optuna, stored
from ripik.variants import Variant

SHOWN = 5  # trials in the terminal


def tune(settings: Settings, variant: str, trials: int = 40, hours: float = 0.0) -> Path:
    """Search over a variant until there are so many trials, or no round more fits into the hours; return its TOML.

    Makes the folds, what the variant starts from, and the stores first. Goes on with the search that is there. The
    hours count from the beginning, all of that included.
    Raises InputError for an unknown variant or key, an empty range, a damaged storage, and a search that was made from
    something else: other folds, other settings.
    """
    until = time.monotonic() + 3600 * hours if hours else float("inf")
    check_settings(settings)
    chosen = choose_variants(settings, [variant])[-1]
    for each in chain(settings, chosen):
        check_weights(each)
    ranges = _checked(settings, chosen, trials)
    run = _split(settings)
    with present(layout_of(settings).at_work.with_name(f"tune-{variant}.json"), f"the search over {variant}"):
        _prepare(run, chosen, ranges)
        search = _search(run, chosen, ranges)
        search.go_on(trials, until)
        return _conclude(search)


def _checked(settings: Settings, variant: Variant, trials: int) -> Ranges:
    """Return where to search; raises InputError for what can be seen to be wrong before anything is made."""
    if trials < 1:
        raise InputError(f"TRIALS={trials} is not a search: give at least one trial, such as TRIALS=40.")
    import_optuna()
    ranges, path = _ranges(settings, variant), storage_path(settings, variant.name)
    before = stored(path)
    if before:
        known = of_settings(settings, variant, ranges)
        _check_same(path, {key: before[0].get(key) for key in known}, known)
    return ranges


def _check_same(path: Path, recorded: dict[str, Any], present: dict[str, Any]) -> None:
    """Raise InputError where a search was made from something else than it would be now."""
    if recorded != artifacts.as_json(present):
        what = ", ".join(differences(recorded, artifacts.as_json(present), WORDS)) or "other settings"
        raise InputError(
            f"{path} is from a search of other inputs: {what}. Its trials cannot be compared with new ones. Move the "
            "file away to start a new search, or undo what changed."
        )


def _ranges(settings: Settings, variant: Variant) -> Ranges:
    """Return where to search: where the search that is there does, unless the configuration says where."""
    before = stored(storage_path(settings, variant.name))
    recorded = before[0].get("ranges") if before else None
    if recorded and not settings.tune.ranges:
        return dict(recorded)
    return ranges_of(settings, variant)


def _split(settings: Settings) -> Run:
    """Return the run, its folds made. Before the search is at work, as folds may not change under one that is."""
    with turn(layout_of(settings), "tune"):
        run = Run.open(settings)
        split_run(run)
        record_run(run)
    return run


def _prepare(run: Run, variant: Variant, ranges: Ranges) -> None:
    """Make what the variant starts from, and the stores that its trials read."""
    check_class_weights(run, variant)
    if variant.start:
        train(run.settings, [variant.start])
    with turn(run.layout, "tune"):
        for each in stores_of(run.settings, variant, ranges):
            prepare(Run(each, run.competition, (run.folds, run.folds_digest)), [each.variants[variant.name]])


def _search(run: Run, variant: Variant, ranges: Ranges) -> Search:
    own, path = made_from(run, variant, ranges), storage_path(run.settings, variant.name)
    before = stored(path)
    if before is not None:
        _check_same(path, before[0], own)
    tuning, metric = run.settings.tune, run.settings.competition.metric
    maximize = get_metric(metric).greater_is_better
    return Search(run, variant, Study(path, ranges, tuning.seed, maximize, own))


def _conclude(search: Search) -> Path:
    """Choose the best, correct its score, write the record and the TOML, and print the result."""
    settings, name = search.run.settings, search.variant.name
    if search.best() is None:
        raise InputError(f"no trial of {name} completed all folds: give more TRIALS, or narrower [tune.ranges].")
    record = _record(search, choose(search))
    artifacts.write_json(record_path(settings, name), record)
    path = toml_path(settings, name)
    artifacts.write_text(path, lines(record))
    _show(record)
    say(f"tune: the best trial's settings of variants.{name}, also in {path}")
    say(lines(record).rstrip())
    return path


def choose(search: Search) -> Selection:
    """Return the best trial and its score corrected for the choice, dropping repeated in every draw."""
    run, folds = search.run, search.run.folds["fold"].to_numpy()
    at_once = run.settings.tune.at_once if run.settings.tune.pruning else 0
    oof = np.stack([tried.oof for tried in search.tried])
    trials = Trials(run.truth(), oof, witnesses.train(run), folds, at_once)
    with progress("tune: repeat the selection on bootstrap draws", DRAWS) as show:
        return select(trials, search.metric, progress=show)


def _record(search: Search, found: Selection) -> dict[str, Any]:
    run, best, first = search.run, search.tried[found.best], search.tried[0]
    own = search.is_default(first) and first.whole and first is not best
    pair = (run.truth(), first.oof, best.oof, witnesses.train(run), search.metric)
    return {
        "variant": search.variant.name,
        "metric": search.metric.name,
        "ranges": search.study.ranges,
        "trials": [_trial(tried) for tried in search.tried],
        "best": _trial(best),
        "default": search.is_default(first),
        "gain": asdict(difference(*pair)) if own else None,
        "naive": asdict(found.naive),
        "corrected": asdict(found.corrected),
        "importances": search.study.importances(),
        "made_from": artifacts.as_json(search.study.made_from),
        "versions": {**artifacts.versions(), "optuna": search.study.optuna.__version__},
    }


def _trial(tried: Tried) -> dict[str, Any]:
    proposal = tried.trial.proposal
    told = {"scores": tried.scores, "whole": tried.whole, "seconds": round(tried.seconds, 3)}
    return {"number": proposal.number, "values": proposal.values, **told}


def _show(record: dict[str, Any]) -> None:
    whole = [trial for trial in record["trials"] if trial["whole"]]
    greater_is_better = get_metric(record["metric"]).greater_is_better
    better = sorted(whole, key=lambda trial: trial["scores"][-1], reverse=greater_is_better)[:SHOWN]
    keys = list(record["ranges"])
    rows = [[str(t["number"]), f"{t['scores'][-1]:.4f}", *(_cell(t["values"][key]) for key in keys)] for t in better]
    table(f"The best trials of {record['variant']}", ["trial", record["metric"], *keys], rows)
    if record["importances"]:
        told = ", ".join(f"{key} {share:.0%}" for key, share in record["importances"].items())
        say(f"importance of each setting for the score, by functional ANOVA: {told}")
    for sentence in sentences(record):
        say(sentence)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
