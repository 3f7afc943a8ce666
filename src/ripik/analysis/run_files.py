"""What a run's folder records besides its predictions: learning curves, the blend, class shares, groups and folds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.analysis.groups import FOLDS, GROUPS, read_folds
from ripik.analysis.predictions import BLEND, META, load, load_test, read_config
from ripik.analysis.small_files import REFIT, jobs_in, number_at, numbers, read_object
from ripik.data.csv_tables import check_filled, read_table, whole_numbers
from ripik.errors import InputError
from ripik.storage import artifacts

WEIGHTS, HISTORY = "weights.json", "history.csv"
TRAIN_AGAIN, FOLDS_AGAIN = "Run `make train`.", "Delete it and run `make folds`."


def history(run: str | Path, variant: str) -> pd.DataFrame:
    """Return the learning curves of a variant's finished trainings, a row an epoch.

    Those that its predictions were merged from, where its `meta.json` tells; all before it is there.

    Columns: fold (-1: the refit, last), seed, epoch (from 1), loss, accuracy (both of the training rows), seconds, then
    whatever else `history.csv` has, such as inner_loss; NaN where a training has no such column.
    Raises InputError when there is no `history.csv`, or one is broken.
    """
    folder = Path(run) / variant
    jobs = {job: path / HISTORY for path, job in jobs_in(folder).items() if (path / HISTORY).exists()}
    if not jobs:
        raise InputError(f"there is no {HISTORY} in a folder of {folder}. {TRAIN_AGAIN}")
    order = sorted(jobs, key=lambda job: (job[0] == REFIT, *job))
    frame = pd.concat([_curve(jobs[job], *job) for job in order], ignore_index=True)
    first = ["fold", "seed", "epoch", "loss", "accuracy", "seconds"]
    return frame[first + [name for name in frame.columns if name not in first]]


def _curve(path: Path, fold: int, seed: int) -> pd.DataFrame:
    make = f"Delete {path.parent} and run `make train`."
    artifacts.check_recorded(path, path.parent / META, make)
    table = read_table(path, ["epoch", "loss", "accuracy", "seconds"], make)
    for name in ("epoch", "loss"):
        check_filled(table[name], path, f"the {name} is missing")
    values = {name: numbers(table[name], path, make) for name in table.columns if name != "epoch"}
    return pd.DataFrame({"fold": fold, "seed": seed, "epoch": whole_numbers(table["epoch"], path), **values})


def read_blend(run: str | Path) -> dict[str, Any]:
    """Return the content of the run's `ensemble/weights.json`; InputError when it is missing or broken."""
    path, make = Path(run) / BLEND / WEIGHTS, "Run `make ensemble`."
    return read_object(artifacts.check_recorded(path, path.parent / META, make), make)


def shares(run: str | Path, name: str = BLEND) -> pd.DataFrame:
    """Return a row a class, in class order: its share of images, in [0, 1], as labelled and as predicted.

    Columns: label, train (labels of train.csv), predicted_train (out of fold), predicted_test (both most probable
    classes of the variant or blend `name`), estimated_test, estimated_low and estimated_high (what the blend estimates
    of the test set, with its 95 % interval; NaN for a variant, and where `weights.json` does not tell). Raises
    InputError as `load` and `load_test` do, and for a broken `weights.json`.
    """
    folder = Path(run)
    p, test = load(folder / name), load_test(folder / name)
    record = read_blend(folder) if name == BLEND and (folder / BLEND / WEIGHTS).exists() else {}
    labels = list(p.classes)
    found = {"train": p.frame["label"], "predicted_train": p.frame["predicted"], "predicted_test": test["predicted"]}
    columns = {key: texts.value_counts(normalize=True).reindex(labels).fillna(0.0) for key, texts in found.items()}
    estimates = {"estimated_test": "estimated", "estimated_low": "low", "estimated_high": "high"}
    frame = pd.DataFrame(columns)
    for column, key in estimates.items():
        frame[column] = [number_at(record, ("test", f"class_shares_{key}", label)) for label in labels]
    return frame.rename_axis("label").reset_index()


def group_sizes(run: str | Path) -> pd.DataFrame:
    """Return how many groups of near copies have how many images of a split, by size.

    Columns: images (in the group, of the one split), train_groups, test_groups. Training groups are those that
    intervals are drawn over (`folds.csv` joined with `groups.csv`), test groups those of `groups.csv`.
    Raises InputError when a file is missing or broken.
    """
    folder, columns = Path(run), ["image_id", "split", "group"]
    made = _table(folder / GROUPS, columns)
    of_test = whole_numbers(made.loc[made["split"] == "test", "group"], folder / GROUPS)
    ids = _table(folder / FOLDS, ["image_id"])["image_id"]
    of_train = read_folds(folder / FOLDS, ids, folder / FOLDS)["group"]
    sizes = {name: groups.value_counts().value_counts() for name, groups in (("train", of_train), ("test", of_test))}
    frame = pd.DataFrame({f"{name}_groups": counts for name, counts in sizes.items()}).sort_index()
    return frame.fillna(0).astype("int64").rename_axis("images").reset_index()


def fold_classes(run: str | Path) -> pd.DataFrame:
    """Return the number of images of each class (columns, "label", in class order) in each fold (rows, "fold"), int.

    Raises InputError when `folds.csv` is missing or broken.
    """
    path = Path(run) / FOLDS
    frame = _table(path, ["label", "fold"])
    check_filled(frame["label"], path, "the label is missing")
    counts = pd.crosstab(whole_numbers(frame["fold"], path), frame["label"])
    return counts.reindex(columns=pd.Index(_class_order(Path(run), counts.columns.tolist()), name="label"))


def _class_order(run: Path, labels: list[str]) -> list[str]:
    """Return the labels as the configuration orders them: as listed there, or else as numbers, or as text."""
    listed = [str(label) for label in read_config(run).get("competition", {}).get("classes", [])]
    if set(labels) <= set(listed):
        return [label for label in listed if label in labels]
    numeric = all(re.fullmatch(r"[+-]?\d+", label) for label in labels)
    return sorted(labels, key=int) if numeric else sorted(labels)


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"there is no file {path}. Run `make folds`.")
    return read_table(path, columns, FOLDS_AGAIN)
