"""The step `new`: look at a source, write the configuration that fits it, and put the files where it names them."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ripik.config import load_settings
from ripik.console import say, table
from ripik.data.archives import SUFFIX, files_in
from ripik.data.competition import Competition, read_competition
from ripik.data.fetch import fetch, gather
from ripik.data.survey.guess import ASKED, Guess
from ripik.data.survey.look import look
from ripik.errors import InputError
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

NO_CONFIG = Path()
FOLDER = Path("configs")


def write_configuration(
    source: Path, config: Path, answers: Sequence[str], origin: Mapping[str, str] | None = None, name: str = ""
) -> Path:
    """Write the configuration of a source, a folder or zip, and return its path.

    config: where to; `NO_CONFIG`: configs/<name of the source>.toml. answers: `competition.key=value`, which settle
    what could be read in several ways. origin: the key that names the source on Kaggle. A folder without archives stays
    where it is; whatever else is brought to the run's input folder, as by `data`.
    Raises InputError for a source that is not there or cannot be understood, and for a configuration that exists.
    """
    if not source.exists():
        raise InputError(f"there is no source {source}. Give a folder, a zip, or a name on Kaggle.")
    target = config if config != NO_CONFIG else FOLDER / f"{_run_name(name or source.stem)}.toml"
    if target.exists():
        raise InputError(f"{target} exists. Give another name: CONFIG=configs/<name>.toml (--config).")
    settled = _settled(answers)
    with _files_of(source) as (files, in_place):
        guess = look(files, source, settled)
    first_line = dict(origin or {}) if not in_place else {"root": source.as_posix()}
    text = configuration(guess, first_line, target)
    competition = _tried(text, target, source, in_place)
    table(f"{source}: what was understood", ["", "is", "because"], [*guess.seen, *_counted(competition)])
    artifacts.write_text(target, text)
    say(f"new: wrote {target}. What is marked {ASKED} no file tells: look at it, then")
    say(f"  make train ensemble CONFIG={target}")
    return target


def configuration(guess: Guess, origin: Mapping[str, str], target: Path) -> str:
    """Return the configuration as TOML, a comment beside every guess; origin: keys that tell where the files are."""
    run = f"# make train ensemble CONFIG={target}   (made by `make new`; docs/your-competition.md)"
    kaggle = [f"kaggle.competition = {_toml(value)}" for key, value in origin.items() if key == "competition"]
    rows = [f"{key} = {_toml(value)}" for key, value in origin.items() if key != "competition"]
    values = guess.differing() | {"metric": guess.values["metric"]}
    rows += [f"{key} = {_toml(value)}  # {guess.reasons[key]}" for key, value in values.items()]
    return "\n".join([run, *kaggle, "[competition]", *rows]) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _run_name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return name or "new"


def _settled(answers: Sequence[str]) -> dict[str, Any]:
    found = {}
    for answer in answers:
        key, separator, text = answer.partition("=")
        table_name, _, name = key.strip().partition(".")
        if not separator or table_name != "competition" or not name:
            raise InputError(f"--set {answer}: `new` takes answers about [competition]: --set competition.key=value.")
        try:
            found[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = text
    return found


@contextmanager
def _files_of(source: Path) -> Iterator[tuple[dict[str, Path], bool]]:
    """Yield the files of a source by their names in it, archives opened, and whether it can be used where it is."""
    files = files_in(source) if source.is_dir() else []
    if source.is_dir() and not any(path.suffix.lower() == SUFFIX for path in files):
        yield {path.relative_to(source).as_posix(): path for path in files}, True
        return
    with tempfile.TemporaryDirectory(prefix="ripik-new-") as scratch:
        found = gather(source, Path(scratch) / "unpacked")
        yield {path.as_posix(): file for path, file in found.items()}, False


def _tried(text: str, target: Path, source: Path, in_place: bool) -> Competition:
    """Return the competition as the configuration reads it; its files are put in place where they are not yet."""
    with tempfile.TemporaryDirectory(prefix="ripik-new-") as scratch:
        draft = Path(scratch) / target.name
        draft.write_text(text, encoding="utf-8")
        settings: Settings = load_settings(draft)
    if not in_place and not layout_of(settings).input.exists():
        fetch(settings, source)
    return read_competition(settings)


def _counted(competition: Competition) -> list[list[str]]:
    counts = competition.train["label"].value_counts()
    classes = ", ".join(f"{label}: {counts[label]}" for label in competition.classes[:12])
    more = ", …" if len(competition.classes) > 12 else ""
    rows = [
        ["train", f"{len(competition.train)} images", f"{len(competition.classes)} classes: {classes}{more}"],
        ["test", f"{len(competition.test)} images", ""],
    ]
    form = competition.form
    told = f"{form.kind} in {', '.join(form.columns[:5])}" if form else "none is written"
    return [*rows, ["submission", told, form.note if form else "there is no sample submission"]]
