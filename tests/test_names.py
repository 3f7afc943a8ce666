"""Every name that a setting may take stands for something that is implemented, and the other way round."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from ripik.analysis.metrics import get_metric, known_metrics
from ripik.augmentation.pipeline import PRESETS
from ripik.config import load_settings
from ripik.data.submission_form import CONTENT
from ripik.ensemble.blend import METHODS
from ripik.ensemble.slopes import value_and_slope
from ripik.ensemble.submission import VALUES
from ripik.errors import InputError
from ripik.features.tta import VIEWS
from ripik.names import (
    COMMON_NAMES,
    BlendMethod,
    KnownMetric,
    LabelMetric,
    Preset,
    RecipeName,
    SubmissionKind,
    ViewName,
    scores_probabilities,
)
from ripik.recipes import RECIPES


def load(folder: Path, *overrides: str) -> object:
    path = folder / "leaves.toml"
    path.write_text("")
    return load_settings(path, overrides)


def test_names_are_what_is_implemented() -> None:
    assert sorted(metric.name for metric in known_metrics()) == sorted(get_args(KnownMetric))
    assert tuple(VIEWS) == get_args(ViewName)
    assert tuple(PRESETS) == get_args(Preset)
    assert get_args(BlendMethod) == METHODS
    assert tuple(RECIPES) == get_args(RecipeName)
    assert tuple(CONTENT) == tuple(VALUES) == get_args(SubmissionKind)


def test_metrics_know_what_they_score() -> None:
    counts = np.array([[3.0, 1.0], [1.0, 2.0]])
    for name in get_args(KnownMetric):
        assert get_metric(name).uses_probabilities == scores_probabilities(name) == (name not in get_args(LabelMetric))
    for name in get_args(LabelMetric):
        assert value_and_slope(get_metric(name), counts)[1].shape == counts.shape


@pytest.mark.parametrize(("common", "own"), COMMON_NAMES.items())
def test_common_names_of_metrics_are_understood(tmp_path: Path, common: str, own: str) -> None:
    assert load(tmp_path, f"competition.metric={common}").competition.metric == own  # type: ignore[attr-defined]
    assert load(tmp_path, f"competition.metric={common.upper()}").competition.metric == own  # type: ignore[attr-defined]
    assert get_metric(common).name == own


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("competition.metric=macrof1", "macro_f1"),
        ('prediction.views=["hfilp"]', "hflip"),
        ("augmentation.preset=sorce", "source"),
        ('blend.methods=["gredy"]', "greedy"),
        ("competition.submission=label", "labels"),
        ("recipe.preset=quik", "quick"),
        ("finetuning.policy=trivia", "trivial"),
        ("finetuning.mix=mixupp", "mixup"),
        ("variants.original.solver=logistics", "logistic"),
    ],
)
def test_unknown_names_are_refused_when_the_configuration_is_read(tmp_path: Path, setting: str, hint: str) -> None:
    with pytest.raises(InputError, match=rf"did you mean {hint}"):
        load(tmp_path, setting)


@pytest.mark.parametrize(("views", "why"), [("[]", "at least one"), ('["hflip", "identity", "hflip"]', "twice")])
def test_views_are_some_and_different(tmp_path: Path, views: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        load(tmp_path, f"prediction.views={views}")
