"""Sections of the report, of what each is told alone."""

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ripik.report import charts
from ripik.report.sections import models, results


@pytest.mark.parametrize("voting", [True, False])
def test_the_gains_say_where_the_blend_alone_lets_copies_vote(voting: bool) -> None:
    caption = results.gain_caption("macro_f1", {"fitted": {"recipe": {"copies_vote": voting}}})
    assert caption.startswith("Gain of the blend over each model (macro F1)")
    assert ("near copies of one photo vote together" in caption) == voting


def history(epochs: int) -> pd.DataFrame:
    rows = [
        {"fold": fold, "seed": 0, "epoch": epoch, "loss": 1 / epoch}
        for fold in (0, 1)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("epochs", "kinds"), [({"a": 1}, ["table"]), ({"a": 1, "b": 3}, ["text", "charts", "table"])])
def test_trainings_of_one_epoch_have_no_curve(
    epochs: dict[str, int], kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.analysis, "history", lambda folder, name: history(epochs[name]))
    evidence: Any = SimpleNamespace(members=epochs, has=lambda name, file: True, folder=None)
    blocks = models.learning(evidence).blocks
    assert [block.kind for block in blocks] == kinds
    if "charts" in kinds:
        (chart,) = blocks[1].charts
        assert chart.title.endswith(": b")


def test_two_charts_fill_the_page_side_by_side() -> None:
    chart = charts.learning_curves(history(3), "loss")
    assert chart is not None
    found = re.search(r"max-width:(\d+)px", chart.svg)
    assert found
    assert 2 * int(found[1]) > 0.85 * 1200
