"""What a blend is fitted on and applied to: the members' stored predictions, as arrays in the order of the CSVs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ripik.analysis.groups import joined
from ripik.ensemble.fold_models import of_each_fold
from ripik.ensemble.recipe import LabelledPredictions, MemberPredictions
from ripik.splits.run import Run
from ripik.training.jobs import predicting
from ripik.training.oof import check_oof, read_predictions, read_test, read_views
from ripik.training.scores import evidence_groups, probabilities


def known_rows(run: Run, members: Sequence[str]) -> LabelledPredictions:
    """Return the OOF predictions of the members (names of variants) with truth, folds and groups.

    Near copies vote together only inside their fold; a user's own folds may part them.
    Raises InputError where an `oof.csv` lacks rows or is not of the present folds.
    """
    fold = run.folds["fold"].to_numpy()
    photo = np.unique(np.stack([_photos(run, "train"), fold]), axis=1, return_inverse=True)[1].ravel()
    for name in members:
        check_oof(_frame(run, name, "train"), run)
    return LabelledPredictions(
        MemberPredictions(_stacked(run, members, "train"), photo), run.targets(), fold, evidence_groups(run)
    )


def test_rows(run: Run, members: Sequence[str]) -> MemberPredictions:
    """Return the members' predictions of the test set."""
    return MemberPredictions(_stacked(run, members, "test"), _photos(run, "test"))


def fold_models(run: Run, members: Sequence[str]) -> list[MemberPredictions]:
    """Return the test set as the models of each fold predict it, mean over seeds; a refit stands in every fold."""
    own = [predicting(run, run.settings.variants[name]) for name in members]
    said, photos = [{each.job: read_test(each) for each in some} for some in own], _photos(run, "test")
    return [MemberPredictions(values, photos) for values in of_each_fold(said, run.settings)]


def test_groups(run: Run) -> np.ndarray:
    """Return which test rows are one witness, (m,): near copies, and the user's column where the test set has it."""
    test = run.competition.test
    return joined(_photos(run, "test"), *([test["group"].to_numpy()] if "group" in test else []))


def count_test_groups(run: Run) -> int:
    """Return how many independent witnesses the test set holds: near copies, and the user's column where it has it.

    Where train.csv alone has the column, test groups are taken to be as large as training groups.
    """
    train, test = run.competition.train, run.competition.test
    if "group" in train and "group" not in test:
        return max(1, round(len(test) * len(np.unique(evidence_groups(run))) / len(train)))
    return len(np.unique(test_groups(run)))


def _photos(run: Run, split: str) -> np.ndarray:
    return run.photos(split)


def _frame(run: Run, name: str, split: str) -> pd.DataFrame:
    return read_predictions(run.layout.variant(name) / ("oof.csv" if split == "train" else "test.csv"), run, split)


def _stacked(run: Run, members: Sequence[str], split: str) -> np.ndarray:
    """Return (members, views, n, C); one view, the merged ones of the CSV, unless views are to be chosen."""
    if run.settings.blend.views == "auto":
        return np.stack([read_views(run, run.settings.variants[name], split) for name in members])
    return np.stack([probabilities(run, _frame(run, name, split))[None] for name in members])
