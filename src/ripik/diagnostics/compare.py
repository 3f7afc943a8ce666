"""The step `compare`: is B better than A, worse, or is the difference within the noise?

Both sides are out-of-fold predictions of the same images, read from files alone: neither photos nor networks are
needed, and the runs may have other configurations than the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ripik.analysis.groups import FOLDS, joined
from ripik.analysis.intervals import Interval, difference, interval, verdict
from ripik.analysis.metrics import Metric, get_metric
from ripik.analysis.outdated import told_outdated
from ripik.analysis.predictions import BLEND, OOF, Predictions, align, load, read_config
from ripik.console import say, table, warn
from ripik.errors import InputError, nearest
from ripik.settings import Settings
from ripik.storage.paths import layout_of

TITLES = {"macro_f1": "macro F1", "auc": "AUC"}


@dataclass(frozen=True)
class Scored:
    """One metric: both sides with their intervals, b - a with its own, and what that means for b."""

    metric: str
    a: Interval
    b: Interval
    difference: Interval
    verdict: str

    @property
    def title(self) -> str:
        """The metric's name as people write it."""
        return TITLES.get(self.metric, self.metric.replace("_", " "))


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison; the competition's metric comes first, then accuracy."""

    a: str
    b: str
    images: int
    groups: int
    changed: int  # images for which the sides predict different classes
    scores: tuple[Scored, ...]

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `cannot tell`, said of b by the competition's metric."""
        return self.scores[0].verdict

    def sentences(self) -> list[str]:
        """Return a plain sentence for every metric."""
        return [_sentence(self.a, self.b, scored) for scored in self.scores]


def compare(settings: Settings, a: str, b: str, *, configured: bool = True) -> Comparison:
    """Print and return how b's out-of-fold predictions score against a's.

    Each side: a variant of the configured run, `ensemble`, another run's name (its ensemble), run/variant, or the path
    of an OOF CSV. configured: whether the configuration was named; else two sides of other runs are scored by the
    metric that both of these record, if it is the same. Raises InputError for a side that is not found or is damaged,
    and where the two have other images, labels or classes.
    """
    if not (a and b):
        raise InputError("give the two models to compare, as in `make compare A=original B=ensemble`.")
    paths = [_find(settings, side) for side in (a, b)]
    metric = get_metric(settings.competition.metric if configured else _metric_of(settings, paths))
    of_a, of_b = (_load(settings, path, metric.name) for path in paths)
    outdated = told_outdated([path.parent for path in paths])
    if outdated:
        warn(f"compare: {outdated}")
    of_b = align(of_a, of_b)
    groups = joined(of_a.groups, of_b.groups)
    wanted = dict.fromkeys([metric.name, "accuracy"])
    scores = tuple(_score(get_metric(name), of_a, of_b, groups) for name in wanted)
    changed = of_a.frame["predicted"].to_numpy() != of_b.frame["predicted"].to_numpy()
    found = Comparison(a, b, len(groups), len(np.unique(groups)), int(changed.sum()), scores)
    _print_comparison(found)
    return found


def _find(settings: Settings, side: str) -> Path:
    """Return the OOF CSV that one side of a comparison names."""
    run = layout_of(settings).run
    places = [run / side / OOF, run.parent / side / BLEND / OOF, run.parent / side / OOF, Path(side)]
    found = next((path for path in places if _is_file(path)), None)
    if found is not None:
        return found
    if side in settings.variants or side == BLEND:
        raise InputError(f"there is no {places[0]}. Run `make {'ensemble' if side == BLEND else 'train'}` first.")
    known = _named(run)
    what = "file" if side.endswith(".csv") else "variant, run or file"
    if not known:
        raise InputError(f"there is no {what} {side!r}, nor any {OOF} below {run.parent}. Run `make train` first.")
    hint = nearest(side, known)
    every = "" if "known" in hint else f" There are {', '.join(known)}."
    raise InputError(f"there is no {what} {side!r}{hint}.{every} Any {OOF} can also be given by its path.")


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _named(run: Path) -> list[str]:
    """Return the names of all that can be compared: this run's first, then other runs'."""
    made = sorted(path.parent for path in run.parent.glob(f"*/*/{OOF}"))
    own = [folder.name for folder in made if folder.parent == run]
    return own + [f"{folder.parent.name}/{folder.name}" for folder in made if folder.parent != run]


def _metric_of(settings: Settings, paths: Sequence[Path]) -> str:
    """Return the metric that the runs of both files record, or where they do not agree, the configured one; which is
    that of the configured run."""
    own, ours = settings.competition.metric, layout_of(settings).run.absolute()
    runs = [path.absolute().parent.parent for path in paths]
    recorded = [own if run == ours else read_config(run).get("competition", {}).get("metric") for run in runs]
    agreed = len(set(recorded)) == 1 and isinstance(recorded[0], str)
    return str(recorded[0]) if agreed else own


def _load(settings: Settings, path: Path, metric: str) -> Predictions:
    """Read a side; a file outside a run is taken to be of the configured run's folds."""
    own = path.absolute().parent.parent / FOLDS
    return load(path, metric=metric, folds=own if own.is_file() else layout_of(settings).folds)


def _score(metric: Metric, a: Predictions, b: Predictions, groups: np.ndarray) -> Scored:
    apart = difference(a.truth(metric.name), a.probabilities, b.probabilities, groups, metric)
    of_a, of_b = (interval(side.truth(metric.name), side.probabilities, groups, metric) for side in (a, b))
    return Scored(metric.name, of_a, of_b, apart, verdict(apart, metric))


def _print_comparison(found: Comparison) -> None:
    sides = [(found.a, [scored.a for scored in found.scores]), (found.b, [scored.b for scored in found.scores])]
    rows = [[name, *(f"{of.value:.3f} ({of.low:.3f} to {of.high:.3f})" for of in scores)] for name, scores in sides]
    rows.append(["difference", *(_signed(scored.difference) for scored in found.scores)])
    title = f"{found.images} images in {found.groups} groups, a different class for {found.changed} images"
    table(title, ["out of fold", *(f"{scored.title} (95 %)" for scored in found.scores)], rows)
    for sentence in found.sentences():
        say(sentence)


def _sentence(a: str, b: str, scored: Scored) -> str:
    found = f"{scored.title} {_signed(scored.difference, '95 %: ')}"
    if scored.difference.low == scored.difference.high == 0:
        return f"{a} and {b} have the same {scored.title} in every draw"
    if scored.verdict == "cannot tell":
        return f"cannot tell whether {b} is better than {a}: {found}"
    return f"{b} is {scored.verdict} than {a}: {found}"


def _signed(of: Interval, level: str = "") -> str:
    return f"{of.value:+.3f} ({level}{of.low:+.3f} to {of.high:+.3f})"
