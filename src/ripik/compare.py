"""The step `compare`: is B better than A, worse, or can these images not tell?

Both sides are out-of-fold predictions of the same images, read from files alone: neither photos nor networks are
needed, and the runs may have other configurations than the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.bootstrap import Interval, difference, interval, verdict
from ripik.console import say, table
from ripik.errors import InputError, nearest
from ripik.layout import layout_of
from ripik.linking import joined
from ripik.metrics import ROW_SUM_TOLERANCE, Metric, get_metric
from ripik.settings import Settings
from ripik.tables import check_ids, first, read_table

OOF, FOLDS, ENSEMBLE = "oof.csv", "folds.csv", "ensemble"
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
    """What a comparison found; the competition's metric stands first, then accuracy."""

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


def compare(settings: Settings, a: str, b: str) -> Comparison:
    """Print and return how b's out-of-fold predictions score against a's.

    Each side: a variant of the configured run, `ensemble`, another run's name (its ensemble), run/variant, or the path
    of an OOF CSV. Raises InputError for a side that is not found or is damaged, and where the two have other images,
    labels or classes.
    """
    metric = get_metric(settings.competition.metric)
    of_a, of_b = (_read(_find(settings, side)) for side in (a, b))
    _check_same(of_a, of_b)
    of_b = of_b.with_classes(of_a.classes)
    groups = _groups(settings, of_a, of_b)
    wanted = dict.fromkeys([metric.name, "accuracy"])
    scores = tuple(_score(get_metric(name), of_a, of_b, groups) for name in wanted)
    changed = of_a.values.argmax(axis=1) != of_b.values.argmax(axis=1)
    found = Comparison(a, b, len(groups), len(np.unique(groups)), int(changed.sum()), scores)
    _show(found)
    return found


@dataclass(frozen=True)
class _Side:
    """Out-of-fold predictions as they stand in a file, rows in the order of their ids."""

    path: Path
    ids: list[str]
    labels: list[str]
    classes: list[str]
    values: np.ndarray  # float64, (n, C)

    @property
    def targets(self) -> np.ndarray:
        """The class index of every row."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.labels))

    def with_classes(self, classes: Sequence[str]) -> _Side:
        """Return the same with the classes in another order."""
        order = [self.classes.index(label) for label in classes]
        return replace(self, classes=list(classes), values=self.values[:, order])


def _find(settings: Settings, side: str) -> Path:
    """Return the OOF CSV that one side of a comparison names."""
    run = layout_of(settings).run
    places = [run / side / OOF, run.parent / side / ENSEMBLE / OOF, run.parent / side / OOF, Path(side)]
    found = next((path for path in places if _is_file(path)), None)
    if found is not None:
        return found
    if side in settings.variants or side == ENSEMBLE:
        raise InputError(f"there is no {places[0]}. Run `make {'ensemble' if side == ENSEMBLE else 'train'}` first.")
    known = _named(run)
    what = "file" if side.endswith(".csv") else "variant, run or file"
    if not known:
        raise InputError(f"there is no {what} {side!r}, nor any {OOF} below {run.parent}. Run `make train` first.")
    hint = nearest(side, known)
    every = "" if "known" in hint else f" There are {', '.join(known)}."
    raise InputError(f"there is no {what} {side!r}{hint}.{every} Any {OOF} can be given by its path.")


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


def _read(path: Path) -> _Side:
    frame = read_table(path, ["image_id", "label"], "An OOF CSV has image_id, fold, label and a p_<label> a class.")
    check_ids(frame["image_id"], path)
    frame = frame.sort_values("image_id")
    columns = [name for name in frame.columns if name.startswith("p_")]
    classes = [name.removeprefix("p_") for name in columns]
    if len(columns) < 2:
        raise InputError(f"{path} has {len(columns)} columns p_<label>: an OOF CSV has one for each class.")
    values = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    lacking = frame.loc[~np.isfinite(values).all(axis=1), "image_id"].tolist()
    if lacking:
        raise InputError(f"{path}: {len(lacking)} images lack a finite probability ({first(lacking)}). Predict again.")
    off = (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > ROW_SUM_TOLERANCE)
    if off.any():
        raise InputError(
            f"{path}: the probabilities of {off.sum()} images are negative or do not sum to 1 "
            f"({first(frame.loc[off, 'image_id'].tolist())}). Write probabilities, not scores."
        )
    strange = frame.loc[~frame["label"].isin(classes), ["image_id", "label"]].to_numpy().tolist()
    if strange:
        name, label = strange[0]
        raise InputError(
            f"{path}: {len(strange)} images have labels without a column, the first {name}: there is no p_{label}. "
            f"The classes are {', '.join(classes)}."
        )
    return _Side(path, frame["image_id"].tolist(), frame["label"].tolist(), classes, values)


def _check_same(a: _Side, b: _Side) -> None:
    """Raise InputError unless both sides have the same classes, images and labels, in any order."""
    for what, of_a, of_b in (("classes", a.classes, b.classes), ("image ids", a.ids, b.ids)):
        only_a, only_b = sorted(set(of_a) - set(of_b)), sorted(set(of_b) - set(of_a))
        if only_a or only_b:
            raise InputError(
                f"{a.path} and {b.path} have different {what}: {len(only_a)} only the first has ({first(only_a)}), "
                f"{len(only_b)} only the second ({first(only_b)}). Compare predictions of the same training images."
            )
    other = [name for name, of_a, of_b in zip(a.ids, a.labels, b.labels, strict=True) if of_a != of_b]
    if other:
        raise InputError(
            f"{a.path} and {b.path} have different labels for {len(other)} images ({first(other)}). "
            "Make both from the same train.csv and corrections."
        )


def _groups(settings: Settings, a: _Side, b: _Side) -> np.ndarray:
    """Return the group number of every row, (n,): rows that either side's folds.csv joins are together."""
    return joined(*(_numbers(_folds(settings, side), side) for side in (a, b)))


