"""The README names what there is: every module in the map of the rooms, every name that a setting may take."""

import re
from pathlib import Path
from typing import get_args

import pytest

from ripik.names import BlendMethod, KnownMetric, Merging, Precision, Preset, SubmissionKind, ViewName

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ROOMS = re.search(r"\| room \|.*?\n\n", README, re.DOTALL)
SOURCES = ROOT / "src" / "ripik"
KINDS = (BlendMethod, KnownMetric, Merging, Precision, Preset, SubmissionKind, ViewName)
NAMES = [name for kind in KINDS for name in get_args(kind)]


def modules() -> list[str]:
    """Return the modules of the rooms, and the folders inside rooms, which stand for theirs."""
    found = [path.relative_to(SOURCES) for path in SOURCES.glob("*/*") if path.suffix == ".py" or path.is_dir()]
    wanted = {f"{path.parent.name}.{path.stem}" for path in found if not path.name.startswith("__")}
    return sorted(name for name in wanted if not name.startswith(("templates.", "__")))


@pytest.mark.parametrize("module", modules())
def test_the_map_of_the_rooms_names_every_module(module: str) -> None:
    assert ROOMS
    room, name = module.split(".")
    line = next(line for line in ROOMS[0].splitlines() if f"`{room}/`" in line)
    assert re.search(rf"`{name}/?`", line)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_setting_is_explained(name: str) -> None:
    assert re.search(rf"\b{name}\b", README)
