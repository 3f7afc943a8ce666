import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import CLASSES, SPLITS, Tiny
from made_up_trainings import finish, finished, random_values
from ripik.analysis.intervals import Interval
from ripik.ensemble import build, inputs
from ripik.errors import InputError, SurroundingsError
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job
from ripik.training.jobs import Training, jobs_of
from ripik.training.oof import check_oof, merge_variant, probability_columns, written_oof
from ripik.training.scores import Scores, score_rows

COLUMNS = ["p_1", "p_2", "p_3"]


def merged(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    merge_variant(run, run.settings.variants["original"])
    folder = run.layout.variant("original")
    return read(folder / "oof.csv"), read(folder / "test.csv")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"image_id": str, "label": str}, keep_default_na=False)


def good_oof(run: Run) -> pd.DataFrame:
    values = random_values(Job("any", 0), "oof", 1, len(run.folds))[0]
    return pd.concat([run.folds[["image_id", "fold", "label"]], pd.DataFrame(values, columns=COLUMNS)], axis=1)


@pytest.fixture
def run(tiny: Tiny) -> Run:
    tiny.write_folds()
    return Run.open(tiny.settings())


def test_the_contracts_columns_order_and_values(tiny: Tiny) -> None:
    run = finished(tiny)
    merge_variant(run, run.settings.variants["original"])
    oof = pd.read_csv(tiny.run / "original" / "oof.csv", dtype={"image_id": str})
    test = pd.read_csv(tiny.run / "original" / "test.csv", dtype={"image_id": str})
    assert oof.columns.tolist() == ["image_id", "fold", "label", *COLUMNS]
    assert test.columns.tolist() == ["image_id", *COLUMNS]
    assert oof["image_id"].tolist() == tiny.truth["image_id"].tolist()
    assert oof["label"].tolist() == tiny.truth["label"].tolist()
    assert oof["fold"].tolist() == (tiny.truth["photo"] % SPLITS).tolist()
    assert oof[COLUMNS].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)
    assert (tiny.run / "original" / "meta.json").exists()


def test_every_row_holds_what_the_model_of_its_fold_said(tiny: Tiny) -> None:
    run = finished(tiny)
    oof = merged(run)[0].set_index("image_id")
    for job in jobs_of(run.settings, run.settings.variants["original"]):
        held = run.competition.train["image_id"].to_numpy()[Training(run, job).held_rows][::-1]
        said = random_values(job, "oof", 2, len(held)).mean(axis=0)
        assert oof.loc[held, COLUMNS].to_numpy() == pytest.approx(said, abs=1e-7)
        assert set(oof.loc[held, "fold"]) == {job.fold}


def test_the_test_set_is_the_mean_over_folds(tiny: Tiny) -> None:
    run = finished(tiny)
    test = merged(run)[1]
    said = [random_values(Job("original", fold), "test", 2, len(test)).mean(axis=0) for fold in range(SPLITS)]
    assert test[COLUMNS].to_numpy() == pytest.approx(np.mean(said, axis=0), abs=1e-7)


def test_a_refit_alone_predicts_the_test_set(tiny: Tiny) -> None:
    run = finished(tiny, "training.refit=true")
    oof, test = merged(run)
    said = random_values(Job("original", None), "test", 2, len(test)).mean(axis=0)
    assert test[COLUMNS].to_numpy() == pytest.approx(said, abs=1e-7)
    assert len(oof) == len(tiny.truth)


def test_seeds_are_averaged(tiny: Tiny) -> None:
    oof = merged(finished(tiny, "training.seeds=2"))[0]
    rows = np.flatnonzero(oof["fold"] == 1)[::-1]
    said = [random_values(Job("original", 1, seed), "oof", 2, len(rows)).mean(axis=0) for seed in (0, 1)]
    assert oof.loc[rows, COLUMNS].to_numpy() == pytest.approx(np.mean(said, axis=0), abs=1e-7)


