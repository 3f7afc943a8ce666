"""The data of the report: a run's predictions by `ripik.analysis`, and the files next to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ripik import analysis
from ripik.analysis import Predictions
from ripik.analysis.measures import CORRECTED
from ripik.analysis.metrics import get_metric
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.training.jobs import jobs_of, unfinished

Maps = dict[tuple[str, str], np.ndarray]  # by image id and class as text: Grad-CAM, float32 (h, w) of 0–1


@dataclass(frozen=True, eq=False)
class Evidence:
    """A run's predictions and blend.

    members: the variants' predictions by name. blend: that of `record`, the content of weights.json; both None where
    there is no blend of the present predictions.
    """

    run: Run
    members: dict[str, Predictions]
    blend: Predictions | None
    record: dict[str, Any] | None

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.layout.run

    @property
    def everyone(self) -> dict[str, Predictions]:
        """The members, then the blend where there is one."""
        return {**self.members, **({self.blend.name: self.blend} if self.blend else {})}

    @cached_property
    def focus(self) -> Predictions:
        """What the report looks into: the blend, or else the best member."""
        return self.blend or self.members[self.best]

    @cached_property
    def best(self) -> str:
        """The member of the best OOF score."""
        metric = get_metric(self.focus_metric)
        return max(self.members, key=lambda name: metric.utility(float(self.scores[name][metric.name]["value"])))

    def has(self, member: str, file: str) -> bool:
        """Whether every training of a member has this file in its folder."""
        jobs = jobs_of(self.run.settings, self.run.settings.variants[member])
        return all((self.run.layout.job(job) / file).is_file() for job in jobs)

    @cached_property
    def unfinished(self) -> list[str]:
        """The variants with a training that is missing or was made with other settings or data."""
        return unfinished(self.run)

    @property
    def submission(self) -> str:
        """The name of the submission CSV that the blend wrote; empty without a blend, or a sample submission."""
        meta = artifacts.read_meta(self.run.layout.ensemble / "meta.json") if self.record else None
        return Path(meta.get("submission", "")).name if meta else ""

    @property
    def focus_metric(self) -> str:
        """The competition's metric."""
        return self.run.settings.competition.metric

    @cached_property
    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """`analysis.scores` of each by name: value, low, high and error of every score."""
        found = {name: analysis.scores(of).set_index("score") for name, of in self.everyone.items()}
        return {name: {str(score): dict(row) for score, row in frame.iterrows()} for name, frame in found.items()}

    @cached_property
    def corrected(self) -> dict[str, float]:
        """The competition's metric by corrected labels of each by name; empty where nothing is corrected."""
        name = CORRECTED.format(self.focus_metric)
        return {of: float(found[name]["value"]) for of, found in self.scores.items() if name in found}

    @cached_property
    def explained(self) -> str:
        """The member whose Grad-CAM is shown: the one of most weight, of equals the best."""
        if not self.record:
            return self.best
        weights, metric = self.record["weights"], get_metric(self.focus_metric)
        return max(
            self.members,
            key=lambda name: (
                round(weights.get(name, 0.0), 9),
                metric.utility(float(self.scores[name][metric.name]["value"])),
            ),
        )


def gather(settings: Settings, record: dict[str, Any] | None) -> Evidence:
    """Read what a run has predicted; `record` is the content of weights.json, None where the blend is not up to date.

    Raises InputError when no variant has an `oof.csv`.
    """
    run, metric = Run.open(settings), settings.competition.metric
    named = {name: run.layout.variant(name) for name in settings.variants}
    made = {name: folder for name, folder in named.items() if (folder / "oof.csv").is_file()}
    members = {name: analysis.load(folder, metric=metric) for name, folder in made.items()}
    if not members:
        raise InputError(f"no variant of {run.layout.run} has an oof.csv. Run `make train`, then `make report`.")
    return Evidence(run, members, analysis.load(run.layout.ensemble, metric=metric) if record else None, record)
