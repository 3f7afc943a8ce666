"""Read the TOML of a competition and validate it into frozen `Settings`."""

import copy
import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from ripik.console import write
from ripik.errors import CLOSE, InputError, nearest
from ripik.names import HEAD, BlendMethod, scores_probabilities
from ripik.recipes import under
from ripik.refusals import dates, described
from ripik.sections import Section
from ripik.settings import CompetitionSettings, LimitSettings, RecipeSettings, Settings
from ripik.targets import DEFAULT
from ripik.variants import NetworkSettings, SharedSettings, TrainingSettings, Variant

DEFAULT_FINETUNING: dict[str, Any] = {"epochs": 5, "batch_size": 32, "learning_rate": 1e-4}
DEFAULT_VARIANTS: dict[str, dict[str, Any]] = {
    "original": {"data": "original", "train_from": "head"},
    "augmented": {"data": "augmented", "train_from": "head", "epochs": 10, "batch_size": 128},
    "finetuned": {"data": "original", "train_from": "all", "start": "original"},
    "augmented_finetuned": {"data": "augmented", "train_from": "all", "start": "augmented"},
}
SMOOTH_METHODS: tuple[BlendMethod, ...] = ("greedy", "geometric", "rank")  # where probabilities are scored
FINETUNINGS_OWN = ("learning_rate", "batch_size")  # an override of [training] leaves these to [finetuning]
RESERVED_NAMES = (
    "ensemble",
    "predictions",
    "pixels",
    "features",
    "backbones",
    "report",
    "augmented_images",
    "kernel",
    "export",
    "analysis",
    "running",
    "tune",
)
DEPTH = 10  # of values in lists and tables
PLAIN = "A setting is a number, a string, true or false, or a list of these."
SHARED_TABLES: dict[str, type[Section]] = {
    "network": NetworkSettings,
    "training": TrainingSettings,
    "finetuning": SharedSettings,
}


def load_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a configuration file and apply `key.path=value` overrides.

    A variant's settings are those of [network] and [training], then [finetuning] unless it trains the head alone,
    then its own table. An override of a key of these three goes to every variant they apply to, over its own table;
    one of [training] reaches finetuning too, but for its learning rate and batch size.

    Raises InputError for a file that is missing or no TOML, an unknown key (naming the nearest known one), a value
    of the wrong type or range, and contradictions.
    """
    raw = _read_toml(path)
    _check_depth(path, raw)
    _refuse(path, _wrong_tables(raw))
    try:
        return _under(path, raw, overrides)
    except InputError as error:
        beginning = f"{path}: "
        if not (overrides and str(error).startswith(beginning) and _is_good(path, raw)):
            raise
        told = " ".join(f"--set {override}" for override in overrides)
        raise InputError(f"{path} with {told}: {str(error).removeprefix(beginning)}") from None


def _under(path: Path, raw: dict[str, Any], overrides: Sequence[str]) -> Settings:
    """Return the settings of a file's tables under the overrides."""
    raw = _over_recipe(path, copy.deepcopy(raw), overrides)
    for override in overrides:
        _apply(raw, override)
    _check_depth(path, raw)
    return _resolve(path, raw)


def _is_good(path: Path, raw: dict[str, Any]) -> bool:
    try:
        _under(path, raw, ())
    except InputError:
        return False
    return True


def to_toml(settings: Settings) -> str:
    """Return the effective configuration as TOML, every default written out."""
    shown = settings.model_dump(mode="json", exclude={"run"})
    for variant in shown["variants"].values():
        del variant["name"]
    return tomli_w.dumps(shown)