@pytest.mark.parametrize("views", ["all", "auto"])
def test_a_blend_is_fed_what_the_jobs_said_and_no_csv(tiny: Tiny, views: str) -> None:
    run = finished(tiny, "training.seeds=2", f"blend.views={views}")
    merge_variant(run, run.settings.variants["original"])
    read = [inputs.known_rows(run, ["original"]).rows.probabilities]
    read += [inputs.test_rows(run, inputs.said_of_test(run, ["original"]), apart=False)[0].probabilities]
    for path, fed in zip([tiny.run / "original" / name for name in ("oof.csv", "test.csv")], read, strict=True):
        values = pd.read_csv(path)[COLUMNS].to_numpy()
        assert fed.mean(axis=1)[0] == pytest.approx(values, abs=1e-7)
        path.write_text("what a person did to it")
    again = [inputs.known_rows(run, ["original"]).rows.probabilities]
    again += [inputs.test_rows(run, inputs.said_of_test(run, ["original"]), apart=False)[0].probabilities]
    assert [values.shape[1] for values in again] == [{"all": 1, "auto": 2}[views]] * 2
    for one, other in zip(read, again, strict=True):
        assert np.array_equal(one, other)


def test_one_view_keeps_float32_exactly(tiny: Tiny) -> None:
    run = finished(tiny, 'prediction.views=["identity"]')
    oof = merged(run)[0].set_index("image_id")
    held = run.competition.train["image_id"].to_numpy()[Training(run, Job("original", 0)).held_rows][::-1]
    said = random_values(Job("original", 0), "oof", 1, len(held))[0]
    assert np.array_equal(oof.loc[held, COLUMNS].to_numpy().astype("float32"), said)


def test_merging_twice_gives_the_same_bytes(tiny: Tiny) -> None:
    run = finished(tiny)
    folder = tiny.run / "original"
    contents = []
    for _ in range(2):
        merge_variant(run, run.settings.variants["original"])
        contents.append([(folder / name).read_bytes() for name in ("oof.csv", "test.csv")])
    assert contents[0] == contents[1]


def test_a_merge_is_made_again_only_where_something_changed(tiny: Tiny) -> None:
    run = finished(tiny)
    path = tiny.run / "original" / "oof.csv"
    merge_variant(run, run.settings.variants["original"])
    inode, content = path.stat().st_ino, path.read_bytes()
    merge_variant(run, run.settings.variants["original"])
    assert path.stat().st_ino == inode
    other = Run.open(tiny.settings("competition.metric=accuracy"))
    merge_variant(other, other.settings.variants["original"])
    record = artifacts.read_json(tiny.run / "original" / "meta.json")
    assert record["scores"]["pooled"]["value"] == record["scores"]["accuracy"]["value"]
    assert path.read_bytes() == content
    geometric = Run.open(tiny.settings("prediction.merge=geometric"))
    merge_variant(geometric, geometric.settings.variants["original"])
    assert path.read_bytes() != content


