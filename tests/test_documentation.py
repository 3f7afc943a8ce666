"""README and pages name what there is: files and headings, commands, modules, settings with their defaults, names."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from ripik import cli
from ripik.config import load_settings
from ripik.names import (
    BlendMethod,
    KnownMetric,
    LivePolicy,
    Merging,
    Mixing,
    NearCopies,
    Precision,
    Preset,
    RecipeName,
    Solver,
    SubmissionKind,
    ViewName,
)
from ripik.settings import (
    AugmentationSettings,
    BlendSettings,
    CompetitionSettings,
    DecisionSettings,
    FeatureSettings,
    FoldSettings,
    JobSettings,
    KaggleSettings,
    LimitSettings,
    PathSettings,
    PredictionSettings,
    RecipeSettings,
    TuneSettings,
)
from ripik.steps import STEPS
from ripik.variants import NetworkSettings, SharedSettings, TrainingSettings, Variant

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
SOURCES = ROOT / "src" / "ripik"
KINDS = (BlendMethod, KnownMetric, LivePolicy, Merging, Mixing, NearCopies, Precision, Preset, RecipeName, Solver)
KINDS += (SubmissionKind, ViewName)
NAMES = [name for kind in KINDS for name in get_args(kind)]
TABLES = {
    "recipe": [RecipeSettings],
    "competition": [CompetitionSettings],
    "paths": [PathSettings],
    "folds": [FoldSettings],
    "network": [NetworkSettings],
    "training": [TrainingSettings, LimitSettings],
    "augmentation": [AugmentationSettings],
    "features": [FeatureSettings],
    "prediction": [PredictionSettings],
    "blend": [BlendSettings],
    "decision": [DecisionSettings],
    "jobs": [JobSettings],
    "tune": [TuneSettings],
    "kaggle": [KaggleSettings],
    "variants.<name>": [Variant],
}


def links() -> Iterator[tuple[Path, str]]:
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith(("http://", "https://")):
                yield page, target


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    without_code = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    assert there.is_relative_to(ROOT)
    assert there.exists()
    assert not anchor or anchor in anchors(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_short(page: Path) -> None:
    assert TEXTS[page].count("\n") <= (250 if page == README else 300)


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(page.parent / target.partition("#")[0]).resolve() for page, target in links() if page == README}
    assert {page for page in PAGES if page.parent == ROOT / "docs"} <= linked


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page, text in TEXTS.items():
        for words in re.findall(r"(?:^|`)make ([a-z][a-z -]*)", text, re.MULTILINE):
            named = itertools.takewhile(lambda word: re.fullmatch("[a-z][a-z-]*", word), words.split())
            assert set(named) <= targets, (page.name, words)


def test_every_benchmark_that_is_named_exists() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"benchmarks\.[a-z0-9_.]*[a-z0-9_]", text)}
    assert {"benchmarks.speed.whole", "benchmarks.quality.shift"} <= named
    assert not [name for name in named if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists()]


def test_every_step_that_is_named_answers_help(capsys: pytest.CaptureFixture[str]) -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"python -m ripik ([a-z-]+)", text)}
    assert {"log-score", "compare"} <= named <= {step.name for step in STEPS}
    for name in named:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
    assert capsys.readouterr().out


def documented() -> dict[tuple[str, str], str]:
    """Return the documented default of every (table, key)."""
    found, table = {}, ""
    for line in TEXTS[ROOT / "docs" / "settings.md"].splitlines():
        if line.startswith("## "):
            table = line.strip("# []")
        elif row := re.match(r"\| `([a-z_]+)` \| `(.*?)` \| \S.* \|$", line):
            found[table, row.group(1)] = row.group(2)
    return found


def defaults() -> dict[tuple[str, str], Any]:
    left_out = {*SharedSettings.model_fields, "name"}
    return {
        (table, name): field.default
        for table, sections in TABLES.items()
        for section in sections
        for name, field in section.model_fields.items()
        if not (table.startswith("variants") and name in left_out)
    }


UPPER = '[variants.upper]\ntrain_from = "block6a"\n\n[variants.upper.tuned]'
EXAMPLES = [(page.name, text) for page in PAGES for text in re.findall(r"```toml\n(.*?)```", TEXTS[page], re.DOTALL)]


@pytest.mark.parametrize(("page", "text"), EXAMPLES)
def test_every_configuration_that_is_shown_is_valid(page: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "leaves.toml"
    path.write_text(text.replace("[variants.upper.tuned]", UPPER))
    assert load_settings(path).run == "leaves"


def test_every_setting_is_documented_with_its_default() -> None:
    told, there = documented(), defaults()
    assert set(told) == set(there)
    for (table, key), default in there.items():
        value = tomllib.loads(f"value = {told[table, key]}")["value"]
        assert value == (list(default) if isinstance(default, tuple) else default), (table, key)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_setting_is_explained(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", text) for text in TEXTS.values())


def modules() -> list[str]:
    """Return the modules of the rooms, and the folders inside rooms, which stand for theirs."""
    found = [path.relative_to(SOURCES) for path in SOURCES.glob("*/*") if path.suffix == ".py" or path.is_dir()]
    wanted = {f"{path.parent.name}.{path.stem}" for path in found if not path.name.startswith("__")}
    return sorted(name for name in wanted if not name.startswith(("templates.", "__")))


@pytest.mark.parametrize("module", modules())
def test_the_map_of_the_rooms_names_every_module(module: str) -> None:
    rooms = re.search(r"\| room \|.*?\n\n", TEXTS[README], re.DOTALL)
    assert rooms
    room, name = module.split(".")
    line = next(line for line in rooms[0].splitlines() if f"`{room}/`" in line)
    assert re.search(rf"`{name}/?`", line)
