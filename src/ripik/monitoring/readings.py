"""From the timed messages of measured work to the cost of its parts."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ripik.monitoring.forecast import JobCost, Line
from ripik.names import LOGISTIC
from ripik.variants import Variant

CERTAIN = 0.5  # seconds between two reports that tell how fast steps are


@dataclass(frozen=True)
class Rehearsed:
    """A job that was rehearsed.

    variant: as it was; shown: versions of a photo in an epoch; the rows trained on, held and tested; seen: what
    `rehearsal.do_job` noted.
    """

    variant: Variant
    shown: int
    rows: int
    held: int
    tested: int
    seen: dict[str, Any]

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.rows * self.shown // self.variant.batch_size)


def line_through(measured: Sequence[tuple[int, float]]) -> Line:
    """Return the line through (count, seconds) of a few and of many; of one alone, the line from nothing to it."""
    (few, short), *rest = measured
    if not rest:
        return Line(0.0, short / max(1, few))
    ((many, long),) = rest
    each = max(0.0, (long - short) / (many - few))
    return Line(max(0.0, long - each * many), each)


def mean_line(seen: Sequence[dict[str, Any]]) -> Line:
    """Return the mean cost of passes in processes at work together: the first batch is part of what is fixed."""
    lines = []
    for reading in seen:
        (first, passed), (last, done) = reading["signs"][0], reading["signs"][-1]
        each = (last - first) / (done - passed) if done > passed else last / done  # of few images: one batch
        lines.append(Line(max(0.0, reading["seconds"] - each * done), each))
    return Line(statistics.mean(line.fixed for line in lines), statistics.mean(line.each for line in lines))


def job_cost(made: Sequence[Rehearsed], views: int, batch_size: int) -> JobCost:
    """Return what two jobs of a variant, a long and a short one, tell of its steps, its epochs, and the rest.

    views: how many each image is predicted through; batch_size: the real one, whose step takes in proportion.
    """
    variant, steps = made[0].variant, [one.steps for one in made]
    if variant.solver == LOGISTIC:
        return _fitted(made, views, batch_size)
    epochs = [_epoch(one) for one in made]
    step = _step(made[0]) or _difference(epochs, steps)
    epoch = max(0.0, statistics.mean(whole - count * step for whole, count in zip(epochs, steps, strict=True)))
    image = statistics.mean(_image(one, views) for one in made)
    fixed = [
        one.seen["seconds"] - variant.epochs * (epoch + count * step) - image * views * (one.held + one.tested)
        for one, count in zip(made, steps, strict=True)
    ]
    memory, disk = max(_memory(one, batch_size) for one in made), max(one.seen["disk"] for one in made)
    begun, step = max(0.0, statistics.mean(fixed)), step * batch_size / variant.batch_size
    first = statistics.mean(one.seen["seconds"] - one.seen["again"] for one in made)
    return JobCost(begun, epoch, step, image, memory, disk, min(begun, max(0.0, first)))


def _fitted(made: Sequence[Rehearsed], views: int, batch_size: int) -> JobCost:
    """Return the cost of a head that is fitted at once: what grows with its rows counts as steps of one epoch."""
    image = statistics.mean(_image(one, views) for one in made)
    seconds = [one.seen["seconds"] - image * views * (one.held + one.tested) for one in made]
    line = line_through(sorted(zip([one.rows for one in made], seconds, strict=True)))
    memory, disk = max(one.seen["memory"] for one in made), max(one.seen["disk"] for one in made)
    first = statistics.mean(one.seen["seconds"] - one.seen["again"] for one in made)
    step = line.each * batch_size / made[0].shown
    return JobCost(line.fixed, 0.0, step, image, memory, disk, min(line.fixed, max(0.0, first)))


def _step(one: Rehearsed) -> float:
    """Return the seconds of a step, by the reports between those of the last epoch; 0 where they tell too little."""
    last, signs = one.variant.epochs, one.seen["signs"][: one.seen["trained"]]
    within = [(at, done) for at, done in signs if last - 1 < done < last]
    if not within or within[-1][0] - within[0][0] < CERTAIN:
        return 0.0
    return (within[-1][0] - within[0][0]) / ((within[-1][1] - within[0][1]) * one.steps)


def _memory(one: Rehearsed, batch_size: int) -> int:
    """Return the bytes of a job's process: those that grow with the batch do so as from a small one to a larger."""
    (small, low), (large, high) = one.seen["by_batch"][0], one.seen["by_batch"][-1]
    each = max(0.0, (high - low) / (large - small)) if large > small else 0.0
    return max(one.seen["memory"], round(low + each * (batch_size - small)))


def _difference(epochs: Sequence[float], steps: Sequence[int]) -> float:
    """Return the seconds of a step by what a long epoch takes more than a short one."""
    if steps[0] == steps[1]:
        return epochs[0] / steps[0]
    return max(0.0, (epochs[0] - epochs[1]) / (steps[0] - steps[1]))


def _epoch(one: Rehearsed) -> float:
    """Return the seconds of an epoch that is not the first, which compiles, with the saving of its state."""
    signs = one.seen["signs"][: one.seen["trained"]]
    ends = [next(at for at, done in signs if done >= number) for number in range(1, one.variant.epochs + 1)]
    return statistics.median(np.diff(ends))


def _image(one: Rehearsed, views: int) -> float:
    """Return the seconds of an image and view: between the reports, which come after each view of each split."""
    signs = one.seen["signs"][one.seen["trained"] :]
    images = one.held * (views - 1) + one.tested * views
    return (signs[-1][0] - signs[0][0]) / max(1, images)
