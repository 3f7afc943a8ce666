"""The steps `kernel-push`, `kernel-status` and `kernel-output`: a kernel's way on Kaggle, from here."""

import json
from datetime import datetime

from ripik.console import say
from ripik.errors import InputError
from ripik.kaggle.datasets import push_dataset
from ripik.kaggle.kernel.build import METADATA
from ripik.kaggle.kernel.names import identity
from ripik.kaggle.kernels import Pushed, kernel_output, kernel_status, push_kernel
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of

FINISHED = "complete"
PUSHED = "pushed.json"


def push(settings: Settings, kind: str) -> Pushed:
    """Push a built kernel, its datasets first, waiting until they are served; return its version.

    A training kernel that has run before gets its own newest output as an input, and goes on from there.
    Raises InputError for a kernel that is not built, or built for another user, and whatever Kaggle refuses.
    """
    folder, name = layout_of(settings).kernel(kind), identity(settings, kind)
    metadata_path = folder / METADATA
    if not metadata_path.is_file():
        raise InputError(f"there is no {metadata_path}. Run `make kernel KIND={kind}` first.")
    metadata = json.loads(metadata_path.read_text(encoding="utf-8"))
    if metadata["id"] != name:
        raise InputError(f"{metadata_path} is of {metadata['id']}, not {name}. Run `make kernel KIND={kind}` again.")
    for dataset in sorted(folder.glob("datasets/*/")):
        push_dataset(dataset, f"{settings.run}, {datetime.now().isoformat(timespec='seconds')}")
    if kind == "train":
        before = kernel_status(name)
        metadata["kernel_sources"] = [name] if before and before.state == FINISHED else []
        artifacts.write_json(metadata_path, metadata)
        say(f"kernel: {'goes on from the output of its version before' if before else 'its first version'}")
    pushed = push_kernel(folder, name)
    artifacts.write_json(folder / PUSHED, {"kernel": name, "version": pushed.version, "url": pushed.url})
    say(f"kernel: version {pushed.version} of {name} is pushed: {pushed.url}")
    return pushed


def tell_status(settings: Settings, kind: str) -> str:
    """Say how the newest version of a kernel is; return its state. Raises InputError where there is none."""
    name = identity(settings, kind)
    status = kernel_status(name)
    if status is None:
        raise InputError(
            f"there is no kernel {name} on Kaggle that you may see. Push it: `make kernel-push KIND={kind}`."
        )
    say(f"kernel: {name}: {status.state}" + (f" ({status.message})" if status.message else ""))
    return status.state


def fetch_output(settings: Settings, kind: str) -> None:
    """Fetch what the newest version of a kernel wrote into `kernel/<kind>/output/` of the run, and list it."""
    folder = layout_of(settings).kernel(kind) / "output"
    files = kernel_output(identity(settings, kind), folder)
    say(f"kernel: fetched {len(files)} files into {folder}: " + ", ".join(sorted({path.name for path in files})[:8]))
