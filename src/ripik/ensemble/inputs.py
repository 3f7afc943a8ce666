"""What a blend is fitted on and applied to: the members' stored predictions, as arrays in the order of the CSVs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ripik.ensemble.fold_models import of_each_fold
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.splits import witnesses
from ripik.splits.run import Run
from ripik.training.jobs import predicting
from ripik.training.oof import check_oof, read_predictions, read_test, read_views
from ripik.training.scores import probabilities


def known_rows(run: Run, members: Sequence[str]) -> LabelledPredictions:
    """Return the OOF predictions of the members (names of variants) with truth, folds and groups.

    Near copies vote together only inside their fold; a user's own folds may part them.
    Raises InputError where an `oof.csv` lacks rows or is not of the present folds.
    """
    fold = run.folds["fold"].to_numpy()
    photo = np.unique(np.stack([run.photos("train"), fold]), axis=1, return_inverse=True)[1].ravel()
    for name in members:
        check_oof(_frame(run, name, "train"), run)
    return LabelledPredictions(
        MemberPredictions(_stacked(run, members, "train"), photo), run.targets(), fold, witnesses.train(run)
    )


def test_rows(run: Run, members: Sequence[str]) -> MemberPredictions:
    """Return the members' predictions of the test set."""
    return MemberPredictions(_stacked(run, members, "test"), run.photos("test"))


def fold_models(run: Run, members: Sequence[str]) -> list[MemberPredictions]:
    """Return the test set as the models of each fold predict it, mean over seeds; a refit stands in every fold."""
    own = [predicting(run, run.settings.variants[name]) for name in members]
    said, photos = [{each.job: read_test(each) for each in some} for some in own], run.photos("test")
    return [MemberPredictions(values, photos) for values in of_each_fold(said, run.settings)]


def _frame(run: Run, name: str, split: str) -> pd.DataFrame:
    return read_predictions(run.layout.variant(name) / ("oof.csv" if split == "train" else "test.csv"), run, split)


def _stacked(run: Run, members: Sequence[str], split: str) -> np.ndarray:
    """Return (members, views, n, C); one view, the merged ones of the CSV, unless views are to be chosen."""
    if run.settings.blend.views == "auto":
        return np.stack([read_views(run, run.settings.variants[name], split) for name in members])
    return np.stack([probabilities(run, _frame(run, name, split))[None] for name in members])
