"""Where things lie on Kaggle's machine: what is mounted to be read, and the two folders to write to."""

import os
from dataclasses import dataclass
from pathlib import Path

from ripik.errors import InputError

INPUT, WORKING, SCRATCH = "/kaggle/input", "/kaggle/working", "/kaggle/temp"
DEPTH = 3  # Kaggle mounts x at input/x, or at input/datasets/<owner>/x, input/competitions/x, input/notebooks/<owner>/x


@dataclass(frozen=True)
class Machine:
    """input: read-only mounts. working: what is kept. scratch: what is gone when the kernel ends."""

    input: Path
    working: Path
    scratch: Path

    def mounted(self, name: str) -> Path | None:
        """Return the folder of a dataset, competition or kernel by the last part of its address; None: not there."""
        for depth in range(DEPTH):
            for path in sorted(self.input.glob("/".join(["*"] * depth + [name]))):
                if path.is_dir():
                    return path
        return None

    def need(self, name: str, what: str) -> Path:
        """Return the folder of what must be mounted; InputError where it is not."""
        found = self.mounted(name)
        if found is None:
            there = sorted(path.name for path in self.input.glob("*")) if self.input.is_dir() else []
            raise InputError(
                f"{what} {name} is not mounted below {self.input} (there: {', '.join(there) or 'nothing'}). Add it to "
                "the kernel's inputs, or run `make kernel kernel-push` again."
            )
        return found


def this_machine() -> Machine:
    """Return Kaggle's folders, or those that RIPIK_KAGGLE_INPUT, _WORKING and _SCRATCH name."""
    given = [os.environ.get(f"RIPIK_KAGGLE_{name}") for name in ("INPUT", "WORKING", "SCRATCH")]
    usual = (INPUT, WORKING, SCRATCH)
    paths = [Path(named or default) for named, default in zip(given, usual, strict=True)]
    for path in paths[1:]:
        path.mkdir(parents=True, exist_ok=True)
    return Machine(*paths)
