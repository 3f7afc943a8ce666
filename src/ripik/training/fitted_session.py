"""A head that is fitted at once: scikit-learn's logistic regression on standardised outputs of frozen layers.

It learns from the photos through every view that it will predict, and from their copies where the variant has them.
Its regularisation strength is chosen by grouped cross-validation inside the training folds, by log loss on the
photos.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ripik.analysis.metrics import get_metric
from ripik.analysis.truth import labels_of
from ripik.errors import InputError
from ripik.execution.task import Reporter
from ripik.features.store import Pass, training_passes
from ripik.models.linear_head import LinearHead, Weights, fit_path
from ripik.names import NUMPY
from ripik.splits.splitting import split
from ripik.training.examples import class_weights, row_weights
from ripik.training.head_session import HeadSession
from ripik.variants import Variant

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # scikit-learn's C
PARTS = 4  # of the training folds, to choose among them


@dataclass(kw_only=True)
class FittedSession(HeadSession):
    """A head that one epoch fits."""

    strength: float = 0.0  # that was chosen

    @classmethod
    def passes(cls, variant: Variant) -> list[Pass]:
        """Return the first pass alone, whose rows are as long as the others': it has no batches."""
        return training_passes(variant)[:1]

    @property
    def arithmetic(self) -> dict[str, Any]:
        """As of a trained head; a fit does not resume from it."""
        return {**super().arithmetic, "backend": f"{NUMPY}, fitted"}

    def wants_more(self) -> bool:
        """Whether it is still to be fitted."""
        return not self.history

    @property
    def done(self) -> float:
        """The epochs done, as if it had as many as others."""
        return float(self.variant.epochs if self.history else 0)

    def train_epoch(self, report: Reporter, asked: Callable[[], bool]) -> tuple[int, int, dict[str, float]]:
        """Choose the strength and fit the head; see `Session.train_epoch`."""
        rows = self.course.rows
        self.strength = self._chosen(rows)
        head = self._fitted(rows, [self.strength])
        self.head.values[:] = np.concatenate([each.ravel() for each in next(head).dense()])
        return 1, 1, self._scores(rows)

    def _chosen(self, rows: np.ndarray) -> float:
        """Return the strength of the least log loss on photos of groups that a head was not fitted to."""
        run = self.training.run
        targets, groups, truth = run.training_targets(), run.folds["group"].to_numpy(), run.training_truth()
        number = min(PARTS, len(np.unique(groups[rows])))
        if number < 2:
            raise InputError(f'{self.training}: too few photos to fit a head. Set solver = "adam".')
        part = split(targets[rows], groups[rows], number, self.training.seed)
        losses = np.zeros(len(STRENGTHS))
        loss, photos = get_metric("log_loss").function, self._read(Pass("train"), rows)
        for held in range(number):
            heads = self._fitted(rows[part != held], STRENGTHS)
            for place, head in enumerate(heads):
                said = head.probabilities(photos[part == held]).astype(np.float64)
                losses[place] += loss(truth[rows[part == held]], said) * (part == held).sum()
        return STRENGTHS[int(losses.argmin())]

    def _fitted(self, rows: np.ndarray, strengths: Any) -> Iterator[LinearHead]:
        """Yield the heads of rising strengths that are fitted to rows of train.csv."""
        run = self.training.run
        features = np.concatenate([self._read(pass_, rows) for pass_ in self._passes()])
        versions = len(features) // len(rows)
        truth = run.training_truth()[rows]
        y = np.tile(truth, (versions, *[1] * (truth.ndim - 1)))
        own = row_weights(run, rows)
        counts = None if own is None else np.tile(own[rows], versions)
        return fit_path(
            features, y, len(run.competition.classes), strengths, weights=self._weights(rows), counts=counts
        )

    def _weights(self, rows: np.ndarray) -> Weights:
        found = class_weights(self.training.run, self.variant, rows)
        return None if found is None else dict(enumerate(found.tolist()))

    def _passes(self) -> list[Pass]:
        """Return what it learns from: the photos through every view, unless the variant has copies alone."""
        own = training_passes(self.variant)
        views = [Pass("train", view=view) for view in self.training.run.settings.prediction.views]
        return list(dict.fromkeys([*own, *views])) if Pass("train") in own else own

    def _read(self, pass_: Pass, rows: np.ndarray) -> np.ndarray:
        """Return stored outputs of rows of train.csv: of every copy, one block of rows after the other."""
        data, photos = self.training.data, len(self.training.run.folds)
        source, copies = self.memory.open(data.path(pass_)), data.count(pass_) // photos  # the file may have more
        blocks = np.arange(copies)[:, None] * photos
        return source.read((blocks + rows).ravel()).astype(np.float32, copy=False)

    def _scores(self, rows: np.ndarray) -> dict[str, float]:
        truth = self.training.run.training_truth()[rows]
        said = self.head.probabilities(self._read(Pass("train"), rows)).astype(np.float64)
        said /= said.sum(axis=1, keepdims=True)
        loss = get_metric("log_loss").function(truth, said)
        return {
            "accuracy": float((said.argmax(axis=1) == labels_of(truth)).mean()),
            "loss": loss,
            "strength": self.strength,
        }
