import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from conftest import Tiny
from made_up_runs import COPIES, PHOTOS, Runs, write
from ripik import cli
from ripik.diagnostics import compare as module
from ripik.diagnostics.compare import Comparison, compare
from ripik.errors import InputError
from ripik.steps import step


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Return a run with three members, of which `finetuned` is far better than `original`."""
    made = Runs(tmp_path)
    made.write_folds()
    made.write_oof("here/original", 0.6)
    made.write_oof("here/finetuned", 0.95, seed=1)
    made.write_oof("here/ensemble", 0.9, seed=2)
    return made


def test_a_better_variant_is_called_better(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(runs.settings(), "original", "finetuned")
    printed = capsys.readouterr().out
    assert found.verdict == "better"
    assert (found.images, found.groups) == (PHOTOS * COPIES, PHOTOS)
    assert [scored.metric for scored in found.scores] == ["macro_f1", "accuracy"]
    f1, accuracy = found.scores
    assert f1.difference.value == pytest.approx(f1.b.value - f1.a.value)
    right = runs.predicted(0.6, 0).set_index("image_id").filter(like="p_").idxmax(axis=1).str[2:].to_numpy()
    assert accuracy.a.value == pytest.approx((right == runs.folds["label"]).mean())
    low, high = f1.difference.low, f1.difference.high
    sentence = (
        f"finetuned is better than original: macro F1 {f1.difference.value:+.3f} (95 %: {low:+.3f} to {high:+.3f})"
    )
    assert sentence in printed
    assert "finetuned is better than original: accuracy +" in printed


def test_the_other_way_round_it_is_worse(runs: Runs) -> None:
    there, back = compare(runs.settings(), "original", "finetuned"), compare(runs.settings(), "finetuned", "original")
    assert back.verdict == "worse"
    assert back.scores[0].difference.value == pytest.approx(-there.scores[0].difference.value)
    assert back.sentences()[0].startswith("original is worse than finetuned: macro F1 -")


def test_what_cannot_be_told_is_said_so(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs.write_oof("here/again", 0.6, seed=5)
    assert compare(runs.settings(), "original", "again").verdict == "cannot tell"
    assert "cannot tell whether again is better than original: macro F1 " in capsys.readouterr().out


def test_a_side_equals_itself(runs: Runs) -> None:
    found = compare(runs.settings(), "original", "original")
    assert found.verdict == "cannot tell"
    assert found.changed == 0
    assert all((s.difference.low, s.difference.high) == (0, 0) for s in found.scores)
    assert found.sentences()[0] == "original and original have the same macro F1 in every draw"
    with pytest.raises(InputError, match="give the two models to compare"):
        compare(runs.settings(), "original", "")


def test_rows_are_joined_by_id_and_classes_by_name(runs: Runs) -> None:
    expected = compare(runs.settings(), "original", "finetuned")
    runs.write_oof("here/finetuned", 0.95, seed=1, order=3)
    runs.edit("here/finetuned/oof.csv", lambda f: f[[*f.columns[:3], *sorted(f.columns[3:], reverse=True)]])
    runs.edit("here/folds.csv", lambda f: f.sample(frac=1, random_state=0))
    assert compare(runs.settings(), "original", "finetuned") == expected


def test_the_competitions_metric_decides(runs: Runs) -> None:
    found = compare(runs.settings("competition.metric=log_loss"), "original", "finetuned")
    assert [scored.metric for scored in found.scores] == ["log_loss", "accuracy"]
    assert found.scores[0].difference.high < 0
    assert found.sentences()[0].startswith("finetuned is better than original: log loss -")
    assert len(compare(runs.settings("competition.metric=accuracy"), "original", "finetuned").scores) == 1


def metrics_of(*arguments: str) -> list[str]:
    """Return the metrics that the command shows, the first one first."""
    with mock.patch.object(module, "_print_comparison") as shown:
        assert cli.main(["compare", *arguments]) == 0
    return [scored.metric for scored in shown.call_args.args[0].scores]


def test_without_a_configuration_the_metric_that_both_runs_record_decides(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.folder)
    default = runs.folder / step("compare").config
    default.parent.mkdir()
    shutil.copy("here.toml", default)
    runs.write_folds("ripik")
    runs.write_oof("ripik/original", 0.6)
    for run, metric in (("one", "accuracy"), ("two", "accuracy"), ("three", "log_loss")):
        runs.write_folds(run)
        runs.write_oof(f"{run}/ensemble", 0.9)
        (runs.output / run / "config.toml").write_text(f'[competition]\nmetric = "{metric}"\n', encoding="utf-8")
    assert metrics_of("one", "two") == ["accuracy"]
    assert metrics_of("one", "three") == metrics_of("one", "original") == ["macro_f1", "accuracy"]
    assert metrics_of("--set", "competition.metric=log_loss", "one", "two") == ["log_loss", "accuracy"]
    assert metrics_of("--config", str(default), "one", "two") == ["macro_f1", "accuracy"]


@pytest.mark.parametrize("side", ["ensemble", "other", "other/original", "{output}/other/original/oof.csv"])
def test_every_way_to_name_a_side(runs: Runs, side: str) -> None:
    runs.write_folds("other")
    runs.write_oof("other/original", 0.9, seed=2)
    runs.write_oof("other/ensemble", 0.9, seed=2)
    found = compare(runs.settings(), "original", side.format(output=runs.output))
    expected = compare(runs.settings(), "original", "ensemble")
    assert found.scores == expected.scores


def test_a_variant_of_the_run_goes_before_a_run_of_that_name(runs: Runs) -> None:
    runs.write_folds("original")
    runs.write_oof("original/ensemble", 1.0)
    assert compare(runs.settings(), "original", "original").scores[0].a.value < 0.8


def test_a_loose_file_has_the_configured_runs_groups(runs: Runs) -> None:
    loose = runs.folder / "elsewhere" / "mine.csv"
    write(loose, runs.predicted(0.9, 2))
    found = compare(runs.settings(), "original", str(loose))
    assert found.groups == PHOTOS
    assert found.scores == compare(runs.settings(), "original", "ensemble").scores


def test_rows_that_either_side_joins_are_together(runs: Runs) -> None:
    runs.write_folds("other", lambda f: f.assign(group=(f["group"] // 2).astype(str) + "x"))
    runs.write_oof("other/original", 0.9, seed=2)
    assert compare(runs.settings(), "original", "other/original").groups == PHOTOS // 2
    runs.write_folds("chain", lambda f: f.assign(group=(f["group"] + 1) // 2))
    runs.write_oof("chain/original", 0.9, seed=2)
    with pytest.raises(InputError, match="in one group"):  # 0-1, 2-3, … with 1-2, 3-4, … is one chain
        compare(runs.settings(), "other/original", "chain/original")


def test_a_narrower_interval_needs_true_groups(runs: Runs) -> None:
    grouped = compare(runs.settings(), "original", "finetuned").scores[0].difference
    runs.write_folds("here", lambda f: f.assign(group=range(len(f))))
    alone = compare(runs.settings(), "original", "finetuned").scores[0].difference
    assert grouped.error > 1.4 * alone.error  # three equal copies: the square root of 3


def test_text_stays_text(runs: Runs) -> None:
    for where in ("here/original/oof.csv", "here/finetuned/oof.csv"):
        runs.edit(where, lambda f: f.rename(columns={"p_dent": "p_NA"}).assign(label=f["label"].replace("dent", "NA")))
    assert compare(runs.settings(), "original", "finetuned").verdict == "better"


def refusal(runs: Runs, a: str = "original", b: str = "finetuned") -> str:
    with pytest.raises(InputError) as error:
        compare(runs.settings(), a, b)
    return str(error.value)


def test_an_unknown_side_names_the_nearest_and_what_there_is(runs: Runs) -> None:
    runs.write_oof("other/augmented", 0.5)
    assert "'finetund' (did you mean finetuned?)" in (message := refusal(runs, b="finetund"))
    assert "There are ensemble, finetuned, original, other/augmented." in message
    assert "known: ensemble, finetuned, original, other/augmented" in refusal(runs, b="zzzzzzzz")
    assert "no file 'there.csv'" in refusal(runs, b="there.csv")


def test_what_was_not_made_yet_says_how(tmp_path: Path) -> None:
    empty = Runs(tmp_path)
    assert "make train" in refusal(empty, a="original")
    assert "make train" in refusal(empty, a="nothing")
    assert "make ensemble" in refusal(empty, a="ensemble")


def test_without_folds_it_says_where_they_are_looked_for(runs: Runs) -> None:
    (runs.output / "here" / "folds.csv").unlink()
    assert str(runs.output / "here" / "folds.csv") in refusal(runs)
    loose = runs.folder / "elsewhere" / "mine.csv"
    write(loose, runs.predicted(0.9, 2))
    message = refusal(runs, a=str(loose))
    assert str(runs.output / "here" / "folds.csv") in message


CELL = "p_dent"
DAMAGE: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "fewer rows": (
        lambda f: f.iloc[2:],
        r"different image ids: 2 only the first has \(0000, 0001\), 0 only the second",
    ),
    "other ids": (lambda f: f.replace({"image_id": {"0005": "5"}}), r"folds.csv has no group for 1 images .* \(5\)"),
    "an id twice": (lambda f: f.replace({"image_id": {"0005": "0004"}}), "id 0004 appears on lines 6, 7"),
    "other labels": (
        lambda f: f.assign(label=["dent", "dent", *f["label"][2:]]),
        r"different labels for 2 images \(0000, 0001\)",
    ),
    "a label without column": (lambda f: f.assign(label="Dent"), "240 images .* the first 0000: there is no p_Dent"),
    "another class": (
        lambda f: f.rename(columns={CELL: "p_bump"}).assign(label=f["label"].replace("dent", "bump")),
        r"different classes: 1 only the first has \(dent\), 1 only the second \(bump\)",
    ),
    "an empty cell": (lambda f: f.assign(**{CELL: ["", *f[CELL][1:]]}), r"1 images lack a finite probability \(0000\)"),
    "an infinite cell": (lambda f: f.assign(**{CELL: [*f[CELL][:-1], "inf"]}), r"finite probability \(0239\)"),
    "a word": (lambda f: f.assign(**{CELL: [*f[CELL][:-1], "much"]}), r"finite probability \(0239\)"),
    "no label": (lambda f: f.drop(columns="label"), "no column label"),
    "one class": (lambda f: f.drop(columns=[CELL, "p_crack"]), "1 columns p_<label>"),
    "no rows": (lambda f: f.iloc[:0], "no rows"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_side_is_one_clear_error(runs: Runs, name: str) -> None:
    change, message = DAMAGE[name]
    runs.edit("here/finetuned/oof.csv", change)
    with pytest.raises(InputError, match=message) as error:
        compare(runs.settings(), "original", "finetuned")
    assert str(runs.output / "here" / "finetuned" / "oof.csv") in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[3:], r"no group for 3 images of .* \(0000, 0001, 0002\)"),
        (lambda f: f.assign(group=""), "no group for 240 images"),
        (lambda f: f.drop(columns="group"), "no column group"),
    ],
)
def test_damaged_folds_are_one_clear_error(
    runs: Runs, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    runs.edit("here/folds.csv", change)
    with pytest.raises(InputError, match=message):
        compare(runs.settings(), "original", "finetuned")


def test_a_comparison_can_be_read_by_a_script(runs: Runs) -> None:
    found = compare(runs.settings(), "original", "finetuned")
    assert isinstance(found, Comparison)
    assert (found.a, found.b) == ("original", "finetuned")
    assert 0 < found.changed < found.images


@pytest.mark.parametrize("name", ["~nobody", "x" * 300])
def test_a_name_that_no_file_can_have_is_told(tiny: Tiny, name: str) -> None:
    with pytest.raises(InputError, match="there is no"):
        compare(tiny.settings(), name, "original")
