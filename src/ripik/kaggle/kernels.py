"""Push a kernel, ask for its state, and download its output."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ripik.errors import InputError, RipikError
from ripik.kaggle.client import failure, reason_of, run_kaggle

PUSHED = re.compile(r"Kernel version (\d+) successfully pushed\.\s+Please check progress at (\S+)")
STATUS = re.compile(r'has status "(?:\w+\.)?(\w+)"')
MESSAGE = re.compile(r'Failure message: "(.*)"', re.DOTALL)
REFUSALS = ("Kernel push error", "are not valid", "does not resolve to the specified id")
INSIDE = r"^(?!/)(?!(.*/)?\.\.(/|$))"  # names of files that stay in the folder they are fetched into
AT_WORK = ("queued", "running", "cancel_requested")
BEFORE_WORK = "new_script"  # saved, and not begun


@dataclass(frozen=True)
class Pushed:
    """A kernel's new version, and its page."""

    version: int
    url: str


@dataclass(frozen=True)
class Status:
    """A kernel's state, as `queued`, `running`, `complete`, `error`, `cancel_acknowledged`, and why it failed."""

    state: str
    message: str = ""


def push_kernel(folder: Path, name: str) -> Pushed:
    """Push the kernel `owner/slug` of a folder with `kernel-metadata.json`; return its new version.

    Raises InputError for what Kaggle refuses, also where the client only prints that: unknown sources of data, a title
    that does not become the id; SurroundingsError for the network and Kaggle's own failures.
    """
    code, said = run_kaggle(["kernels", "push", "--path", str(folder)])
    refused = [line for line in said.splitlines() if any(text in line for text in REFUSALS)]
    if refused and not reason_of(said):
        raise InputError(f"Kaggle rejected the kernel {name}: {' '.join(refused)}")
    found = PUSHED.search(said)
    if code or refused or not found:
        raise _failure(name, code, said)
    return Pushed(int(found[1]), found[2])


def kernel_status(name: str) -> Status | None:
    """Return how the newest version of the kernel `owner/slug` is; None where there is no such kernel one may see."""
    code, said = run_kaggle(["kernels", "status", name])
    if code and reason_of(said) in ("missing", "forbidden"):
        return None
    found, message = STATUS.search(said), MESSAGE.search(said)
    if code or not found:
        raise _failure(name, code, said)
    return Status(found[1].lower(), message[1].strip() if message else "")


def kernel_output(name: str, folder: Path) -> list[Path]:
    """Fetch what the newest version of a kernel wrote, and its log, in place of `folder`; return the files.

    The folder appears whole or not at all; a file whose name leads out of it is not fetched. Raises InputError where
    the kernel wrote nothing, and as the others do.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        fetched = Path(place) / folder.name
        how = ["--path", str(fetched), "--force", "--page-size", "200", "--file-pattern", INSIDE]
        code, said = run_kaggle(["kernels", "output", name, *how])
        if code:
            raise _failure(name, code, said)
        files = [path.relative_to(fetched) for path in sorted(fetched.rglob("*")) if path.is_file()]
        if not files:
            raise InputError(f"the kernel {name} has no output yet. Check its state with `make kernel-status`.")
        if folder.exists():
            shutil.rmtree(folder)
        fetched.rename(folder)
    return [folder / path for path in files]


def _failure(name: str, code: int, said: str) -> RipikError:
    return failure(f"the kernel {name}", f"https://www.kaggle.com/code/{name}", code, said)
