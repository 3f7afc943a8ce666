"""From the members' probabilities to the submitted ones: a recipe's steps, each fitted on rows whose truth is known.

views merged → copies of a photo vote → members blended → (calibrated, class shares adapted) → class offsets, or where
classes are ordered, the expected rank with thresholds.
`nested_cv` chooses which of these steps are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ripik.analysis.metrics import FloatArray, IntArray, Metric, log_loss
from ripik.analysis.truth import class_means
from ripik.analysis.view_gains import merge
from ripik.ensemble.blend import Blend, fit_blend
from ripik.ensemble.calibration import Calibration, calibrate
from ripik.ensemble.decision import PriorShift, adapt, estimate_priors, vote
from ripik.ensemble.offsets import Offsets, fit_offsets
from ripik.ensemble.ranks import Ranks, fit_ranks
from ripik.settings import BlendSettings


@dataclass(frozen=True)
class Recipe:
    """What is chosen before anything is fitted."""

    method: str  # of the blend
    copies_vote: bool = False
    offsets: bool = False
    choose_views: bool = False
    prior_shift: bool = False
    ranks: bool = False  # in place of offsets

    def __str__(self) -> str:
        parts = {"copies vote": self.copies_vote, "offsets": self.offsets, "chosen views": self.choose_views}
        parts |= {"ranks": self.ranks}
        return " + ".join([self.method, *(name for name, used in parts.items() if used)])


@dataclass(frozen=True, eq=False)
class MemberPredictions:
    """Rows to fit on or to predict: what the members say of them, and which of them show one photo.

    probabilities: float (members, views, n, C), NaN for views that a member does not have. photo: (n,), equal for near
    copies.
    """

    probabilities: FloatArray
    photo: IntArray

    def __getitem__(self, rows: IntArray | slice) -> MemberPredictions:
        """Return some of the rows."""
        return MemberPredictions(self.probabilities[:, :, rows], self.photo[rows])


@dataclass(frozen=True, eq=False)
class LabelledPredictions:
    """Rows whose truth is known: class indices (or shares, `truth`), folds, and groups that never cross folds, (n,)."""

    rows: MemberPredictions
    y: IntArray
    fold: IntArray
    group: IntArray

    def __getitem__(self, rows: IntArray) -> LabelledPredictions:
        """Return some of the rows."""
        return LabelledPredictions(self.rows[rows], self.y[rows], self.fold[rows], self.group[rows])


@dataclass(frozen=True, eq=False)
class Fitted:
    """A recipe with everything that was fitted for it; `views` are indices for each member."""

    recipe: Recipe
    views: list[list[int]]
    merge: str
    blend: Blend
    shares: FloatArray  # of the classes where it was fitted, (C,)
    calibration: Calibration | None  # of one fold's models, where class shares are followed
    offsets: Offsets | None
    ranks: Ranks | None = None

    def apply(
        self, rows: MemberPredictions | Sequence[MemberPredictions], shares: FloatArray | None = None
    ) -> FloatArray:
        """Return the submitted probabilities (n, C) of rows, which are looked at together: copies, class shares.

        rows: as one fold's models predict them, or as those of each fold do; where class shares are followed, each
        fold's are calibrated and adapted by themselves, as out of fold, before their mean is taken.
        shares: of the classes among the rows, (C,), where the recipe follows them; None: estimated on the rows.
        """
        models = [rows] if isinstance(rows, MemberPredictions) else rows
        said = [self.blend.apply(_members(self.recipe, self.views, self.merge, each)) for each in models]
        if self.recipe.prior_shift and self.calibration:
            said = _shifted([self.calibration.apply(each) for each in said], self.shares, shares)
        blended: FloatArray = np.mean(said, axis=0)
        decision = self.offsets or self.ranks
        return decision.apply(blended) if decision else blended

    def plain(self) -> Fitted:
        """Return the blend alone: neither class shares nor offsets or ranks."""
        recipe = replace(self.recipe, prior_shift=False, offsets=False, ranks=False)
        return replace(self, recipe=recipe, offsets=None, ranks=None)

    def of_used(self) -> Fitted:
        """Return the same for the members whose weight is not 0, in their order."""
        used = np.flatnonzero(self.blend.weights)
        return replace(self, views=[self.views[member] for member in used], blend=self.blend.of(used))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "recipe": asdict(self.recipe),
            "views": self.views,
            "merge": self.merge,
            "blend": self.blend.as_json(),
            "shares": self.shares.tolist(),
            "calibration": self.calibration.as_json() if self.calibration else None,
            "offsets": self.offsets.as_json() if self.offsets else None,
            **({"ranks": self.ranks.as_json()} if self.ranks else {}),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fitted:
        """Return what `as_json` wrote."""
        return cls(
            Recipe(**content["recipe"]),
            content["views"],
            content["merge"],
            Blend.from_json(content["blend"]),
            np.array(content["shares"]),
            Calibration.from_json(content["calibration"]) if content["calibration"] else None,
            Offsets.from_json(content["offsets"]) if content["offsets"] else None,
            Ranks.from_json(content["ranks"]) if content.get("ranks") else None,
        )


def fit(recipe: Recipe, known: LabelledPredictions, metric: Metric, how: BlendSettings, merging: str) -> Fitted:
    """Fit a recipe on rows whose truth is known; `merging` is how views are merged.

    Views are chosen by log loss (`choose_views`), the blend as `blend.fit_blend` does, a calibration as
    `calibration.calibrate` does, offsets as `offsets.fit_offsets` does or ranks as `ranks.fit_ranks`, on probabilities
    as they stand after the steps before.
    """
    views = [_chosen(recipe, member, known.y, merging) for member in known.rows.probabilities]
    members = _members(recipe, views, merging, known.rows)
    how_long = {"seed": how.seed, "restarts": how.restarts, "bags": how.bags}
    blended = fit_blend(recipe.method, members, known.y, metric, groups=known.group, **how_long)
    shares = class_means(known.y, members.shape[2])
    calibration = calibrate(blended.apply(members), known.y) if recipe.prior_shift else None
    found = Fitted(recipe, views, merging, blended, shares, calibration, None)
    if recipe.offsets:
        before = found.apply(known.rows)
        return replace(found, offsets=fit_offsets(before, known.y, metric, groups=known.group, seed=how.seed))
    if recipe.ranks:
        before = found.apply(known.rows)
        return replace(found, ranks=fit_ranks(before, known.y, groups=known.group, seed=how.seed))
    return found


def _shifted(models: list[FloatArray], fitted: FloatArray, shares: FloatArray | None) -> list[FloatArray]:
    """Return each model's calibrated rows (n, C) for these class shares, or for the mean of the models' estimates."""
    if shares is None:
        shares = np.mean([estimate_priors(each, fitted).priors for each in models], axis=0)
    return [adapt(each, PriorShift(shares, fitted)) for each in models]


def _members(recipe: Recipe, views: list[list[int]], merging: str, rows: MemberPredictions) -> FloatArray:
    merged = np.stack([merge(member[used], merging) for member, used in zip(rows.probabilities, views, strict=True)])
    return vote(merged, rows.photo) if recipe.copies_vote else merged


def _chosen(recipe: Recipe, member: FloatArray, y: np.ndarray, merging: str) -> list[int]:
    """Return the indices of the views of a member that count: all that it has, unless they are chosen."""
    own = views_of(member)
    return choose_views(member[own], y, merging) if recipe.choose_views and len(own) > 1 else own


def views_of(member: FloatArray) -> list[int]:
    """Return the indices of the views, (views, n, C), that a member has; they stand before those that it has not."""
    return np.flatnonzero(np.isfinite(member).all(axis=(1, 2))).tolist()


def choose_views(probabilities: np.ndarray, y: np.ndarray, how: str) -> list[int]:
    """Return the indices, ascending, of the views whose merge has the least log loss, by forward selection.

    probabilities: (views, n, C); y: class indices (n,). From the best view alone, the view that lowers the loss most
    is added as long as one does.
    """
    chosen: list[int] = []
    least = np.inf
    while len(chosen) < len(probabilities):
        left = [view for view in range(len(probabilities)) if view not in chosen]
        losses = [log_loss(y, merge(probabilities[[*chosen, view]], how)) for view in left]
        if min(losses) >= least:
            break
        least = min(losses)
        chosen.append(left[losses.index(least)])
    return sorted(chosen)
