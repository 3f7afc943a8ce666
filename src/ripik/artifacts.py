"""Atomic files, content hashes and the `meta.json` that stands beside every artefact."""

import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ripik.errors import SurroundingsError

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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it over `path` when the block ends well, remove it otherwise.

    Raises SurroundingsError when the folder is marked read-only (no write bit at all).
    """
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".*.{glob.escape(path.name)}"):
        _remove_if_orphaned(left)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_if_orphaned(temporary: Path) -> None:
    """Remove a temporary file whose process was killed before it could."""
    owner = temporary.name.split(".")[1]
    if not owner.isdigit() or int(owner) == os.getpid():
        return
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        temporary.unlink(missing_ok=True)
    except PermissionError:  # alive, somebody else's
        return


def check_writable(folder: Path) -> None:
    """Raise SurroundingsError when the folder, or the nearest one above it that exists, is read-only.

    A folder without any write bit is refused even to root, who could write there all the same.
    """
    folder = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not folder.is_dir():
        raise SurroundingsError(f"{folder} is a file where a folder should be. Move it away and run again.")
    if not folder.stat().st_mode & 0o222 or not os.access(folder, os.W_OK):
        raise SurroundingsError(
            f"cannot write to {folder}: the folder is read-only. Give it write permission (chmod u+w), or choose "
            "another place: paths.output and paths.submissions of the configuration, or the command's own option."
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
    """Write indented JSON atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def as_json(content: Mapping[str, Any]) -> Any:
    """Return what a JSON file would bring back of `content`: tuples as lists, keys as text."""
    return json.loads(json.dumps(dict(content)))


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
def making(meta: Path, inputs: Mapping[str, Any], outputs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Take away the meta file while its artefact is made in the block, and write the new one when it is there.

    So no interruption leaves new files that an old meta file vouches for. Yields a dictionary for whatever else the
    meta file is to record.
    """
    check_writable(meta.parent)
    meta.unlink(missing_ok=True)
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
    write_json(path, content)


def write_editable(path: Path, text: str, inputs: Mapping[str, Any], seconds: float) -> None:
    """Write a file its user may edit; the meta file first, as a file of another checksum is taken for the user's."""
    check_writable(path.parent)
    path.unlink(missing_ok=True)
    outputs = {path.name: hashlib.sha256(text.encode()).hexdigest()}
    write_meta(meta_beside(path), inputs=inputs, outputs=outputs, seconds=seconds)
    write_text(path, text)


def is_the_users(path: Path) -> bool:
    """Whether the file is there but was not written by `write_editable`, or was edited since."""
    if not path.exists():
        return False
    meta = read_meta(meta_beside(path))
    return meta is None or meta["outputs"].get(path.name) != file_digest(path)


def is_fresh(path: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether the artefact described by the meta file `path` was made from exactly `inputs` and still exists."""
    meta = read_meta(path)
    if meta is None or meta["inputs"] != as_json(inputs):
        return False
    return all((path.parent / name).exists() for name in meta["outputs"])


def read_meta(path: Path) -> dict[str, Any] | None:
    """Return what a meta file tells; None for one that is not there, or that a crash left unreadable."""
    found = read_if_whole(path)
    whole = isinstance(found, dict) and isinstance(found.get("outputs"), dict) and "inputs" in found
    return found if whole else None


def read_if_whole(path: Path) -> Any:
    """Read a JSON file; None when there is none, or it is no JSON."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def meta_beside(path: Path) -> Path:
    """The meta file of a single-file artefact: `folds.csv` → `folds.meta.json`."""
    return path.with_name(f"{path.stem}.meta.json")


def surroundings() -> dict[str, str]:
    """What else can change the last bits of a result: machine, backend, precision and threads of this process."""
    keras = sys.modules.get("keras")
    return {
        "machine": platform.machine(),
        "backend": keras.backend.backend() if keras else "",
        "precision": keras.config.dtype_policy().name if keras else "",
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
