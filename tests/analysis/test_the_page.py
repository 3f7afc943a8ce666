"""The code of docs/analysis.md runs on a finished run as it is printed there."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Tiny

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"


def test_the_code_of_the_page_runs(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        for statement in block.replace("output/ripik", f"output/{finished.run.name}").splitlines():
            exec(compile(statement, str(PAGE), "exec"), names)  # one by one, so that a failure names its line
    assert set(names["members"]) == {"original", "augmented", "finetuned", "augmented_finetuned"}
    assert isinstance(names["blend"].frame, pd.DataFrame)
