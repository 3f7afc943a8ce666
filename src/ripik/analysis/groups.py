"""Which images count as one observation: the groups of near copies used by folds and intervals, read from files."""

from pathlib import Path

import numpy as np
import pandas as pd

from ripik.data.csv_tables import check_ids, first, read_table, whole_numbers
from ripik.errors import InputError


def joined(*groupings: np.ndarray) -> np.ndarray:
    """Return int64 (n,): rows that share a value in any of the groupings, directly or in a chain, share a number.

    The number is the smallest row of the group.
    """
    memberships = [np.unique(values, return_inverse=True)[1].ravel() for values in groupings]
    lead = np.arange(len(groupings[0]))
    while True:
        before = lead
        for member in memberships:
            least = np.full(member.max(initial=-1) + 1, len(lead))
            np.minimum.at(least, member, lead)
            lead = least[member]
        lead = lead[lead]  # the leader's own leader: long chains close in few rounds
        if np.array_equal(lead, before):
            return lead


FOLDS, GROUPS = "folds.csv", "groups.csv"


def read_folds(path: Path, ids: pd.Series, predictions: Path) -> pd.DataFrame:
    """Return fold and group (int64) of every id of the file `predictions`, with the index of `ids`.

    Groups are those of the `folds.csv` at `path`, joined with those of the `groups.csv` beside it.
    Raises InputError when there is no such file, it is broken, or an image has no group.
    """
    if not path.is_file():
        raise InputError(
            f"no {FOLDS} found that says which images of {predictions} are copies of one photo: there is no {path}. "
            "Run `make folds`, or keep the predictions in their run's folder."
        )
    frame = read_table(path, ["image_id", "group"], f"A {FOLDS} has image_id, label, group and fold.")
    check_ids(frame["image_id"], path)
    found = frame.set_index("image_id").reindex(ids)
    lacking = found.index[found["group"].isna() | (found["group"] == "")].tolist()
    if lacking:
        raise InputError(
            f"{path} has no group for {len(lacking)} images of {predictions} ({first(lacking)}). "
            "Use predictions that were made with these folds."
        )
    fold = whole_numbers(frame["fold"], path) if "fold" in frame else pd.Series(0, frame.index)
    numbers = pd.Series(fold.to_numpy(), frame["image_id"]).reindex(ids)
    groups = [pd.factorize(found["group"])[0], *_near_copies(path.with_name(GROUPS), ids)]
    return pd.DataFrame({"fold": numbers.to_numpy(), "group": joined(*groups)}, index=ids.index)


def _near_copies(path: Path, ids: pd.Series) -> list[np.ndarray]:
    """Return the group of every training id by `groups.csv`; nothing where there is none or it is of other images."""
    if not path.is_file():
        return []
    frame = read_table(path, ["image_id", "split", "group"], "Delete the file and run `make folds`.")
    train = frame[frame["split"] == "train"]
    check_ids(train["image_id"], path)
    found = train.set_index("image_id")["group"].reindex(ids)
    return [] if found.isna().any() else [pd.factorize(found)[0]]
