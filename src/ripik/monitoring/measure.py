"""Measure the cost of a run's parts on this machine, on a few rows in a temporary folder."""

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ripik.analysis.metrics import get_metric
from ripik.console import progress
from ripik.data.competition import Competition
from ripik.data.image_files import examine
from ripik.ensemble.nested_cv import nest, within_reach
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.execution.environment import usable_cores
from ripik.execution.parallel import in_parallel
from ripik.execution.runner import execute, for_passes
from ripik.execution.task import Task
from ripik.features.pixels import pixels
from ripik.features.store import Reading, VariantData
from ripik.monitoring.forecast import Costs, JobCost, Line, pass_key
from ripik.monitoring.readings import Rehearsed, job_cost, line_through, mean_line
from ripik.monitoring.split_cost import split_costs
from ripik.settings import JobSettings, Settings
from ripik.splits.near_copies.find import near_copy_groups
from ripik.splits.run import Run
from ripik.storage import artifacts
from ripik.storage.packed_array import packing
from ripik.storage.paths import Job, layout_of
from ripik.training.jobs import Training, chain
from ripik.variants import Variant

SEARCHED = (60, 240)  # images among which near copies are looked for
DECODED, COPIED = 192, 64  # photos, and photos of which two copies are made
BATCH = 8  # of heavy trainings, and 16 images of passes, on a CPU, where an image costs the same in any batch
LIGHT_ROWS, LIGHT_EPOCHS, HEAVY_EPOCHS = 640, 6, 2
REHEARSED = {"near_copies_per_epoch": "all", "predict_sizes": ()}  # neither changes the time of a step or an image
BLENDED = (150, 450)  # rows


def measure(settings: Settings, competition: Competition, variants: Sequence[Variant], how: JobSettings) -> Costs:
    """Measure the costs of the variants' run on this machine, with jobs at once and threads as `how` says.

    Raises whatever the run itself would raise at its beginning: unknown networks, weights that are not to be had.
    """
    output = Path(settings.paths.output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".plan-", dir=output) as name:
        return _Measuring(settings, competition, list(variants), Path(name), how).costs()


