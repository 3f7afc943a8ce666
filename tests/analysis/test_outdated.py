"""Predictions of a finished run, before and after a training of theirs is done again."""

from pathlib import Path

import pytest

from conftest import Tiny
from ripik import analysis
from ripik.analysis.outdated import told_outdated
from ripik.diagnostics.analyse import analyse
from ripik.diagnostics.compare import compare
from ripik.errors import InputError
from ripik.storage import artifacts

MEMBERS = ("original", "finetuned", "ensemble")


def folders(tiny: Tiny) -> list[Path]:
    return [tiny.run / name for name in MEMBERS]


def predict_again(tiny: Tiny, job: str) -> None:
    """Record other predictions of a training, as its next prediction with other weights would."""
    path = tiny.run / job / "predictions.meta.json"
    told = artifacts.read_meta(path)
    assert told
    artifacts.write_meta(path, **{**told, "outputs": {"predictions.npz": "0" * 64}})


def test_a_finished_run_is_as_its_trainings_are(mine: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert not any(analysis.is_outdated(folder) for folder in folders(mine))
    assert told_outdated(folders(mine)) == ""
    with pytest.raises(InputError, match="there is no folder"):
        analysis.is_outdated(mine.run / "nope")
    analyse(mine.settings(), "scores")
    compare(mine.settings(), "original", "ensemble")
    assert capsys.readouterr().err == ""


def test_of_a_training_done_again_its_variant_and_the_blend_are_outdated(
    mine: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_again(mine, "original/fold0")
    assert [analysis.is_outdated(folder) for folder in folders(mine)] == [True, False, True]
    analyse(mine.settings(), "scores")
    told = " ".join(capsys.readouterr().err.split())
    assert f"analyse: the predictions in {mine.run / 'original'}, {mine.run / 'ensemble'} are of trainings that" in told
    analyse(mine.settings(), "views", "finetuned")
    compare(mine.settings(), "finetuned", "finetuned")
    assert capsys.readouterr().err == ""
    compare(mine.settings(), "finetuned", "ensemble")
    told = " ".join(capsys.readouterr().err.split())
    assert f"compare: the predictions in {mine.run / 'ensemble'} are of trainings" in told


def test_what_lies_there_without_its_trainings_counts_as_it_is(tmp_path: Path) -> None:
    assert not analysis.is_outdated(tmp_path)
    artifacts.write_meta(tmp_path / "meta.json", inputs={"predictions": {"fold0": "0" * 64}}, outputs={}, seconds=0)
    assert not analysis.is_outdated(tmp_path)
    artifacts.write_meta(tmp_path / "meta.json", inputs={"predictions": None, "members": "none"}, outputs={}, seconds=0)
    assert not analysis.is_outdated(tmp_path)
