"""Training and blending: learning curves, calibration, the blend, and what views and offsets add."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from ripik import analysis
from ripik.console import say
from ripik.ensemble.summary import verdicts
from ripik.errors import RipikError
from ripik.report import charts as plots
from ripik.report.blocks import Beside, Block, Section, Table, Text, drawn, numbers
from ripik.report.charts.words import change, ends, number, share, signed, spoken
from ripik.report.evidence import Evidence

STEPS = 5  # of the search for the weights that the table shows


def learning(evidence: Evidence) -> Section:
    """The training loss of every fold by epoch, and the inner split's score where there is one."""
    names = [name for name in evidence.members if evidence.has(name, "history.csv")]
    histories = {name: analysis.history(evidence.folder, name) for name in names}
    charts = [
        plots.learning_curves(history, column, name)
        for name, history in histories.items()
        if history["epoch"].nunique() > 1  # a fitted head has one
        for column in ["loss", *(each for each in _inner(history) if each != "inner_loss")]
    ]
    text = "One thin line per fold, on its training rows; dashed: on the inner split, if there is one."
    curves: list[Block] = [Text(text), *drawn(*charts)] if charts else []
    blocks: list[Block] = [*curves, _last(histories)] if histories else []
    return Section("learning", "Learning curves", blocks)


def _inner(history: pd.DataFrame) -> list[str]:
    return [column for column in history.columns if column.startswith("inner_")]


def _last(histories: dict[str, pd.DataFrame]) -> Table:
    """Return the last epoch of each variant's trainings on folds: their mean."""
    means = {}
    for name, history in histories.items():
        folds = history[history["fold"] >= 0].groupby(["fold", "seed"]).last()
        means[f"{name}, epoch {number(folds['epoch'].mean(), 0)}"] = folds[["loss", *_inner(history)]].mean()
    table = pd.DataFrame(means).T
    return numbers("After the last epoch, mean of the folds", table.rename(columns=spoken), 3)


def calibration(evidence: Evidence) -> Section:
    """Whether probabilities are shares of right predictions."""
    rows = [
        [name, number(analysis.calibration_error(of), 4), number(evidence.scores[name]["log_loss"]["value"], 4)]
        for name, of in evidence.everyone.items()
    ]
    table = Table("Calibration error of each model", ["", "calibration error (ECE)", "log loss"], rows)
    bins = analysis.calibration(evidence.focus)
    chart = plots.reliability({evidence.focus.name: bins})
    return Section("calibration", "Calibration", [Beside([*drawn(chart), _bins(evidence.focus.name, bins), table])])


def _bins(name: str, bins: pd.DataFrame) -> Table:
    rows = [
        [
            f"{share(row['low'])} to {share(row['high'])}",
            f"{row['images']:.0f}",
            *(share(row[column]) for column in ("confidence", "accuracy")),
            ends(row["accuracy_low"], row["accuracy_high"]),
        ]
        for row in bins.to_dict("records")
    ]
    columns = ["confidence", "images", "mean confidence", "accuracy", "95 %"]
    return Table(f"Accuracy of {name} by confidence", columns, rows)


def blend(evidence: Evidence) -> Section:
    """Weights, what was looked at before they were chosen, the search's trajectory, and how alike the members are."""
    blocks: list[Block] = []
    metric = spoken(evidence.focus_metric)
    if evidence.record:
        trajectory = plots.trajectory(evidence.record["trajectory"], evidence.focus_metric, evidence.record["members"])
        charts = drawn(plots.weights(evidence.record["weights"]), trajectory)
        tables = [_found(evidence.record, metric), *_options(evidence.record["options"], evidence.focus_metric)]
        blocks.append(Beside([*charts, *tables]))
    if len(evidence.members) > 1:
        alike = analysis.correlation(evidence.members)
        table = numbers("Correlation of the probability of the true class", alike, 2)
        blocks.append(Beside([*drawn(plots.correlation(alike)), table, _hits(evidence)]))
    return Section("blend", "Blend and members", blocks)