def _folds(settings: Settings, side: _Side) -> Path:
    """Return the folds.csv of the run that a file belongs to, or else of the configured run."""
    places = dict.fromkeys([side.path.absolute().parent.parent / FOLDS, layout_of(settings).folds.absolute()])
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(
            f"no {FOLDS} tells which images of {side.path} are copies of one photo: there is no "
            f"{' and no '.join(map(str, places))}. Run `make folds`, or keep the file in a folder of its run."
        )
    return found


def _numbers(path: Path, side: _Side) -> np.ndarray:
    frame = read_table(path, ["image_id", "group"], f"A {FOLDS} has image_id, label, group and fold.")
    check_ids(frame["image_id"], path)
    group = frame.set_index("image_id")["group"].reindex(side.ids)
    lacking = group.index[group.isna() | (group == "")].tolist()
    if lacking:
        raise InputError(
            f"{path} has no group for {len(lacking)} images of {side.path} ({first(lacking)}). "
            "Compare files that were made with these folds."
        )
    return pd.factorize(group)[0]


def _score(metric: Metric, a: _Side, b: _Side, groups: np.ndarray) -> Scored:
    apart = difference(a.targets, a.values, b.values, groups, metric)
    of_a, of_b = (interval(side.targets, side.values, groups, metric) for side in (a, b))
    return Scored(metric.name, of_a, of_b, apart, verdict(apart, metric))


def _show(found: Comparison) -> None:
    sides = [(found.a, [scored.a for scored in found.scores]), (found.b, [scored.b for scored in found.scores])]
    rows = [[name, *(f"{of.value:.3f} ({of.low:.3f} to {of.high:.3f})" for of in scores)] for name, scores in sides]
    rows.append(["difference", *(_signed(scored.difference) for scored in found.scores)])
    title = f"{found.images} images in {found.groups} groups, another class for {found.changed} images"
    table(title, ["out of fold", *(f"{scored.title} (95 %)" for scored in found.scores)], rows)
    for sentence in found.sentences():
        say(sentence)


def _sentence(a: str, b: str, scored: Scored) -> str:
    found = f"{scored.title} {_signed(scored.difference, '95 %: ')}"
    if scored.verdict == "cannot tell":
        return f"cannot tell whether {b} is better than {a}: {found}"
    return f"{b} is {scored.verdict} than {a}: {found}"


def _signed(of: Interval, level: str = "") -> str:
    return f"{of.value:+.3f} ({level}{of.low:+.3f} to {of.high:+.3f})"