def _read_toml(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a configuration file. Give one with CONFIG= or --config.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
        raise InputError(f"{path}: the run is named after the file, so use letters, digits, '.', '_' and '-' only.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise InputError(
            f"there is no configuration file {path}{_nearest_file(path)}. Give one with CONFIG= or --config."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save it again as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}. Fix that line; text values need quotes.") from None
    except (RecursionError, ValueError):  # the latter of a number with thousands of digits
        raise InputError(f"{path} has values nested hundreds of levels deep, or huge numbers. {PLAIN}") from None


def _nearest_file(path: Path) -> str:
    """Return a hint, in brackets, at the configuration of the nearest name, there or in configs/; empty without one."""
    found = sorted(file for folder in {path.parent, DEFAULT.parent} for file in folder.glob("*.toml") if file.is_file())
    files = {file.stem: file for file in found}
    close = difflib.get_close_matches(path.stem, files, n=1, cutoff=CLOSE)
    return f" (did you mean {files[close[0]]}?)" if close else ""


def _over_recipe(path: Path, raw: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration over the recipe that it, or the last override, names."""
    chosen = {"recipe": dict(raw.get("recipe", {}))}
    for override in overrides:
        if override.partition("=")[0].strip() == "recipe.preset":
            _apply(chosen, override)
    _refuse(path, _problems(RecipeSettings, chosen["recipe"], "recipe"))
    return under(raw, RecipeSettings(**chosen["recipe"]).preset)


def _check_depth(path: Path, raw: dict[str, Any]) -> None:
    level: list[Any] = [raw]
    for _ in range(DEPTH):
        tables = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [item for table in tables for item in table]
    if level:
        raise InputError(f"{path}: values are nested more than {DEPTH} levels deep. {PLAIN}")


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *tables, name = parts = key.strip().split(".")
    if not separator or not tables or not all(parts) or "\n" in override.strip():
        told = repr(override) if "\n" in override else override
        raise InputError(f"--set {told}: write it as table.key=value, for instance training.epochs=1.")
    variants = raw.setdefault("variants", copy.deepcopy(DEFAULT_VARIANTS))
    if tables[0] == "variants" and tables[1:2] and tables[1] not in variants:
        raise InputError(f"--set {override}: there is no variant {tables[1]!r}{nearest(tables[1], list(variants))}.")
    value = parse_value(text.strip(), override)
    _table(raw, tables, override)[name] = value
    shared, inner = parts[:2]  # of training.class_weights.1: the whole of class_weights goes to the variants
    known = inner in SharedSettings.model_fields
    if shared in ("network", "training") and known and inner not in FINETUNINGS_OWN:
        _table(raw, ["finetuning"], override)[inner] = copy.copy(raw[shared][inner])
    if shared in SHARED_TABLES:
        for variant in filter(_is_table, variants.values()):
            if _reaches(shared, inner, finetunes=variant.get("train_from", HEAD) != HEAD):
                variant.pop(inner, None)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)  # what else stands in a variant's place is refused when all is checked


def _reaches(table: str, name: str, *, finetunes: bool) -> bool:
    """Whether an override of a shared table's key goes to a variant that finetunes, or to one that does not."""
    if table == "training":
        return not finetunes or name not in FINETUNINGS_OWN
    return finetunes or table == "network"


def _table(raw: dict[str, Any], names: Sequence[str], override: str) -> dict[str, Any]:
    table = raw
    for name in names:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {override}: {name} is a value, not a table.")
    return table


def parse_value(text: str, override: str) -> Any:
    """Return a value of `--set` as TOML reads it, or as text; `override`: the whole option, for the message.

    Raises InputError for nesting or numbers beyond what a parser takes.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (RecursionError, ValueError):
        raise InputError(f"--set {override[:60]}…: nested hundreds of levels deep, or a huge number. {PLAIN}") from None


def _resolve(path: Path, raw: dict[str, Any]) -> Settings:
    _refuse(path, _wrong_tables(raw))
    raw = dict(raw)
    shared = {name: dict(raw.pop(name, {})) for name in SHARED_TABLES}
    limits = {key: shared["training"].pop(key) for key in LimitSettings.model_fields if key in shared["training"]}
    tables = raw.pop("variants", DEFAULT_VARIANTS)
    problems = [problem for name, kind in SHARED_TABLES.items() for problem in _problems(kind, shared[name], name)]
    _refuse(path, list({problem.partition(".")[2]: problem for problem in reversed(problems)}.values())[::-1])
    variants = {name: _variant_table(name, table, shared) for name, table in tables.items()}
    _refuse(path, [p for name, table in variants.items() for p in _problems(Variant, table, f"variants.{name}")])
    settings = _validated(path, {**raw, "run": path.stem, "training": limits, "variants": variants})
    _refuse(path, _unordered(settings.competition))
    return settings if "methods" in raw.get("blend", {}) else _with_methods(settings)


def _with_methods(settings: Settings) -> Settings:
    """Let other methods than greedy be looked at, by default, where the metric is smooth enough to distinguish them."""
    if not scores_probabilities(settings.competition.metric):
        return settings
    return settings.model_copy(update={"blend": settings.blend.model_copy(update={"methods": SMOOTH_METHODS})})


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise _refusal(path, problems)


def _refusal(path: Path, problems: list[str]) -> InputError:
    return InputError(f"{path}: " + "; ".join(dict.fromkeys(problems)).removesuffix(".") + ".")


def _wrong_tables(raw: dict[str, Any]) -> list[str]:
    known = list(dict.fromkeys([*(name for name in Settings.model_fields if name != "run"), *SHARED_TABLES]))
    problems = [f"unknown table [{name}]{nearest(name, known)}" for name in raw if name not in known]
    tables = {name: table for name, table in raw.items() if name in known}
    variants = raw.get("variants", DEFAULT_VARIANTS)
    if isinstance(variants, dict):
        tables |= {f"variants.{name}": table for name, table in variants.items()}
        problems += [_bad_name(name) for name in variants if _bad_name(name)]
        problems += [
            f"unknown key variants.{n}.name" for n, t in variants.items() if isinstance(t, dict) and "name" in t
        ]
    problems += [f"{name} must be a table, not {t!r}" for name, t in tables.items() if not isinstance(t, dict)]
    return problems if variants else [*problems, "[variants] declares no variant"]


def _bad_name(variant: str) -> str:
    if variant in RESERVED_NAMES:
        return f"variants.{variant}: this name is reserved for a folder of the run; choose another"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", variant):
        return f"variants.{variant}: a variant's name may contain only letters, digits, '_' and '-'"
    return ""


def _variant_table(name: str, table: dict[str, Any], shared: dict[str, dict[str, Any]]) -> dict[str, Any]:
    finetuning = {**DEFAULT_FINETUNING, **shared["finetuning"]} if table.get("train_from", HEAD) != HEAD else {}
    return {**shared["network"], **shared["training"], **finetuning, **table, "name": name}


def _problems(section: type[Section], table: dict[str, Any], where: str) -> list[str]:
    try:
        section.model_validate_json(json.dumps(table), strict=True)
    except ValidationError as error:
        return described(error, section, where)
    except TypeError:
        return dates(table, where)
    return []


def _validated(path: Path, raw: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        raise _refusal(path, described(error, Settings, "")) from None
    except TypeError:
        raise _refusal(path, dates(raw, "")) from None


def _unordered(how: CompetitionSettings) -> list[str]:
    if how.metric != "quadratic_kappa" or how.label_type == "integer" or how.classes or how.label_columns:
        return []
    return [
        'competition.metric = "quadratic_kappa" measures how far apart two classes are, but string labels have no '
        "natural order: list them in order in competition.classes"
    ]


def show(settings: Settings) -> None:
    """Print the effective configuration as TOML: the step `config`."""
    write(to_toml(settings))
