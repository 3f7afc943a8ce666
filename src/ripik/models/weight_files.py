"""Which file a network's first weights come from."""

import functools
from pathlib import Path

from ripik.errors import InputError
from ripik.settings import Settings
from ripik.storage import artifacts
from ripik.storage.paths import layout_of
from ripik.variants import Variant

IMAGENET, RANDOM = "imagenet", "random"


def weights_inputs(variant: Variant) -> dict[str, str]:
    """Return what determines a backbone's initial weights; InputError when they are a file that is not there."""
    inputs = {"backbone": variant.backbone, "weights": variant.weights}
    if variant.weights not in (IMAGENET, RANDOM):
        path = Path(variant.weights).expanduser()
        if not path.is_file():
            raise InputError(
                f"network.weights: there is no file {path}. Give the path of a weights file, "
                f'"{IMAGENET}" (Keras cache or download) or "{RANDOM}".'
            )
        inputs["weights"] = _digest(path, path.stat().st_mtime_ns)
    return inputs


def check_weights(variant: Variant) -> None:
    """Raise InputError when the initial weights are a file that is not there."""
    weights_inputs(variant)


@functools.lru_cache
def _digest(path: Path, modified: int) -> str:
    return artifacts.file_digest(path)


def initial_weights(settings: Settings, variant: Variant) -> Path:
    """Return where the run keeps the initial weights of the variant's backbone."""
    key = artifacts.digest(weights_inputs(variant))[:8]
    return layout_of(settings).backbone(f"{variant.backbone}-{key}")
