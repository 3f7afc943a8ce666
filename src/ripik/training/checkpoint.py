"""The saved state of a training, one file: whatever the next batch depends on, and the best weights so far."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ripik.console import warn
from ripik.errors import is_damage
from ripik.storage import artifacts
from ripik.storage.atomic import replacing

UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile)
Arrays = list[np.ndarray]


@dataclass
class Progress:
    """How far a training is.

    history: a row an epoch, as in `history.csv`. batches: how many of the next epoch are done, in `seconds`.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    batches: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A training's progress and its variables by group: model, optimizer, metrics (of the epoch begun), best.

    arithmetic: the backend and the precision it was made with (`backend.arithmetic`).
    """

    progress: Progress
    arrays: dict[str, Arrays]
    arithmetic: Mapping[str, str] = field(default_factory=dict)


def save(path: Path, inputs: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Write a checkpoint made from `inputs`, atomically; a `.npz`, each of whose members carries a CRC-32."""
    record = {
        "inputs": artifacts.digest(inputs),
        "arithmetic": dict(checkpoint.arithmetic),
        **vars(checkpoint.progress),
    }
    groups = checkpoint.arrays.items()
    named = {f"{group}-{i:04}": array for group, arrays in groups for i, array in enumerate(arrays)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, told=np.array(json.dumps(record)), **named)


def load(path: Path, inputs: Mapping[str, Any], arithmetic: Mapping[str, str] | None = None) -> Checkpoint | None:
    """Return the checkpoint at a path; None when there is none, or one of other inputs.

    A damaged one, and one of another backend or precision than `arithmetic` (None: any), is told in a warning, and
    counts as none. An error of the disk, the network or permissions is raised: the file may be whole.
    """
    if not path.exists():
        return None
    try:
        record, arrays = _read(path)
        made_from, made_with = record.pop("inputs"), record.pop("arithmetic", {})
        progress = Progress(**record)
    except UNREADABLE as error:
        if not is_damage(error):
            raise
        warn(f"{path} is damaged, or from another version: this training restarts from the beginning")
        return None
    if made_from != artifacts.digest(inputs):
        return None
    if arithmetic and made_with and made_with != arithmetic:
        saved, present = _spelled(made_with), _spelled(arithmetic)
        warn(f"{path} was saved with {saved}, but this is {present}: this training restarts from the beginning")
        return None
    return Checkpoint(progress, arrays, made_with)


def peek(path: Path, inputs: Mapping[str, Any]) -> Progress | None:
    """Return how far a saved training is; None when it is of other inputs, or broken. Reads no variables."""
    try:
        with np.load(path, allow_pickle=False) as state:
            record = json.loads(str(state["told"]))
            own = record.pop("inputs") == artifacts.digest(inputs)
            record.pop("arithmetic", None)
            return Progress(**record) if own else None
    except UNREADABLE:
        return None


def _spelled(arithmetic: Mapping[str, str]) -> str:
    return f"{arithmetic.get('backend')} in {arithmetic.get('precision')}"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} does not match its checksum")
    arrays: dict[str, Arrays] = {}
    with np.load(path, allow_pickle=False) as state:
        for name in sorted(state.files):
            if name != "told":
                arrays.setdefault(name.split("-")[0], []).append(state[name])
        return json.loads(str(state["told"])), arrays
