"""The step `ensemble` as a whole: what it reads, and how often."""

import json
import shutil

import pytest

from conftest import FAST, Tiny
from ripik.data import image_check
from ripik.ensemble.build import ensemble
from ripik.ensemble.folder import finished_models
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.splits import run


@pytest.mark.parametrize("again", [False, True])
def test_one_command_opens_its_run_once(mine: Tiny, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    read = []

    def counting(module: object, name: str) -> None:
        function = getattr(module, name)

        def counted(settings: Settings, *arguments: object, **keywords: object) -> object:
            read.append(name)
            return function(settings, *arguments, **keywords)

        monkeypatch.setattr(module, name, counted)

    if again:
        ensemble(mine.settings(*FAST))
    counting(image_check, "read_competition")
    counting(run, "read_folds")
    counting(run, "read_groups")
    ensemble(mine.settings(*FAST))
    assert sorted(read) == ["read_competition", "read_folds", "read_groups"]


def test_models_predict_new_photos_only_as_the_blend_was_made(mine: Tiny) -> None:
    assert finished_models(mine.settings(*FAST))[0]
    with pytest.raises(InputError, match=r"fold0 is not trained, or not predicted, with the current settings"):
        finished_models(mine.settings(*FAST, 'prediction.views=["identity", "vflip"]'))


def test_a_partial_blend_is_of_finished_variants_and_names_the_others(
    mine: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = mine.settings(*FAST)
    shutil.rmtree(mine.run / "augmented_finetuned" / "fold0")
    assert ensemble(settings, partial=True).exists()
    assert "a partial blend, without augmented_finetuned (" in capsys.readouterr().err
    assert not (mine.run / "augmented_finetuned" / "fold0").exists()
    members = set(json.loads((mine.run / "ensemble" / "weights.json").read_text())["weights"])
    assert members == set(settings.variants) - {"augmented_finetuned"}
    for variant in members:
        shutil.rmtree(mine.run / variant / "fold0")
    with pytest.raises(InputError, match=r"no variant is fully trained: .*make train"):
        ensemble(settings, partial=True)
