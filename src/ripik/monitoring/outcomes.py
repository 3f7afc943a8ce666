"""The state of what follows the trainings: each `oof.csv`, the blend, the last submission, the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.analysis.submission_record import record_of, run_of
from ripik.ensemble.finished import finished_blend, shown_inputs
from ripik.errors import InputError
from ripik.monitoring.job_state import FINISHED, JobState
from ripik.splits.run import Run
from ripik.storage.paths import Layout
from ripik.storage.up_to_date import FRESH, MISSING, STALE, Artifact
from ripik.training.oof import merged_artifact
from ripik.variants import Variant

YOURS, BROKEN = "yours", "broken"


@dataclass(frozen=True)
class Part:
    """A file or step of the run: `state` is FRESH, YOURS (edited by hand), STALE, BROKEN or MISSING.

    without: the variants that an up-to-date blend was made without.
    """

    name: str
    state: str
    detail: str = ""
    value: float | None = None  # a score, where the part has one
    without: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether what needs it can begin: it is up to date, or made by the user."""
        return self.state in (FRESH, YOURS)


def oof_state(layout: Layout, run: Run | None, variant: Variant, states: Sequence[JobState]) -> Part:
    """Return whether a variant's `oof.csv` is there and made from the present predictions, and its score.

    A run of an earlier version recorded fewer inputs; those are compared that it has.
    """
    if not (layout.variant(variant.name) / "oof.csv").exists():
        return Part("oof.csv", MISSING)
    if run is None or any(found.state != FINISHED for found in states):
        return Part("oof.csv", STALE)
    try:
        merged = merged_artifact(run, variant)
    except InputError as error:
        return Part("oof.csv", STALE, str(error))
    record = merged.record or {"inputs": {}}
    known = {name: of for name, of in merged.inputs.items() if name in record["inputs"]}
    if not replace(merged, inputs=known).is_fresh:
        return Part("oof.csv", STALE)
    score = record.get("scores", {}).get("pooled", {}).get("value") if "metric" in record["inputs"] else None
    return Part("oof.csv", FRESH, "", score)


def blend_record(run: Run | None) -> dict[str, Any] | None:
    """Return what `finished_blend` does; None, too, where files that it asks for are broken or missing."""
    try:
        return finished_blend(run) if run else None
    except InputError:
        return None


def blend_state(layout: Layout, record: dict[str, Any] | None, oofs: Mapping[str, Part]) -> Part:
    """Return whether there is a blend of the present predictions, `record`, its weights and CV; oofs: by variant."""
    if not (layout.ensemble / "weights.json").exists():
        return Part("blend", MISSING)
    if record is None:
        return Part("blend", STALE, "made from other predictions or settings")
    stale = [name for name, oof in oofs.items() if name in record["members"] and not oof.ready]
    if stale:
        return Part("blend", STALE, f"the oof.csv of {', '.join(stale)} is stale")
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in record["weights"].items() if weight > 0)
    without = tuple(name for name in oofs if name not in record["members"])
    told = f"{weights}; without {', '.join(without)}" if without else weights
    return Part("blend", FRESH, told, record["scores"]["cross_fitted"], without)


def last_submission(path: Path, run: str) -> dict[str, str]:
    """Return what the log `path` says about a run's last submission; empty without one."""
    try:
        log = pd.read_csv(path, dtype=str, keep_default_na=False)
        files = [path.parent / file for file in log["file"]]
        mine = log[[run_of(file, record_of(file)) == run for file in files]]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(key): str(value) for key, value in mine.iloc[-1].items()} if len(mine) else {}


def report_state(layout: Layout, run: Run | None, record: dict[str, Any] | None, blend: Part) -> Part:
    """Return whether there is a report, and whether it shows the present predictions and blend."""
    page = layout.report / "index.html"
    if not page.exists():
        return Part("report", MISSING)
    if run is None or not blend.ready:
        return Part("report", STALE, f"the blend is {blend.state}")
    shown = shown_inputs(run, record)
    record = Artifact.of(page, shown).record
    if record is None:
        return Part("report", STALE, "interrupted, or its meta file is missing")
    if lacked := record["inputs"].get("unfinished"):
        return Part("report", STALE, f"made before {', '.join(map(str, lacked))} had all their trainings")
    made = Artifact.of(page, {**record["inputs"], **shown})
    if made.is_fresh:
        return Part("report", FRESH)
    return Part("report", STALE, "made from other predictions" if made.state == STALE else "edited, or damaged")
