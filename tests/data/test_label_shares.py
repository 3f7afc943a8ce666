"""A column for each class: one-hot is a class; soft labels are trained on, and scored by log loss, as shares."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import in_this_process
from layouts import one_hot, write_csv
from ripik import analysis
from ripik.analysis.intervals import interval
from ripik.analysis.metrics import get_metric
from ripik.analysis.truth import class_means, labels_of, likelihoods, pairs
from ripik.config import load_settings
from ripik.data.competition import read_competition
from ripik.data.image_rows import train_rows
from ripik.ensemble.build import ensemble
from ripik.ensemble.calibration import calibrate
from ripik.ensemble.convex import fit_convex
from ripik.errors import InputError
from ripik.models.linear_head import fit_path
from ripik.settings import CompetitionSettings, Settings
from ripik.splits.run import Run, make_folds, record_run
from ripik.storage import artifacts
from ripik.training.examples import Course, class_weights
from ripik.training.jobs import Training, jobs_of
from ripik.training.oof import probability_columns
from ripik.training.pipeline import train
from ripik.training.scores import score_rows

LOG_LOSS, ACCURACY = get_metric("log_loss"), get_metric("accuracy")
CONFIG = """[competition]
root = "{folder}/src"
train_csv = "train.csv"
train_images = "images"
test_csv = "test.csv"
test_images = "images"
filename_column = ""
label_type = "string"
label_columns = ["healthy", "rust", "scab"]
metric = "log_loss"
[folds]
n_splits = 2
[network]
backbone = "SmallNet"
weights = "random"
image_size = 32
[training]
epochs = 2
[prediction]
engine = "keras"
[paths]
output = "{folder}/output"
submissions = "{folder}/submissions"
[variants]
original = {{}}
fitted = {{ solver = "logistic" }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one_hot(tmp_path / "src")
    (tmp_path / "plants.toml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return tmp_path


def settings(folder: Path, *overrides: str) -> Settings:
    return load_settings(folder / "plants.toml", overrides)


def rewrite(folder: Path, *rows: str) -> None:
    """Write train.csv of these cells, one row an image, repeated."""
    write_csv(
        folder / "src" / "train.csv", "image_id,healthy,rust,scab", (f"Train_{n},{row}" for n, row in enumerate(rows))
    )


def soften(folder: Path) -> None:
    rewrite(folder, *["0.7,0.2,0.1", "0.25,0.5,0.25", "0,0,1"] * 6)


def test_one_hot_columns_are_classes(folder: Path) -> None:
    found = read_competition(settings(folder))
    assert found.classes == ("healthy", "rust", "scab")
    assert found.train["label"].tolist()[:4] == ["healthy", "rust", "scab", "healthy"]
    assert found.shares is None
    assert found.correction_inputs() == {}
    assert found.asked.kind == "probabilities"


def test_classes_may_stand_in_another_order(folder: Path) -> None:
    soften(folder)
    found = read_competition(settings(folder, 'competition.classes=["scab", "healthy", "rust"]'))
    assert found.shares is not None
    np.testing.assert_allclose(found.shares[0], [0.1, 0.7, 0.2])
    assert found.train["label"].tolist()[:3] == ["healthy", "rust", "scab"]


def test_soft_labels_are_trained_on_and_a_correction_is_a_class(folder: Path) -> None:
    soften(folder)
    write_csv(folder / "src" / "mine.csv", "image_id,label", ["Train_1,scab"])
    run = Run(settings(folder), read_competition(settings(folder, "competition.corrections=mine.csv")))
    np.testing.assert_allclose(run.training_shares()[:3], [[0.7, 0.2, 0.1], [0, 0, 1], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(run.truth()[:2], [[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]])
    assert "shares" in run.competition.correction_inputs()
    labels = Run(settings(folder, "competition.metric=macro_f1"), run.competition)
    assert labels.truth().tolist() == labels.targets().tolist()


def corrected(folder: Path, *rows: str) -> Run:
    write_csv(folder / "src" / "mine.csv", "image_id,label", rows)
    how = settings(folder, "competition.corrections=mine.csv", "folds.near_copies=false")
    return Run(how, read_competition(how))


def test_a_correction_may_name_the_class_of_the_greatest_share(folder: Path) -> None:
    soften(folder)
    run = corrected(folder, "Train_0,healthy", "Train_2,scab")  # 0.7, and 1 already
    np.testing.assert_allclose(run.training_shares()[:3], [[1, 0, 0], [0.25, 0.5, 0.25], [0, 0, 1]], rtol=1e-6)
    assert run.competition.is_corrected.tolist() == [True] + [False] * 17
    assert {"corrections", "hardened"} <= set(run.competition.correction_inputs())
    assert run.competition.correction_inputs() != corrected(folder, "Train_1,rust").competition.correction_inputs()
    assert "hardened" not in corrected(folder, "Train_0,scab").competition.correction_inputs()
    record_run(corrected(folder, "Train_0,healthy", "Train_2,scab"))
    found = pd.read_csv(run.layout.images, dtype=str, keep_default_na=False)["corrected"]
    assert found.tolist() == ["healthy"] + [""] * (len(found) - 1)


def test_scores_by_corrected_labels_take_the_shares_of_all_other_rows(folder: Path) -> None:
    soften(folder)
    run = corrected(folder, "Train_0,healthy", "Train_1,scab")
    make_folds(run.settings)
    record_run(run)
    values = np.random.default_rng(0).dirichlet(np.ones(3), len(run.folds))
    truth = run.truth().copy()
    truth[:2] = [[1, 0, 0], [0, 0, 1]]
    expected = LOG_LOSS.function(truth, values)
    found = score_rows(run, values).corrected
    assert found is not None
    assert found.value == pytest.approx(expected)
    file = run.layout.run / "made" / "oof.csv"
    columns = dict(zip(probability_columns(run.competition.classes), values.T, strict=True))
    artifacts.write_csv(file, run.folds[["image_id", "fold", "label"]].assign(**columns))
    scores = analysis.scores(analysis.load(file)).set_index("score")["value"]
    assert scores["log_loss by corrected labels"] == pytest.approx(expected)


def test_balanced_weights_count_shares(folder: Path) -> None:
    soften(folder)
    how = settings(folder, "variants.original.class_weights=balanced")
    run, rows = Run(how, read_competition(how)), np.arange(6)
    counts = 2 * np.array([0.7 + 0.25, 0.2 + 0.5, 0.1 + 0.25 + 1])
    found = class_weights(run, how.variants["original"], rows)
    np.testing.assert_allclose(found, 6 / (3 * counts), rtol=1e-6)
    halves = class_weights(run, how.variants["original"], rows, np.full(6, 0.5))
    np.testing.assert_allclose(halves, found, rtol=1e-6)


def test_shares_of_two_digits_need_not_sum_to_1_exactly(folder: Path) -> None:
    rewrite(folder, *["0.34,0.33,0.33", "0.33,0.34,0.33", "0.33,0.33,0.33", "0,0,1"] * 4)
    found = read_competition(settings(folder))
    assert found.shares is not None
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)
    assert found.train["label"].tolist()[:4] == ["healthy", "rust", "healthy", "scab"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,1,0", r"train\.csv, line 3: the image has 2 labels \(healthy, rust\)"),
        ("0,0,0", "line 3: the image has no label"),
        ("0.5,0.3,0.1", r"line 3: the shares of competition\.label_columns sum to 0\.9, not 1"),
        ("2,1,0", "line 3: healthy is '2', not a number from 0 to 1"),
        ("yes,0,0", "line 3: healthy is 'yes', not a number"),
        (",0,1", "line 3: healthy is '', not a number"),
        ("nan,0,1", "line 3: healthy is 'nan', not a number"),
    ],
)
def test_what_is_no_label_is_refused(folder: Path, row: str, said: str) -> None:
    rewrite(folder, "1,0,0", row, *["0,1,0", "0,0,1"] * 8)
    with pytest.raises(InputError, match=said):
        read_competition(settings(folder))


@pytest.mark.parametrize("column", ["healthy", "species"])
def test_a_single_column_in_place_of_many_is_told(folder: Path, column: str) -> None:
    with pytest.raises(InputError, match=r'set competition\.label_columns = \["healthy", "rust", "scab"\]'):
        read_competition(settings(folder, "competition.label_columns=[]", f"competition.label_column={column}"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["competition.label_type=integer"], 'set label_type = "string"'),
        (['competition.label_columns=["rust"]'], "at least two"),
        (['competition.classes=["rust", "scab"]'], "list different classes"),
        (["competition.layout=folders"], "label_columns are of a CSV"),
    ],
)
def test_settings_that_contradict_are_refused(folder: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        settings(folder, *overrides)


def test_a_wrong_id_column_is_not_taken_for_columns_of_classes(tmp_path: Path) -> None:
    for name in ("labels.csv", "sample.csv"):
        write_csv(tmp_path / name, "photo,damage", ["a.jpg,dent"])
    how = CompetitionSettings(
        train_csv="labels.csv",
        sample_submission="sample.csv",
        id_column="id",
        label_column="damage",
        label_type="string",
        filename_column="",
    )
    with pytest.raises(InputError, match=r"labels\.csv has no column id; it has photo, damage\.") as caught:
        train_rows(tmp_path, how, missing_ok=False)
    assert "label_columns" not in str(caught.value)


SOFT = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]])
SAID = np.array([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])


