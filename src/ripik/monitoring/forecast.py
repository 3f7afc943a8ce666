"""The estimated time of a run, from measured costs: its steps, the graph of its jobs, and the time they need."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ripik.execution.runner import threads_per_job
from ripik.features.store import Pass, Reading, pixel_passes, shares
from ripik.names import LOGISTIC, ONE
from ripik.settings import Settings
from ripik.splits.splitting import MANY
from ripik.storage.paths import Job
from ripik.training.jobs import is_distributed, jobs_of
from ripik.variants import Variant


@dataclass(frozen=True)
class Line:
    """Seconds that grow with a count: some whatever it is, and some for each."""

    fixed: float
    each: float

    def seconds(self, count: float) -> float:
        """Return the seconds for so many."""
        return self.fixed + self.each * count


@dataclass(frozen=True)
class JobCost:
    """A variant's job: seconds for its start and end, for an epoch beside its steps, a step, an image predicted.

    memory: bytes of its process. disk: bytes that it leaves. first: of the seconds for start and end, those that only
    the first job of a worker takes.
    """

    fixed: float
    epoch: float
    step: float
    image: float
    memory: int
    disk: int
    first: float = 0.0


@dataclass(frozen=True)
class Costs:
    """What was measured on this machine.

    command: seconds until a command begins. pool: until all cores are at work. process: until a job's process is.
    search: of trying images and looking for near copies, by image. split, deal: of a try of the split into folds, by
    group, as of few groups (`splitting.MANY`) and of more.
    weights: initial weights and a look at the networks. pixels, copies: of one photo or copy, made by all cores, by
    image size. passes: of an image through a frozen part, by (weights, cut, size), in a process that has the cores of
    so many jobs as pass_jobs says. rows: bytes of a stored output, by the same. jobs: by variant. blend: by training
    image.
    """

    command: float
    pool: float
    process: float
    search: Line
    split: Line
    deal: Line
    weights: float
    pixels: Mapping[int, Line]
    copies: Mapping[int, Line]
    passes: Mapping[tuple, Line]
    rows: Mapping[tuple, int]
    jobs: Mapping[str, JobCost]
    blend: Line
    pass_jobs: int = 1


@dataclass(frozen=True)
class Size:
    """How many training and test images there are, and whether their groups.csv and folds.csv are there.

    photos: how many groups of near copies the training images are; 0 where that is not known, so each may be one.
    """

    train: int
    test: int
    grouped: bool = False
    split: bool = False
    photos: int = 0

    def of(self, split: str) -> int:
        """Return the number of a split."""
        return self.train if split == "train" else self.test

    def scaled(self, train: int) -> "Size":
        """Return the size with so many training images, and test images in proportion; other images have no folds."""
        part = train / self.train
        return self if train == self.train else Size(train, round(self.test * part), photos=round(self.photos * part))

    def shown(self, variant: Variant) -> int:
        """Return how many training images an epoch of a variant would show without folds."""
        return self.photos if self.photos and variant.near_copies_per_epoch == ONE else self.train


@dataclass(frozen=True)
class Work:
    """A piece of work for one process; after: the names of those that must be done before."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A part of the run. spread: whether its pieces go to all jobs at once and all machines, or stay with one.

    takes: of how many jobs a piece has the cores.
    """

    name: str
    what: str
    pieces: Sequence[Work] = field(default_factory=list)
    spread: bool = False
    takes: int = 1

    def seconds(self, at_once: int) -> float:
        """Return how long it takes with so many pieces at once."""
        return makespan(self.pieces, max(1, at_once // self.takes) if self.spread else 1)


def makespan(pieces: Sequence[Work], at_once: int) -> float:
    """Return when the last piece ends if each begins, in the order given, as soon as there is room and it may."""
    waiting, running, done, now = list(pieces), dict[str, float](), set[str](), 0.0
    names = {piece.name for piece in pieces}
    while waiting or running:
        ready = [piece for piece in waiting if not (set(piece.after) & names) - done]
        for piece in ready[: at_once - len(running)]:
            waiting.remove(piece)
            running[piece.name] = now + piece.seconds
        ended = min(running, key=lambda name: running[name])
        now = running.pop(ended)
        done.add(ended)
    return now


def steps(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs, at_once: int) -> list[Step]:
    """Return the parts of `folds train ensemble`, in their order; at_once: jobs, on all machines together."""
    return [
        Step("folds", _folds_told(size), [Work("near copies, split", _folds_seconds(settings, size, costs))]),
        Step("initial weights", "networks built, weights written", [Work("weights", costs.process + costs.weights)]),
        *_pixel_steps(settings, variants, size, costs),
        *_pass_steps(settings, variants, size, costs, at_once),
        *_job_steps(settings, variants, size, costs, at_once),
        Step("ensemble", "blend, submission", [Work("blend", costs.command + costs.blend.seconds(size.train))]),
    ]


def total(parts: Sequence[Step], at_once: int) -> float:
    """Return the seconds of the whole run with so many jobs at once."""
    return sum(part.seconds(at_once) for part in parts)


def disk(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs) -> int:
    """Return the bytes that the run will hold in its folder when it is done."""
    found: dict[tuple, int] = {}
    for variant in variants:
        for item in pixel_passes(Reading(settings, variant).passes):
            side = Reading(settings, variant).side(item)
            found["pixels", side, replace(item, size=0)] = pass_images(settings, size, item) * side**2 * 3
        if not Reading(settings, variant).from_pixels:
            for item in Reading(settings, variant).passes:
                found[pass_key(variant), item] = pass_images(settings, size, item) * costs.rows[pass_key(variant)]
    jobs = sum(len(jobs_of(settings, variant)) * costs.jobs[variant.name].disk for variant in variants)
    return sum(found.values()) + jobs


def pass_key(variant: Variant) -> tuple:
    """Return what distinguishes the frozen parts of variants."""
    return variant.backbone, variant.weights, variant.train_from, variant.image_size, variant.precision


def _folds_told(size: Size) -> str:
    near = [] if size.grouped else [f"near copies among {size.train + size.test:,} images"]
    return ", ".join([*near, *([] if size.split else ["the split"])]) or "groups.csv and folds.csv are up to date"


def _folds_seconds(settings: Settings, size: Size, costs: Costs) -> float:
    """Return how long `folds` takes; there are at most as many groups as training images."""
    searched = costs.search.seconds(size.train + size.test) if settings.folds.near_copies else 0.0
    near = 0.0 if size.grouped else costs.pool + searched
    a_try = (costs.deal if size.train > MANY else costs.split).seconds(size.train)
    return costs.command + near + (0.0 if size.split else settings.folds.tries * a_try)


def pass_images(settings: Settings, size: Size, *items: Pass) -> int:
    """Return how many images the passes read together."""
    return sum(size.of(item.split) * (settings.augmentation.copies if item.copies else 1) for item in items)


def _pixel_steps(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs) -> list[Step]:
    wanted = {
        (Reading(settings, variant).side(item), replace(item, size=0)): pass_images(settings, size, item)
        for variant in variants
        for item in pixel_passes(Reading(settings, variant).passes)
    }
    photos, copies, made = [Work("all cores", costs.pool)], list[Work](), 0
    for (side, item), count in wanted.items():
        if item.copies:
            copies.append(Work(f"copies at {side}", costs.copies[side].seconds(count)))
            made += count
        else:
            photos.append(Work(f"{item.split} at {side}", costs.pixels[side].seconds(count)))
    found = [Step("pixels", "decoding photos, on all cores of one machine", photos)]
    if copies:
        found.append(Step("copies", f"{made:,} augmented copies, on all cores of one machine", copies))
    return found


def _pass_steps(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs, at_once: int) -> list[Step]:
    wanted: dict[tuple, set[Pass]] = {}
    for variant in variants:
        if not Reading(settings, variant).from_pixels:
            wanted.setdefault(pass_key(variant), set()).update(Reading(settings, variant).passes)
    pieces, images = [], 0
    for key, items in wanted.items():
        count = pass_images(settings, size, *items)
        of, images = shares(count, max(1, at_once // costs.pass_jobs)), images + count
        seconds = costs.passes[key].seconds(count / of * max(1.0, costs.pass_jobs / at_once))
        pieces += [Work(f"{key} {number}", costs.process + seconds) for number in range(of)]
    shared = "by all cores of a machine" if costs.pass_jobs > 1 else "split among the parallel jobs"
    what = f"{images:,} images, {shared}"
    return [Step("frozen passes", what, pieces, spread=True, takes=costs.pass_jobs)] if pieces else []


def _job_steps(settings: Settings, variants: Sequence[Variant], size: Size, costs: Costs, at_once: int) -> list[Step]:
    """Return a step for the jobs of all variants, as they run interleaved.

    Heads of a variant are one piece; a variant's first other ones begin workers.
    """
    jobs = {variant.name: jobs_of(settings, variant) for variant in variants}
    heads = {variant.name for variant in variants if Reading(settings, variant).head_alone}
    pieces = []
    for variant in variants:
        works, begun = [], 1 if variant.name in heads else at_once
        for number, job in enumerate(jobs[variant.name]):
            start = variant.start if variant.start in heads else str(replace(job, variant=variant.start))
            after = (start,) if variant.start in jobs else ()
            first = number < begun or is_distributed(variant)
            works.append(Work(str(job), job_seconds(settings, variant, job, size, costs, first=first), after))
        pieces += [_together(variant.name, works, threads_per_job(settings.jobs))] if variant.name in heads else works
    count = sum(map(len, jobs.values()))
    return [Step("jobs", f"trainings with their predictions: {count}", pieces, True)]


def _together(name: str, works: Sequence[Work], threads: int) -> Work:
    """Return pieces as one process does them, whose threads share them."""
    after = tuple(dict.fromkeys(other for work in works for other in work.after))
    seconds = [work.seconds for work in works]
    return Work(name, max(*seconds, sum(seconds) / threads), after)


def job_counts(settings: Settings, variant: Variant, job: Job, size: Size) -> tuple[int, float]:
    """Return a training's batches in all of its epochs, and the images that it predicts.

    An image counts once for each view, and by its area where it is predicted at another size than `image_size`.
    """
    shown = size.shown(variant)
    parts = math.inf if job.fold is None else settings.folds.n_splits
    held, rows = size.train / parts, (shown - shown / parts) * (1 - variant.inner_split)
    batches = int(-(-rows * Reading(settings, variant).examples_per_photo // variant.batch_size))
    areas = sum((side / variant.image_size) ** 2 for side in Reading(settings, variant).sides)
    predicted = (held + size.test) * len(settings.prediction.views) * areas
    return batches * (1 if variant.solver == LOGISTIC else variant.epochs), predicted


def job_seconds(
    settings: Settings, variant: Variant, job: Job, size: Size, costs: Costs, *, first: bool = True
) -> float:
    """Return how long one training and its predictions take, all of its epochs done; first: of its worker."""
    cost, (batches, predicted) = costs.jobs[variant.name], job_counts(settings, variant, job, size)
    epochs = 1 if variant.solver == LOGISTIC else variant.epochs
    begins = costs.process if first else -cost.first
    return begins + cost.fixed + epochs * cost.epoch + batches * cost.step + cost.image * predicted
