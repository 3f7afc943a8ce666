"""Which images can be used: each is checked once, and `unreadable.csv` lists those that cannot be read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.console import progress, warn
from ripik.data.competition import Competition, fingerprint, read_competition
from ripik.data.csv_tables import SHOWN
from ripik.data.image_files import Examined, examine
from ripik.data.lost_content import notes_of, rule_of, tell
from ripik.data.pixel_rule import FULL, USUAL, PixelRule
from ripik.errors import InputError
from ripik.execution.parallel import in_parallel
from ripik.settings import Label, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.storage.up_to_date import Artifact

COLUMNS = ["image_id", "split", "path", "problem"]
SPLITS = ("train", "test")
VERSION = 2  # to be raised when other images pass, or more is told of them
FEW = 100  # images, for which it does not pay to start processes


def open_competition(settings: Settings, *, check: bool = True) -> Competition:
    """Read the competition as it can be used, trying its images first unless `unreadable.csv` is up to date.

    Training images that cannot be read stop with InputError, or are left out of `train` where
    `competition.on_bad_image = "skip"`; test images stay, with `readable` False. Without `check` nothing is tried or
    written, and images that were not tried yet pass for readable.
    Raises InputError as `read_competition` does, but for missing images up to half of a CSV's: they count as
    unreadable.
    """
    competition = read_competition(settings, missing_ok=True)
    path = layout_of(settings).unreadable
    made = Artifact.of(path, _inputs(settings, competition))
    alpha = settings.competition.alpha
    if not made.is_fresh:
        if not check:
            return _with_rule(competition, PixelRule(alpha=alpha), [])
        _write(made, competition, alpha)
    record, found = artifacts.read_json(made.meta), _read(path)
    competition = _with_rule(competition, PixelRule(**record["rule"]), record["ruled"])
    return _apply(settings, competition, found, path) if len(found) else competition


def tell_unreadable(settings: Settings, competition: Competition) -> None:
    """Say how the images of a competition that `open_competition` returned are decoded, and how many are left out, or
    guessed, and why."""
    path = layout_of(settings).unreadable
    meta = artifacts.read_meta(artifacts.meta_beside(path)) or {}
    if "rule" in meta:
        tell(meta)
    if not path.exists():
        return
    found, all_in = _read(path), f"All are listed in {path}."
    skipped = (found["split"] == "train").sum()
    if skipped:
        warn(f"unreadable training images are left out: {skipped} ({_examples(found, 'train')}). {all_in}")
    guessed = (~competition.test["readable"]).sum()
    if guessed:
        warn(
            "unreadable test images are predicted with the class shares of the training images: "
            f"{guessed} of {len(competition.test)} ({_examples(found, 'test')}). {all_in}"
        )


def examine_all(paths: Sequence[Path], what: str, rule: PixelRule = USUAL) -> list[Examined]:
    """Try image files by the rule, on all cores where they are many; the results stand in their order."""
    found: list[Examined] = []
    with progress(what, len(paths)) as show:
        for chunk in _examined(paths, rule):
            found += chunk
            show(len(found))
    return found


def _examined(paths: Sequence[Path], rule: PixelRule) -> Iterator[list[Examined]]:
    if len(paths) > FEW:
        yield from in_parallel(examine, [(path, rule) for path in paths])
    else:
        yield [examine(path, rule) for path in paths]


def _inputs(settings: Settings, competition: Competition) -> dict[str, Any]:
    images = [fingerprint(competition, split) for split in SPLITS]
    return {"images": images, "alpha": settings.competition.alpha, "version": VERSION}


def _with_rule(competition: Competition, rule: PixelRule, ruled: Sequence[str]) -> Competition:
    if rule == competition.rule and not ruled:
        return competition  # with its fingerprints
    return replace(competition, rule=rule, ruled=tuple(ruled))


def _write(made: Artifact, competition: Competition, alpha: str) -> None:
    images = pd.concat([competition.rows(split).assign(split=split) for split in SPLITS], ignore_index=True)
    (path,) = made.outputs
    with made.making() as more:
        found, rule = _examined_by_rule(images, alpha)
        problems = images.assign(problem=[examined.problem for examined in found])
        artifacts.write_csv(path, problems.loc[problems["problem"] != "", COLUMNS])
        changed = images["split"][[examined.is_changed_by(rule) for examined in found]]
        more |= notes_of(found, [path.name for path in images["path"]], rule)
        more["ruled"] = [split for split in SPLITS if (changed == split).any()]


def _examined_by_rule(images: pd.DataFrame, alpha: str) -> tuple[list[Examined], PixelRule]:
    """Return the results of checking the images, and the rule from those of train; 16-bit ones are checked again."""
    paths = list(images["path"])
    found = examine_all(paths, "images checked", PixelRule(alpha=alpha))
    rule = rule_of(
        [examined for examined, split in zip(found, images["split"], strict=True) if split == "train"], alpha
    )
    deep = [row for row, examined in enumerate(found) if examined.is_deep]
    if deep and rule.levels != FULL:
        again = examine_all([paths[row] for row in deep], "16-bit images checked as scaled", rule)
        for row, examined in zip(deep, again, strict=True):
            found[row] = examined
    return found, rule


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _apply(settings: Settings, competition: Competition, found: pd.DataFrame, path: Path) -> Competition:
    """Return the competition without the training images that were found bad, the test images marked."""
    bad = {
        split: competition.rows(split)["image_id"].isin(found.loc[found["split"] == split, "image_id"])
        for split in SPLITS
    }
    count = int(bad["train"].sum())
    if count and settings.competition.on_bad_image == "stop":
        raise InputError(
            f"unreadable training images: {count} ({_examples(found, 'train')}). All are listed in {path}. Replace "
            'the files, or leave these rows out with competition.on_bad_image = "skip".'
        )
    train = competition.train[~bad["train"]].reset_index(drop=True)
    _check_left(train["label"], competition.classes, "no training image can be read", path)
    left = replace(competition, train=train, test=competition.test.assign(readable=~bad["test"]))
    trained = train["training_label"][~left.ignored]
    _check_left(trained, competition.classes, "no readable image is left to train on", path)
    return left


def _check_left(labels: pd.Series, classes: Sequence[Label], problem: str, path: Path) -> None:
    lost = [str(label) for label in classes if label not in set(labels)]
    if lost:
        raise InputError(
            f"of the class {', '.join(lost)} {problem}. {path} lists all images that cannot be read; replace the files."
        )


def _examples(found: pd.DataFrame, split: str) -> str:
    rows = found[found["split"] == split]
    shown = [f"{Path(path).name}: {problem}" for path, problem in zip(rows["path"], rows["problem"], strict=True)]
    return "; ".join(shown[:SHOWN]) + ("; …" if len(shown) > SHOWN else "")
