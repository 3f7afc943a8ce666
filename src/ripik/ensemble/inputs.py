"""What a blend is fitted on and applied to: the jobs' stored predictions, as arrays in the order of the CSVs."""

from collections.abc import Mapping, Sequence

import numpy as np

from ripik.ensemble.fold_models import as_blended, stacked
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.storage.paths import Job
from ripik.training.jobs import predicting
from ripik.training.oof import read_oof, read_test


def known_rows(run: Run, members: Sequence[str]) -> LabelledPredictions:
    """Return the out-of-fold predictions of the members (names of variants) with truth, folds and groups.

    The views are one, merged, unless they are to be chosen. Near copies vote together only inside their fold; a user's
    own folds may part them.
    """
    fold, merged = run.folds["fold"].to_numpy(), run.settings.blend.views != "auto"
    photo = np.unique(np.stack([run.photos("train"), fold]), axis=1, return_inverse=True)[1].ravel()
    said = stacked([read_oof(run, run.settings.variants[name], merged=merged) for name in members])
    return LabelledPredictions(MemberPredictions(said, photo), run.truth(), fold, witnesses.train(run))


def said_of_test(run: Run, members: Sequence[str]) -> list[dict[Job, np.ndarray]]:
    """Return what each job of each member says of the test set, (views, m, C)."""
    jobs = [predicting(run, run.settings.variants[name]) for name in members]
    return [{each.job: read_test(each) for each in some} for some in jobs]


def test_rows(run: Run, said: Sequence[Mapping[Job, np.ndarray]], *, apart: bool) -> list[MemberPredictions]:
    """Return the test set as the members predict it: as the models of each fold do, or as all of them together."""
    return [MemberPredictions(values, run.photos("test")) for values in as_blended(said, run.settings, apart=apart)]
