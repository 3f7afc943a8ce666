"""The report's section on searches: what the record of a search and the marks of variants tell."""

import json
from types import SimpleNamespace
from typing import Any

from conftest import Tiny
from ripik.report.blocks import Charts, Table, Text
from ripik.report.sections.search import searches
from ripik.tuning.record import lines, searched

MARK = "variants.original.tuned={trials=3, cv=0.61, corrected=0.58}"


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "error": 0.05}


def record(variant: str = "original") -> dict[str, Any]:
    rates, scores = (1e-4, 1e-3, 1e-2), (0.5, 0.61, 0.55)
    trials = [
        {
            "number": n,
            "values": {"learning_rate": rate, "schedule": kind},
            "scores": [score],
            "whole": True,
            "seconds": 1.0,
        }
        for n, (rate, score, kind) in enumerate(zip(rates, scores, ("cosine", "constant", "cosine"), strict=True))
    ]
    dropped = {**trials[0], "number": 3, "scores": [0.1], "whole": False}
    kinds = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "schedule": ["cosine", "constant"]}
    return {
        "variant": variant,
        "metric": "macro_f1",
        "ranges": kinds,
        "trials": [*trials, dropped],
        "best": trials[1],
        "naive": interval(0.61),
        "corrected": interval(0.58),
        "gain": interval(0.11),
        "default": True,
        "importances": {"learning_rate": 0.8, "schedule": 0.2},
    }


def evidence(tiny: Tiny, *overrides: str) -> Any:
    settings = tiny.settings(*overrides)
    return SimpleNamespace(run=SimpleNamespace(settings=settings), members=dict.fromkeys(settings.variants))


def test_a_search_is_shown_with_its_trials_slices_and_both_scores(tiny: Tiny) -> None:
    folder = tiny.run / "tune"
    folder.mkdir(parents=True)
    (folder / "original.json").write_text(json.dumps(record()))
    section = searches(evidence(tiny))
    tables, texts, drawn = ([b for b in section.blocks if isinstance(b, kind)] for kind in (Table, Text, Charts))
    cells = {row[0]: row[1] for row in tables[0].rows}
    assert cells["macro F1 of the best, naive"].startswith("0.6100")
    assert cells["corrected for the choice"].startswith("0.5800")
    assert cells["trials, and how many on all folds"] == "4, 3"
    assert "the search adapts" in texts[0].text
    assert [chart.title for chart in drawn[0].charts] == [
        *("Trials of the search", "Search over learning_rate", "Search over schedule"),
    ]
    assert "trial 1" in drawn[0].charts[0].description


def test_a_tuned_variant_is_named_where_its_search_is_elsewhere(tiny: Tiny) -> None:
    (text,) = searches(evidence(tiny, MARK)).blocks
    assert isinstance(text, Text)
    assert text.notable
    assert "original was tuned: the best of 3 trials: 0.6100, corrected 0.5800" in text.text


def test_without_search_and_mark_there_is_nothing_to_show(tiny: Tiny) -> None:
    assert not searched(tiny.settings())
    assert searched(tiny.settings(MARK))
    (tiny.run / "tune").mkdir(parents=True)
    (tiny.run / "tune" / "original.json").write_text("{")
    assert not searched(tiny.settings())


def test_the_lines_hold_the_values_as_the_trial_had_them() -> None:
    text = lines(record("upper"))
    assert '[variants.upper]\nlearning_rate = 0.001\nschedule = "constant"\n' in text
    assert "[variants.upper.tuned]\ntrials = 4\ncv = 0.61\ncorrected = 0.58\n" in text
