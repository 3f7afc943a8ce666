"""What must be the same in the files of two runs, times of day and seconds left out."""

import csv
import json
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from ripik.storage import artifacts
from ripik.storage.packed_array import LOCK

SKIPPED = ("running", "logs", "report", "analysis")  # presence, times of day, pages
CLOCKS = {
    "seconds",
    "checksum",
    "modified",
    "submission",
    "file",
    "time",
    "commit",
}  # keys in JSON; and of this checkout
MINE = "other software"  # what a command says of files that an earlier one made otherwise
# what a command that goes on after a kill must not say, as it would be a lie
FALSE = (MINE, "does not match", "is damaged", "is missing. It is rebuilt")

Content = Mapping[str, np.ndarray] | bytes | None


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of what differs between two folders with `output` and `submissions`, or was left behind."""
    hidden = [path for name in ("output", "submissions") for path in (other / name).rglob(".*") if path.name != LOCK]
    first, second = (dict(_contents(folder / "output" / "tiny")) for folder in (one, other))
    names = [name for name in sorted(first.keys() | second.keys()) if not same(first.get(name), second.get(name))]
    pages = [(folder / "output/tiny/report/index.html") for folder in (one, other)]
    broken = pages[0].exists() and not (pages[1].exists() and pages[1].read_text().rstrip().endswith("</html>"))
    return [
        *(f"left behind: {path.name}" for path in hidden),
        *names,
        *unvouched(other / "output" / "tiny"),
        *["submission"] * (_submitted(one / "submissions") != _submitted(other / "submissions")),
        *unlogged(other / "submissions"),
        *["report"] * broken,
    ]


def _contents(run: Path) -> Iterator[tuple[str, Content]]:
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        if path.is_file() and name.parts[0] not in SKIPPED and "logs" not in name.parts:
            yield str(name), content_of(path)


def folder_differs(one: Path, other: Path) -> list[str]:
    """Return the names of what differs between two folders of a run, such as those of a job."""
    first, second = dict(_contents(one)), dict(_contents(other))
    return [name for name in sorted(first.keys() | second.keys()) if not same(first.get(name), second.get(name))]


def content_of(path: Path) -> Content:
    """Return what must be the same in a file; its bytes, or its arrays by name."""
    if path.suffix == ".h5":
        found: dict[str, np.ndarray] = {}
        with h5py.File(path) as file:
            file.visititems(lambda n, item: found.update({n: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return found
    if zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _without_seconds(name, arrays[name]) for name in arrays.files}
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv().encode()
    if path.suffix == ".json":
        return _canonical(artifacts.read_if_whole(path))
    return _rows(path) if path.suffix == ".db" else path.read_bytes()


def _without_seconds(name: str, array: np.ndarray) -> np.ndarray:
    return np.frombuffer(_canonical(json.loads(str(array))), np.uint8) if name == "told" else array


def _canonical(content: Any) -> bytes:
    return json.dumps(_timeless(content), sort_keys=True).encode()


def _timeless(content: Any) -> Any:
    """Return what a JSON file tells without its clocks; of outputs the names, as some of their bytes tell seconds."""
    if isinstance(content, dict):
        named = content | ({"outputs": sorted(content["outputs"])} if isinstance(content.get("outputs"), dict) else {})
        return {key: _timeless(value) for key, value in named.items() if key not in CLOCKS}
    return [_timeless(value) for value in content] if isinstance(content, list) else content


def _rows(path: Path) -> bytes:
    """Return the rows of all tables of a search's storage, without the times of day."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        found = {}
        for table in sorted(tables):
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            kept = ", ".join(name for name in columns if not name.startswith("datetime"))
            found[table] = sorted(map(str, database.execute(f"select {kept} from {table}")))
    return json.dumps(found).encode()


def same(one: Content, other: Content) -> bool:
    """Whether two contents are the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    return not isinstance(one, Mapping) and not isinstance(other, Mapping) and one == other


def unvouched(run: Path) -> list[str]:
    """Return the files that are not as the meta files beside them say, and meta files that are not whole."""
    found = []
    for meta in sorted(run.rglob("*meta.json")):
        record = artifacts.read_meta(meta)
        outputs = record["outputs"] if record else {meta.name: "whole"}
        wrong = [name for name, digest in outputs.items() if not artifacts.is_whole(meta.parent / name, digest)]
        found += [f"not as its meta file says: {(meta.parent / name).relative_to(run)}" for name in wrong]
    return found


def _submitted(folder: Path) -> list[bytes]:
    """Return what stands in the submissions and beside them, each as often as it is there."""
    return sorted(content for path in folder.glob("*-cv*") if isinstance(content := content_of(path), bytes))


def unlogged(folder: Path) -> list[str]:
    """Return what is wrong with the log of the submissions: each is there once, with its record, and logged once."""
    files = sorted(path.name for path in folder.glob("*-cv*.csv") if not path.name.endswith(".oof.csv"))
    beside = {path.name.removesuffix(end) for end in (".json", ".oof.csv") for path in folder.glob(f"*-cv*{end}")}
    log = folder / "log.csv"
    logged = sorted(row["file"] for row in csv.DictReader(log.read_text().splitlines())) if log.exists() else []
    alone = sorted(beside ^ {name.removesuffix(".csv") for name in files})
    wrong = [f"logged: {', '.join(logged)}; there: {', '.join(files)}"] if logged != files else []
    return wrong + ([f"incomplete: {', '.join(alone)}"] if alone else [])


def claims(said: str) -> list[str]:
    """Return the lines of a command that goes on after a kill which speak of damage, or of other software."""
    return [line.strip() for line in said.splitlines() if any(word in line for word in FALSE)]
