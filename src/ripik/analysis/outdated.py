"""Whether predictions are of the trainings that a run has now: by its `meta.json` files alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ripik.analysis.small_files import META, STORED
from ripik.errors import InputError
from ripik.storage import artifacts


def is_outdated(folder: str | Path) -> bool:
    """Whether the `oof.csv` of a variant or blend is of predictions that later ones replaced.

    folder: `<run>/<variant>` or `<run>/ensemble`. So it is after a change of settings and `make train`: for the blend
    until `make ensemble`, for a variant of which some folds alone were trained, until all are. What a file does not
    tell, as in a run that was copied without its trainings, counts as unchanged. InputError where there is no folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"there is no folder {place}. Give the folder of a variant, or of a run's blend.")
    recorded = (artifacts.read_meta(place / "meta.json") or {}).get("inputs")
    inputs = recorded if isinstance(recorded, Mapping) else {}
    jobs = _digests(inputs.get("predictions"), place) | _digests(inputs.get("members"), place.absolute().parent)
    present = {job: artifacts.recorded_digest(job / STORED, job / META) for job in jobs}
    return any(present[job] not in (None, digest) for job, digest in jobs.items())


def told_outdated(folders: Iterable[Path]) -> str:
    """Return a sentence on those of the folders whose predictions are outdated; empty where none are."""
    found = ", ".join(str(folder) for folder in folders if is_outdated(folder))
    if not found:
        return ""
    return (
        f"the predictions in {found} are of trainings that were replaced since. Run `make train ensemble` to see the "
        "present ones."
    )


def _digests(recorded: object, parent: Path) -> dict[Path, str]:
    return {parent / str(job): digest for job, digest in recorded.items()} if isinstance(recorded, Mapping) else {}
