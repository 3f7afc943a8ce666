"""An artefact of a run: its files, the inputs that determine them, and whether they are up to date."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ripik.storage import artifacts

State = Literal["missing", "up to date", "stale", "damaged"]
MISSING: Final = "missing"
FRESH: Final = "up to date"
STALE: Final = "stale"
DAMAGED: Final = "damaged"


@dataclass(frozen=True)
class Artifact:
    """Files that are made together from `inputs`; their meta file records these and the files' checksums."""

    meta: Path
    inputs: Mapping[str, Any]
    outputs: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path, inputs: Mapping[str, Any]) -> Artifact:
        """Return the artifact of one file, whose meta file is next to it."""
        return cls(artifacts.meta_beside(path), inputs, (path,))

    @property
    def record(self) -> dict[str, Any] | None:
        """What the meta file records of how the files were made; None where it is missing or incomplete."""
        return artifacts.read_meta(self.meta)

    @property
    def is_fresh(self) -> bool:
        """Whether the files are there, unchanged, and were made from exactly these inputs."""
        return artifacts.is_fresh(self.meta, self.inputs)

    @property
    def state(self) -> State:
        """How the files stand; damaged: edited, lost or broken since they were made from these inputs."""
        if self.is_fresh:
            return FRESH
        record = self.record
        if record is None:
            return DAMAGED if any(path.exists() for path in self.outputs) else MISSING
        return DAMAGED if record["inputs"] == artifacts.as_json(self.inputs) else STALE

    def differences(self, words: Mapping[str, str]) -> list[str]:
        """Return which recorded inputs are not the present ones, in words (`differences`); none without a record."""
        record = self.record
        return differences(record["inputs"], artifacts.as_json(self.inputs), words) if record else []

    def making(self, *, anew: bool = False) -> AbstractContextManager[dict[str, Any]]:
        """Make the files in a block; see `artifacts.making`."""
        return artifacts.making(self.meta, self.inputs, self.outputs, anew=anew)


def differences(recorded: Mapping[str, Any], present: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    """Return what differs between two tables of inputs: `key old → new`, or for a key of `words` what it says of it."""
    named = []
    for key in [*present, *(key for key in recorded if key not in present)]:
        old, new = recorded.get(key), present.get(key)
        if old == new:
            continue
        if key in words:
            named.append(words[key])
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            named += differences(old, new, words)
        elif not all(isinstance(value, int | float | str | None) for value in (old, new)):
            named.append(key)
        else:
            named.append(f"{key} {_short(old)} → {_short(new)}")
    return named


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:8]}…"
