"""An epoch that shows one member of each group of near copies: which, how many steps, what resumes, what goes stale."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import Drawn, Tiny, write_competition
from ripik.errors import InputError
from ripik.monitoring.status import find_status
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training.examples import Course, class_weights, inner_split
from ripik.training.jobs import Training
from ripik.training.network import trained_network
from ripik.training.pipeline import train as train_run
from ripik.training.trainer import Trainer, train
from trainings_here import prepare_here, silent

Open = Callable[..., Run]
ONE = "training.near_copies_per_epoch=one"
SHORT = (ONE, "training.epochs=3", "training.batch_size=4", "augmentation.copies=2")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    """Return the output folder of a run whose stores are filled, to copy from."""
    first = write_competition(tmp_path_factory.mktemp("stores"), drawn)
    first.write_folds()
    return prepare_here(first.settings(*SHORT)).layout.run


@pytest.fixture
def opened(tiny: Tiny, stores: Path) -> Open:
    """Return what opens the tiny competition's run, with overrides, its stores filled."""
    shutil.copytree(stores, tiny.run)
    tiny.write_folds()
    return lambda *overrides: prepare_here(tiny.settings(*SHORT, *overrides))


def course(run: Run, variant: str = "original", fold: int | None = 0) -> Course:
    training = Training(run, Job(variant, fold))
    return Course(training, inner_split(training)[0])


@pytest.mark.parametrize(
    ("variant", "overrides", "each"),
    [
        ("original", (), 1),
        ("augmented", (), 3),
        ("augmented", ("training.copies_per_epoch=2",), 2),
        ("augmented", ("training.with_original=false",), 2),
        ("finetuned", (), 1),
        ("original", ("training.inner_split=0.3",), 1),
    ],
)
def test_an_epoch_shows_one_member_of_each_group(
    opened: Open, variant: str, overrides: tuple[str, ...], each: int
) -> None:
    run = opened(*overrides)
    found, groups = course(run, variant), run.photos("train")
    wanted = np.repeat(np.unique(groups[found.rows]), each)
    seen = set()
    for epoch in range(12):
        rows = found.examples(epoch) % len(groups)
        np.testing.assert_array_equal(np.sort(groups[rows]), wanted)
        assert all(len(set(rows[groups[rows] == group])) == 1 for group in wanted)
        seen |= set(rows)
    assert seen == set(found.rows), "over the epochs every member is shown"
    assert len(wanted) < len(found.rows) * each
    size = found.variant.batch_size
    assert found.epoch_steps == len(found.batches(0)) == -(-len(wanted) // size)
    assert found.steps == 3 * found.epoch_steps
    assert len(found.batches(0, 1)) == found.epoch_steps - 1


def test_the_users_own_column_does_not_make_near_copies(tiny: Tiny) -> None:
    tiny.write_folds()
    tiny.edit(tiny.train_csv, lambda rows: rows.assign(car="the same"))
    run = Run.open(tiny.settings(*SHORT, "competition.group_column=car"))
    assert course(run).epoch_rows == len(np.unique(run.photos("train")[course(run).rows])) > 1


def test_class_weights_are_those_of_what_is_shown(opened: Open) -> None:
    run = opened('training.class_weights="balanced"')
    found, targets = course(run), run.training_targets()
    weights = class_weights(run, found.variant, found.rows, found.shares)
    shown = found.examples(0) % len(targets)
    np.testing.assert_allclose(weights, class_weights(run, found.variant, shown))
    np.testing.assert_allclose(weights[targets[shown]].mean(), 1)


def test_without_groups_one_clear_error(opened: Open, tiny: Tiny) -> None:
    opened()
    (tiny.run / "groups.csv").unlink()
    run = Run.open(tiny.settings(*SHORT))
    with pytest.raises(InputError, match=r"there is no .*groups.csv. Run `make folds` first"):
        Training(run, Job("original", 0)).inputs()
    assert find_status(tiny.settings(*SHORT)).next.startswith("next: make folds")


def test_what_was_trained_on_other_groups_is_stale_and_all_rows_know_no_groups(opened: Open, tiny: Tiny) -> None:
    def inputs(*overrides: str) -> dict:
        return Training(Run.open(tiny.settings(*SHORT, *overrides)), Job("original", 0)).inputs()

    opened()
    one, all_rows = inputs(), inputs("training.near_copies_per_epoch=all")
    assert "near_copies" not in all_rows
    assert "near_copies_per_epoch" not in all_rows["variant"]
    tiny.edit(tiny.run / "groups.csv", lambda rows: rows.assign(group=range(len(rows))))
    assert inputs()["near_copies"] != one["near_copies"]
    assert inputs("training.near_copies_per_epoch=all") == all_rows


def stop_within(report_at: float) -> Callable[..., None]:
    def report(done: float, total: int, note: str = "") -> None:
        if done >= report_at:
            raise KeyboardInterrupt

    return report


def test_a_training_that_resumes_ends_with_the_same_weights(opened: Open) -> None:
    run, job = opened(), Job("augmented", 1)
    train(Training(run, job), silent)
    whole = trained_network(Training(run, job)).get_weights()
    history = pd.read_csv(run.layout.job(job) / "history.csv")
    shutil.rmtree(run.layout.job(job))
    with pytest.raises(KeyboardInterrupt):
        train(Training(run, job), stop_within(2))
    trainer = Trainer.create(Training(run, job))
    trainer.restore()
    assert len(trainer.history) == 2
    train(Training(run, job), silent)
    for one, other in zip(whole, trained_network(Training(run, job)).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    again = pd.read_csv(run.layout.job(job) / "history.csv")
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def test_a_whole_run_trains_and_predicts_every_row(opened: Open, tiny: Tiny) -> None:
    opened()
    train_run(tiny.settings(*SHORT), ["original"])
    oof = pd.read_csv(tiny.run / "original" / "oof.csv")
    assert sorted(oof["image_id"].astype(str)) == sorted(tiny.truth["image_id"].astype(str))
    assert not oof.isna().any().any()
