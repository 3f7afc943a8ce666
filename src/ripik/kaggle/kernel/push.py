"""The steps `kernel-push`, `kernel-status` and `kernel-output`: push a kernel, show its state, download its output."""

import json
from datetime import datetime

from ripik.console import say
from ripik.errors import InputError, SurroundingsError
from ripik.kaggle.datasets import METADATA as DATASET
from ripik.kaggle.datasets import push_dataset
from ripik.kaggle.kernel.build import METADATA
from ripik.kaggle.kernel.names import identity
from ripik.kaggle.kernels import AT_WORK, BEFORE_WORK, Pushed, Status, kernel_output, kernel_status, push_kernel
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

FINISHED = "complete"
PUSHED = "pushed.json"


def push(settings: Settings, kind: str) -> Pushed:
    """Push a built kernel, its datasets first, waiting until they are served; return its version.

    A training kernel whose version before is complete gets its output as an input, and goes on from there.
    Raises InputError for a kernel that is not built, or built for another user, SurroundingsError for a training kernel
    that is at work, and whatever Kaggle refuses.
    """
    folder, name = layout_of(settings).kernel(kind), identity(settings, kind)
    metadata_path = folder / METADATA
    if not metadata_path.is_file():
        raise InputError(f"there is no {metadata_path}. Run `make kernel KIND={kind}` first.")
    metadata = json.loads(metadata_path.read_text(encoding="utf-8"))
    if metadata["id"] != name:
        raise InputError(f"{metadata_path} is for {metadata['id']}, not {name}. Run `make kernel KIND={kind}` again.")
    if kind == "train":
        before = kernel_status(name)
        _check_idle(name, before)
        metadata["kernel_sources"] = [name] if before and before.state == FINISHED else []
        artifacts.write_json(metadata_path, metadata)
        say(f"kernel: {_start_of(before)}")
    datasets = sorted(folder.glob("datasets/*/"))
    unfinished = [dataset for dataset in datasets if not (dataset / DATASET).is_file()]
    if unfinished:
        raise InputError(f"{unfinished[0]} was not finished. Run `make kernel KIND={kind}` again.")
    for dataset in datasets:
        push_dataset(dataset, f"{settings.run}, {datetime.now().isoformat(timespec='seconds')}")
    pushed = push_kernel(folder, name)
    artifacts.write_json(folder / PUSHED, {"kernel": name, "version": pushed.version, "url": pushed.url})
    say(f"kernel: version {pushed.version} of {name} is pushed: {pushed.url}")
    return pushed


def _check_idle(name: str, before: Status | None) -> None:
    if before and before.state in AT_WORK:
        raise SurroundingsError(
            f"the kernel {name} is {before.state}: a version pushed now would start without its output. Wait until "
            "it is complete (see `make kernel-status KIND=train`), or cancel it on its page; then push again."
        )


def _start_of(before: Status | None) -> str:
    """Say what a training kernel starts from: Kaggle mounts the output of a version that is complete, of no other."""
    if before is None:
        return "its first version: starts from scratch"
    if before.state == FINISHED:
        return "resumes from the output of its previous version"
    ends = {"error": "failed", "cancel_acknowledged": "was cancelled", BEFORE_WORK: "was never run"}
    how = ends.get(before.state, f"ended as {before.state}") + (f" ({before.message})" if before.message else "")
    return f"its previous version {how}, so there is no output of it: starts from scratch"


def tell_status(settings: Settings, kind: str) -> str:
    """Say how the newest version of a kernel is; return its state. Raises InputError where there is none."""
    name = identity(settings, kind)
    status = kernel_status(name)
    if status is None:
        raise InputError(
            f"there is no kernel {name} on Kaggle that you can see. Push it: `make kernel-push KIND={kind}`."
        )
    say(f"kernel: {name}: {status.state}" + (f" ({status.message})" if status.message else ""))
    return status.state


def fetch_output(settings: Settings, kind: str) -> None:
    """Fetch what the newest version of a kernel wrote into `kernel/<kind>/output/` of the run, and list it."""
    folder = layout_of(settings).kernel(kind) / "output"
    files = kernel_output(identity(settings, kind), folder)
    say(f"kernel: fetched {len(files)} files into {folder}: " + ", ".join(sorted({path.name for path in files})[:8]))
