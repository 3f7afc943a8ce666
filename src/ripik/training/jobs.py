"""Which trainings a run consists of, what each depends on, and which of them are finished."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ripik.errors import InputError, nearest
from ripik.features.pixels import pixel_inputs
from ripik.features.store import Pass, lacking_passes, training_passes
from ripik.models.weight_files import weights_inputs
from ripik.settings import ALL, DATA, HEAD, Settings, Variant
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.paths import Job

NETWORK = 3  # to be raised when the trained part, its training or its prediction changes


def choose_variants(settings: Settings, names: Sequence[str] = ()) -> list[Variant]:
    """Return the named variants (none: all) and those they start from, each after its start.

    Raises InputError for a name the configuration does not declare.
    """
    chosen: dict[str, Variant] = {}
    for name in names or settings.variants:
        if name not in settings.variants:
            parted = " Write several names with spaces between them." if "," in name else ""
            raise InputError(f"there is no variant {name!r}{nearest(name, list(settings.variants))}.{parted}")
        for variant in reversed(chain(settings, settings.variants[name])):
            chosen.setdefault(variant.name, variant)
    return list(chosen.values())


def chain(settings: Settings, variant: Variant) -> list[Variant]:
    """Return the variant, the one it starts from, and so on."""
    return [variant] if not variant.start else [variant, *chain(settings, settings.variants[variant.start])]


def jobs_of(settings: Settings, variant: Variant, folds: Sequence[int] = ()) -> list[Job]:
    """Return the variant's jobs: every fold (or the given ones) and seed, and the refit where it has one."""
    numbers: list[int | None] = list(dict.fromkeys(folds) or range(settings.folds.n_splits))
    if variant.refit and not folds:
        numbers.append(None)
    return [Job(variant.name, fold, seed) for fold in numbers for seed in range(variant.seeds)]


def predicting_jobs(settings: Settings, variant: Variant) -> list[Job]:
    """Return the jobs whose mean predicts the test set: the refits where the variant has them, or else all folds'."""
    return [job for job in jobs_of(settings, variant) if (job.fold is None) == variant.refit]


def is_distributed(variant: Variant) -> bool:
    """Whether all GPUs of a machine share a training of the variant; a head alone would only wait for them."""
    return variant.distribute == DATA and variant.train_from != HEAD


def check_folds(settings: Settings, folds: Sequence[int]) -> None:
    """Raise InputError for a fold number the configuration does not have."""
    for fold in folds:
        if not 0 <= fold < settings.folds.n_splits:
            raise InputError(f"there is no fold {fold}: the folds are 0 … {settings.folds.n_splits - 1}.")


def job_seed(variant: Variant, job: Job) -> int:
    """Return the seed of a job's random numbers, a function of the variant's seed, the fold and the seed number."""
    key = artifacts.digest([variant.seed, job.fold, job.seed])
    return int(key[:8], 16) % 2**31


def start_job(run: Run, job: Job) -> Job | None:
    """Return the job whose weights are this one's starting point."""
    start = run.settings.variants[job.variant].start
    return Job(start, job.fold, job.seed) if start else None


def training_inputs(run: Run, job: Job) -> dict[str, Any]:
    """Return what determines a job's weights; a job whose recorded inputs differ is stale."""
    variant = run.settings.variants[job.variant]
    start = start_job(run, job)
    return {
        "version": NETWORK,
        "variant": variant.recorded(exclude={"name", "seeds", "refit", "weights", "distribute"}),
        "weights": weights_inputs(variant),
        "seed_number": job.seed,
        "fold": job.fold,
        "folds": run.folds_digest,
        **run.competition.correction_inputs(),
        "classes": list(run.competition.classes),
        "pixels": [pass_inputs(run, variant, pass_) for pass_ in training_passes(variant)],
        "copies": run.settings.augmentation.copies if variant.data == "augmented" else None,
        "features": None if variant.train_from == ALL else _features(run.settings),
        "start": [training_inputs(run, start), trained_digest(run, start)] if start else None,
    }


def pass_inputs(run: Run, variant: Variant, pass_: Pass) -> dict[str, Any]:
    """Return what determines the pixels that a variant's network gets for a pass."""
    return pixel_inputs(run.settings, run.competition, pass_.split, pass_.copies, variant.image_size)


def _features(settings: Settings) -> dict[str, Any]:
    return {**settings.features.recorded(), "engine": settings.prediction.engine}


def trained_digest(run: Run, job: Job) -> str | None:
    """Return the recorded checksum of the values of the weights a finished job predicts with; None without them."""
    meta = artifacts.read_meta(run.layout.job(job) / "meta.json") or {}
    return meta.get("weights", {}).get(weights_path(run, job).name)


def prediction_inputs(run: Run, job: Job) -> dict[str, Any]:
    """Return what determines a job's predictions."""
    prediction = run.settings.prediction.recorded(exclude={"merge", "batch_size"})
    return {
        "training": artifacts.digest(training_inputs(run, job)),
        "weights": trained_digest(run, job),
        "prediction": prediction,
        "pixels": [pass_inputs(run, run.settings.variants[job.variant], Pass(split)) for split in ("train", "test")],
    }


def check_stores(run: Run, job: Job) -> None:
    """Raise InputError when what the job's network reads is not stored, or was made from other data than `run` has."""
    variant = run.settings.variants[job.variant]
    lacking = lacking_passes(run.settings, run.competition, variant)
    if lacking:
        raise InputError(
            f"{job}: the stored images or features of {lacking[0].split} are missing, or were made from other data: "
            "the competition's files changed during the run, or the stores were removed. Run `make train` again."
        )


def is_trained(run: Run, job: Job) -> bool:
    """Whether the job's weights are there and were made from the present inputs."""
    return artifacts.is_fresh(run.layout.job(job) / "meta.json", training_inputs(run, job))


def is_predicted(run: Run, job: Job) -> bool:
    """Whether the job's predictions are there and were made from the present inputs."""
    meta = predictions_path(run, job).with_suffix(".meta.json")
    return artifacts.is_fresh(meta, prediction_inputs(run, job))


def predictions_path(run: Run, job: Job) -> Path:
    """Return the file of the job's probabilities, one array a view, OOF and test."""
    return run.layout.job(job) / "predictions.npz"


def weights_path(run: Run, job: Job) -> Path:
    """Return the weights the job predicts with: the last, or the best of the inner split where it has one."""
    best = run.settings.variants[job.variant].inner_split > 0
    return run.layout.job(job) / ("best.weights.h5" if best else "last.weights.h5")
