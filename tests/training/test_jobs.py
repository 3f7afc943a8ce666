import json
import os

import numpy as np
import pandas as pd
import pytest

from conftest import SPLITS, Tiny
from made_up_trainings import finished
from ripik.errors import InputError
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import Training, check_folds, choose_variants, job_seed, jobs_of, unfinished

FINETUNED, ORIGINAL = Job("finetuned", 1), Job("original", 1)


def opened(tiny: Tiny, *overrides: str) -> Run:
    if not (tiny.run / "folds.csv").exists():
        tiny.write_folds()
    return Run.open(tiny.settings(*overrides))


def test_all_variants_each_after_its_start(tiny: Tiny) -> None:
    assert [v.name for v in choose_variants(tiny.settings())] == list(tiny.settings().variants)
    assert [v.name for v in choose_variants(tiny.settings(), ["finetuned"])] == ["original", "finetuned"]
    both = choose_variants(tiny.settings(), ["finetuned", "original"])
    assert [v.name for v in both] == ["original", "finetuned"]


def test_an_unknown_variant_names_the_nearest(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"'fintuned'.*did you mean finetuned"):
        choose_variants(tiny.settings(), ["original", "fintuned"])


def test_a_variant_has_a_job_a_fold_and_seed(tiny: Tiny) -> None:
    settings = tiny.settings("training.seeds=2")
    names = [str(job) for job in jobs_of(settings, settings.variants["original"])]
    assert len(set(names)) == len(names) == 2 * SPLITS
    assert "original/fold2-seed1" in names


def test_a_refit_is_one_job_more_but_for_chosen_folds(tiny: Tiny) -> None:
    settings = tiny.settings("training.refit=true")
    variant = settings.variants["original"]
    assert [job.fold for job in jobs_of(settings, variant)] == [0, 1, 2, None]
    assert [job.fold for job in jobs_of(settings, variant, [0])] == [0]


def test_a_fold_named_twice_is_one_job(tiny: Tiny) -> None:
    settings = tiny.settings()
    assert jobs_of(settings, settings.variants["original"], [1, 0, 1]) in (
        [Job("original", 1), Job("original", 0)],
        [Job("original", 0), Job("original", 1)],
    )


def test_variants_whose_trainings_are_missing_or_of_other_settings_are_unfinished(tiny: Tiny) -> None:
    run = finished(tiny)
    names = list(run.settings.variants)
    assert unfinished(run) == names[1:]
    assert unfinished(opened(tiny, "training.epochs=77")) == names
    assert unfinished(opened(tiny, "network.weights=nowhere.h5")) == names


@pytest.mark.parametrize("fold", [-1, SPLITS, 99])
def test_an_unknown_fold_is_told(tiny: Tiny, fold: int) -> None:
    check_folds(tiny.settings(), range(SPLITS))
    with pytest.raises(InputError, match=f"no fold {fold}: the folds are 0 … {SPLITS - 1}"):
        check_folds(tiny.settings(), [0, fold])


def test_training_and_held_rows_partition_the_images_and_share_no_group(tiny: Tiny) -> None:
    run = opened(tiny)
    held = [Training(run, Job("original", fold)).held_rows for fold in range(SPLITS)]
    assert sorted(np.concatenate(held)) == list(range(len(tiny.truth)))
    photo = tiny.truth["photo"].to_numpy()
    for fold, rows in enumerate(held):
        train = Training(run, Job("original", fold)).rows
        assert sorted([*train, *rows]) == list(range(len(tiny.truth)))
        assert not set(photo[train]) & set(photo[rows])


def test_a_refit_trains_on_everything_and_holds_nothing(tiny: Tiny) -> None:
    run = opened(tiny)
    assert len(Training(run, Job("original", None)).rows) == len(tiny.truth)
    assert len(Training(run, Job("original", None)).held_rows) == 0


def test_targets_are_class_indices_in_row_order(tiny: Tiny) -> None:
    run = opened(tiny)
    assert [run.competition.classes[i] for i in run.targets()] == tiny.truth["label"].tolist()


def test_seeds_differ_between_folds_seeds_and_settings_and_stay(tiny: Tiny) -> None:
    variant = tiny.settings().variants["original"]
    other = tiny.settings("training.seed=1").variants["original"]
    seeds = [job_seed(v, Job("original", fold, n)) for v in (variant, other) for fold in (0, 1, None) for n in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert job_seed(variant, ORIGINAL) == job_seed(tiny.settings().variants["original"], ORIGINAL)


def test_a_job_starts_from_the_same_fold_and_seed(tiny: Tiny) -> None:
    run = opened(tiny)
    assert Training(run, Job("finetuned", 2, 1)).start.job == Job("original", 2, 1)
    assert Training(run, Job("finetuned", None)).start.job == Job("original", None)
    assert Training(run, Job("original", 2)).start is None


def test_the_weights_are_the_last_unless_an_inner_split_chose_the_best(tiny: Tiny) -> None:
    assert Training(opened(tiny), ORIGINAL).weights.name == "last.weights.h5"
    inner = opened(tiny, "training.inner_split=0.2")
    assert Training(inner, ORIGINAL).weights == tiny.run / "original" / "fold1" / "best.weights.h5"


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=3",
        "training.seed=3",
        "network.dropout=0.5",
        "network.image_size=64",
        "variants.original.learning_rate=0.01",  # of its start
        "variants.finetuned.learning_rate=0.01",
        "variants.finetuned.train_from=block6a",
    ],
)
def test_a_setting_that_changes_the_weights_makes_a_job_stale(tiny: Tiny, override: str) -> None:
    assert Training(opened(tiny), FINETUNED).inputs() != Training(opened(tiny, override), FINETUNED).inputs()