def test_log_loss_of_shares_is_the_cross_entropy() -> None:
    assert LOG_LOSS.function(SOFT, SAID) == pytest.approx(-(SOFT * np.log(SAID)).sum() / 3)
    assert LOG_LOSS.function(np.eye(3)[[0, 1, 2]], SAID) == pytest.approx(LOG_LOSS.function(np.arange(3), SAID))
    assert ACCURACY.function(SOFT, SAID) == 1
    with pytest.raises(InputError, match="sum to 1"):
        LOG_LOSS.function(SOFT * 2, SAID)


def test_shares_of_one_class_are_as_labels() -> None:
    rng = np.random.default_rng(0)
    members, y = rng.dirichlet(np.ones(3), (2, 60)), rng.integers(0, 3, 60)
    hot, groups = np.eye(3)[y], np.arange(60)
    assert labels_of(hot).tolist() == y.tolist()
    np.testing.assert_allclose(class_means(hot, 3), class_means(y, 3))
    np.testing.assert_allclose(likelihoods(hot, members), likelihoods(y, members))
    np.testing.assert_allclose(fit_convex(members, hot, LOG_LOSS).weights, fit_convex(members, y, LOG_LOSS).weights)
    np.testing.assert_allclose(calibrate(members[0], hot).parameters, calibrate(members[0], y).parameters)
    of_shares, of_labels = (interval(each, members[0], groups, LOG_LOSS) for each in (hot, y))
    assert of_shares.value == pytest.approx(of_labels.value)
    assert pairs(hot, members)[0].shape == (2, 60)


