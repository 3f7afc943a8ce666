import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from made_up_predictions import CLASSES, drawn, write_json, write_run
from made_up_runs import record
from ripik.analysis import fold_classes, group_sizes, history, read_blend, shares, times, views
from ripik.analysis.intervals import difference
from ripik.analysis.measures import scores
from ripik.analysis.metrics import get_metric
from ripik.analysis.predictions import load
from ripik.analysis.view_gains import merge
from ripik.errors import InputError, RipikError
from ripik.storage.artifacts import read_meta

VIEWS = ["identity", "hflip", "crop90"]
ROWS, COPIES, FOLDS = 90, 3, 3


def write_curve(job: Path, epochs: int, **more: list[float]) -> None:
    job.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"epoch": range(1, epochs + 1), "accuracy": 0.5, "loss": 0.7, **more, "seconds": 2.0}
    pd.DataFrame(columns).to_csv(job / "history.csv", index=False)


def test_history_of_all_jobs_in_order(tmp_path: Path) -> None:
    for name in ("fold10", "fold2-seed1", "refit", "fold2"):
        write_curve(tmp_path / "a" / name, 2)
    write_curve(tmp_path / "a" / "fold0", 1, inner_loss=[0.3])
    (tmp_path / "a" / "fold7").mkdir()  # not finished
    write_curve(tmp_path / "a" / "logs", 1)
    found = history(tmp_path, "a")
    assert list(found.columns) == ["fold", "seed", "epoch", "loss", "accuracy", "seconds", "inner_loss"]
    jobs = found[["fold", "seed"]].drop_duplicates().to_numpy().tolist()
    assert jobs == [[0, 0], [2, 0], [2, 1], [10, 0], [-1, 0]]
    assert found["epoch"].tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 2]
    assert found["inner_loss"].isna().tolist() == [False] + [True] * 8
    assert found["loss"].dtype == np.float64


def test_trainings_of_other_folds_are_left_out(tmp_path: Path) -> None:
    for name in ("fold0", "fold1", "fold2", "refit"):
        write_curve(tmp_path / "a" / name, 2)
        record(tmp_path / "a" / name / "meta.json", {}, tmp_path / "a" / name / "history.csv")
    assert history(tmp_path, "a")["fold"].unique().tolist() == [0, 1, 2, -1]
    assert times(tmp_path).to_numpy().tolist() == [["train", "a", 4]]
    merged = {"predictions": dict.fromkeys(["fold0", "fold1", "refit"], "0")}
    record(tmp_path / "a" / "meta.json", merged)
    assert history(tmp_path, "a")["fold"].unique().tolist() == [0, 1, -1]
    assert times(tmp_path).to_numpy().tolist() == [["train", "a", 3], ["predict", "a", 1]]
    (tmp_path / "a" / "meta.json").write_text("{")
    assert history(tmp_path, "a")["fold"].unique().tolist() == [0, 1, 2, -1]


def test_history_that_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no history\.csv .*make train"):
        history(tmp_path, "a")
    write_curve(tmp_path / "a" / "fold0", 2, inner_loss=[0.3, 0.2])
    path = tmp_path / "a" / "fold0" / "history.csv"
    for cell, wrong, message in (
        ("0.2", "low", "line 3: inner_loss 'low' is not a number"),
        ("0.7", "", "line 2: the loss is missing"),
        ("loss", "lost", "no column loss"),
    ):
        text = path.read_text()
        path.write_text(text.replace(cell, wrong, 1) if cell != "loss" else text.replace("loss", wrong))
        with pytest.raises(InputError, match=message):
            history(tmp_path, "a")
        path.write_text(text)


