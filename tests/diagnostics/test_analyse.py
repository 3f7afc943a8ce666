"""Every topic of `analyse` on folders that hold nothing but files of predictions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_up_predictions import write_json
from made_up_runs import CLASSES, Runs, record, write
from ripik import analysis, cli
from ripik.diagnostics.analyse import ANSWERS, analyse
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.steps import TOPICS

NAMES = ["original", "finetuned", "ensemble"]  # in the order of the configuration, then the blend
OWN_STEPS = {"labels", "adversarial"}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    made = Runs(tmp_path)
    made.write_folds()
    for seed, (name, right) in enumerate(zip(NAMES, (0.6, 0.75, 0.8), strict=True)):
        made.write_oof(f"here/{name}", right, seed)
    order = "[competition]\nclasses = " + json.dumps(CLASSES) + "\n[variants.original]\n[variants.finetuned]\n"
    (made.output / "here" / "config.toml").write_text(order, encoding="utf-8")
    return made


def run_of(runs: Runs) -> Path:
    return runs.output / "here"


def asked(runs: Runs, topic: str, of: str = "", **settings: Settings) -> pd.DataFrame:
    """Return the CSV that the topic writes."""
    path = analyse(settings.get("settings") or runs.settings(), topic, of)
    assert path == run_of(runs) / "analysis" / f"{topic}.csv"
    return pd.read_csv(
        path, dtype={"image_id": str, "label": str, "predicted": str}, keep_default_na=False, na_values=[""]
    )


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        found, wanted.reset_index(drop=True), check_dtype=False, rtol=1e-8, check_names=False, check_column_type=False
    )


def test_every_topic_of_the_command_is_answered() -> None:
    assert set(ANSWERS) | OWN_STEPS == set(TOPICS)
    assert set(ANSWERS).isdisjoint(OWN_STEPS)


def test_scores_of_all_and_of_their_classes(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    found = asked(runs, "scores")
    assert found.columns.tolist() == ["name", "score", "value", "low", "high", "error"]
    assert found["name"].unique().tolist() == NAMES
    for name, of in analysis.load_run(run_of(runs)).items():
        rows, classes = found[found["name"] == name], analysis.class_scores(of)
        columns = ["score", "value", "low", "high", "error"]
        same(rows[columns].head(3).reset_index(drop=True), analysis.scores(of)[columns])
        assert rows["score"].tolist()[3:] == [f"F1 of {label}" for label in CLASSES]
        np.testing.assert_allclose(rows["value"].tolist()[3:], classes["f1"], rtol=1e-8)
        np.testing.assert_allclose(rows["low"].tolist()[3:], classes["low"], rtol=1e-8)
    told = capsys.readouterr().out
    assert all(word in told for word in [*NAMES, "macro_f1", "F1 of lamp broken"])


@pytest.mark.parametrize(("of", "name"), [("", "ensemble"), ("original", "original")])
def test_confusion_errors_and_calibration_are_of_the_one_asked_for(
    runs: Runs, of: str, name: str, capsys: pytest.CaptureFixture
) -> None:
    wanted = analysis.load(run_of(runs) / name)
    found = asked(runs, "confusion", of)
    assert found.columns.tolist() == ["label", *CLASSES]
    assert found["label"].tolist() == CLASSES
    assert found[CLASSES].to_numpy().tolist() == analysis.confusion(wanted).to_numpy().tolist()
    errors = analysis.errors(wanted)
    same(asked(runs, "errors", of).drop(columns="path"), errors.drop(columns="path"))
    same(asked(runs, "calibration", of), analysis.calibration(wanted))
    told = " ".join(capsys.readouterr().out.split())
    assert name in told
    assert f"{len(errors)} of {len(wanted.frame)} images are misclassified" in told
    assert f"expected calibration error {analysis.calibration_error(wanted):.4f}" in told


def test_without_a_blend_the_last_variant_is_asked(runs: Runs) -> None:
    (run_of(runs) / "ensemble" / "oof.csv").unlink()
    wanted = analysis.confusion(analysis.load(run_of(runs) / "finetuned"))
    assert asked(runs, "confusion")[CLASSES].to_numpy().tolist() == wanted.to_numpy().tolist()


def test_members_are_compared_without_the_blend(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    found = asked(runs, "members").set_index("member")
    everyone = analysis.load_run(run_of(runs))
    members = {name: everyone[name] for name in NAMES[:2]}
    hits, alike = analysis.hits(members).set_index("member"), analysis.correlation(members)
    assert found.index.tolist() == NAMES[:2]
    assert found[hits.columns.tolist()].to_numpy().tolist() == hits.to_numpy().tolist()
    for name in NAMES[:2]:
        np.testing.assert_allclose(found[f"correlation with {name}"], alike[name], rtol=1e-8)
    assert "only_right" in capsys.readouterr().out


def test_folds_with_scores_and_labels(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    found = asked(runs, "folds")
    assert found.columns.tolist() == ["fold", "images", "groups", *NAMES, *(f"label {label}" for label in CLASSES)]
    counts = analysis.fold_classes(run_of(runs))
    assert found[[f"label {label}" for label in CLASSES]].to_numpy().tolist() == counts.to_numpy().tolist()
    for name, of in analysis.load_run(run_of(runs)).items():
        wanted = analysis.fold_scores(of)
        np.testing.assert_allclose(found[name], wanted["macro_f1"], rtol=1e-8)
        assert found["images"].tolist() == wanted["images"].tolist()
    assert "macro_f1" in capsys.readouterr().out


def write_views(runs: Runs, name: str) -> None:
    """Write two stored views of a variant whose mean is its oof.csv."""
    folder = run_of(runs) / name
    oof = pd.read_csv(folder / "oof.csv", dtype={"image_id": str})
    values = oof.filter(like="p_").to_numpy()
    shift = 0.05 * (np.roll(values, 1, axis=1) - values)
    stored = np.stack([values + shift, values - shift]).astype(np.float32)
    for fold in sorted(oof["fold"].unique()):
        held = np.flatnonzero(oof["fold"] == fold)
        job = folder / f"fold{fold}"
        job.mkdir(exist_ok=True)
        np.savez(job / "predictions.npz", oof=stored[:, held], held_ids=oof["image_id"][held].to_numpy(dtype=str))
        seen = {"prediction": {"views": ["identity", "hflip"]}}
        record(job / "predictions.meta.json", seen, job / "predictions.npz")
    jobs = {f"fold{fold}": "0" for fold in range(5)}
    record(folder / "meta.json", {"merge": "arithmetic", "predictions": jobs}, folder / "oof.csv")


def test_views_of_every_variant(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    for name in NAMES[:2]:
        write_views(runs, name)
    found = asked(runs, "views")
    assert found.columns.tolist() == ["variant", "view", "alone", "without", "adds", "low", "high"]
    assert found["variant"].tolist() == ["original", "original", "finetuned", "finetuned"]
    for name in NAMES[:2]:
        same(
            found[found["variant"] == name].drop(columns="variant").reset_index(drop=True),
            analysis.views(run_of(runs), name),
        )
    assert asked(runs, "views", "finetuned")["variant"].unique().tolist() == ["finetuned"]
    assert "hflip" in capsys.readouterr().out


def test_a_blend_has_no_views_of_its_own(runs: Runs) -> None:
    with pytest.raises(InputError, match="ensemble"):
        analyse(runs.settings(), "views", "ensemble")


def test_runs_so_far(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    folder = runs.folder / "submissions"
    names = ["here-20260101-100000-cv0.7000.csv", "here-20260102-100000-cv0.7500.csv"]
    rows = [
        [names[1], "2026-01-02T10:00:00", "a b", 0.75, 0.74, ""],
        [names[0], "2026-01-01T10:00:00", "a", 0.7, "", ""],
    ]
    write(folder / "log.csv", pd.DataFrame(rows, columns=["file", "time", "members", "cv", "public", "private"]))
    for name, epochs in zip(names, (3, 5), strict=True):
        scores = {"intervals": {"pooled": {"value": 0.7, "low": 0.6, "high": 0.8}}}
        content = {"configuration": {"training": {"epochs": epochs}}, "scores": scores}
        write_json((folder / name).with_suffix(".json"), content)
    settings = runs.settings(f"paths.submissions={folder}")
    found = asked(runs, "runs", settings=settings)
    same(found.fillna({"changed": ""}), analysis.runs(folder))
    assert found["file"].tolist() == names
    assert found["changed"].fillna("").tolist() == ["", "training.epochs: 3 → 5"]
    told = capsys.readouterr().out
    assert f"{names[1]}: training.epochs: 3 → 5" in told.replace("\n", "")


@pytest.mark.parametrize("topic", ["scores", "confusion", "errors", "calibration", "folds", "views"])
def test_a_name_that_is_not_there_is_told_with_the_nearest(runs: Runs, topic: str) -> None:
    with pytest.raises(InputError, match=r"no predictions of 'finetunde'.*finetuned"):
        analyse(runs.settings(), topic, "finetunde")
    assert not (run_of(runs) / "analysis" / f"{topic}.csv").exists()


@pytest.mark.parametrize("topic", sorted(set(ANSWERS) - {"runs"}))
def test_a_run_without_predictions_is_told(tmp_path: Path, topic: str) -> None:
    with pytest.raises(InputError, match="make train"):
        analyse(Runs(tmp_path).settings(), topic)


@pytest.mark.parametrize("topic", ["members", "runs", "labels", "adversarial"])
def test_a_topic_about_the_whole_run_takes_no_name(runs: Runs, topic: str, capsys: pytest.CaptureFixture) -> None:
    config = str(runs.folder / "here.toml")
    assert cli.main(["analyse", topic, "--config", config, "--of", "original"]) == 2
    assert "--of" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["predicted", "fold"])
def test_a_class_of_any_name_has_its_place_in_the_tables(tmp_path: Path, other: str) -> None:
    made = Runs(tmp_path)
    names = {"crack": "label", "dent": other, "lamp broken": 'a,b "c"'}
    made.folds = made.folds.assign(label=made.folds["label"].map(names))
    made.write_folds()
    frame = made.predicted(0.7, 0).rename(columns={f"p_{old}": f"p_{new}" for old, new in names.items()})
    write(run_of(made) / "original" / "oof.csv", frame)
    for topic in ("scores", "confusion", "errors", "calibration", "folds", "members"):
        assert analyse(made.settings(), topic).exists()
    found = pd.read_csv(run_of(made) / "analysis" / "confusion.csv")
    wanted = analysis.confusion(analysis.load(run_of(made) / "original")).to_numpy()
    assert found.to_numpy()[:, 1:].tolist() == wanted.tolist()


@pytest.mark.parametrize(("topic", "name"), [("scores", "score"), ("members", "member"), ("folds", "fold")])
def test_a_variant_of_any_name_has_its_column(tmp_path: Path, topic: str, name: str) -> None:
    made = Runs(tmp_path)
    made.write_folds()
    made.write_oof(f"here/{name}", 0.7)
    assert analyse(made.settings(), topic).exists()


def test_the_command_prints_and_writes(runs: Runs, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["analyse", "errors", "--config", str(runs.folder / "here.toml"), "--of", "original"]) == 0
    assert "analysis/errors.csv" in capsys.readouterr().out.replace("\n", "")
