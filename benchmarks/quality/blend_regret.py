"""What does choosing a blend cost? Fixed methods and ways to choose, by their scores on rows nothing was tuned on.

    python -m benchmarks.quality.blend_regret [--rows 200 1000] [--members 2 4 8] [--repeats 8] [--metrics macro_f1 …]
    python -m benchmarks.quality.blend_regret --run output/<run> [--of original finetuned] [--repeats 40]

Without a run, worlds are made up (`benchmarks.quality.blend_worlds`), each its own; with one, a world is the run's
members, and each time 40 % of the groups are fresh. Regret is the fresh score of the world's best fixed way minus that
of a way: of a made-up world the best on its many fresh rows, of a run the best in the mean of all draws (so one may
have none). Copies vote first; what their vote is worth, by which rule, stands below, for the greedy blend. Class
offsets, which are chosen after, are left out.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.quality.blend_strategies import Task
from benchmarks.quality.blend_worlds import simulated
from benchmarks.quality.pseudo_blends import DEFAULT, read_run
from benchmarks.quality.pseudo_tests import HELD, Photos, draw_test
from ripik.analysis.metrics import get_metric
from ripik.console import table
from ripik.ensemble.recipe import LabelledPredictions

METRICS = ("macro_f1", "accuracy", "log_loss")
LARGE = 5000  # rows; of worlds so large there are fewer
FEWER = 4


@dataclass(frozen=True)
class Found:
    """The fresh utilities of one draw, by way; kinds are the table's columns that it counts in."""

    kinds: tuple[str, ...]
    metric: str
    fixed: dict[str, float]
    chosen: dict[str, float]
    votes: dict[str, float]


def run_task(task: Task, kinds: tuple[str, ...]) -> Found:
    """Return what every way makes of one draw."""
    voted = task.voted()
    looks = voted.fixed()
    fixed = {name: look.utility for name, look in looks.items()}
    chosen = {way: looks[name].utility for way, name in voted.chosen(looks).items()}
    return Found(kinds, task.metric.name, fixed, chosen, task.votes(looks["greedy"]))


def made_up(
    rows: list[int], members: list[int], repeats: int, seed: int
) -> Iterable[tuple[LabelledPredictions, LabelledPredictions, tuple[str, ...]]]:
    """Yield worlds with the kinds they are of."""
    for size in rows:
        for number in members:
            for repeat in range(repeats if size < LARGE else max(1, repeats // FEWER)):
                known, fresh = simulated(number, size, seed + 1000 * number + repeat)
                yield known, fresh, (f"{size} rows", f"{number} members", "all")


def of_run(
    run: Path, members: list[str], repeats: int
) -> Iterable[tuple[LabelledPredictions, LabelledPredictions, tuple[str, ...]]]:
    """Yield draws of a finished run's rows."""
    known = read_run(run, members)
    for seed in range(repeats):
        held = draw_test(Photos(known.rows.probabilities[0], known.y, known.group), HELD, seed)
        yield known[np.setdiff1d(np.arange(len(known.y)), held)], known[held], ("draws",)


def regrets(found: list[Found], kind: str, *, one_world: bool) -> dict[str, np.ndarray]:
    """Return each way's regrets over the draws of a kind, of all ways that every draw knows."""
    draws = [each for each in found if kind in each.kinds]
    ways = [way for way in {**draws[0].fixed, **draws[0].chosen} if all(way in {**d.fixed, **d.chosen} for d in draws)]
    means = {way: np.mean([each.fixed[way] for each in draws]) for way in ways if way in draws[0].fixed}
    first = max(means, key=lambda way: means[way])
    best = np.array([each.fixed[first] if one_world else max(each.fixed.values()) for each in draws])
    return {way: best - np.array([{**each.fixed, **each.chosen}[way] for each in draws]) for way in ways}


def show(found: list[Found], metric: str, *, one_world: bool) -> None:
    """Print the regrets of all ways and the scores behind the last column, then those of the votes."""
    mine = [each for each in found if each.metric == metric]
    kinds = list(dict.fromkeys(kind for each in mine for kind in each.kinds if kind != "all"))
    kinds += ["all"] * any("all" in each.kinds for each in mine)
    columns = {kind: regrets(mine, kind, one_world=one_world) for kind in kinds}
    last = columns[kinds[-1]]
    rows = []
    for way in sorted(last, key=lambda name: last[name].mean()):
        mean = abs(np.mean([{**each.fixed, **each.chosen}[way] for each in mine]))
        rows.append([way, *(_told(columns[kind].get(way)) for kind in kinds), f"{mean:.4f}"])
    table(f"Regret x 1000, {metric}", ["way", *kinds, "mean score"], rows)
    best = np.array([max(each.votes.values()) for each in mine])
    voted = {rule: best - np.array([each.votes[rule] for each in mine]) for rule in mine[0].votes}
    table(
        f"Copies' vote, greedy, {metric}", ["rule", "regret x 1000"], [[rule, _told(of)] for rule, of in voted.items()]
    )


def _told(values: np.ndarray | None) -> str:
    if values is None:
        return ""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{1000 * values.mean():.1f} ± {1000 * error:.1f}"


def main() -> None:
    """Make or read the worlds, and print a table a metric."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", nargs="+", type=int, default=[200, 1000, 10_000])
    options.add_argument("--members", nargs="+", type=int, default=[2, 4, 8, 12])
    options.add_argument("--metrics", nargs="+", default=list(METRICS))
    options.add_argument("--repeats", type=int, default=8)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--run", type=Path, metavar="FOLDER")
    options.add_argument("--of", nargs="+", default=DEFAULT, metavar="VARIANT")
    given = options.parse_args()
    worlds = (
        of_run(given.run, given.of, given.repeats)
        if given.run
        else made_up(given.rows, given.members, given.repeats, given.seed)
    )
    found = []
    with threadpool_limits(1):
        for known, fresh, kinds in worlds:
            found += [run_task(Task(known, fresh, get_metric(name)), kinds) for name in given.metrics]
    for name in given.metrics:
        show(found, name, one_world=given.run is not None)


if __name__ == "__main__":
    main()