def test_blend_is_read_or_told(tmp_path: Path) -> None:
    path = tmp_path / "ensemble" / "weights.json"
    with pytest.raises(InputError, match=r"no file .*weights\.json.*make ensemble"):
        read_blend(tmp_path)
    write_json(path, {"members": ["a"]})
    assert read_blend(tmp_path) == {"members": ["a"]}
    for text in ("{", "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"weights\.json .*make ensemble"):
            read_blend(tmp_path)


def write_views(run: Path, how: str = "geometric", seeds: int = 2) -> np.ndarray:
    """Write a variant's stored views, (seeds, views, n, C), and the oof.csv merged from them; return the views."""
    _, targets = drawn(ROWS)
    stored = np.stack([[drawn(ROWS, 10 * seed + view)[0] for view in range(3)] for seed in range(seeds)])
    stored = ((stored + 2 * np.eye(3)[targets]) / 3).astype(np.float32)
    merged = np.mean([merge(views_of_seed, how) for views_of_seed in stored], axis=0)
    folder = write_run(run, "a", merged, targets, COPIES)
    fold = load(folder).frame["fold"].to_numpy()
    jobs = {f"fold{k}" + (f"-seed{s}" if s else ""): (k, s) for k in range(FOLDS) for s in range(seeds)}
    for name, (k, seed) in jobs.items():
        held, path = np.flatnonzero(fold == k)[::-1], folder / name / "predictions.npz"  # rows are joined by id
        path.parent.mkdir(exist_ok=True)
        np.savez(path, oof=stored[seed][:, held], held_ids=(held + 1).astype(str))
        record(path.with_suffix(".meta.json"), {"prediction": {"views": VIEWS}}, path)
    predictions = dict.fromkeys([*jobs, "refit"], "0")
    record(folder / "meta.json", {"merge": how, "predictions": predictions}, folder / "oof.csv")
    return stored


@pytest.mark.parametrize("how", ["arithmetic", "geometric"])
def test_views_alone_without_and_what_they_add(tmp_path: Path, how: str) -> None:
    stored = write_views(tmp_path, how)
    found, p, metric = views(tmp_path, "a").set_index("view"), load(tmp_path / "a"), get_metric("macro_f1")
    assert found.index.tolist() == VIEWS
    whole = scores(p)["value"].iloc[0]
    for index, name in enumerate(VIEWS):
        alone = np.mean([merge(seed[[index]], how) for seed in stored], axis=0).astype(np.float64)
        kept = [other for other in range(3) if other != index]
        others = np.mean([merge(seed[kept], how) for seed in stored], axis=0).astype(np.float64)
        row, wanted = found.loc[name], difference(p.targets, others, p.probabilities, p.groups, metric)
        assert row["alone"] == metric.function(p.targets, alone)
        assert row["without"] == metric.function(p.targets, others)
        assert row["adds"] == pytest.approx(whole - row["without"])
        assert row["low"] == pytest.approx(wanted.low, abs=1e-9)
        assert row["high"] == pytest.approx(wanted.high, abs=1e-9)


def test_views_are_scored_by_the_metric_asked_for(tmp_path: Path) -> None:
    write_views(tmp_path)
    p = load(tmp_path / "a", metric="log_loss")
    found = views(tmp_path, "a", metric="log_loss")
    whole = get_metric("log_loss").function(p.targets, p.probabilities)
    np.testing.assert_allclose(found["without"] + found["adds"], whole)


def test_a_single_view_has_no_others(tmp_path: Path) -> None:
    stored = write_views(tmp_path, seeds=1)
    for job in (tmp_path / "a").glob("fold*"):
        with np.load(job / "predictions.npz") as kept:
            np.savez(job / "predictions.npz", oof=kept["oof"][:1], held_ids=kept["held_ids"])
        record(job / "predictions.meta.json", {"prediction": {"views": VIEWS[:1]}}, job / "predictions.npz")
    told = read_meta(tmp_path / "a" / "meta.json")
    write_run(tmp_path, "a", merge(stored[0][:1], "geometric"), drawn(ROWS)[1], COPIES)
    record(tmp_path / "a" / "meta.json", told["inputs"], tmp_path / "a" / "oof.csv")
    found = views(tmp_path, "a")
    assert found["alone"].tolist() == [scores(load(tmp_path / "a"))["value"].iloc[0]]
    assert found[["without", "adds", "low", "high"]].isna().all(axis=None)


def test_views_that_are_missing_broken_or_of_another_oof(tmp_path: Path) -> None:
    write_views(tmp_path)
    folder = tmp_path / "a"
    predictions, merged = folder / "fold1" / "predictions.npz", folder / "meta.json"
    told, held, oof = predictions.with_suffix(".meta.json"), (folder / "fold1" / "predictions.npz",), folder / "oof.csv"
    other = {"merge": "arithmetic", "predictions": {"fold0": "0"}}
    for path, spoil, message in (
        (predictions, predictions.unlink, r"no file .*fold1/predictions\.npz.*make predict"),
        (predictions, lambda: predictions.write_text("broken"), r"predictions\.npz does not match the checksum"),
        (told, told.unlink, r"no file .*predictions\.meta\.json"),
        (told, lambda: told.write_text("{}"), "does not list the views"),
        (told, lambda: record(told, {"prediction": {"views": ["x"]}}, *held), "other views"),
        (merged, merged.unlink, r"no file .*meta\.json"),
        (merged, lambda: merged.write_text("{}"), r"meta\.json is damaged or was edited"),
        (merged, lambda: record(merged, {}, oof), "does not say which predictions"),
        (merged, lambda: record(merged, other, oof), "was not merged"),
    ):
        kept = path.read_bytes()
        spoil()
        with pytest.raises(RipikError, match=message):
            views(tmp_path, "a")
        path.write_bytes(kept)
    views(tmp_path, "a")
    np.savez(predictions, oof=np.zeros((3, 1, 3)), held_ids=np.array(["no-such-id"]))
    record(told, {"prediction": {"views": VIEWS}}, predictions)
    with pytest.raises(InputError, match="has other images"):
        views(tmp_path, "a")
    predictions.write_text("broken")
    record(told, {"prediction": {"views": VIEWS}}, predictions)
    with pytest.raises(InputError, match=r"predictions\.npz is damaged"):
        views(tmp_path, "a")


def write_test_csv(folder: Path, predicted: list[int]) -> None:
    values = np.full((len(predicted), 3), 0.1)
    values[np.arange(len(predicted)), predicted] = 0.8
    frame = pd.DataFrame(values, columns=[f"p_{label}" for label in CLASSES])
    frame.insert(0, "image_id", [f"t{row}" for row in range(len(predicted))])
    frame.to_csv(folder / "test.csv", index=False)


def test_shares_of_train_test_and_estimated(tmp_path: Path) -> None:
    values = [[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]
    for name in ("a", "ensemble"):
        write_test_csv(write_run(tmp_path, name, np.array(values), np.array([0, 1, 1, 0])), [2, 2, 0, 2, 2])
    found = shares(tmp_path)
    assert found["label"].tolist() == list(CLASSES)
    assert found["train"].tolist() == [0.5, 0.5, 0]
    assert found["predicted_train"].tolist() == [0.75, 0.25, 0]
    assert found["predicted_test"].tolist() == [0.2, 0, 0.8]
    assert found["estimated_test"].isna().all()
    estimated = {"7": 0.25, "3": 0.25, "12": 0.5}
    told = {"class_shares_estimated": estimated, "class_shares_low": {"12": 0.4}}
    write_json(tmp_path / "ensemble" / "weights.json", {"test": told})
    assert shares(tmp_path)["estimated_test"].tolist() == [0.25, 0.25, 0.5]
    assert shares(tmp_path).set_index("label").loc["12", "estimated_low"] == 0.4
    assert shares(tmp_path)["estimated_high"].isna().all()
    assert shares(tmp_path, "a")["estimated_test"].isna().all()  # what the blend estimates is not the variant's
    (tmp_path / "a" / "test.csv").unlink()
    with pytest.raises(InputError, match=r"no .*test\.csv"):
        shares(tmp_path, "a")


def write_groups(run: Path, train: list[int], test: list[int]) -> None:
    ids = [str(row + 1) for row in range(len(train))] + [f"t{row}" for row in range(len(test))]
    split = ["train"] * len(train) + ["test"] * len(test)
    pd.DataFrame({"image_id": ids, "split": split, "group": train + test}).to_csv(run / "groups.csv", index=False)


def test_group_sizes_count_groups_and_images(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", *drawn(7), copies=1).parent
    write_groups(run, train=[0, 0, 0, 3, 3, 3, 6], test=[0, 8, 8, 8, 11])
    found = group_sizes(run)
    assert found.to_numpy().tolist() == [[1, 1, 2], [3, 2, 1]]
    assert (found["images"] * found["train_groups"]).sum() == 7
    assert (found["images"] * found["test_groups"]).sum() == 5
    assert found["train_groups"].sum() == len(np.unique(load(run / "a").groups))


def test_group_sizes_of_missing_or_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*groups\.csv.*make folds"):
        group_sizes(tmp_path)
    run = write_run(tmp_path, "a", *drawn(3)).parent
    write_groups(run, train=[0, 1, 2], test=[3])
    (run / "groups.csv").write_text((run / "groups.csv").read_text().replace("t0,test,3", "t0,test,x"))
    with pytest.raises(InputError, match="line 5: group 'x' is not a whole number"):
        group_sizes(run)


def test_fold_classes_in_class_order(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a", np.full((6, 3), 1 / 3), np.array([0, 1, 2, 0, 0, 0])).parent
    found = fold_classes(run)
    assert found.columns.tolist() == ["3", "7", "12"]  # as numbers
    assert found.loc[:, ["7", "3", "12"]].to_numpy().tolist() == [[2, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert (found.index.name, found.columns.name) == ("fold", "label")
    (run / "config.toml").write_text("[competition]\nclasses = [7, 3, 12]\n")
    assert fold_classes(run).columns.tolist() == list(CLASSES)
    (run / "folds.csv").write_text("image_id,label,group,fold\n1,crack,0,0\n2,,1,1\n")
    with pytest.raises(InputError, match="line 3: the label is missing"):
        fold_classes(run)
    (run / "folds.csv").unlink()
    with pytest.raises(InputError, match=r"no file .*folds\.csv"):
        fold_classes(run)


def test_times_in_the_order_of_the_steps(tmp_path: Path) -> None:
    seconds = {
        "report/meta.json": 64,
        "analysis/labels.meta.json": 32,
        "ensemble/meta.json": 16,
        "a/meta.json": 8,
        "a/fold0/predictions.meta.json": 4,
        "a/fold0-seed1/meta.json": 2,
        "a/fold0/meta.json": 1,
        "b/refit/meta.json": 128,
        "features/B0/train.meta.json": 256,
        "pixels/224/test.meta.json": 512,
        "pixels/224/train.meta.json": 1024,
        "folds.meta.json": 0.5,
        "groups.meta.json": 0.25,
    }
    for name, value in seconds.items():
        write_json(tmp_path / name, {"seconds": value})
    (tmp_path / "config.toml").write_text("[variants.b]\n[variants.a]\n[variants.c]\n")
    assert times(tmp_path).to_numpy().tolist() == [
        ["folds", "near copies", 0.25],
        ["folds", "folds", 0.5],
        ["train", "pixels 224", 1536],
        ["train", "frozen outputs B0", 256],
        ["train", "b", 128],
        ["train", "a", 3],
        ["predict", "a", 12],
        ["ensemble", "blend", 16],
        ["analyse", "labels", 32],
        ["report", "report", 64],
    ]
    assert times(tmp_path)["seconds"].sum() == sum(seconds.values())


def test_times_of_nothing_and_of_broken_files(tmp_path: Path) -> None:
    found = times(tmp_path)
    assert found.empty
    assert list(found.columns) == ["step", "what", "seconds"]
    with pytest.raises(InputError, match="no folder"):
        times(tmp_path / "none")
    for content in ({}, {"seconds": "long"}, {"seconds": -1}):
        (tmp_path / "folds.meta.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"folds\.meta\.json does not record the seconds"):
            times(tmp_path)
