"""The step `ensemble`: blend the variants as tuned on OOF, score the blend honestly, write and log the submission."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.metrics import get_metric
from ripik.analysis.truth import labels_of
from ripik.analysis.view_gains import merge as merge_views
from ripik.console import progress, say, warn
from ripik.data.image_check import tell_unreadable
from ripik.data.submission_form import tell_form
from ripik.ensemble.class_shares import ClassShares, estimate_shares, shares_of_train
from ripik.ensemble.expectation import expectation, why_left_out
from ripik.ensemble.finished import blend_artifact
from ripik.ensemble.inputs import known_rows, said_of_test, test_rows
from ripik.ensemble.nested_cv import Nested, nest, tuning_folds
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions, views_of
from ripik.ensemble.submission_files import write_submission
from ripik.ensemble.submission_log import LOG, check_log
from ripik.ensemble.summary import print_blend
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.splits import witnesses
from ripik.splits.folds import check_made_from
from ripik.splits.groups import make_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.up_to_date import Artifact
from ripik.training.jobs import choose_variants, trainings_of
from ripik.training.oof import probability_columns
from ripik.training.pipeline import check_settings, predict_run
from ripik.training.scores import Scores, score_rows


def ensemble(settings: Settings, variants: Sequence[str] = (), *, partial: bool = False) -> Path:
    """Blend the variants (none: all), predicting what is missing first; return the path of the submission CSV.

    Without a sample submission none is written, and the path is that of the blend's test.csv.

    Writes ensemble/oof.csv (each row as a recipe tuned on the other folds blends it), test.csv (by the recipe tuned on
    all), weights.json, and a checked, logged submission. A blend whose inputs did not change is not made again.
    With `partial`, variants that are not trained to the end are left out, and a warning names them.
    """
    check_settings(settings)
    choose_variants(settings, variants)
    run = Run.open(settings)
    tell_unreadable(settings, run.competition)
    tell_form(run.competition.form)
    check_made_from(settings, run.competition, make_groups(settings, run.competition, tell=False))
    members = list(dict.fromkeys(variants)) or [variant.name for variant in choose_variants(settings)]
    members = _finished(run, members) if partial else members
    predict_run(run, members, scores=False)
    blend = blend_artifact(run, members)
    if blend.is_fresh and not _may_be_checked(run):
        made, digest = _made(blend)
        if digest is None or artifacts.is_whole(made, digest):
            say(f"ensemble: up to date, {made}")
            return made
        say(f"ensemble: {made} was changed or moved since it was written; writing a new one")
    return _blend(run, members, blend)


def _made(blend: Artifact) -> tuple[Path, str | None]:
    """Return the submission of a finished blend and its checksum; without one, the blend's test.csv and None."""
    record = artifacts.read_json(blend.meta)
    return (Path(record["submission"]), record["sha256"]) if "submission" in record else (blend.outputs[1], None)


def _may_be_checked(run: Run) -> bool:
    """Whether train and test could not be told apart when the blend was made, and now can."""
    left_out = artifacts.read_json(run.layout.ensemble / "weights.json")["test"]["shift"]["left_out"]
    return bool(left_out) and not why_left_out(run)


def _finished(run: Run, names: Sequence[str]) -> list[str]:
    """Return the variants all of whose jobs are trained; InputError when there is none."""
    trained = {name: [each.is_trained for each in trainings_of(run, run.settings.variants[name])] for name in names}
    left_out = [f"{name} ({sum(done)} of {len(done)} trained)" for name, done in trained.items() if not all(done)]
    if len(left_out) == len(names):
        raise InputError(f"no variant is fully trained: {', '.join(left_out)}. Run `make train` first.")
    if left_out:
        warn(f"a partial blend, without {', '.join(left_out)}")
    return [name for name, done in trained.items() if all(done)]


def _blend(run: Run, members: Sequence[str], blend: Artifact) -> Path:
    if run.competition.form:
        artifacts.check_writable(run.layout.submissions)
        check_log(run.layout.submissions / LOG)
    oof, test, weights = blend.outputs
    with blend.making(anew=True) as more:
        known, said = known_rows(run, members), said_of_test(run, members)
        found = _nest(run, known)
        rows = test_rows(run, said, apart=found.fitted.recipe.prior_shift)
        shares = _class_shares(run, test_rows(run, said, apart=True), known, found)
        blended, cv = _blended(run, found, rows, shares), score_rows(run, found.oof)
        _write_frame(oof, run, "train", found.oof)
        _write_frame(test, run, "test", blended)
        record = _record(run, members, known, found, cv) | _of_test(run, found, shares)
        artifacts.write_json(weights, record)
        if run.competition.form:
            submission = write_submission(run, blended, found.oof, record)
            more |= {"submission": str(submission), "sha256": artifacts.file_digest(submission)}
    print_blend(record, found)
    if not run.competition.form:
        return test
    say(f"submission: {submission} ({len(run.competition.test)} rows, checked against the sample submission)")
    return submission


