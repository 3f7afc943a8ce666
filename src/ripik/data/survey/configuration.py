"""The step `new`: look at a source, write the configuration that fits it, and put the files where it names them."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from ripik.config import load_settings, parse_value
from ripik.console import say, table
from ripik.data.archives import SUFFIX, check_kind, files_in
from ripik.data.competition import Competition, read_competition
from ripik.data.fetch import fetch, gather
from ripik.data.source_plan import plan
from ripik.data.survey.guess import ASKED, Guess
from ripik.data.survey.look import look
from ripik.errors import InputError, nearest
from ripik.settings import CompetitionSettings, Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

NO_CONFIG = Path()
FOLDER = Path("configs")
LATER = (
    "# [recipe]",
    '# preset = "quick"  # better in less time: docs/recipe.md; weights from a file: docs/weights-and-gpu.md',
)


def write_configuration(
    source: Path, config: Path, answers: Sequence[str], origin: Mapping[str, str] | None = None, name: str = ""
) -> Path:
    """Write the configuration of a source, a folder or zip, and return its path.

    config: where to; `NO_CONFIG`: configs/<name of the source>.toml. answers: `competition.key=value`, which settle
    what could be read in several ways. origin: the key that names the source on Kaggle. A folder without archives stays
    where it is; whatever else is brought to the run's input folder, as by `data`.
    Raises InputError for a source that is not there or cannot be understood, and for a configuration, or a filled input
    folder, that exists. Nothing is left in that folder then.
    """
    if not source.exists():
        raise InputError(f"there is no source {source}. Give a folder, a zip, or a name on Kaggle.")
    check_kind(source)
    target = config if config != NO_CONFIG else FOLDER / f"{_run_name(name or source.stem)}.toml"
    if target.exists():
        raise InputError(f"{target} exists. Delete it, or choose another name: CONFIG=configs/<name>.toml (--config).")
    settled = _settled(answers)
    with _files_of(source) as (files, in_place):
        guess = look(files, source, settled)
        first_line = dict(origin or {}) if not in_place else {"root": source.as_posix()}
        for key in first_line.keys() & settled.keys():
            raise InputError(f"--set competition.{key}: that is what SOURCE says here. Leave it out.")
        text = configuration(guess, first_line, target)
        settings = _drafted(text, target)
        with nullcontext() if in_place else _placed(settings, source, files):
            competition = read_competition(settings)
            seen = [*guess.seen, *_counted(competition)]
            table(f"{source}: what was found", ["", "is", "because"], seen, words=True)
            artifacts.write_text(target, text)
    say(f"new: wrote {target}. Check the lines marked {ASKED}, which no file states, then run")
    say(f"  make train ensemble CONFIG={target}")
    say(f"`make folds plan CONFIG={target}` estimates the time; the file's last lines name a faster recipe.")
    return target


def configuration(guess: Guess, origin: Mapping[str, str], target: Path) -> str:
    """Return the configuration as TOML, a comment for every guess; origin: keys that say where the files are."""
    run = f"# make train ensemble CONFIG={_line(str(target))}   (made by `make new`; docs/your-competition.md)"
    kaggle = [f"kaggle.competition = {_toml(value)}" for key, value in origin.items() if key == "competition"]
    rows = [f"{key} = {_toml(value)}" for key, value in origin.items() if key != "competition"]
    values = guess.differing() | {"metric": guess.values["metric"]}
    rows += [f"{key} = {_toml(value)}  # {_line(guess.reasons[key])}" for key, value in values.items()]
    return "\n".join([run, *kaggle, "[competition]", *rows, *LATER]) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line(text: str) -> str:
    """Return a text as a comment of one line; labels and names of files may hold any character."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _run_name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return name or "new"


def _settled(answers: Sequence[str]) -> dict[str, Any]:
    found = {}
    for answer in answers:
        key, separator, text = answer.partition("=")
        table_name, _, name = key.strip().partition(".")
        if not separator or table_name != "competition" or not name:
            raise InputError(f"--set {answer}: `new` only takes keys of [competition]: --set competition.key=value.")
        if name not in CompetitionSettings.model_fields:
            hint = nearest(name, list(CompetitionSettings.model_fields))
            raise InputError(f"--set {answer}: [competition] has no key {name}{hint}.")
        found[name] = parse_value(text, answer)
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


def _drafted(text: str, target: Path) -> Settings:
    """Return the settings that the configuration would give at its target."""
    with tempfile.TemporaryDirectory(prefix="ripik-new-") as scratch:
        draft = Path(scratch) / target.name
        draft.write_text(text, encoding="utf-8")
        try:
            return load_settings(draft)
        except InputError as error:
            raise InputError(str(error).replace(str(draft), str(target))) from None


@contextmanager
def _placed(settings: Settings, source: Path, files: Mapping[str, Path]) -> Iterator[None]:
    """Bring the source's files to the run's input folder; where anything fails, take them out again.

    Raises InputError where that folder holds other files already; the same ones may stay from an earlier time.
    """
    folder = layout_of(settings).input
    if folder.is_dir() and any(folder.iterdir()):
        _check_same(settings, source, files, folder)
        yield
        return
    try:
        fetch(settings, source)
    except InputError:  # of what it had placed; with other errors nothing is
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_same(settings: Settings, source: Path, files: Mapping[str, Path], folder: Path) -> None:
    wanted = plan({PurePosixPath(name): path for name, path in files.items()}, settings.competition, source)
    there = {PurePosixPath(path.relative_to(folder)): path for path in files_in(folder)}
    if wanted.keys() != there.keys() or not all(_alike(wanted[place], there[place]) for place in wanted):
        raise InputError(
            f"{folder} exists, and has other files than {source}. Move that folder away, or give the run another "
            "name: CONFIG=configs/<name>.toml (--config)."
        )


def _alike(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and artifacts.file_digest(one) == artifacts.file_digest(other)


def _counted(competition: Competition) -> list[list[str]]:
    counts = competition.train["label"].value_counts()
    classes = ", ".join(f"{label}: {counts[label]}" for label in competition.classes[:12])
    more = ", …" if len(competition.classes) > 12 else ""
    rows = [
        ["train", f"{len(competition.train)} images", f"{len(competition.classes)} classes: {classes}{more}"],
        ["test", f"{len(competition.test)} images", ""],
    ]
    form = competition.form
    told = f"{form.kind} in {', '.join(form.columns[:5])}" if form else "not written"
    return [*rows, ["submission", told, form.note if form else "there is no sample submission"]]
