"""The printed summary of a finished blend: tables and sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ripik.analysis.intervals import Interval
from ripik.analysis.metrics import get_metric
from ripik.console import say, table, warn
from ripik.ensemble.expectation import sentence, size_told
from ripik.ensemble.nested_cv import DIGITS, Nested
from ripik.training.scores import CORRECTED, LEVEL, Scores, beside, ends
from ripik.variants import searched


def print_blend(record: dict[str, Any], found: Nested) -> None:
    """Print members and CV, what was looked at on the way, the classes' F1, and what to expect of the test set.

    `record` is the content of weights.json.
    """
    _members(record)
    _options(record, found.left_out)
    _classes(record)
    _say_members(record)
    _say_tuned(record)
    _say_spread(record, found)
    _say_test(record)


def _members(record: dict[str, Any]) -> None:
    scores, more = record["scores"], beside(record["metric"])
    rows = [
        [name, f"{record['weights'][name]:.3f}", *Scores.from_json(score).cells(accuracy=bool(more))]
        for name, score in scores["members"].items()
    ]
    cv = scores["intervals"]
    corrected = [CORRECTED] if "corrected" in cv else []
    rows += [
        ["blend, nested: CV", "", *Scores.from_json(cv).cells(accuracy=bool(more))],
        *_other_partitions(scores, 2 + len(corrected + more)),
        ["blend, in-sample", "", f"{scores['in_sample']:.4f}", *[""] * (2 + len(corrected + more))],
    ]
    columns = ["member", "weight", f"OOF {record['metric']}", LEVEL, *corrected, "mean of folds", *more]
    table(f"Ensemble: {record['method']}", columns, rows)


def _other_partitions(scores: dict[str, Any], empty: int) -> list[list[str]]:
    """Return a row with the mean of the nested scores by other partitions, cells left empty; none without them."""
    others = scores["cross_fitted_by_partition"]
    row = [f"blend, nested: mean of {len(others)} partitions", "", f"{np.mean(others or [0]):.4f}", *[""] * empty]
    return [row] if others else []


def _options(record: dict[str, Any], left_out: Sequence[str]) -> None:
    options = record["options"]
    rows = [
        [
            f"{option['stage']}: {option['name']}",
            f"{option['score']:.4f}",
            f"{option['gain']['value']:+.4f} ± {option['gain']['error']:.4f}" if option["gain"]["error"] else "",
            verdict,
        ]
        for option, verdict in zip(options, verdicts(options, record["metric"]), strict=True)
    ]
    if rows:
        columns = ["option", f"cross-fitted {record['metric']}", "gain ± its error", ""]
        table("Options compared on all folds; the nested CV chooses again without each fold", columns, rows)
    for sentence_of_it in left_out:
        say(sentence_of_it)


def verdicts(options: Sequence[dict[str, Any]], metric: str) -> list[str]:
    """Return a word on each option of weights.json: that it was chosen, or why it was not though it scored better."""
    utility = get_metric(metric).utility
    worth = [utility(float("nan") if option["score"] is None else option["score"]) for option in options]
    best = {option["stage"]: of for option, of in zip(options, worth, strict=True) if option["chosen"]}
    return [_verdict(option, of - best[option["stage"]]) for option, of in zip(options, worth, strict=True)]


def _verdict(option: dict[str, Any], better: float) -> str:
    error = option["gain"]["error"]
    if option["chosen"]:
        return "chosen"
    if not (error and round(better, DIGITS) > 0 and np.isfinite(better)):
        return ""
    gain = abs(option["gain"]["value"])
    return "gain within its error" if gain <= error else f"gain only {gain / error:.1f} × its error"


def _classes(record: dict[str, Any]) -> None:
    shares = record["test"]
    rows = [
        [
            label,
            f"{f1['value']:.3f}",
            ends(Interval.from_json(f1)),
            f"{train:.3f}",
            f"{estimated:.3f}",
            f"{low:.3f}–{high:.3f}",
        ]
        for (label, f1), train, estimated, (low, high) in zip(
            record["scores"]["intervals"]["class_f1"].items(),
            shares["class_shares_in_train"].values(),
            shares["class_shares_estimated"].values(),
            zip(shares["class_shares_low"].values(), shares["class_shares_high"].values(), strict=True),
            strict=True,
        )
    ]
    table("Classes", ["label", "CV F1", LEVEL, "share in train", "estimated in test", LEVEL], rows)


def _say_members(record: dict[str, Any]) -> None:
    if record["dropped"]:
        say(f"{', '.join(record['dropped'])} add nothing to the blend and are dropped (weight 0).")
    if record["refits"]:
        say(
            f"{', '.join(record['refits'])}: refits predict the test set. They have no out-of-fold rows to calibrate "
            "them; the class shares use the calibration of their fold models."
        )


def _say_tuned(record: dict[str, Any]) -> None:
    """Say that the CV is of settings that were searched for on the same rows."""
    for name, mark in record["tuned"].items():
        say(f"{name} was tuned, {searched(mark)}. The CV of the blend does not account for that search.")


def _say_spread(record: dict[str, Any], found: Nested) -> None:
    """Say how the CV spreads: by fold, and by the partition that recipes are chosen by."""
    by_fold = [score for score in record["scores"]["cross_fitted_by_fold"] if np.isfinite(score)]
    others = record["scores"]["cross_fitted_by_partition"]
    again = f", over {len(others)} other partitions {_range(others)}"
    say(
        f"Spread of the CV: by fold {_range(by_fold)}{again if others else ''}. "
        f"Chosen again without each fold, the blend's options were "
        f"{same_in(found.agreeing, len(found.recipes), len(record['scores']['cross_fitted_by_fold']))}."
    )


def same_in(agreeing: int, parts: int, folds: int) -> str:
    """Return in how many of the parts the choice was that of all rows; parts are the folds, or halves of two."""
    shown = f"all {parts}" if agreeing == parts else f"{agreeing} of {parts}"
    return f"the same in {shown} {'folds' if parts == folds else 'halves of folds'}"


def _range(values: list[float]) -> str:
    if not values:
        return "undefined"
    return (
        f"{min(values):.4f}–{max(values):.4f} (standard deviation {np.std(values, ddof=min(1, len(values) - 1)):.4f})"
    )


def _say_test(record: dict[str, Any]) -> None:
    test, cv = record["test"], record["scores"]["cross_fitted"]
    if of_another_kind := sentence(test, record["metric"]):
        warn(f"CV {record['metric']} {cv:.4f} only applies to photos like train. {of_another_kind}")
    elif test["expected_score"] is None:
        say(f"CV {record['metric']} {cv:.4f}; {test['shift']['left_out']}.")
    else:
        expected = Interval.from_json(test["expected_score"])
        say(
            f"CV {record['metric']} {cv:.4f}. {size_told(test)} is expected to score "
            f"{ends(expected)} with {LEVEL} probability, sampling noise of both sets included."
        )
    corrected = record["scores"].get("cross_fitted_by_corrected_labels")
    if corrected is not None:
        say(
            f"With the corrected labels the CV would be {corrected:.4f}. The organiser scores with the original "
            "labels, so the range is for those."
        )
    if test["class_shares_moved"]:
        say(
            f"The test set seems to have different shares of class {', '.join(test['class_shares_moved'])} than train: "
            f"beyond the {LEVEL} interval, if the classes look the same in both sets. decision.prior_shift = true "
            "adapts to the estimate, and the CV shows what that costs."
        )
