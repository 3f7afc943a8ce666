"""Rows that count more, or not at all, in training; all are predicted and scored by the labels of the organiser."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Tiny
from ripik.augmentation.mixing import mixed
from ripik.data.competition import read_competition
from ripik.errors import InputError
from ripik.features.batches import ArrayRows, Batches
from ripik.models.linear_head import fit_path
from ripik.models.weight_files import weights_inputs
from ripik.settings import Settings
from ripik.splits.run import Run, make_folds
from ripik.training.examples import Course, inner_split, row_weights
from ripik.training.jobs import Training, jobs_of

ROWS = 12


def with_column(tiny: Tiny, name: str, cells: list[str]) -> Settings:
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(**{name: cells + ["1"] * (len(frame) - len(cells))}))
    return tiny.settings("competition.weight_column=trust" if name == "trust" else f"competition.ignore={name}")


def training(settings: Settings) -> Training:
    return Training(Run(settings, read_competition(settings)), jobs_of(settings, settings.variants["original"])[0])


def test_a_weight_column_is_recorded_and_its_mean_in_a_training_is_1(tiny: Tiny) -> None:
    before = read_competition(tiny.settings()).correction_inputs()
    how = with_column(tiny, "trust", ["2", "0.5"])
    tiny.write_folds()
    run = Run(how, read_competition(how))
    assert (before, [*run.competition.correction_inputs()]) == ({}, ["row_weights"])
    rows = np.arange(1, 10)
    found = row_weights(run, rows)
    assert found is not None
    assert found[rows].mean() == pytest.approx(1)
    assert found[0] / found[1] == pytest.approx(4)
    assert row_weights(Run(tiny.settings(), read_competition(tiny.settings())), rows) is None


def test_what_is_recorded_of_rows_stands_beside_everything_else(tiny: Tiny) -> None:
    """An equal key would hide the other: a change of the initial weights went unnoticed."""
    how = with_column(tiny, "trust", ["2", "0.5"])
    tiny.write_folds()
    found = training(how)
    inputs, told = found.inputs(), found.run.competition.correction_inputs()
    assert inputs["weights"] == weights_inputs(found.variant)
    assert {key: inputs[key] for key in told} == told


def batches(**more: object) -> Batches:
    source = ArrayRows(np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2))
    return Batches(source, np.arange(ROWS), 8, targets=np.eye(3, dtype=np.float32)[np.arange(ROWS) % 3], **more)  # type: ignore[arg-type]


def test_batches_weigh_rows_and_classes_together() -> None:
    own = np.linspace(0.5, 1.5, ROWS)
    _, targets, weights = batches(row_weights=own).make(1)
    np.testing.assert_allclose(weights, own[8:], rtol=1e-6)
    assert targets.shape == (4, 3)
    _, _, weights = batches(row_weights=own, class_weights=np.array([1.0, 2.0, 3.0])).make(1)
    np.testing.assert_allclose(weights, own[8:] * np.array([3, 1, 2, 3]), rtol=1e-6)
    _, _, filled = batches(row_weights=own, devices=3).make(1)
    np.testing.assert_allclose(filled, np.append(own[8:], [0, 0]) * 6 / 4, rtol=1e-6)
    assert len(batches().make(1)) == 2


def test_the_weight_of_a_mixed_example_is_mixed_as_its_target() -> None:
    own = np.linspace(0.5, 1.5, ROWS)

    def alter(examples: np.ndarray, images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share, order = 0.75, np.arange(len(images))[::-1]
        return images, np.float32(share) * targets + np.float32(1 - share) * targets[order]

    _, targets, weights = batches(row_weights=own, altered=alter).make(0)
    np.testing.assert_allclose(weights, 0.75 * own[:8] + 0.25 * own[:8][::-1], rtol=1e-6)
    _, plain = batches(altered=alter).make(0)
    np.testing.assert_array_equal(targets, plain)
    images = np.zeros((4, 8, 8, 3), np.uint8)
    assert mixed(images, np.ones((4, 4), np.float32), np.random.default_rng(0), "cutmix", 1.0)[1].shape == (4, 4)


def test_a_fitted_head_counts_a_row_as_often_as_its_weight() -> None:
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3
    counts = np.where(y == 0, 2.0, 1.0)
    weighted = next(fit_path(features, y, 3, [1.0], counts=counts))
    by_class = next(fit_path(features, y, 3, [1.0], weights={0: 2.0}))
    np.testing.assert_allclose(weighted.probabilities(features), by_class.probabilities(features), atol=1e-5)


def test_ignored_rows_are_left_out_of_training_alone(tiny: Tiny) -> None:
    plain = tiny.settings()
    folds = tiny.write_folds()
    before = training(plain)
    how = with_column(tiny, "doubtful", ["yes", "No", ""] + ["0"] * 24)
    found = training(how)
    assert len(found.run.competition.train) == len(folds)
    assert found.run.competition.ignored.tolist() == [True] + [False] * 26
    other = Training(found.run, jobs_of(how, how.variants["original"])[int(folds["fold"][0] == 0)])
    assert 0 not in other.rows
    assert found.held_rows.tolist() == before.held_rows.tolist()
    assert 0 not in np.concatenate([*inner_split(other)])
    assert {0} & set(Course(other, other.rows).examples(0).tolist()) == set()
    assert found.run.targets().tolist() == before.run.targets().tolist()
    assert [*found.run.competition.correction_inputs()] == ["ignored"]
    assert before.inputs() == training(tiny.settings()).inputs()
    assert before.inputs() != found.inputs()


def test_a_correction_without_a_label_leaves_its_row_out(tiny: Tiny) -> None:
    ids = tiny.truth["image_id"].tolist()
    (tiny.input / "mine.csv").write_text(f"image_id,label\n{ids[0]},\n{ids[1]},3\n", encoding="utf-8")
    found = read_competition(tiny.settings("competition.corrections=mine.csv"))
    assert found.ignored.tolist() == [True] + [False] * (len(ids) - 1)
    assert found.train["training_label"][0] == found.train["label"][0]
    assert found.train["training_label"][1] == 3
    (tiny.input / "mine.csv").write_text(f"image_id,label\n{ids[0]},\n", encoding="utf-8")
    assert read_competition(tiny.settings("competition.corrections=mine.csv")).ignored.sum() == 1


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("trust", ["1", "0"], "line 3: the weight '0' is not a number above 0"),
        ("trust", ["1e308"], "line 2: the weight '1e308' is not a number above 0, from 1e-09 to 1e\\+09"),
        ("trust", ["x"], "line 2: the weight 'x' is not a number"),
        ("trust", ["inf"], "line 2: the weight 'inf' is not a number"),
        ("doubtful", ["maybe"], "line 2: doubtful is 'maybe'; competition.ignore names a column of 1 and 0"),
    ],
)
def test_cells_that_tell_nothing_are_refused(tiny: Tiny, column: str, cells: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_competition(with_column(tiny, column, cells))


def test_what_leaves_nothing_to_learn_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column trust; it has image_id"):
        read_competition(tiny.settings("competition.weight_column=trust"))
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(doubtful=(frame["label"] == "2").astype(int)))
    how = tiny.settings("competition.ignore=doubtful")
    with pytest.raises(InputError, match="leaves out all images of 2"):
        read_competition(how)
    fold = tiny.write_folds()["fold"].to_numpy()
    tiny.edit(tiny.train_csv, lambda frame: frame.assign(doubtful=((frame["label"] == "2") & (fold > 0)).astype(int)))
    with pytest.raises(InputError, match=r"without the rows that competition\.ignore .* class 2 is in one"):
        make_folds(how)
    with pytest.raises(InputError, match=r"ignore names a column of train\.csv, and layout"):
        tiny.settings("competition.ignore=doubtful", "competition.layout=folders")
    assert pd.read_csv(tiny.train_csv)["doubtful"].sum() > 0
