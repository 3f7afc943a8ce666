"""The batches of the benchmark of a finetuning step are those that a training begins with."""

import numpy as np
import pytest
from benchmarks.speed.ours.step import epoch_of

from conftest import FAST, Tiny
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training.examples import Course, inner_split
from ripik.training.jobs import Training


def test_the_first_batches_of_a_training(finished: Tiny) -> None:
    training = Training(Run.open(finished.settings(*FAST, "variants.finetuned.batch_size=4")), Job("finetuned", 0))
    course = Course(training, inner_split(training)[0])
    wanted, size = course.batches(0), course.variant.batch_size
    steps = len(course.examples(0)) // size
    found = epoch_of(course, steps)
    assert len(found) == steps > 0
    for at in range(steps):
        for given, due in zip(found[at], wanted[at], strict=True):
            np.testing.assert_array_equal(given, due)
    with pytest.raises(SystemExit, match="more photos"):
        epoch_of(course, steps + 1)
