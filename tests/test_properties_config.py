"""Any configuration: what is printed is read back, and what is refused is told in one message."""

import contextlib
import types
import typing
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import assume, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from ripik.config import RESERVED_NAMES, load_settings, to_toml
from ripik.errors import InputError
from ripik.names import HEAD
from ripik.settings import Section, Settings
from ripik.variants import NetworkSettings, SharedSettings, TrainingSettings, Variant

EFFORT = effort(derandomize=True, deadline=None, database=None, max_examples=100)
FEW = effort(EFFORT, max_examples=40)


def of_type(kind: Any, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Return values of a setting's type within its range, most of them near its ends."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return of_type(parts[0], FieldInfo.from_annotation(kind))
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(of_type(part, field) for part in parts))
    if origin is tuple:
        return st.lists(of_type(parts[0], FieldInfo.from_annotation(parts[0])), min_size=1, max_size=4, unique=True)
    if origin is dict:
        return st.dictionaries(st.text(max_size=4), of_type(parts[1], FieldInfo.from_annotation(parts[1])), max_size=3)
    told = {
        name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)
    }
    least, most = told.get("ge", told.get("gt")), told.get("le", told.get("lt"))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(least, (most - ("lt" in told)) if most is not None else None)
    if kind is float:
        return st.floats(
            least, most, exclude_min="gt" in told, exclude_max="lt" in told, allow_nan=False, allow_infinity=False
        )
    assert kind is str
    pattern = next((rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)), None)
    if pattern:
        return st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True)
    return st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="~"), min_size=1, max_size=6)


def tables_of(section: type[Section], *without: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: field for name, field in section.model_fields.items() if name not in without}
    return st.fixed_dictionaries(
        {}, optional={name: of_type(field.annotation, field) for name, field in fields.items()}
    )


OF_A_LAYOUT = ("layout", "label_columns")
DEPENDENT = (  # on the layers that are trained
    *("live", "mix", "crop_from", "weight_decay", "rate_decay", "clip", "average", "soup", "solver", "predict_sizes"),
    "tuned",
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: name not in RESERVED_NAMES)
SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type)
    and issubclass(field.annotation, Section)
    and name not in ("recipe", "training", "tune")
}
OF_A_START = (
    "early_stopping",
    "backbone",
    "weights",
    "inner_split",
    "seed",
    "seeds",
    "refit",
)  # finetuning's is another
CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={name: tables_of(section, "time_limit", *OF_A_LAYOUT) for name, section in SECTIONS.items()}
    | {
        "network": tables_of(NetworkSettings, *DEPENDENT),
        "finetuning": tables_of(SharedSettings, *OF_A_START, *DEPENDENT),
    }
    | {"training": tables_of(TrainingSettings, "early_stopping", *DEPENDENT)}
    | {
        "variants": st.dictionaries(
            NAMES, tables_of(Variant, "name", "start", "early_stopping", *DEPENDENT), min_size=1, max_size=3
        )
    },
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "any.toml"


@EFFORT
@given(CONFIGURATIONS)
def test_any_valid_settings_are_printed_and_read_back(file: Path, tables: dict[str, Any]) -> None:
    how = tables.get("competition", {})
    ordered = how.get("label_type", "integer") == "integer" or how.get("classes")
    assume(how.get("metric") != "quadratic_kappa" or ordered)
    file.write_text(tomli_w.dumps(tables), encoding="utf-8")
    found = load_settings(file)
    for name, section in SECTIONS.items():
        for key, value in tables.get(name, {}).items():
            got = getattr(getattr(found, name), key)
            assert (list(got) if isinstance(got, tuple) else got) == value, (section, key)
    for name, table in tables.get("variants", {}).items():
        assert {key: getattr(found.variants[name], key) for key in table} == table
    file.write_text(printed := to_toml(found), encoding="utf-8")
    assert load_settings(file) == found
    assert to_toml(load_settings(file)) == printed


KEYS = [f"{table}.{key}" for table, section in SECTIONS.items() for key in section.model_fields]
KEYS += [f"{table}.{key}" for table in ("network", "training", "finetuning") for key in SharedSettings.model_fields]
KEYS += [f"variants.{name}.{key}" for name in ("original", "finetuned") for key in Variant.model_fields]
SIMPLE = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=6), st.lists(st.integers(), max_size=2))


@EFFORT
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(KEYS), SIMPLE.map(str)).map("=".join),
            st.text(max_size=30),
            st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){0,4} ?= ?[^\n]{0,20}", fullmatch=True),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_overrides_give_settings_or_one_message(file: Path, overrides: list[str]) -> None:
    file.write_text("", encoding="utf-8")
    try:
        found = load_settings(file, overrides)
    except InputError:
        return
    assert isinstance(found, Settings)
    file.write_text(to_toml(found), encoding="utf-8")
    assert load_settings(file) == found


@FEW
@given(st.sampled_from(KEYS), SIMPLE)
def test_an_override_does_what_the_file_does(file: Path, key: str, value: Any) -> None:
    table, _, name = key.rpartition(".")
    if not table.startswith("variants") and table not in ("network", "training", "finetuning"):
        found = []
        for text, overrides in (
            (tomli_w.dumps({table: {name: value}}), []),
            ("", [f"{table}.{tomli_w.dumps({name: value})}"]),
        ):
            file.write_text(text, encoding="utf-8")
            with contextlib.suppress(InputError):
                found.append(load_settings(file, overrides))
        assert len(found) in (0, 2)
        assert not found or found[0] == found[1]


def test_the_sections_and_keys_are_all_of_the_documented_ones() -> None:
    assert {"competition", "folds", "prediction", "blend", "decision", "jobs"} <= set(SECTIONS)
    assert len(KEYS) > 60
    assert HEAD in to_toml(load_settings(Path(__file__).parents[1] / "configs" / "ripik.toml"))