def test_a_head_is_fitted_to_shares_as_to_so_many_rows_of_each_class() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5)).astype(np.float32)
    shares = np.eye(2)[rng.integers(0, 2, 40)] / 2 + 0.25  # three quarters and one
    soft = next(fit_path(features, shares, 2, [1.0]))
    rows = np.repeat(np.arange(40), 4)
    labels = np.concatenate([[0] * round(4 * share) + [1] * round(4 * (1 - share)) for share in shares[:, 0]])
    hard = next(fit_path(features[rows], labels.astype(int), 2, [0.25]))
    np.testing.assert_allclose(soft.probabilities(features), hard.probabilities(features), atol=2e-3)


def test_scores_are_by_shares_where_log_loss_is_the_metric(folder: Path) -> None:
    soften(folder)
    how = settings(folder, "folds.near_copies=false")
    make_folds(how)
    run = Run.open(how)
    values = np.random.default_rng(0).dirichlet(np.ones(3), len(run.folds))
    found = score_rows(run, values)
    assert found.pooled.value == pytest.approx(LOG_LOSS.function(run.truth(), values))
    assert found.accuracy.value == ACCURACY.function(run.targets(), values)
    record_run(run)
    folds = run.layout.folds.parent / "made" / "oof.csv"
    frame = run.folds[["image_id", "fold", "label"]]
    artifacts.write_csv(
        folds, frame.assign(**dict(zip(probability_columns(run.competition.classes), values.T, strict=True)))
    )
    scores = analysis.scores(analysis.load(folds.parent)).set_index("score")["value"]
    assert scores["log_loss"] == pytest.approx(found.pooled.value)


@pytest.mark.long
def test_the_line_scores_soft_labels_by_their_shares(folder: Path) -> None:
    soften(folder)
    how = settings(folder)
    make_folds(how)
    with in_this_process():
        train(how)
        submission = ensemble(how)
    run = Run.open(how)
    training = Training(run, jobs_of(how, how.variants["original"])[0])
    _, targets = Course(training, training.rows).batches(0).make(0)
    found = {tuple(row) for row in np.rint(100 * targets).astype(int).tolist()}
    assert found == {(70, 20, 10), (25, 50, 25), (0, 0, 100)}
    blend = analysis.load(run.layout.ensemble)
    expected = LOG_LOSS.function(run.truth(), blend.probabilities)
    record = analysis.read_blend(run.layout.run)
    assert record["scores"]["cross_fitted"] == pytest.approx(expected)
    scores = analysis.scores(blend).set_index("score")["value"]
    assert scores["log_loss"] == pytest.approx(expected)
    assert scores["log_loss"] != LOG_LOSS.function(run.targets(), blend.probabilities)
    assert pd.read_csv(submission).columns.tolist() == ["image_id", "healthy", "rust", "scab"]