@pytest.mark.parametrize("killed_at", ["oof.csv", "test.csv", "meta.json"])
def test_a_kill_while_it_merges_is_mended_by_the_next_command(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    run, write = finished(tiny), artifacts.write_text
    variant, folder = run.settings.variants["original"], tiny.run / "original"
    merge_variant(run, variant)
    contents = {name: (folder / name).read_bytes() for name in ("oof.csv", "test.csv")}

    def killed(path: Path, text: str) -> None:
        if path.name == killed_at:
            raise KeyboardInterrupt
        write(path, text)

    (folder / "test.csv").unlink()
    monkeypatch.setattr(artifacts, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_variant(run, variant)
    assert not (folder / "meta.json").exists()
    monkeypatch.setattr(artifacts, "write_text", write)
    merge_variant(run, variant)
    assert {name: (folder / name).read_bytes() for name in contents} == contents


def test_rows_are_joined_by_id_and_not_by_position(tiny: Tiny) -> None:
    run = finished(tiny)
    before = merged(run)[0]
    path = tiny.run / "original" / "oof.csv"
    shuffled = pd.read_csv(path).sample(frac=1, random_state=0)
    assert shuffled["image_id"].astype(str).tolist() != before["image_id"].tolist()
    shuffled.to_csv(path, index=False)
    with pytest.raises(SurroundingsError, match=rf"{path.name} does not match the checksum .*`make train ensemble`"):
        written_oof(path, run)
    path.with_name("meta.json").unlink()
    assert written_oof(path, run) == pytest.approx(before[COLUMNS].to_numpy(), abs=1e-12)


CHANGES = {
    "missing": (lambda frame: frame.iloc[1:], "every id of train"),
    "extra": (lambda frame: pd.concat([frame, frame.iloc[[0]].assign(image_id="new")]), "no group"),
    "twice": (lambda frame: pd.concat([frame, frame.iloc[[0]]]), "appears on lines"),
    "other": (lambda frame: frame.assign(image_id=["new", *frame["image_id"][1:]]), "no group"),
    "other classes": (lambda frame: frame[["image_id", "fold", "label", "p_2", "p_1", "p_3"]], "columns p_2, p_1, p_3"),
    "other labels": (lambda frame: frame.assign(label=frame["label"].iloc[::-1].to_numpy()), "other labels"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_oof_of_other_rows_is_refused(tiny: Tiny, change: str) -> None:
    run = finished(tiny)
    merge_variant(run, run.settings.variants["original"])
    path = tiny.run / "original" / "oof.csv"
    changed, message = CHANGES[change]
    changed(pd.read_csv(path, dtype={"image_id": str})).to_csv(path, index=False)
    path.with_name("meta.json").unlink()
    with pytest.raises(InputError, match=message):
        written_oof(path, run)


def test_missing_predictions_say_what_to_run(run: Run) -> None:
    with pytest.raises(InputError, match="make train"):
        written_oof(Path("nowhere.csv"), run)


def test_a_good_frame_passes_in_any_row_order(run: Run) -> None:
    check_oof(good_oof(run), run)
    check_oof(good_oof(run).sample(frac=1, random_state=0), run)


@pytest.mark.parametrize("value", [np.nan, np.inf, 5.0])
def test_a_row_without_probabilities_is_refused(run: Run, value: float) -> None:
    oof = good_oof(run)
    oof.loc[3, "p_2"] = value
    with pytest.raises(InputError, match=f"1 training image.*{oof.loc[3, 'image_id']}"):
        check_oof(oof, run)


def test_negative_probabilities_are_refused(run: Run) -> None:
    oof = good_oof(run)
    oof.loc[3, COLUMNS] = [-0.5, 1.0, 0.5]
    with pytest.raises(InputError, match=oof.loc[3, "image_id"]):
        check_oof(oof, run)


def test_a_missing_row_is_refused(run: Run) -> None:
    with pytest.raises(InputError):
        check_oof(good_oof(run).iloc[1:], run)


def test_a_copy_moved_across_folds_on_purpose_is_refused(run: Run) -> None:
    oof = good_oof(run)
    oof.loc[3, "fold"] = (oof.loc[3, "fold"] + 1) % SPLITS
    with pytest.raises(InputError, match=oof.loc[3, "image_id"]):
        check_oof(oof, run)


def test_a_copy_moved_in_both_files_is_refused(tiny: Tiny, run: Run) -> None:
    folds, oof = run.folds.copy(), good_oof(run)
    for frame in (folds, oof):
        frame.loc[3, "fold"] = (frame.loc[3, "fold"] + 1) % SPLITS
    with pytest.raises(InputError, match=rf"group {folds.loc[3, 'group']} .*more than one"):
        check_oof(oof, dataclasses.replace(run, given=(folds, run.folds_digest)))


def test_other_labels_than_train_csvs_are_refused(run: Run) -> None:
    oof = good_oof(run)
    oof.loc[3, "label"] = 1 if oof.loc[3, "label"] != 1 else 2
    with pytest.raises(InputError, match="label"):
        check_oof(oof, run)


@pytest.mark.parametrize("lacking", ["meta.json", "predictions.npz", "predictions.meta.json"])
def test_an_unfinished_fold_is_named_and_nothing_is_written(tiny: Tiny, lacking: str) -> None:
    run = finished(tiny)
    (tiny.run / "original" / "fold1" / lacking).unlink()
    with pytest.raises(InputError, match=r"original/fold1: not (trained|predicted).*make (train|predict)"):
        merge_variant(run, run.settings.variants["original"])
    assert not (tiny.run / "original" / "oof.csv").exists()


@pytest.mark.parametrize(
    "override", ["training.epochs=3", 'prediction.views=["vflip"]', "competition.classes=[3, 2, 1]"]
)
def test_jobs_made_from_other_inputs_are_not_mixed_in(tiny: Tiny, override: str) -> None:
    finished(tiny)
    run = Run.open(tiny.settings(override))
    with pytest.raises(InputError, match="original/fold0"):
        merge_variant(run, run.settings.variants["original"])


def test_jobs_of_other_folds_are_not_mixed_in(tiny: Tiny) -> None:
    finished(tiny)
    folds = pd.read_csv(tiny.run / "folds.csv")
    folds.assign(fold=(folds["fold"] + 1) % SPLITS).to_csv(tiny.run / "folds.csv", index=False)
    run = Run.open(tiny.settings())
    with pytest.raises(InputError, match="not trained with the current folds"):
        merge_variant(run, run.settings.variants["original"])


def test_a_row_that_no_job_predicted_is_refused_before_any_score(tiny: Tiny) -> None:
    run = finished(tiny, values=lambda job, split, views, rows: np.full((views, rows, 3), np.nan, "float32"))
    with pytest.raises(InputError, match=f"{len(tiny.truth)} training images"):
        merge_variant(run, run.settings.variants["original"])


def test_a_row_predicted_by_a_model_that_saw_it_is_refused(tiny: Tiny) -> None:
    run = finished(tiny)
    path = Training(run, Job("original", 2)).predictions
    with np.load(path) as stored:
        arrays = dict(stored)
    seen = run.competition.train["image_id"].to_numpy(dtype=str)[Training(run, Job("original", 2)).rows[:1]]
    arrays["held_ids"] = np.concatenate([arrays["held_ids"], seen])
    arrays["oof"] = np.concatenate([arrays["oof"], arrays["oof"][:, :1]], axis=1)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="original/fold2"):
        merge_variant(run, run.settings.variants["original"])


def test_probability_columns_carry_the_organisers_labels() -> None:
    assert probability_columns([1, 2]) == ["p_1", "p_2"]
    assert probability_columns(["dent", "p"]) == ["p_dent", "p_p"]


@pytest.mark.parametrize("names", [("NA", "null", "01"), ("01", "02", "03"), ("True", "False", "1")])
def test_text_ids_and_labels_of_any_kind_come_back(tiny: Tiny, names: tuple[str, str, str]) -> None:
    rename = dict(zip("123", names, strict=True))
    tiny.edit(tiny.train_csv, lambda f: f.assign(label=f["label"].map(rename), image_id=["NA", *f["image_id"][1:]]))
    tiny.write_folds()
    change = {"image_id": ["NA", *tiny.truth["image_id"][1:]], "label": tiny.truth["label"].astype(str).map(rename)}
    tiny.edit(tiny.run / "folds.csv", lambda frame: frame.assign(**change))
    tiny.edit(tiny.run / "groups.csv", lambda frame: frame.assign(image_id=["NA", *frame["image_id"][1:]]))
    classes = f"competition.classes={sorted(names)}"  # a text such as NA is a label only where it is named
    run = Run.open(tiny.settings("competition.label_type=string", classes))
    for job in jobs_of(run.settings, run.settings.variants["original"]):
        finish(run, job)
    merged(run)
    oof = read(run.layout.variant("original") / "oof.csv")
    assert written_oof(run.layout.variant("original") / "oof.csv", run).shape == (len(oof), 3)
    assert oof["image_id"].tolist() == run.competition.train["image_id"].tolist()
    assert oof["label"].tolist() == run.competition.train["label"].tolist()


def test_scores_are_pooled_with_the_mean_of_folds_and_accuracy_beside(tiny: Tiny) -> None:
    run = finished(tiny)
    oof = good_oof(run)
    right = np.eye(3)[run.targets()]
    wrong_in_fold_0 = np.where((oof["fold"] == 0).to_numpy()[:, None], np.roll(right, 1, axis=1), right)
    oof[COLUMNS] = wrong_in_fold_0
    found = score_rows(run, oof[COLUMNS].to_numpy())
    assert found.accuracy.value == pytest.approx(2 / 3)
    assert found.by_fold == pytest.approx([0, 1, 1])
    assert found.mean_of_folds == pytest.approx(2 / 3)
    assert found.pooled.value == pytest.approx(2 / 3)
    assert found.pooled.low < 2 / 3 < found.pooled.high
    assert set(found.class_f1) == {"1", "2", "3"}


def test_a_class_that_a_fold_lacks_is_left_out_of_the_folds_mean(tiny: Tiny) -> None:
    tiny.write_folds()
    moved = tiny.truth["photo"].replace({0: 1})  # class 1 has no photo in fold 0
    tiny.edit(tiny.run / "folds.csv", lambda frame: frame.assign(fold=(moved % SPLITS).to_numpy()))
    run = Run.open(tiny.settings())
    found = score_rows(run, np.eye(3)[run.targets()])
    assert found.pooled.value == found.mean_of_folds == 1
    assert found.by_fold == [1, 1, 1]


def test_a_blend_of_two_variants_ends_with_a_submission(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tiny)
    for job in jobs_of(run.settings, run.settings.variants["augmented"]):
        finish(run, job)
    path = build.ensemble(tiny.settings(), ["original", "augmented"])
    sample, submitted = pd.read_csv(tiny.sample_csv), pd.read_csv(path)
    assert submitted.columns.tolist() == sample.columns.tolist()
    assert submitted["image_id"].tolist() == sample["image_id"].tolist()
    assert set(submitted["label"]) <= set(CLASSES)
    assert path.parent == tiny.folder / "submissions"
    assert "Out-of-fold scores" not in capsys.readouterr().out  # nothing was predicted
    again = build.ensemble(tiny.settings(), ["original", "augmented"])
    assert again == path
    assert "up to date" in capsys.readouterr().out


def test_an_ensemble_that_cannot_submit_keeps_the_blend_before(tiny: Tiny) -> None:
    run = finished(tiny)
    for job in jobs_of(run.settings, run.settings.variants["augmented"]):
        finish(run, job)
    build.ensemble(tiny.settings(), ["original"])
    kept = {path: path.read_bytes() for path in (tiny.run / "ensemble").iterdir()}
    (tiny.folder / "in_the_way").write_text("")
    settings = tiny.settings(f"paths.submissions={tiny.folder / 'in_the_way'}")
    with pytest.raises(SurroundingsError, match="in_the_way"):
        build.ensemble(settings, ["original", "augmented"])
    assert {path: path.read_bytes() for path in (tiny.run / "ensemble").iterdir()} == kept


def test_a_variant_named_twice_is_one_member(tiny: Tiny) -> None:
    finished(tiny)
    build.ensemble(tiny.settings(), ["original", "original"])
    assert artifacts.read_json(tiny.run / "ensemble" / "weights.json")["members"] == ["original"]


def test_a_metric_that_has_no_value_in_any_fold_has_none_in_their_mean() -> None:
    nothing = Interval(0.5, 0.4, 0.6, 0.1)
    assert np.isnan(Scores(nothing, [float("nan")] * 4, nothing, {}).mean_of_folds)
    assert Scores(nothing, [float("nan"), 0.5], nothing, {}).mean_of_folds == 0.5


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    known, unknown = Interval(0.5, 0.4, 0.6, 0.05), Interval(*[float("nan")] * 4)
    for corrected in (None, known):
        scores = Scores(known, [0.5, float("nan")], known, {"1": known, "2": unknown}, corrected)
        artifacts.write_json(tmp_path / "scores.json", scores.as_json())
        again = Scores.from_json(artifacts.read_json(tmp_path / "scores.json"))
        assert again.cells() == scores.cells()
        assert repr(again) == repr(scores)