def _nest(run: Run, known: LabelledPredictions) -> Nested:
    settings, metric = run.settings, get_metric(run.settings.competition.metric)
    choices = len(np.unique(tuning_folds(known.fold, known.group))) + 1 + settings.blend.partitions
    with progress("choose the blend, without each fold and on all folds", choices) as show:
        return nest(known, metric, settings.blend, settings.decision, settings.prediction.merge, show)


def _record(run: Run, members: Sequence[str], known: LabelledPredictions, found: Nested, cv: Scores) -> dict[str, Any]:
    """Return what weights.json records of the members, the choice and its scores."""
    merging = run.settings.prediction.merge
    merged = [merge_views(member[views_of(member)], merging) for member in known.rows.probabilities]
    weights = dict(zip(members, found.fitted.blend.weights.tolist(), strict=True))
    return {
        "members": list(members),
        "weights": weights,
        "dropped": [name for name, weight in weights.items() if weight == 0],
        "method": str(found.fitted.recipe),
        "metric": run.settings.competition.metric,
        "scores": {
            "in_sample": found.in_sample,
            "cross_fitted": cv.pooled.value,
            "cross_fitted_by_fold": cv.by_fold,
            "cross_fitted_by_partition": found.by_partition,
            "cross_fitted_mean_of_folds": cv.mean_of_folds,
            "cross_fitted_accuracy": cv.accuracy.value,
            **({"cross_fitted_by_corrected_labels": cv.corrected.value} if cv.corrected else {}),
            "intervals": cv.as_json(),
            "members": {name: score_rows(run, values).as_json() for name, values in zip(members, merged, strict=True)},
        },
        "options": [asdict(option) | {"recipe": str(option.recipe)} for option in found.options],
        "left_out": found.left_out,
        "tuned": {name: run.settings.variants[name].tuned for name in members if run.settings.variants[name].tuned},
        "refits": [name for name in members if run.settings.variants[name].refit],
        "recipes_without_part": {str(held): str(recipe) for held, recipe in found.recipes.items()},
        "fitted": found.fitted.as_json(),
        "seed": run.settings.blend.seed,
        "restarts": run.settings.blend.restarts,
        "bags": run.settings.blend.bags,
        "trajectory": found.fitted.blend.trajectory,
    }


def _of_test(run: Run, found: Nested, shares: ClassShares) -> dict[str, Any]:
    """Return what is expected of the test set: where its score will fall, and the class shares it seems to have."""
    classes = [str(label) for label in run.competition.classes]
    record = {"in_train": shares.train, "estimated": shares.estimated, "low": shares.low, "high": shares.high}
    return {
        "test": {
            "images": len(run.competition.test),
            "photos": witnesses.count_test(run),
            "unreadable_images": int((~run.competition.test["readable"]).sum()),
            **expectation(run, found.oof),
            **{f"class_shares_{what}": dict(zip(classes, of.tolist(), strict=True)) for what, of in record.items()},
            "class_shares_moved": [label for label, moved in zip(classes, shares.moved, strict=True) if moved],
        }
    }


def _blended(run: Run, found: Nested, rows: Sequence[MemberPredictions], shares: ClassShares) -> np.ndarray:
    """Return the test set's probabilities, (m, C)."""
    if not len(run.competition.test):
        return np.empty((0, len(run.competition.classes)))
    return found.fitted.apply(rows, shares.estimated)


def _class_shares(
    run: Run, models: Sequence[MemberPredictions], known: LabelledPredictions, found: Nested
) -> ClassShares:
    """Return the class shares that the readable test images seem to have, by the calibrated models of each fold.

    Without a test set they are those of the training rows.
    """
    if not len(run.competition.test):
        return shares_of_train(labels_of(known.y), len(run.competition.classes))
    plain, readable = found.fitted.plain(), run.competition.test["readable"].to_numpy()
    rows = np.flatnonzero(readable | ~readable.any())
    said = [plain.apply(each)[rows] for each in models]
    return estimate_shares(plain.apply(known.rows), labels_of(known.y), known.group, said, witnesses.test(run)[rows])


def _write_frame(path: Path, run: Run, split: str, values: np.ndarray) -> None:
    known = run.competition.rows(split)[["image_id"]]
    if split == "train":
        known = known.assign(fold=run.folds["fold"], label=run.competition.train["label"])
    columns = probability_columns(run.competition.classes)
    artifacts.write_csv(path, pd.concat([known, pd.DataFrame(values, columns=columns)], axis=1))
