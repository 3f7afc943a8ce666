"""Atomic files, content hashes and the `meta.json` next to every artefact."""

import functools
import hashlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.console import warn
from ripik.errors import SurroundingsError
from ripik.storage.atomic import check_writable, replacing
from ripik.storage.installed import installed_version

CHECKSUM = "checksum"  # the meta file's own
DAMAGED = "does not match the checksum that its meta file recorded: it was edited, or damaged on disk."
FLOAT_FORMAT = "%.9g"  # nine digits bring every float32 back exactly
RECORDED_PACKAGES = (
    "ripik",
    "tensorflow",
    "keras",
    "jax",
    "openvino",
    "albumentations",
    "opencv-python-headless",
    "numpy",
)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as UTF-8 CSV atomically; floats keep float32 exactly."""
    write_text(path, csv_text(frame))


def csv_text(frame: pd.DataFrame) -> str:
    """Return a frame as CSV text."""
    return frame.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON atomically; a number that is not finite becomes null, as JSON has no other word for it."""
    write_text(path, json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def as_json(content: Mapping[str, Any]) -> Any:
    """Return what a JSON file would bring back of `content`: tuples as lists, keys as text, NaN as None."""
    return json.loads(json.dumps(_finite(content)))


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content


def digest(content: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Sequence[Path]) -> str:
    """SHA-256 (hex) over names, sizes and modification times: cheap enough to ask before every step."""
    stats = ((path.name, path.stat()) for path in paths)
    return digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


@contextmanager
def making(
    meta: Path, inputs: Mapping[str, Any], outputs: Sequence[Path], *, anew: bool = False
) -> Iterator[dict[str, Any]]:
    """Take away the meta file while its artefact is made in the block, and write the new one when it is there.

    So no interruption leaves new files that an old meta file vouches for. Yields a dictionary for whatever else the
    meta file is to record. Where a damaged file is the reason, a warning says so. `anew`: the old files are taken away,
    too, for those that are read without asking what they were made from.
    """
    check_writable(meta.parent)
    tell_damaged(meta, inputs)
    for old in (meta, *(outputs if anew else ())):
        old.unlink(missing_ok=True)
    start, more = time.monotonic(), dict[str, Any]()
    yield more
    digests = {output.name: file_digest(output) for output in outputs}
    write_meta(meta, inputs=inputs, outputs=digests, seconds=time.monotonic() - start, **more)


def write_meta(
    path: Path, *, inputs: Mapping[str, Any], outputs: Mapping[str, str], seconds: float, **more: Any
) -> None:
    """Record what made an artefact: `inputs` (settings, hashes), SHA-256 of its `outputs`, surroundings, seconds."""
    content = {
        "inputs": dict(inputs),
        "outputs": dict(outputs),
        "seconds": round(seconds, 3),
        "versions": versions(),
        "surroundings": surroundings(),
        **more,
    }
    write_json(path, {**content, CHECKSUM: digest(as_json(content))})


def write_editable(path: Path, text: str, inputs: Mapping[str, Any], seconds: float) -> None:
    """Write a file its user may edit; the meta file first, as a file of another checksum is taken for the user's."""
    check_writable(path.parent)
    path.unlink(missing_ok=True)
    outputs = {path.name: hashlib.sha256(text.encode()).hexdigest()}
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
        modified = temporary.stat().st_mtime_ns
        write_meta(meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds, modified=modified)


def is_the_users(path: Path) -> bool:
    """Whether the file is there but was not written by `write_editable`, or was edited since.

    Raises SurroundingsError for one whose content is another while its time of modification is not: no editor does
    that, a failing disk does.
    """
    if not path.exists():
        return False
    meta = read_meta(meta_beside(path))
    if meta is None:
        return True
    if is_whole(path, meta["outputs"].get(path.name)):
        return False
    if meta.get("modified") == path.stat().st_mtime_ns:
        raise SurroundingsError(f"{path} {DAMAGED} Delete it and run `make folds`.")
    return True


def is_fresh(path: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether the artefact described by the meta file `path` was made from exactly `inputs` and is there unchanged.

    The content of its files is held against the recorded checksums, once a process for a file that nothing touches.
    """
    meta = read_meta(path)
    if meta is None or meta["inputs"] != as_json(inputs):
        return False
    return all(is_whole(path.parent / name, recorded) for name, recorded in meta["outputs"].items())


def is_whole(path: Path, recorded: str | None) -> bool:
    """Whether the file is there with the recorded SHA-256."""
    try:
        stat = path.stat()
        return _digest_of(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) == recorded
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


@functools.lru_cache(maxsize=4096)
def _digest_of(path: Path, *_: int) -> str:
    return file_digest(path)


def check_recorded(path: Path, meta: Path, remedy: str) -> Path:
    """Return the path of a file that matches its meta file, or that has none.

    Raises SurroundingsError, which ends with `remedy`, for a file or meta file that is not.
    """
    record = read_meta(meta)
    if record is None and meta.exists():
        raise SurroundingsError(f"{meta} is damaged or was edited, so {path.name} cannot be trusted. {remedy}")
    if record is not None and path.exists() and not is_whole(path, record["outputs"].get(path.name)):
        raise SurroundingsError(f"{path} {DAMAGED} {remedy}")
    return path


def tell_damaged(meta: Path, inputs: Mapping[str, Any]) -> None:
    """Warn of files to be rebuilt though their inputs are unchanged: they were edited, damaged or deleted."""
    record = read_meta(meta)
    if record is not None and record["inputs"] == as_json(inputs):
        for name, recorded in record["outputs"].items():
            if not is_whole(meta.parent / name, recorded):
                warn(
                    f"{meta.parent / name} {DAMAGED if (meta.parent / name).exists() else 'is missing.'} It is rebuilt."
                )


def read_meta(path: Path) -> dict[str, Any] | None:
    """Return the content of a meta file; None for one that is missing or incomplete."""
    found = read_if_whole(path)
    if not isinstance(found, dict) or not isinstance(found.get("outputs"), dict) or "inputs" not in found:
        return None
    checksum = found.pop(CHECKSUM, None)
    return found if checksum == digest(found) else None


def recorded_digest(path: Path, meta: Path) -> str | None:
    """Return the SHA-256 that a meta file records of an output; None where it records none, or is not there."""
    digest: str | None = (read_meta(meta) or {"outputs": {}})["outputs"].get(path.name)
    return digest


def read_if_whole(path: Path) -> Any:
    """Read a JSON file; None when there is none, or it is no JSON."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None


def meta_beside(path: Path) -> Path:
    """The meta file of a single-file artefact: `folds.csv` → `folds.meta.json`."""
    return path.with_name(f"{path.stem}.meta.json")


def surroundings() -> dict[str, str]:
    """What else can change the last bits of a result: machine, backend and threads of this process."""
    keras = sys.modules.get("keras")
    return {
        "machine": platform.machine(),
        "backend": keras.backend.backend() if keras else "",
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        version = installed_version(package)
        if version:
            found[package] = version
    return found
