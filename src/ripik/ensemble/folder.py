"""The step `predict --images`: predict any folder of photos with a finished run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ripik.console import say, warn
from ripik.data.image_check import examine_all, open_competition
from ripik.data.lost_content import notes_of, tell
from ripik.data.photo_files import photos_below, summary
from ripik.data.pixel_rule import PixelRule
from ripik.ensemble.finished import finished_blend
from ripik.ensemble.recipe import Fitted
from ripik.errors import InputError
from ripik.execution.runner import execute, undivided
from ripik.execution.task import Task
from ripik.settings import Settings
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.training.jobs import trainings_of
from ripik.training.pipeline import predict

MOST_TOLD = 20


def predict_step(
    settings: Settings, variants: Sequence[str] = (), images: Path | None = None, out: Path | None = None
) -> None:
    """Predict what the variants (none: all) lack, or the folder `images` by the finished blend: the step `predict`.

    Raises InputError for options that do not go together, and as `training.pipeline.predict` and `predict_folder` do.
    """
    if out and not images:
        raise InputError("--out needs --images FOLDER: it sets where that folder's predictions are written.")
    if images and variants:
        raise InputError("--images does not take --variants: the finished blend predicts the folder.")
    if images:
        predict_folder(settings, images, out)
    else:
        predict(settings, variants)


def predict_folder(settings: Settings, folder: Path, out: Path | None = None) -> Path:
    """Write filename, predicted label and `p_<label>` of every photo in `folder` and below; return the CSV's path.

    The blend of the finished run predicts, through the same decoding, views and merges as the test set; a filename has
    / between folders. Photos that cannot be read get the class shares of the training images, and a warning lists them;
    what is no photo (`photo_files`) is skipped, and a line counts it.
    Raises InputError for a folder without readable photos, or a run without finished ensemble.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}. Give a folder of photos with --images.")
    photos, skipped = photos_below(folder)
    left_out = f"; skipped: {summary(skipped)}" if skipped else ""
    if not photos:
        raise InputError(f"{folder} contains no photos{left_out}. Give a folder of photos with --images.")
    say(f"predict: {len(photos)} photos in {folder}, {sum('/' in name for name in photos)} below it{left_out}")
    members, fitted, shares = finished_models(settings)
    target = out or _usual_target(settings, folder)
    if target.is_dir():
        raise InputError(f"--out {target} is a folder; give the path of a CSV to write.")
    readable = _readable(folder, photos, open_competition(settings).rule)
    arguments = (settings, members, fitted, shares, folder.resolve(), photos, readable, target)
    execute([Task(f"predict {folder}", "ripik.ensemble.inference:predict_paths", arguments)], undivided(settings.jobs))
    say(f"predict: wrote {target} ({len(photos)} photos)")
    return target


def _usual_target(settings: Settings, folder: Path) -> Path:
    """Return where a folder's predictions go unless told otherwise; another folder's of that name are not replaced.

    Raises InputError where those are there.
    """
    whole = folder.resolve()
    target = layout_of(settings).run / "predictions" / f"{whole.name}.csv"
    record = artifacts.read_meta(artifacts.meta_beside(target)) or {}
    if record.get("folder", str(whole)) != str(whole):
        raise InputError(
            f"{target} has the predictions of {record['folder']}. Name another file with --out (OUT= of make), or "
            "delete that one."
        )
    return target


def _readable(folder: Path, photos: Mapping[str, Path], rule: PixelRule) -> np.ndarray:
    """Return which photos can be read by the rule, bool (n,); warn of the others, and of what decoding leaves."""
    found = examine_all(list(photos.values()), "photos checked", rule)
    bad = [f"{name}: {examined.problem}" for name, examined in zip(photos, found, strict=True) if examined.problem]
    shown = "; ".join(bad[:MOST_TOLD]) + ("; …" if len(bad) > MOST_TOLD else "")
    if len(bad) == len(photos):
        raise InputError(f"none of the {len(photos)} photos in {folder} can be read ({shown}). Replace the files.")
    tell(notes_of(found, list(photos), rule))
    if bad:
        warn(
            "unreadable photos are predicted with the class shares of the training images: "
            f"{len(bad)} of {len(photos)} ({shown})"
        )
    return np.array([not examined.problem for examined in found])


def finished_models(settings: Settings) -> tuple[list[str], Fitted, np.ndarray]:
    """Return the members that count in the finished blend, it, and the test set's class shares; models up to date.

    Raises InputError where there is no blend, or it or one of its models is not of the present settings and data.
    """
    opened = Run.open(settings)
    path = opened.layout.ensemble / "weights.json"
    if not path.exists():
        raise InputError(f"there is no {path}: the run has no blend yet. Run `make ensemble` first.")
    record = artifacts.read_if_whole(path)
    for name in record.get("members", []) if isinstance(record, dict) else []:
        if name not in settings.variants:
            raise InputError(f"{path} blends {name}, which the configuration does not declare. Run `make ensemble`.")
    record = finished_blend(opened)
    if record is None:
        raise InputError(
            f"{path} is damaged, or was made from other predictions or settings. Run `make ensemble` again."
        )
    members = [name for name, weight in record["weights"].items() if weight > 0]
    for name in members:
        stale = [each for each in trainings_of(opened, settings.variants[name]) if not each.is_done]
        if stale:
            raise InputError(
                f"{stale[0]} is not trained, or not predicted, with the current settings and data. Run `make train "
                "ensemble`."
            )
    shares = np.array(list(record["test"]["class_shares_estimated"].values()))
    return members, Fitted.from_json(record["fitted"]).of_used(), shares