@dataclass
class _Measuring:
    settings: Settings
    competition: Competition
    variants: list[Variant]
    folder: Path
    how: JobSettings

    def costs(self) -> Costs:
        """Measure everything, the quickest first."""
        command = _seconds(_command)
        search, pool = self.search()
        split = split_costs(self.competition, self.settings.folds)
        process = _seconds(
            lambda: self.run([Task(f"process {n}", "ripik.monitoring.rehearsal:begin", ()) for n in self.slots])
        )
        looked = self.look()
        photos = {side: self.pixels(side, copies=False) for side in self.sizes}
        copies = {side: self.pixels(side, copies=True) for side in self.sizes if self.augments}
        passes = {pass_key(variant): self.passes(variant, looked) for variant in self.frozen}
        item = np.dtype(self.settings.features.dtype).itemsize
        rows = {pass_key(variant): math.prod(looked["rows"][variant.name]) * item for variant in self.frozen}
        weights, jobs = looked["seconds"], self.jobs(looked)
        costs = command, pool, process, search, *split, weights, photos, copies, passes, rows, jobs, self.blend()
        return Costs(*costs, self.how.jobs // self.for_passes.jobs)

    @property
    def for_passes(self) -> JobSettings:
        return for_passes(self.settings, self.how)

    @property
    def slots(self) -> range:
        return range(self.how.jobs)

    @property
    def sizes(self) -> list[int]:
        readings = [Reading(self.settings, variant) for variant in self.variants]
        return list(dict.fromkeys(reading.side(pass_) for reading in readings for pass_ in reading.passes))

    @property
    def augments(self) -> bool:
        return any(item.copies for variant in self.variants for item in Reading(self.settings, variant).passes)

    @property
    def frozen(self) -> list[Variant]:
        """One variant for every frozen part whose outputs are stored."""
        reading = [variant for variant in self.variants if not Reading(self.settings, variant).from_pixels]
        return list({pass_key(variant): variant for variant in reading[::-1]}.values())[::-1]

    def run(self, tasks: Sequence[Task]) -> None:
        execute(tasks, self.how)

    def within(self, name: str, **changes: Any) -> Settings:
        """Return the settings of a run in a folder of its own."""
        paths = self.settings.paths.model_copy(update={"output": str(self.folder / name)})
        return self.settings.model_copy(update={"paths": paths, **changes})

    def some(self, train: int, test: int) -> Competition:
        """Return the competition with so many rows alone, from its first to its last, as they may be in class order."""
        whole = self.competition
        return replace(whole, train=_spread(whole.train, train), test=_spread(whole.test, test))

    def search(self) -> tuple[Line, float]:
        """Return the cost of trying images and of the search for near copies, and of starting worker processes."""
        workers = usable_cores()
        pool = _seconds(lambda: list(in_parallel(abs, [(1,)] * 64)))
        both = pd.concat([self.competition.train, self.competition.test])
        readable = both.loc[both["readable"], "path"].sample(frac=1, random_state=0).tolist()

        def look(number: int) -> None:
            paths = readable[:number]
            rule, threshold = self.competition.rule, self.settings.folds.near_copy_threshold
            list(in_parallel(examine, [(path, rule) for path in paths]))
            near_copy_groups(paths, threshold=threshold, workers=workers, rule=rule)

        return _line(look, _distinct(SEARCHED, len(readable))), pool

    def look(self) -> dict[str, Any]:
        """Build the networks and write initial weights as the run will; return what was noted."""
        target, settings = self.folder / "networks.json", self.within("networks")
        arguments = (settings, self.variants, target)
        self.run([Task("networks", "ripik.monitoring.rehearsal:look_at_networks", arguments)])
        for name in ("passes", "rows"):
            shutil.copytree(layout_of(settings).run, layout_of(self.within(name)).run)
        return artifacts.read_json(target)

    def pixels(self, side: int, *, copies: bool) -> Line:
        """Return the cost of a photo, or of a copy, of this size, by all cores that are already at work."""
        twice = self.settings.augmentation.model_copy(update={"copies": 2})

        def make(name: str, photos: int) -> float:
            settings, some = self.within(name, augmentation=twice), self.some(photos, 0)
            return _seconds(lambda: pixels(Run(settings, some), "train", copies, side)) / len(some.train)

        make("warm", 16)
        return Line(0.0, make("photos", COPIED) / 2 if copies else make("photos", DECODED))

    def passes(self, variant: Variant, looked: dict[str, Any]) -> Line:
        """Return the cost of an image on its way through the frozen part of a variant, one of the processes at once."""
        prediction = self.settings.prediction
        size = prediction.batch_size if looked["gpus"] else min(prediction.batch_size, 2 * BATCH)
        how = prediction.model_copy(update={"views": ("identity",), "batch_size": size})
        alone = variant.model_copy(update={"data": "original", "start": "", "inner_split": 0.0})
        settings = self.within("passes", prediction=how, variants={variant.name: alone})
        how_passed = self.for_passes
        some = self.some(6 * size * how_passed.jobs, 2)
        for split in ("train", "test"):
            pixels(Run(settings, some), split, False, variant.image_size)
        targets = [self.folder / f"{variant.name}-{n}.json" for n in range(how_passed.jobs)]
        data = VariantData(Run(settings, some), alone)
        arguments = [(data, (n, how_passed.jobs), target) for n, target in enumerate(targets)]
        function = "ripik.monitoring.rehearsal:pass_images"
        execute([Task(f"passes {n}", function, argument) for n, argument in enumerate(arguments)], how_passed)
        return mean_line([artifacts.read_json(target) for target in targets])

    def jobs(self, looked: dict[str, Any]) -> dict[str, JobCost]:
        """Rehearse a job of two sizes for every kind of variant; return every variant's cost."""
        kinds = {_kind(self.settings, variant): variant for variant in self.variants[::-1]}
        kept = [v for one in list(kinds.values())[::-1] for v in chain(self.settings, one)[::-1]]
        chosen = {variant.name: variant for variant in kept}.values()
        tasks: list[Task] = []
        found: dict[str, list[tuple[Run, Job, Path]]] = {}
        for variant in chosen:
            opened, row = self.opened(variant, looked["gpus"]), looked["rows"].get(variant.name, ())
            _store_anything(opened, opened.settings.variants[variant.name], row)
            for fold in (0, 1):
                job, target = Job(variant.name, fold), self.folder / f"{variant.name}-fold{fold}.json"
                after = (f"rehearsed {variant.start} {fold}",) if variant.start else ()
                tasks.append(
                    Task(
                        f"rehearsed {variant.name} {fold}",
                        "ripik.monitoring.rehearsal:do_job",
                        (opened, job, variant.batch_size, target),
                        after=after,
                    )
                )
                found.setdefault(variant.name, []).append((opened, job, target))
        self.run(tasks)
        views = len(self.settings.prediction.views)
        costs = {
            name: job_cost([_rehearsed(*one) for one in made], views, self.settings.variants[name].batch_size)
            for name, made in found.items()
        }
        return {variant.name: costs[kinds[_kind(self.settings, variant)].name] for variant in self.variants}

    def opened(self, variant: Variant, gpus: bool) -> Run:
        """Return a run of few rows in two folds of unequal size, for trainings of two lengths."""
        light = Reading(self.settings, variant).head_alone
        size = variant.batch_size if light or gpus else min(variant.batch_size, BATCH)
        short = {"epochs": LIGHT_EPOCHS if light else HEAVY_EPOCHS, "inner_split": 0.0, "early_stopping": 0}
        variants = {name: each.model_copy(update=REHEARSED) for name, each in self.settings.variants.items()}
        variants[variant.name] = variant.model_copy(update={**REHEARSED, **short, "batch_size": size})
        settings = self.within("rows", variants=variants)
        some = self.some(LIGHT_ROWS, LIGHT_ROWS) if light else self.some(7 * size, 2 * size)
        held = max(2 if light else 1, len(some.train) // (10 if light else 7))  # a fitted head needs two photos
        folds = some.train[["image_id", "label"]].assign(group=range(len(some.train)))
        folds["fold"] = (np.arange(len(folds)) >= held).astype(int)
        return Run(settings, some, (folds, "rehearsal"))

    def blend(self) -> Line:
        """Return the cost of choosing a blend of made-up predictions, by their number."""
        rng, classes, members = np.random.default_rng(0), len(self.competition.classes), len(self.variants)
        views = len(self.settings.prediction.views) if self.settings.blend.views == "auto" else 1
        metric, how, folds = get_metric(self.settings.competition.metric), self.settings, self.settings.folds.n_splits
        decision, _ = within_reach(how.decision, metric, len(self.competition.train), classes, folds)

        def choose(rows: int) -> None:
            truth, group = rng.integers(0, classes, rows), np.arange(rows) // 3
            values = rng.dirichlet(np.full(classes, 0.5), (members, views, rows))
            values[..., np.arange(rows), truth] += 1.5 * rng.random((members, views, rows))
            values /= values.sum(axis=-1, keepdims=True)
            known = LabelledPredictions(MemberPredictions(values, group), truth, group % folds, group)
            nest(known, metric, how.blend, decision, how.prediction.merge)

        with progress("choose a blend of synthetic predictions", 1) as show:
            line = _line(choose, BLENDED)
            show(1)
        return line


def _spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return so many rows at even distances, or all."""
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return rows.iloc[chosen].reset_index(drop=True)


def _command() -> None:
    subprocess.run(
        [sys.executable, "-c", "import ripik.training.pipeline, ripik.ensemble.build"], check=True, capture_output=True
    )


def _seconds(call: Callable[[], Any]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def _distinct(counts: Sequence[int], most: int) -> list[int]:
    return sorted({min(count, most) for count in counts})


def _line(call: Callable[[int], Any], counts: Sequence[int]) -> Line:
    """Return the line through the seconds of calls with a few counts, or with one alone."""
    return line_through([(count, _seconds(lambda count=count: call(count))) for count in counts])  # type: ignore[misc]


def _kind(settings: Settings, variant: Variant) -> tuple:
    """Return what decides the cost of a variant's job, but for the number of rows and epochs."""
    how = (variant.batch_size, variant.dropout, variant.distribute, bool(variant.start), variant.solver)
    images = (bool(variant.live), variant.policy, variant.mix, variant.crop_from if variant.live else 0)
    step = (variant.rate_decay == 1, bool(variant.clip), bool(variant.average), bool(variant.soup))
    return (*pass_key(variant), *how, *images, *step, Reading(settings, variant).head_alone)


def _store_anything(opened: Run, variant: Variant, row: Sequence[int]) -> None:
    """Fill what the variant's network reads with random rows: what they hold changes no time."""
    rng, data = np.random.default_rng(0), VariantData(opened, variant)
    from_pixels = data.reading.from_pixels
    shape = (variant.image_size, variant.image_size, 3) if from_pixels else tuple(row)
    for item in data.reading.passes:
        dtype = "uint8" if from_pixels else opened.settings.features.dtype
        place = data.path(item), data.count(item), shape, dtype
        with packing(*place, inputs=data.inputs(item), maker={}) as unfinished:
            for number in unfinished.missing():
                values = rng.integers(0, 256, shape) if from_pixels else rng.random(shape, "f4")
                unfinished.write(int(number), values[None].astype(dtype))


def _rehearsed(opened: Run, job: Job, target: Path) -> Rehearsed:
    training, tested = Training(opened, job), len(opened.competition.test)
    rows, held, shown = len(training.rows), len(training.held_rows), training.data.reading.examples_per_photo
    return Rehearsed(training.variant, shown, rows, held, tested, artifacts.read_json(target))