@pytest.mark.parametrize(
    "override",
    [
        "augmentation.copies=3",  # it trains on the originals
        "variants.augmented.epochs=3",
        'prediction.views=["vflip"]',
        "training.seeds=2",
        "training.refit=true",
        "jobs.jobs=2",
        "blend.seed=3",
        "competition.metric=accuracy",
    ],
)
def test_other_settings_leave_the_weights_fresh(tiny: Tiny, override: str) -> None:
    assert Training(opened(tiny), FINETUNED).inputs() == Training(opened(tiny, override), FINETUNED).inputs()


def test_copies_matter_to_the_augmented_variants(tiny: Tiny) -> None:
    job = Job("augmented", 0)
    assert Training(opened(tiny), job).inputs() != Training(opened(tiny, "augmentation.seed=3"), job).inputs()


def test_folds_images_and_weights_files_matter(tiny: Tiny) -> None:
    before = Training(opened(tiny), ORIGINAL).inputs()
    os.utime(tiny.input / "train" / "images" / "1.jpg", ns=(10**18, 10**18))
    changed = Training(opened(tiny), ORIGINAL).inputs()
    assert changed != before
    folds = pd.read_csv(tiny.run / "folds.csv")
    folds.assign(fold=(folds["fold"] + 1) % SPLITS).to_csv(tiny.run / "folds.csv", index=False)
    assert Training(opened(tiny), ORIGINAL).inputs() != changed
    weights = tiny.folder / "w.weights.h5"
    seen = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        seen.append(Training(opened(tiny, f"network.weights={weights}"), ORIGINAL).inputs())
    assert seen[0] != seen[1]


def test_a_missing_weights_file_is_told(tiny: Tiny) -> None:
    run = opened(tiny, "network.weights=/nowhere/b0.weights.h5")
    with pytest.raises(InputError, match=r"no file /nowhere/b0\.weights\.h5"):
        Training(run, ORIGINAL).inputs()


def test_views_and_test_images_make_predictions_stale_but_the_merge_does_not(tiny: Tiny) -> None:
    before = Training(opened(tiny), ORIGINAL).prediction_inputs()
    assert Training(opened(tiny, 'prediction.views=["vflip"]'), ORIGINAL).prediction_inputs() != before
    assert Training(opened(tiny, "training.epochs=3"), ORIGINAL).prediction_inputs() != before
    assert (
        Training(opened(tiny, "prediction.merge=geometric", "prediction.batch_size=2"), ORIGINAL).prediction_inputs()
        == before
    )
    os.utime(next((tiny.input / "test" / "images").iterdir()), ns=(10**18, 10**18))
    assert Training(opened(tiny), ORIGINAL).prediction_inputs() != before


def test_inputs_survive_json(tiny: Tiny) -> None:
    run = opened(tiny)
    for inputs in (Training(run, FINETUNED).inputs(), Training(run, FINETUNED).prediction_inputs()):
        assert json.loads(json.dumps(inputs)) == inputs


def test_a_job_is_finished_when_its_files_and_inputs_are_there(tiny: Tiny) -> None:
    run = opened(tiny)
    folder, weights = run.layout.job(ORIGINAL), Training(run, ORIGINAL).weights
    assert not Training(run, ORIGINAL).is_trained
    artifacts.write_text(weights, "w")
    assert not Training(run, ORIGINAL).is_trained
    digests = {weights.name: artifacts.file_digest(weights)}
    artifacts.write_meta(folder / "meta.json", inputs=Training(run, ORIGINAL).inputs(), outputs=digests, seconds=1)
    assert Training(run, ORIGINAL).is_trained
    assert not Training(opened(tiny, "training.epochs=3"), ORIGINAL).is_trained
    weights.unlink()
    assert not Training(run, ORIGINAL).is_trained


def test_a_job_is_predicted_when_its_files_and_inputs_are_there(tiny: Tiny) -> None:
    run, job = opened(tiny), ORIGINAL
    path = Training(run, job).predictions
    artifacts.write_text(path, "p")
    digests = {path.name: artifacts.file_digest(path)}
    meta = path.with_suffix(".meta.json")
    artifacts.write_meta(meta, inputs=Training(run, job).prediction_inputs(), outputs=digests, seconds=1)
    assert Training(run, job).is_predicted
    assert not Training(opened(tiny, 'prediction.views=["vflip"]'), job).is_predicted
