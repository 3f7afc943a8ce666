"""The form of a submission, from the sample submission: labels, one probability, one per class, or a ranking.

`competition.submission = "auto"` reads it off the sample's columns and values; where these could mean two things, the
metric decides. What was inferred is in the form's note. `ensemble.submission` fills and checks each kind,
`kaggle.submit` reads a submission back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ripik.console import say
from ripik.data.csv_tables import first, names_of
from ripik.data.sample_columns import SAMPLE_COLUMNS, Values
from ripik.errors import InputError, nearest
from ripik.names import (
    LABELS,
    PROBABILITIES,
    PROBABILITY,
    RANKING,
    KnownMetric,
    SubmissionKind,
    ranked,
    scores_probabilities,
)
from ripik.settings import CompetitionSettings, Label

SET = "Set competition.submission and the column names to match it."
CONTENT: dict[SubmissionKind, str] = {
    LABELS: "labels",
    PROBABILITY: "the probability of one class",
    PROBABILITIES: "one probability per class",
    RANKING: "labels separated by spaces, the most probable first",
}
OF_LABELS = (LABELS, RANKING)  # what takes one column of labels


@dataclass(frozen=True)
class Form:
    """The columns of a submission and what fills them.

    columns: those beside the ids, in the sample's order; one, or of `probabilities` one a class, named by its label.
    positive: the class whose probability is asked for, of `probability` alone. note: what was inferred, for the user.
    own_names: keys and values of [competition] that name its columns where they are called otherwise than train.csv's.
    depth: how many labels a `ranking` has.
    """

    kind: SubmissionKind
    id_column: str
    columns: tuple[str, ...]
    positive: Label | None = None
    note: str = ""
    own_names: dict[str, str] = field(default_factory=dict)
    depth: int = 0

    def as_settings(self) -> dict[str, Any]:
        """Return the keys of `[competition]` that ask for this form, whatever a sample's values are."""
        chosen = {} if self.positive is None else {"positive_class": self.positive}
        return {"submission": self.kind, **chosen, **self.own_names}


def form_of(
    sample: pd.DataFrame,
    how: CompetitionSettings,
    classes: Sequence[Label],
    place: object,
    id_column: str = "",
    left_out: Sequence[str] = (),
) -> Form:
    """Return the form that a sample submission asks for; errors call the sample `place`.

    sample: all cells as text, the ids in `id_column` (empty: that of train.csv). left_out: columns that were taken out
    of it, for the note.
    Raises InputError where columns, values, metric, classes and settings contradict each other.
    """
    found = _Sample(sample, how, classes, how.metric, place, id_column or how.id_column, left_out)
    kind, why = (how.submission, "") if how.submission != "auto" else found.asks_for()
    found.check(kind)
    positive = found.positive() if kind == PROBABILITY else None
    note = _note(found, kind, positive, why)
    depth = min(ranked(how.metric), len(classes)) if kind == RANKING else 0
    return Form(kind, found.id_column, found.columns, positive, note, found.own_names(kind), depth)


def tell_form(form: Form | None) -> None:
    """Say what was inferred of a submission's form, in one line; nothing where there is nothing to say."""
    if form is None:
        say(
            "submission: not written, as there is no sample submission; everything else is. To have one: add the "
            "file, and set competition.sample_submission"
        )
    elif form.note:
        say(f"submission: {form.note}")


def _note(found: _Sample, kind: SubmissionKind, positive: Label | None, why: str) -> str:
    """Return the message about the form: what was inferred, and a setting that has no effect."""
    words = f"{CONTENT[kind]} in {names_of(found.columns)}"
    if kind == PROBABILITY:
        words = f"the probability of class {positive} in the column {found.columns[0]}"
    unused = "" if found.how.positive_class == "" or kind == PROBABILITY else "competition.positive_class has no effect"
    reasons = "; ".join(filter(None, (why, unused, *found.inferred(kind))))
    return ": ".join(filter(None, (words, reasons))) if reasons or kind == PROBABILITY else ""


