"""The estimated time of a run's networks on a GPU whose speed the user gives: arithmetic, nothing is measured."""

from collections.abc import Sequence

from ripik.console import duration, table
from ripik.features.store import Reading
from ripik.monitoring.forecast import Size, job_counts, pass_images
from ripik.settings import Settings
from ripik.training.jobs import jobs_of
from ripik.variants import Variant

SIDE = 224  # pixels, of the speed that is given
BACKWARD = 2.0  # of a step's operations; the forward part, which is all that a prediction needs, is 1


def gpu_images(settings: Settings, variant: Variant, size: Size) -> tuple[float, float]:
    """Return how many images a variant's network sees in training steps, and how many it only predicts, by its folds.

    A network whose lower part is frozen counts as one that is trained whole, which is more than it takes. The frozen
    passes of a head count as predictions, though variants may share them.
    """
    reading = Reading(settings, variant)
    if reading.head_alone:
        return 0.0, float(pass_images(settings, size, *reading.passes))
    counts = [job_counts(settings, variant, job, size) for job in jobs_of(settings, variant)]
    return float(sum(batches for batches, _ in counts) * variant.batch_size), sum(predicted for _, predicted in counts)


def gpu_seconds(settings: Settings, variant: Variant, size: Size, speed: float) -> float:
    """Return the seconds of a variant on one GPU that finetunes so many images a second at 224 x 224 pixels."""
    trained, predicted = gpu_images(settings, variant, size)
    return (trained + predicted / (1 + BACKWARD)) * (variant.image_size / SIDE) ** 2 / speed


def show_gpu(settings: Settings, variants: Sequence[Variant], size: Size, speed: float) -> None:
    """Print how long each variant takes on such a GPU, and all of them together."""
    rows, seconds = [], 0.0
    for variant in variants:
        trained, predicted = gpu_images(settings, variant, size)
        seconds += gpu_seconds(settings, variant, size, speed)
        cells = [f"{trained:,.0f}", f"{predicted:,.0f}", duration(gpu_seconds(settings, variant, size, speed))]
        rows.append([variant.name, f"{variant.image_size}", *cells])
    rows.append(["together", "", "", "", duration(seconds)])
    title = f"Not measured: on a GPU that finetunes {speed:g} images/s at {SIDE} pixels, if its input keeps up"
    table(title, ["variant", "image size", "images in training", "images predicted", "time"], rows)
