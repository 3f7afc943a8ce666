"""Push a folder as a Kaggle dataset, and wait until that version is available."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ripik.console import say
from ripik.errors import RipikError, SurroundingsError
from ripik.kaggle.client import failure, reason_of, run_kaggle

METADATA, MANIFEST = "dataset-metadata.json", "manifest.json"
READY, FAILED = "ready", "failed"
PATIENCE, PAUSE = 1800.0, 5.0  # seconds


@dataclass(frozen=True)
class Served:
    """The status of a dataset on Kaggle: `ready` or a state on the way there, and its newest version."""

    status: str
    version: int


def push_dataset(folder: Path, notes: str, *, patience: float = PATIENCE, pause: float = PAUSE) -> int:
    """Create the dataset of a folder, or its next version, and return the version once it is served.

    folder: flat, with `dataset-metadata.json` and a `manifest.json` that tells versions apart; where the served one is
    the same, nothing is uploaded. `notes` go with a new version; asks every `pause` seconds, `patience` in all.
    Raises InputError and SurroundingsError as `client.failure` tells, also for what the client only prints.
    """
    name = json.loads((folder / METADATA).read_text(encoding="utf-8"))["id"]
    end = time.monotonic() + patience
    before = served(name)
    if before and before.status != FAILED:  # perhaps what an earlier call pushed is still on its way
        before = _wait(name, end, pause, lambda now: True)
        if _is_served(name, folder):
            say(f"kaggle: the dataset {name} is up to date, version {before.version}")
            return before.version
    _upload(name, folder, notes, before is None)
    oldest = before.version if before else -1
    now = _wait(name, end, pause, lambda now: now.version > oldest and _is_served(name, folder), oldest)
    say(f"kaggle: version {now.version} of the dataset {name} is available")
    return now.version


def served(name: str) -> Served | None:
    """Return the status of the dataset `owner/name`; None where there is none that one may see."""
    code, said = run_kaggle(["datasets", "status", name, "--format", "json(status,current_version_number)"])
    if code and reason_of(said) in ("missing", "forbidden"):
        return None
    answer = _json_in(said)
    if code or not isinstance(answer.get("status"), str):
        raise _failure(name, code, said)
    return Served(answer["status"].lower(), int(answer.get("current_version_number") or 0))


def _upload(name: str, folder: Path, notes: str, new: bool) -> None:
    files = [path for path in folder.iterdir() if path.is_file() and path.name != METADATA]
    verb = ["create"] if new else ["version", "--message", notes]
    say(f"kaggle: uploading {len(files)} files {'as the new' if new else 'to the'} dataset {name}")
    code, said = run_kaggle(["datasets", *verb, "--path", str(folder)])
    if code or said.count("Upload successful") != len(files) or "is being created" not in said:
        raise _failure(name, code, said)


def _wait(name: str, end: float, pause: float, enough: Callable[[Served], bool], oldest: int = -1) -> Served:
    """Return the status of a dataset once it is ready and `enough`; prints the status meanwhile.

    oldest: the version there before, which may be one that Kaggle could not process.
    """
    last: Served | None = None
    while True:
        now = served(name)
        if now and now.status == FAILED and now.version > oldest:
            raise SurroundingsError(
                f"Kaggle could not process the dataset {name}. Look at {_page(name)}, then push it again."
            )
        if now and now.status == READY and enough(now):
            return now
        if now and now != last:
            last = now
            say(f"kaggle: waiting for the dataset {name}: {now.status}, version {now.version}")
        if time.monotonic() > end:
            seen = f"{last.status}, version {last.version}" if last else "nothing"
            raise SurroundingsError(
                f"Kaggle does not provide the new version of the dataset {name} yet (last seen: {seen}). Run the same "
                "command again: it keeps waiting, and uploads nothing twice."
            )
        time.sleep(pause)


def _is_served(name: str, folder: Path) -> bool:
    """Whether the manifest that Kaggle serves is the folder's."""
    with tempfile.TemporaryDirectory() as place:
        code, said = run_kaggle(
            ["datasets", "download", name, "--file", MANIFEST, "--path", place, "--force", "--quiet"]
        )
        path = Path(place) / MANIFEST
        if code and reason_of(said) not in ("missing", "forbidden"):
            raise _failure(name, code, said)
        return path.is_file() and path.read_bytes() == (folder / MANIFEST).read_bytes()


def _json_in(said: str) -> dict[str, Any]:
    for line in said.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except json.JSONDecodeError:
                continue
            return found if isinstance(found, dict) else {}
    return {}


def _page(name: str) -> str:
    return f"https://www.kaggle.com/datasets/{name}"


def _failure(name: str, code: int, said: str) -> RipikError:
    return failure(f"the Kaggle dataset {name}", _page(name), code, said)
