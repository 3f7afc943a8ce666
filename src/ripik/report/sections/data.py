"""The training data and the test set: folds, groups, test shares, adversarial validation, copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ripik import analysis
from ripik.augmentation.contact_sheet import COPIES, HEADERS
from ripik.augmentation.pipeline import alone, build_pipeline, make_copies
from ripik.data.image_files import decode
from ripik.diagnostics.adversarial import meaning
from ripik.diagnostics.photo_page import DENSITY, fit, jpeg_uri
from ripik.ensemble.train_or_test import read_auc
from ripik.errors import InputError
from ripik.report import charts as plots
from ripik.report.blocks import Beside, Photos, Section, Table, Text, Tile, View, drawn, numbers
from ripik.report.charts.words import share, spoken
from ripik.report.evidence import Evidence

SHEETS, SIDE = 2, 96  # photos of the augmentation sheet; CSS pixels of a picture


def folds(evidence: Evidence) -> Section:
    """Images of every class by fold, and how large the groups of near copies are."""
    counts, sizes = analysis.fold_classes(evidence.folder), analysis.group_sizes(evidence.folder)
    charts = drawn(plots.fold_sizes(counts), plots.group_sizes(sizes))
    whole = pd.concat([counts.sum(axis=1).rename("all"), counts], axis=1)
    by_fold = numbers("Images by fold and label", whole.rename(index="fold {}".format), 0)
    by_size = numbers(
        "Groups of near copies by their images", sizes.set_index("images").rename(columns=spoken), 0, "images"
    )
    return Section("folds", "Folds and groups", [Beside([*charts, by_fold, by_size])])


def test_set(evidence: Evidence) -> Section:
    """Class shares on test against train."""
    found = analysis.shares(evidence.folder, evidence.focus.name)
    pairs = zip(found.pop("estimated_low"), found.pop("estimated_high"), strict=True)
    ends = [f"{share(low)} to {share(high)}" for low, high in pairs]
    cells = [[row["label"], *(share(row[name]) for name in found.columns[1:])] for row in found.to_dict("records")]
    rows = [[*row, end] for row, end in zip(cells, ends, strict=True)]
    text = (
        "If the test set is like the training set, the classes predicted on it have the shares of those predicted out "
        "of fold; estimated are the shares themselves, by each fold's models, calibrated out of fold, assuming the "
        "classes look the same in both sets; 95 % intervals."
    )
    columns = ["label", "train", "predicted out of fold", "predicted on test", "estimated in test", "interval"]
    return Section(
        "test", "Test set", [Text(text), Beside([*drawn(plots.shares(found)), Table("Shares", columns, rows)])]
    )


def adversarial(path: Path) -> Section:
    """Whether train and test can be separated, by the table of `analyse adversarial`."""
    auc = read_auc(path)
    table = pd.read_csv(path, dtype={"image_id": str}, keep_default_na=False)
    sides = [table.loc[table["split"] == split, "p_test"].to_numpy() for split in ("train", "test")]
    text = (
        f"A linear classifier on stored features separates train and test with an AUC of {auc.value:.3f} (95 % "
        f"{auc.low:.3f} to {auc.high:.3f}; 0.5 is guessing). {meaning(auc)}"
    )
    chances = table.groupby("split")["p_test"].quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()
    quantiles = numbers("Quantiles of the probability of test", chances.rename(columns="{:.0%}".format), 3)
    chart = plots.adversarial(sides[0], sides[1], auc.value)
    return Section("adversarial", "Train or test?", [Text(text), Beside([*drawn(chart), quantiles])])


def augmentation(evidence: Evidence) -> Section:
    """Photos under each transform and as full copies; empty where no variant learns from copies."""
    variants = evidence.run.settings.variants.values()
    if all(variant.data != "augmented" for variant in variants):
        return Section("augmentation", "Augmentation", [])
    how, train = evidence.run.settings.augmentation, evidence.run.competition.train
    pipeline = build_pipeline(how.preset, how.size)
    names = ["photo", *(header.replace("-|", "").replace("|", " ") for header in HEADERS[1:])]
    names += [f"copy {number}" for number in range(1, COPIES + 1)]
    blocks = []
    for photo in train.drop_duplicates("label").head(SHEETS).to_dict("records"):
        try:
            image = decode(photo["path"], evidence.run.competition.rule)
        except (InputError, OSError):
            continue
        resized = next(alone(image, pipeline, how.seed))
        pictures = [*alone(resized, pipeline, how.seed)]
        pictures += make_copies(image, photo["image_id"], range(1, COPIES + 1), pipeline=pipeline, seed=how.seed)
        tiles = [
            Tile([View(f"photo {photo['image_id']}, {name}", jpeg_uri(fit(picture, SIDE * DENSITY)))], name)
            for name, picture in zip(names, pictures, strict=True)
        ]
        blocks.append(Photos(f"Photo {photo['image_id']}, label {photo['label']}", "", tiles, SIDE))
    text = f"Each transform of the preset {how.preset!r} applied to the photo alone, then six full copies."
    return Section("augmentation", "Augmentation", [Text(text), *blocks] if blocks else [])
