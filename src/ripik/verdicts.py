"""What a person is told of a finished blend: tables and plain sentences."""

from typing import Any

import numpy as np

from ripik.bootstrap import Interval
from ripik.console import say, table
from ripik.nested import Nested
from ripik.scores import LEVEL, ends

SHIFT = 0.05  # difference of a class share from which it is spoken of


def show_blend(told: dict[str, Any], found: Nested) -> None:
    """Print members and CV, what was looked at on the way, the classes' F1, and what to expect of the test set.

    `told` is the content of weights.json.
    """
    _members(told)
    _options(found, told["metric"])
    _classes(told)
    _say_members(told)
    _say_spread(told, found)
    _say_test(told)


def _members(told: dict[str, Any]) -> None:
    scores = told["scores"]
    rows = [
        [name, f"{told['weights'][name]:.3f}", *_cells(score), f"{score['accuracy']['value']:.4f}"]
        for name, score in scores["members"].items()
    ]
    cv = scores["intervals"]
    rows += [
        ["blend, nested: CV", "", *_cells(cv), f"{cv['accuracy']['value']:.4f}"],
        *_other_partitions(scores),
        ["blend, in-sample", "", f"{scores['in_sample']:.4f}", "", "", ""],
    ]
    columns = ["member", "weight", f"OOF {told['metric']}", LEVEL, "mean of folds", "accuracy"]
    table(f"Ensemble: {told['method']}", columns, rows)


def _cells(score: dict[str, Any]) -> list[str]:
    pooled = score["pooled"]
    return [f"{pooled['value']:.4f}", ends(Interval(**pooled)), f"{score['mean_of_folds']:.4f}"]


def _other_partitions(scores: dict[str, Any]) -> list[list[str]]:
    """Return a row with the mean of the nested scores by other partitions; no row where there are none."""
    others = scores["cross_fitted_by_partition"]
    return [[f"blend, nested: mean of {len(others)} partitions", "", f"{np.mean(others):.4f}", "", "", ""]] * bool(
        others
    )


def _options(found: Nested, metric: str) -> None:
    rows = [
        [
            f"{option.stage}: {option.name}",
            f"{option.score:.4f}",
            f"{option.gain.value:+.4f} ± {option.gain.error:.4f}" if option.gain.error else "",
            "chosen" if option.chosen else "",
        ]
        for option in found.options
    ]
    if rows:
        columns = ["option", f"cross-fitted {metric}", "gain ± its error", ""]
        table("What was chosen on all folds; the CV chooses again without each", columns, rows)


def _classes(told: dict[str, Any]) -> None:
    shares = told["test"]
    rows = [
        [label, f"{f1['value']:.3f}", ends(Interval(**f1)), f"{train:.3f}", f"{estimated:.3f}"]
        for (label, f1), train, estimated in zip(
            told["scores"]["intervals"]["class_f1"].items(),
            shares["class_shares_in_train"].values(),
            shares["class_shares_estimated"].values(),
            strict=True,
        )
    ]
    table("Classes", ["label", "CV F1", LEVEL, "share in train", "estimated in test"], rows)


def _say_members(told: dict[str, Any]) -> None:
    if told["dropped"]:
        say(f"{', '.join(told['dropped'])} add nothing to the blend and are dropped (weight 0).")


def _say_spread(told: dict[str, Any], found: Nested) -> None:
    """Say how the CV spreads: by fold, and by the partition that recipes are chosen by."""
    by_fold = [score for score in told["scores"]["cross_fitted_by_fold"] if np.isfinite(score)]
    others, parts = told["scores"]["cross_fitted_by_partition"], len(found.recipes)
    again = f", over {len(others)} other partitions {_range([told['scores']['cross_fitted'], *others])}"
    say(
        f"Spread of the CV: by fold {_range(by_fold)}{again if others else ''}. "
        f"{found.agreeing} of {parts} parts chose, without their own rows, what all rows chose."
    )


def _range(values: list[float]) -> str:
    return f"{min(values):.4f}–{max(values):.4f} (deviation {np.std(values, ddof=min(1, len(values) - 1)):.4f})"


def _say_test(told: dict[str, Any]) -> None:
    expected, test = Interval(**told["test"]["expected_score"]), told["test"]
    say(
        f"CV {told['metric']} {expected.value:.4f}. A test set of {test['photos']} such photos scores {ends(expected)} "
        f"with a probability of {LEVEL}, chance in both sets counted."
    )
    pairs = zip(test["class_shares_in_train"].items(), test["class_shares_estimated"].values(), strict=True)
    moved = [label for (label, share), estimated in pairs if abs(estimated - share) > SHIFT]
    if moved:
        say(
            f"The test set may have other shares of class {', '.join(moved)} than train. An estimate from these models "
            "is no more sure than they are; decision.prior_shift = true follows it, and the CV shows what that costs."
        )
