"""From measured costs to the time, disk and order of a whole run; and from rehearsals to costs. Nothing is measured."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Tiny
from ripik.monitoring.forecast import (
    Costs,
    JobCost,
    Line,
    Size,
    Work,
    disk,
    job_seconds,
    makespan,
    pass_key,
    steps,
    total,
)
from ripik.monitoring.measure import _kind, _spread
from ripik.monitoring.memory_cost import job_memory, memory
from ripik.monitoring.readings import Rehearsed, job_cost, line_through, mean_line
from ripik.monitoring.search_cost import search_seconds
from ripik.storage.paths import Job
from ripik.variants import Variant

PIECES = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def works(seconds: list[int]) -> list[Work]:
    return [Work(str(number), float(each)) for number, each in enumerate(seconds)]


@given(PIECES, st.integers(1, 6))
def test_time_lies_between_what_all_share_and_what_one_does(seconds: list[int], at_once: int) -> None:
    found = makespan(works(seconds), at_once)
    assert max(max(seconds), sum(seconds) / at_once) <= found <= sum(seconds)
    assert makespan(works(seconds), 1) == sum(seconds)
    assert makespan(works(seconds), len(seconds)) == max(seconds)


@given(PIECES, st.integers(1, 6))
def test_a_chain_takes_its_sum_however_many_there_is_room_for(seconds: list[int], at_once: int) -> None:
    chained = [Work(work.name, work.seconds, (str(int(work.name) - 1),)) for work in works(seconds)]
    assert makespan(chained, at_once) == sum(seconds)
    assert makespan(chained[::-1], at_once) == sum(seconds)


def test_a_piece_waits_for_those_it_names_alone() -> None:
    pieces = [Work("a", 3), Work("b", 1), Work("after a", 1, ("a",)), Work("after nothing here", 2, ("elsewhere",))]
    assert makespan(pieces, 2) == 4  # a | b, after nothing here | after a
    assert makespan([], 3) == 0


def costs(settings) -> Costs:  # type: ignore[no-untyped-def]
    keys = {pass_key(variant) for variant in settings.variants.values()}
    jobs = {name: JobCost(10, 1, 0.1, 0.01, 500, 1000) for name in settings.variants}
    line = Line(2, 0.5)
    here = {
        "command": 3,
        "pool": 1,
        "process": 5,
        "search": line,
        "split": Line(1, 0.001),
        "deal": Line(2, 0.0001),
        "weights": 20,
        "blend": Line(4, 0.01),
    }
    images = {"pixels": {32: Line(0, 0.1)}, "copies": {32: Line(0, 0.2)}}
    return Costs(**here, **images, passes=dict.fromkeys(keys, line), rows=dict.fromkeys(keys, 40), jobs=jobs)


def test_a_search_is_so_many_trials_of_all_folds(tiny: Tiny) -> None:
    settings, size = tiny.settings("training.epochs=4", "jobs.threads=2"), Size(90, 30)
    found = costs(settings)
    for name, beside in (("original", 4), ("finetuned", 2)):
        variant = settings.variants[name]
        jobs = [Job(name, fold) for fold in range(3)]
        each = sum(job_seconds(settings, variant, job, Size(90, 0), found, first=False) for job in jobs)
        seconds = search_seconds(settings, variant, size, found, 2, trials=10)
        assert seconds == pytest.approx(3 + 5 + 10 * each / beside)


def test_a_job_is_its_epochs_its_predictions_and_its_start_and_end(tiny: Tiny) -> None:
    settings = tiny.settings("training.epochs=4", "variants.original.batch_size=10")
    variant, size = settings.variants["original"], Size(90, 30)
    # 60 rows in 6 steps; 30 held and 30 tested images in two views
    expected = 5 + 10 + 4 * (1 + 6 * 0.1) + 120 * 0.01
    assert job_seconds(settings, variant, Job("original", 0), size, costs(settings)) == pytest.approx(expected)
    refit = 5 + 10 + 4 * (1 + 9 * 0.1) + 60 * 0.01
    assert job_seconds(settings, variant, Job("original", None), size, costs(settings)) == pytest.approx(refit)


def test_an_epoch_of_one_near_copy_each_has_fewer_steps(tiny: Tiny) -> None:
    settings = tiny.settings("variants.original.near_copies_per_epoch=one", "variants.original.batch_size=10")
    variant, job, known = settings.variants["original"], Job("original", 0), Size(90, 30, photos=30)

    def steps_of(size: Size) -> float:
        other = 5 + 10 + variant.epochs * 1 + 2 * (size.train / 3 + 30) * 0.01
        return (job_seconds(settings, variant, job, size, costs(settings)) - other) / (variant.epochs * 0.1)

    assert (steps_of(known), steps_of(Size(90, 30))) == pytest.approx((2, 6))
    assert known.scaled(900).photos == 300


def test_the_parts_of_a_run(tiny: Tiny) -> None:
    settings, size = tiny.settings("augmentation.copies=2", "jobs.threads=1"), Size(900, 300)
    found = {part.name: part for part in steps(settings, list(settings.variants.values()), size, costs(settings), 2)}
    names = ["folds", "initial weights", "pixels", "copies", "frozen passes", "jobs", "ensemble"]
    assert list(found) == names
    assert found["folds"].seconds(2) == pytest.approx(3 + 1 + 2 + 0.5 * 1200 + 20 * (1 + 0.9))
    assert found["pixels"].seconds(1) == pytest.approx(1 + 0.1 * 1200)
    assert found["copies"].seconds(4) == pytest.approx(0.2 * 1800)
    passes = 2 * 1200 + 1800  # two views of all photos, and the copies
    assert found["frozen passes"].seconds(2) == pytest.approx(5 + 2 + 0.5 * passes / 2)
    jobs = {piece.name: piece for piece in found["jobs"].pieces}
    assert len(jobs) == 2 + 2 * 3  # the heads of a variant are one process
    assert jobs["finetuned/fold1"].after == ("original",)
    one = job_seconds(settings, settings.variants["original"], Job("original", 0), size, costs(settings))
    assert jobs["original"].seconds == pytest.approx(5 + 3 * (one - 5))
    shared = steps(tiny.settings("jobs.threads=2"), [settings.variants["original"]], size, costs(settings), 2)
    assert shared[-2].pieces[0].seconds == pytest.approx((5 + 3 * (one - 5)) / 2)
    assert found["jobs"].what == "trainings with their predictions: 12"
    assert total(list(found.values()), 2) == pytest.approx(sum(part.seconds(2) for part in found.values()))


def test_jobs_after_the_first_of_a_worker_begin_neither_a_process_nor_a_network(tiny: Tiny) -> None:
    settings, size = tiny.settings("augmentation.copies=2"), Size(900, 300)
    variants, measured = list(settings.variants.values()), costs(settings)
    measured = replace(measured, jobs={name: replace(cost, first=8) for name, cost in measured.jobs.items()})
    jobs = {piece.name: piece.seconds for piece in steps(settings, variants, size, measured, 2)[-2].pieces}
    assert jobs["finetuned/fold0"] == pytest.approx(jobs["finetuned/fold1"])
    assert jobs["finetuned/fold2"] == pytest.approx(jobs["finetuned/fold1"] - 5 - 8)


@pytest.mark.parametrize(
    ("jobs", "seconds"),
    [
        (1, 5 + 2 + 0.5 * 4200 * 2),  # half of the cores that were measured
        (2, 5 + 2 + 0.5 * 4200),
        (3, 5 + 2 + 0.5 * 4200),  # no second machine for a process of its own
        (4, 5 + 2 + 0.5 * 2100),
    ],
)
def test_passes_of_one_process_have_the_cores_of_all_jobs(tiny: Tiny, jobs: int, seconds: float) -> None:
    settings, size = tiny.settings("augmentation.copies=2"), Size(900, 300)
    measured = replace(costs(settings), pass_jobs=2)
    parts = steps(settings, list(settings.variants.values()), size, measured, jobs)
    (passes,) = (part for part in parts if part.name == "frozen passes")
    assert passes.seconds(jobs) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("size", "seconds"),
    [
        (Size(900, 300), 3 + 1 + 2 + 600 + 4 * 1.9),
        (Size(900, 300, grouped=True), 3 + 4 * 1.9),
        (Size(900, 300, grouped=True, split=True), 3),
        (Size(900, 300, grouped=True, split=True).scaled(900), 3),
        (Size(900, 300, grouped=True, split=True).scaled(90), 3 + 1 + 2 + 60 + 4 * 1.09),
        (Size(100_000, 300, grouped=True), 3 + 4 * 12),
    ],
)
def test_folds_take_what_is_not_there_yet(tiny: Tiny, size: Size, seconds: float) -> None:
    settings = tiny.settings("folds.tries=4")
    folds = steps(settings, list(settings.variants.values()), size, costs(settings), 1)[0]
    assert folds.seconds(1) == pytest.approx(seconds)
    assert folds.what.startswith("near copies among") != size.grouped


def test_more_at_once_never_takes_longer(tiny: Tiny) -> None:
    settings, size = tiny.settings(), Size(9000, 3000)
    variants = list(settings.variants.values())
    times = [total(steps(settings, variants, size, costs(settings), count), count) for count in (1, 2, 4, 8)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_without_heads_or_copies_their_parts_are_left_out(tiny: Tiny) -> None:
    settings = tiny.settings('variants.finetuned.start=""')
    found = steps(settings, [settings.variants["finetuned"]], Size(90, 30), costs(settings), 1)
    assert [part.name for part in found] == ["folds", "initial weights", "pixels", "jobs", "ensemble"]
    alone = steps(
        tiny.settings("folds.near_copies=false"), [settings.variants["finetuned"]], Size(90, 30), costs(settings), 1
    )
    assert alone[0].seconds(1) == pytest.approx(4 + 20 * 1.09)


def test_disk_is_pixels_outputs_and_what_jobs_leave(tiny: Tiny) -> None:
    settings, size = tiny.settings("augmentation.copies=2"), Size(90, 30)
    pixels, outputs = 32 * 32 * 3, 40
    original = [settings.variants["original"]]
    assert disk(settings, original, size, costs(settings)) == 120 * pixels + 2 * 120 * outputs + 3 * 1000
    everything = disk(settings, list(settings.variants.values()), size, costs(settings))
    assert everything == (120 + 180) * pixels + (2 * 120 + 180) * outputs + 12 * 1000


def test_the_test_set_grows_with_the_training_set() -> None:
    assert Size(1000, 300).scaled(10_000) == Size(10_000, 3000)


def test_a_line_through_two_counts() -> None:
    assert line_through([(10, 3.0), (30, 5.0)]) == Line(2.0, 0.1)
    assert line_through([(10, 3.0)]) == Line(0.0, 0.3)
    assert line_through([(10, 5.0), (30, 3.0)]).each == 0


def test_passes_are_read_off_between_the_first_and_the_last_batch() -> None:
    seen = {"seconds": 20.0, "signs": [[8.0, 16], [9.0, 32], [12.0, 80]]}
    line = mean_line([seen, seen])
    assert line.each == pytest.approx(4 / 64)
    assert line.seconds(80) == pytest.approx(20)
    single = mean_line([{"seconds": 5.0, "signs": [[4.0, 16]]}])
    assert (single.fixed, single.each) == (1.0, 0.25)


def rehearsed(rows: int, step: float, epoch: float, fixed: float, image: float) -> Rehearsed:
    """Return what a job of these costs would have noted, had it trained 3 epochs in batches of 4."""
    variant, held, tested = Variant(name="v", epochs=3, batch_size=4), 6, 4
    each = epoch + -(-rows // 4) * step
    ends = [fixed / 2 + number * each for number in (1, 2, 3)]
    signs = [[ends[0] - 0.1, 0.0], *([at, float(number)] for number, at in enumerate(ends, start=1))]
    at = ends[-1] + fixed / 2
    for images in (held, held, tested, tested):
        at += images * image
        signs.append([at, 1.0])
    seen = {"seconds": at, "again": at - 1.5, "signs": signs, "trained": 4, "memory": 150, "disk": 7}
    seen["by_batch"] = [[4, 100], [8, 100 + rows]] if rows >= 8 else [[4, 100]]
    return Rehearsed(variant, 1, rows, held, tested, seen)


def test_two_rehearsals_tell_the_cost_of_a_job() -> None:
    made = [rehearsed(rows, step=0.3, epoch=1.5, fixed=12.0, image=0.02) for rows in (40, 7)]
    cost = job_cost(made, 2, 16)
    assert (cost.fixed, cost.epoch, cost.step, cost.image) == pytest.approx((12.0, 1.5, 4 * 0.3, 0.02))
    assert cost.first == pytest.approx(1.5)
    assert (cost.memory, cost.disk) == (100 + 3 * 40, 7)  # batches of 16, and 4 more take 40 more


def test_a_fitted_head_takes_one_epoch_that_grows_with_its_rows(tiny: Tiny) -> None:
    """It reports once, whatever its number of epochs."""
    made = []
    for rows in (40, 8):
        at = 2.0 + 0.1 * rows
        signs = [[at, 1.0], *([at + 0.02 * images, 1.0] for images in (6, 12, 16, 20))]
        seen = {"seconds": signs[-1][0], "again": signs[-1][0], "signs": signs, "trained": 1, "memory": 150, "disk": 7}
        made.append(Rehearsed(Variant(name="v", epochs=3, solver="logistic"), 1, rows, 6, 4, seen))
    cost = job_cost(made, 2, 16)
    assert (cost.fixed, cost.epoch, cost.step) == pytest.approx((2.0, 0.0, 16 * 0.1), abs=0.1)
    settings = tiny.settings("variants.original.solver='logistic'", "training.batch_size=16", "folds.n_splits=2")
    job, here = Job("original", 0), replace(costs(settings), jobs={"original": cost})
    seconds = job_seconds(settings, settings.variants["original"], job, Size(3200, 0), here)
    views = len(settings.prediction.views)
    assert seconds == pytest.approx(here.process + cost.fixed + 100 * cost.step + cost.image * 1600 * views)


def test_memory_is_what_a_job_held_at_last_where_no_larger_batch_takes_more() -> None:
    one = rehearsed(40, 0.3, 1.5, 12.0, 0.02)
    for by_batch in ([[4, 100], [8, 90]], [[4, 100]]):
        one.seen["by_batch"] = by_batch
        assert job_cost([one, one], 2, 16).memory == 150


def test_reports_within_an_epoch_tell_a_step_better_than_noisy_epochs() -> None:
    long, short = rehearsed(40, 0.3, 1.5, 12.0, 0.02), rehearsed(7, 0.3, 1.5, 12.0, 0.02)
    signs = long.seen["signs"]
    second, end = signs[2][0], signs[3][0]
    signs[3:3] = [[end - 0.3 * (10 - number), 2 + number / 10] for number in (1, 4, 8)]
    long.seen["trained"] += 3
    for sign in short.seen["signs"][3:]:
        sign[0] += 5.0  # the last epoch was held up
    assert second < signs[3][0]
    assert job_cost([long, short], 2, 4).step == pytest.approx(0.3)


def test_rehearsals_of_one_length_tell_a_step_all_the_same() -> None:
    cost = job_cost([rehearsed(8, step=0.3, epoch=0.0, fixed=4.0, image=0.01)] * 2, 2, 4)
    assert cost.step == pytest.approx(0.3)


def test_heads_keep_stored_rows_while_there_is_room(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos and mirrors of 100 + 50 images, a row of 1,000 bytes; a fitted head works with two copies of its own."""
    monkeypatch.setattr("ripik.monitoring.memory_cost.usable_memory", lambda: 8_000_000)
    settings = tiny.settings("jobs.jobs=2", "prediction.views=['identity','hflip']")
    original = settings.variants["original"]
    fitted = original.model_copy(update={"name": "fitted", "solver": "logistic"})
    held = {name: JobCost(10, 1, 0.1, 0.01, 500, 1000) for name in (*settings.variants, "fitted")}
    here = replace(costs(settings), jobs=held, rows={pass_key(original): 1000})
    assert job_memory(settings, original, Size(100, 50), here) == 500 + 2 * 150 * 1000
    assert job_memory(settings, original, Size(100_000, 50), here) == 500 + 1_000_000  # a quarter, for each of two
    assert job_memory(settings, fitted, Size(100, 50), here) == 500 + 2 * 150 * 1000 + 2 * 2 * 100 * 1000
    assert job_memory(settings, settings.variants["finetuned"], Size(100_000, 50), here) == 500
    assert memory(settings, [original, fitted], Size(100, 50), here) == 2 * job_memory(
        settings, fitted, Size(100, 50), here
    )


def test_a_fitted_head_is_measured_by_itself_on_rows_of_all_classes(tiny: Tiny) -> None:
    settings = tiny.settings()
    original = settings.variants["original"]
    costly = {
        "solver": "logistic",
        "live": 1.0,
        "mix": "mixup",
        "clip": 1.0,
        "average": 0.9,
        "soup": 2,
        "rate_decay": 0.9,
    }
    for name, value in {
        **costly,
        "policy": "trivial",
        "batch_size": 7,
        "image_size": 96,
        "precision": "float32",
    }.items():
        assert _kind(settings, original) != _kind(settings, original.model_copy(update={name: value})), name
    for name, value in {"epochs": 7, "seeds": 2, "learning_rate": 0.1, "name": "other", "crop_from": 96}.items():
        assert _kind(settings, original) == _kind(settings, original.model_copy(update={name: value})), name
    sorted_by_class = pd.DataFrame({"label": ["a"] * 700 + ["b"] * 20})
    assert _spread(sorted_by_class, 640)["label"].nunique() == 2
    assert _spread(sorted_by_class, 1000).equals(sorted_by_class)
