"""The hyperparameter searches of the run: trials, results, and the best score corrected for the selection."""

from __future__ import annotations

from typing import Any

from ripik.analysis.metrics import get_metric
from ripik.report import charts
from ripik.report.blocks import Block, Section, Table, Text
from ripik.report.charts.words import change, ends, number, signed, spoken
from ripik.report.evidence import Evidence
from ripik.report.sections.results import drawn
from ripik.tuning.made_from import differs
from ripik.tuning.record import LEFT, best_so_far, records


def searches(evidence: Evidence) -> Section:
    """Which variants were tuned, and each search that the run holds."""
    settings = evidence.run.settings
    blocks: list[Block] = [
        Text(
            f"{name} was tuned: {settings.variants[name].search}. Its settings were chosen on these rows, so its CV is "
            "optimistic.",
            True,
        )
        for name in evidence.members
        if settings.variants[name].search
    ]
    for record in records(settings):
        blocks += [*_old(differs(evidence.run, record), record["variant"]), *_search(record)]
    return Section("search", "Search", blocks)


def _old(other: list[str], variant: str) -> list[Block]:
    """Return a note on a search that was made with other inputs than the current configuration."""
    said = f"The search over {variant} was made with other inputs than the current run: {', '.join(other)}."
    return [Text(f"{said} Its scores do not apply to the current run.", True)] if other else []


def _search(record: dict[str, Any]) -> list[Block]:
    whole = [trial for trial in record["trials"] if trial["whole"]]
    scores, metric = [trial["scores"][-1] for trial in whole], record["metric"]
    history = charts.trials([trial["number"] for trial in whole], scores, _best(record), metric)
    slices = [
        charts.slice_of(key, [trial["values"][key] for trial in whole], scores, metric) for key in record["ranges"]
    ]
    return [_table(record, len(whole)), *drawn(history, *slices), Text(LEFT)]


def _best(record: dict[str, Any]) -> dict[int, float]:
    return dict(best_so_far(record, greater_is_better=get_metric(record["metric"]).greater_is_better))


def _table(record: dict[str, Any], whole: int) -> Table:
    """Return the search in short: naive against corrected, against the variant as it was, and what matters."""
    naive, corrected, gain = record["naive"], record["corrected"], record.get("gain")
    values = ", ".join(f"{key} {value}" for key, value in record["best"]["values"].items())
    weighty = ", ".join(f"{key} {share:.0%}" for key, share in record["importances"].items())
    metric = spoken(record["metric"])
    rows = [
        ["trials, and how many on all folds", f"{len(record['trials'])}, {whole}"],
        [f"{metric} of the best, naive", f"{number(naive['value'], 4)}; {ends(naive['low'], naive['high'])}"],
        ["corrected for the choice", f"{number(corrected['value'], 4)}; {ends(corrected['low'], corrected['high'])}"],
        *(
            [["gain over the variant before tuning", f"{signed(gain['value'])}; {change(gain['low'], gain['high'])}"]]
            if gain
            else []
        ),
        ["best settings", values],
        *([["importance for the score", weighty]] if weighty else []),
    ]
    return Table(f"The search over {record['variant']}", ["", "95 %"], rows, wrapped=True)
