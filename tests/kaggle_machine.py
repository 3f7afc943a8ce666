"""A Kaggle machine in small: read-only mounts, no network, and the code file alone."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = os.environ.get("KERNEL_PYTHON", sys.executable)  # whose packages the machine has: see `make test-oldest`
HOOKS = Path(__file__).parent / "hooks"  # whose small network the machine's Keras has, too
KAGGLE = Path("/kaggle")  # the real place
OFFLINE = ["unshare", "--map-root-user", "--net"]


@dataclass(frozen=True)
class KaggleMachine:
    """The three folders; `home` is where the code file is run, and holds nothing else."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def working(self) -> Path:
        return self.root / "working"

    @property
    def scratch(self) -> Path:
        return self.root / "temp"

    def mount(self, source: Path, name: str) -> Path:
        """Copy a folder to where Kaggle mounts it; without the metadata that Kaggle keeps to itself."""
        target = self.input / name
        shutil.copytree(source, target, symlinks=False, ignore=shutil.ignore_patterns("*-metadata.json"))
        return target

    def run(self, code: Path, *, offline: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a kernel's code file, its inputs read-only, without a network where the system allows that."""
        home = self.root / "src"
        home.mkdir(exist_ok=True)
        script = Path(shutil.copy(code, home / "script.py"))
        self._close()
        environment = os.environ | {"HOME": str(home), "PYTHONPATH": str(HOOKS)}
        if self.root != KAGGLE:
            folders = {"INPUT": self.input, "WORKING": self.working, "SCRATCH": self.scratch}
            environment |= {f"RIPIK_KAGGLE_{name}": str(folder) for name, folder in folders.items()}
        command = [*(OFFLINE if offline and can_go_offline() else []), PYTHON, str(script)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=home, env=environment)

    def _close(self) -> None:
        for path in [self.input, *self.input.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)

    def open(self) -> None:
        """Let the folders be removed again."""
        for path in [self.input, *self.input.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def can_go_offline() -> bool:
    """Whether a process may have a network namespace of its own here, without a network."""
    return (
        shutil.which("unshare") is not None and not subprocess.run([*OFFLINE, "true"], capture_output=True).returncode
    )
