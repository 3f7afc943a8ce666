"""The step `augment`: write the augmented copies as JPEG with a CSV, for use outside this package."""

import functools
import hashlib
from pathlib import Path

import cv2
import pandas as pd

from ripik.augmentation.contact_sheet import preview as draw_preview
from ripik.augmentation.pipeline import PIPELINE, augmented_copies
from ripik.console import progress, say
from ripik.data.competition import fingerprint
from ripik.data.image_check import open_competition, tell_unreadable
from ripik.data.image_files import decode
from ripik.data.pixel_rule import PixelRule
from ripik.errors import InputError
from ripik.execution.parallel import in_parallel
from ripik.settings import AugmentationSettings, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

JPEG_QUALITY = 95
SLASH = "__"  # in names of files, for / in ids
LONGEST_ID = 200  # bytes; file names end at 255


def augment(settings: Settings, *, preview: bool = False) -> Path:
    """Write `<id>_<copy>.jpg` for every training image and copy, and augmented.csv; return the CSV's path.

    In names of files the / of an id is written as two underscores.
    preview: write a contact sheet instead (`contact_sheet`), and return its path.

    augmented.csv: image_id (of the source), copy, filename, label (as corrected: it is there to train on). Files that
    an interrupted run left are kept when they were made from the same images and settings.
    """
    if preview:
        return draw_preview(settings)
    competition = open_competition(settings)
    tell_unreadable(settings, competition)
    _check_ids(competition.train["image_id"])
    folder, how = layout_of(settings).copies, settings.augmentation
    made_from = {
        "images": fingerprint(competition, "train"),
        "augmentation": how.recorded(exclude={"copies"}),
        "version": PIPELINE,
        **competition.rule_inputs("train"),
    }
    inputs = {**made_from, "copies": how.copies, **competition.correction_inputs()}
    csv, meta = folder / "augmented.csv", folder / "meta.json"
    train = competition.train[~competition.ignored]
    listing = artifacts.csv_text(_index(train, how.copies))
    if (
        _is_listed(csv, listing)
        and artifacts.is_fresh(meta, inputs)
        and _wanted(train, how.copies) == {path.name for path in (folder / "images").glob("*.jpg")}
    ):
        say(f"augment: {csv} is up to date")
        return csv
    with artifacts.making(meta, inputs, [csv]):
        _forget_others(folder, made_from)
        _write_all(train, folder / "images", how, competition.rule)
        artifacts.write_text(csv, listing)
    say(f"augment: wrote {len(train) * how.copies} images and {csv}")
    return csv


def _is_listed(csv: Path, text: str) -> bool:
    """Whether augmented.csv lists the present rows and labels; the labels of train.csv are not among its inputs."""
    return artifacts.is_whole(csv, hashlib.sha256(text.encode()).hexdigest())


def _write_all(train: pd.DataFrame, folder: Path, how: AugmentationSettings, rule: PixelRule) -> None:
    wanted = _wanted(train, how.copies)
    for path in folder.glob("*.jpg"):  # with what a killed process left, whose name begins with a dot
        if path.name not in wanted:
            path.unlink()
    write = functools.partial(_write_copies, folder=folder, how=how, rule=rule)
    with progress("augmented copies", len(train) * how.copies) as show:
        done = 0
        for chunk in in_parallel(write, list(zip(train["image_id"], train["path"], strict=True))):
            done += len(chunk) * how.copies
            show(done)


def _wanted(train: pd.DataFrame, copies: int) -> set[str]:
    """Return the names of all copies."""
    return {_name(image_id, copy) for image_id in train["image_id"] for copy in range(1, copies + 1)}


def _check_ids(ids: pd.Series) -> None:
    names = ids.map(_stem)
    for image_id, name in zip(ids, names, strict=True):
        if Path(name).name != name or len(name.encode()) > LONGEST_ID:
            raise InputError(f"the id {image_id!r} cannot be part of a file name, so its copies cannot be written.")
    same = ids[names.duplicated(keep=False)].tolist()
    if same:
        raise InputError(
            f"copies of {same[0]!r} and {same[1]!r} would have the same file name, as / becomes {SLASH}. Rename one."
        )


def _forget_others(folder: Path, inputs: dict) -> None:
    """Delete copies made from other inputs, and note the inputs of those to come."""
    note = folder / "inputs.json"
    if artifacts.read_if_whole(note) == inputs:
        return
    for path in (folder / "images").glob("*.jpg"):
        path.unlink()
    artifacts.write_json(note, inputs)


def _write_copies(image_id: str, path: Path, *, folder: Path, how: AugmentationSettings, rule: PixelRule) -> None:
    targets = {copy: folder / _name(image_id, copy) for copy in range(1, how.copies + 1)}
    lacking = [copy for copy, target in targets.items() if not target.exists()]
    if not lacking:
        return
    made = augmented_copies(decode(path, rule), image_id, lacking, how)
    for copy, image in zip(lacking, made, strict=True):
        target, pixels = targets[copy], cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        with artifacts.replacing(target, sweep=False) as temporary:
            temporary.write_bytes(encoded.tobytes())


def _name(image_id: str, copy: int) -> str:
    return f"{_stem(image_id)}_{copy}.jpg"


def _stem(image_id: str) -> str:
    """Return an id as a part of file names: with SLASH for the / between its folders."""
    return image_id.replace("/", SLASH)


def _index(train: pd.DataFrame, copies: int) -> pd.DataFrame:
    given = pd.DataFrame({"image_id": train["image_id"], "label": train["training_label"]})
    frame = given.merge(pd.DataFrame({"copy": range(1, copies + 1)}), how="cross")
    names = [_name(image_id, copy) for image_id, copy in zip(frame["image_id"], frame["copy"], strict=True)]
    return frame.assign(filename=names)[["image_id", "copy", "filename", "label"]]
