"""The inputs of a blend, and the finished blend of a run if it is up to date."""

from collections.abc import Sequence
from typing import Any

from ripik.names import ORDERED
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.training.jobs import trainings_of
from ripik.training.oof import rows_digest
from ripik.tuning.made_from import differs
from ripik.tuning.record import records, searched

RANKS = 1  # the same of ranks alone, which only blends by the metric that knows an order try
METHODS = 3  # to be raised when a recipe, its choice, its fitting or what it is fitted on changes


def finished_blend(run: Run) -> dict[str, Any] | None:
    """Return the content of weights.json where it was made from the recorded predictions and present settings, or None.

    Whether the predictions are those of the present settings is for `Training.is_done` to say.
    """
    record = artifacts.read_if_whole(run.layout.ensemble / "weights.json")
    if not isinstance(record, dict) or not {"weights", "members", "fitted", "test"} <= set(record):
        return None
    if not isinstance(record["members"], list):
        return None
    known = set(map(str, record["members"])) <= set(run.settings.variants)
    return record if known and blend_artifact(run, record["members"]).is_fresh else None


def shown_inputs(run: Run, blend: dict[str, Any] | None) -> dict[str, Any]:
    """Return what determines a page about the run: every `oof.csv` there is, and the blend, of `finished_blend`."""
    folders = [run.layout.variant(name) for name in run.settings.variants] + ([run.layout.ensemble] if blend else [])
    files = [folder / "oof.csv" for folder in folders]
    predictions = {file.parent.name: artifacts.file_digest(file) for file in files if file.is_file()}
    found = records(run.settings)
    other = [each for each in (differs(run, record) for record in found) if each]
    marks = [each.search for each in run.settings.variants.values()]
    searches = artifacts.digest([found, marks, *([other] if other else [])])
    told = {"searches": searches} if searched(run.settings) else {}
    return {"predictions": predictions, "blend": artifacts.digest(blend), **told}


def blend_artifact(run: Run, members: Sequence[str]) -> Artifact:
    """Return `oof.csv`, `test.csv` and `weights.json` of a blend of the members, by what determines them."""
    folder = run.layout.ensemble
    files = tuple(folder / name for name in ("oof.csv", "test.csv", "weights.json"))
    return Artifact(folder / "meta.json", blend_inputs(run, members), files)


def blend_inputs(run: Run, members: Sequence[str]) -> dict[str, Any]:
    """Return what determines a blend of the members and its submission."""
    trainings = [each for name in members for each in trainings_of(run, run.settings.variants[name])]
    tuned = {name: run.settings.variants[name].tuned for name in members if run.settings.variants[name].tuned}
    return {
        "version": METHODS,
        **_of_ordered(run.settings),
        "members": {str(each): each.predictions_digest for each in trainings},
        "rows": rows_digest(run),
        "merge": run.settings.prediction.merge,
        "views": list(run.settings.prediction.views) if run.settings.blend.views == "auto" else None,
        "blend": run.settings.blend.recorded(),
        "decision": run.settings.decision.recorded(),
        "groups": [artifacts.digest(run.groups["group"].tolist()), artifacts.digest(witnesses.train(run).tolist())]
        + ([artifacts.digest(witnesses.test(run).tolist())] if "group" in run.competition.test else []),
        "folds": run.folds_digest,
        **({"tuned": tuned} if tuned else {}),
        **run.competition.correction_inputs(),
        "competition": {
            **run.settings.competition.recorded(exclude={"submission", "positive_class"}),
            **(run.competition.form.as_settings() if run.competition.form else {}),
        },
        "sample": artifacts.digest(run.competition.sample.to_csv(index=False)),
    }


def _of_ordered(settings: Settings) -> dict[str, int]:
    """Return what a blend by the metric that knows an order of the classes records; nothing for every other one."""
    tried = settings.competition.metric == ORDERED and settings.decision.ranks != "off"
    return {"ranks": RANKS} if tried else {}