def _found(record: dict[str, Any], metric: str) -> Table:
    """Return the weights, where they were searched at up to `STEPS` of the steps, with the score of each."""
    trajectory = record["trajectory"]
    if len(trajectory) < 2:
        return numbers("Weights in the blend", pd.DataFrame({"weight": record["weights"]}))
    shown = [trajectory[int(at)] for at in np.linspace(0, len(trajectory) - 1, min(STEPS, len(trajectory)))]
    heads = [f"{metric}, in-sample", *record["members"]]
    steps = {f"step {each['step']}": [each["score"], *each["weights"]] for each in shown}
    return numbers("How the weights were found", pd.DataFrame(steps, index=heads))


def _options(options: list[dict[str, Any]], metric: str) -> list[Table]:
    rows = [
        [
            f"{option['stage']}: {option['name']}",
            number(option["score"], 4),
            _with_error(option["gain"]),
            verdict,
        ]
        for option, verdict in zip(options, verdicts(options, metric), strict=True)
    ]
    marked = [row for row, option in enumerate(options) if option["chosen"]]
    columns = ["option", f"cross-fitted {spoken(metric)}", "gain ± its error", ""]
    return [Table("Options compared on all folds", columns, rows, marked)] if rows else []


def _with_error(gain: dict[str, float]) -> str:
    return f"{signed(gain['value'])} ± {number(gain['error'], 4)}" if gain["error"] else ""


def _hits(evidence: Evidence) -> Table:
    found = analysis.hits(evidence.members)
    rows = found[["member", "right", "only_right", "only_wrong"]].astype(str).to_numpy().tolist()
    columns = ["", "correct", "only this one correct", "only this one wrong"]
    return Table("Images that each member predicts correctly", columns, rows)


def adding(evidence: Evidence) -> Section:
    """What each test-time view adds to each variant, and the blend's class offsets."""
    found = {
        name: views for name in evidence.members if (views := _views(evidence, name)) is not None and len(views) > 1
    }
    blocks: list[Block] = [*drawn(*(plots.views(views, evidence.focus_metric, name) for name, views in found.items()))]
    rows = [[name, *_view(row)] for name, views in found.items() for row in views.to_dict("records")]
    if rows:
        columns = ["variant", "view", f"alone, {spoken(evidence.focus_metric)}", "all others", "adds", "95 %"]
        blocks.append(Table("What each view adds to the merge of all others", columns, rows))
    return Section("views", "Views and offsets", [*blocks, *_offsets(evidence)])


def _views(evidence: Evidence, name: str) -> pd.DataFrame | None:
    """Return what the views of a variant add; None, with a message, where its files are missing."""
    try:
        return analysis.views(evidence.folder, name, metric=evidence.focus_metric)
    except RipikError as error:
        say(f"report: the views of {name} are left out: {error}")
        return None


def _view(row: dict[Hashable, Any]) -> list[str]:
    scores = [number(row["alone"], 4), number(row["without"], 4)]
    return [row["view"], *scores, signed(row["adds"]), change(row["low"], row["high"])]


def _ranks(record: dict[str, Any]) -> Text:
    """Return what the blend decides by where it has no class offsets."""
    ranks = record.get("fitted", {}).get("ranks")
    if not ranks:
        return Text("The blend uses no class offsets.")
    thresholds = ", ".join(number(value, 3) for value in ranks["thresholds"])
    return Text(f"The blend takes the class of the expected rank, with the thresholds {thresholds}.")


def _offsets(evidence: Evidence) -> list[Block]:
    fitted = (evidence.record or {}).get("fitted", {}).get("offsets")
    if not fitted:
        return [_ranks(evidence.record)] if evidence.record else []
    values = dict(zip(evidence.focus.classes, fitted["values"], strict=True))
    table = numbers("Added to the logarithm of each class's probability", pd.DataFrame({"offset": values}), 3)
    return [Beside([*drawn(plots.offsets(values)), table])]