@dataclass(frozen=True)
class _Sample:
    sample: pd.DataFrame
    how: CompetitionSettings
    classes: Sequence[Label]
    metric: KnownMetric
    place: object
    id_column: str
    left_out: Sequence[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for column in self.sample.columns if column != self.id_column)

    @property
    def label_column(self) -> str:
        """The column that takes labels: the named one, train.csv's, or the only one where its values may be labels."""
        if self.how.sample_label_column or self.how.label_column in self.columns or len(self.columns) != 1:
            return self.how.sample_label_column or self.how.label_column
        fits = (
            self.how.submission in OF_LABELS
            or ranked(self.metric)
            or Values.of(self.sample[self.columns[0]], self.names).labels
        )
        return self.columns[0] if fits else self.how.label_column

    def own_names(self, kind: SubmissionKind) -> dict[str, str]:
        """Return the settings of the columns that are called otherwise than train.csv's."""
        of_ids = {} if self.id_column == self.how.id_column else {"sample_id_column": self.id_column}
        other = kind in OF_LABELS and self.label_column != self.how.label_column
        return of_ids | ({"sample_label_column": self.label_column} if other else {})

    def inferred(self, kind: SubmissionKind) -> list[str]:
        """Return in words which columns were taken though no setting names them, and which were left out."""
        words = {
            "sample_label_column": "its only column besides the ids",
            "sample_id_column": f"the ids in {self.id_column}, which holds those of the test set",
        }
        own = self.own_names(kind)
        taken = [text for key, text in words.items() if key in own and not getattr(self.how, key)]
        return [*taken, f"ignored {names_of(self.left_out)}, which a program added"] if self.left_out else taken

    @property
    def names(self) -> list[str]:
        return [str(label) for label in self.classes]

    def asks_for(self) -> tuple[SubmissionKind, str]:
        """Return the kind that columns and values ask for, and in words why, where one may wonder."""
        if sorted(self.columns) == sorted(self.names):
            return PROBABILITIES, "" if scores_probabilities(self.metric) else f"one column per class; {self._scores}"
        if len(self.columns) > 1 and self.label_column not in self.columns:
            return PROBABILITIES, ""  # whose names are not the classes
        if len(self.columns) == 1 and ranked(self.metric):
            return RANKING, f"{self.metric} scores the first {ranked(self.metric)}"
        if len(self.columns) != 1 or (len(self.classes) > 2 and scores_probabilities(self.metric)):
            return LABELS, ""  # which columns or metric contradict
        return self._by_values(Values.of(self.sample[self.columns[0]], self.names))

    @property
    def _scores(self) -> str:
        return f"{self.metric} scores {'probabilities' if scores_probabilities(self.metric) else 'labels'}"

    def _by_values(self, values: Values) -> tuple[SubmissionKind, str]:
        """Return what one column of values asks for; its name tells nothing, as many samples call it otherwise."""
        probability = values.probability and len(self.classes) == 2
        if values.labels and probability:
            decided: SubmissionKind = PROBABILITY if scores_probabilities(self.metric) else LABELS
            return decided, f"the sample's values ({values.shown}) could be either; {self._scores}"
        if probability:
            why = f"the sample's values ({values.shown}) are not classes, but {self._scores}"
            return PROBABILITY, "" if scores_probabilities(self.metric) else why
        if values.labels or self.columns[0] != self.label_column:
            return LABELS, "" if values.classes else f"the sample's values ({values.shown}) are not classes"
        way = '"labels" or "probability"' if len(self.classes) == 2 else '"labels"'
        raise InputError(
            f"{self.place}: the values of {self.columns[0]} ({values.shown}) are neither classes ({first(self.names)}) "
            "nor the probability of one of two classes. If they are only placeholders, set competition.submission to "
            f"{way}."
        )

    def check(self, kind: SubmissionKind) -> None:
        """Raise InputError where the columns or the metric do not fit the kind, or there is no such positive class."""
        if self.how.sample_label_column and self.how.sample_label_column not in self.columns:
            raise self._no_label_column()
        if len(self.columns) == 1:
            self._check_metric(kind)
        self._check_columns(kind)
        if self.how.positive_class != "" and str(self.how.positive_class) not in self.names:
            hint = nearest(str(self.how.positive_class), self.names)
            given = f"competition.positive_class = {self.how.positive_class!r}"
            raise InputError(f"{given} is not one of the classes{hint}. Set it to one of them.")

    def _check_columns(self, kind: SubmissionKind) -> None:
        wanted = self.names if kind == PROBABILITIES else [self.label_column]
        if kind == PROBABILITY and len(self.columns) == 1:
            return
        if kind in OF_LABELS and self.label_column not in self.columns and len(self.columns) < 2:
            raise self._no_label_column()
        if sorted(self.columns) != sorted(wanted):
            raise InputError(
                f"{self.place} has the columns {names_of(list(self.sample.columns))}; a submission of {CONTENT[kind]} "
                f"has {names_of([self.id_column, *wanted])}{self._first_difference(wanted)}. {SET}"
            )

    def _first_difference(self, wanted: Sequence[str]) -> str:
        """Return the first columns that are missing and too many, where names are too many to be shown."""
        if names_of(wanted) == ", ".join(wanted):
            return ""
        missing, more = sorted(set(wanted) - set(self.columns)), sorted(set(self.columns) - set(wanted))
        return f"; missing: {first(missing)}; too many: {first(more)}"

    def _no_label_column(self) -> InputError:
        has = names_of(list(self.sample.columns))
        return InputError(f"{self.place} has no column {self.label_column}; it has {has}. {SAMPLE_COLUMNS}")

    def _check_metric(self, kind: SubmissionKind) -> None:
        count = len(self.classes)
        if kind == PROBABILITY and count != 2:
            raise InputError(
                f"{self.place} asks for the probability of one class, but there are {count} classes, which "
                'need one each. Set competition.submission = "probabilities" for one column per class, or "labels".'
            )
        if kind == RANKING:
            self._check_ranking()
        if kind == LABELS and ranked(self.metric):
            raise InputError(
                f"{self.place} takes one label per image, but {self.metric} scores several. Set "
                'competition.submission = "ranking", or competition.metric to one that scores labels.'
            )
        if kind == LABELS and scores_probabilities(self.metric):
            wanted, way = (
                "one probability per class",
                "competition.sample_submission to a file with one column per class",
            )
            if count == 2:
                wanted, way = "a probability", 'competition.submission = "probability" if its column takes them'
            raise InputError(
                f"{self.place} asks for one label per image, but {self.metric} of {count} classes scores {wanted}. "
                f"Set {way}, or competition.metric to one that scores labels."
            )

    def _check_ranking(self) -> None:
        spaced = [name for name in self.names if len(name.split()) != 1]
        if not ranked(self.metric):
            raise InputError(
                f'competition.submission = "ranking": {self.metric} scores no ranking. Set competition.metric to '
                "map@3, map@5 or map@10, or another kind of submission."
            )
        if spaced:
            raise InputError(
                f"{self.place} takes labels separated by spaces, so no label may contain a space: {first(spaced)}. "
                'Set competition.submission = "probabilities", or ask the organiser how such labels are written.'
            )

    def positive(self) -> Label:
        """Return the class whose probability is asked for: the named one, the one that the column names, the last."""
        named = str(self.how.positive_class) if self.how.positive_class != "" else self.columns[0]
        known = dict(zip(self.names, self.classes, strict=True))
        return known[named] if named in known else max(self.classes)
