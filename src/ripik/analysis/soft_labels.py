"""The shares of soft labels, which `images.csv` stores with the predictions of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ripik.data.csv_tables import first, header_of
from ripik.data.number_tables import read_numbers
from ripik.errors import InputError
from ripik.names import SHARE

AGAIN = "The next `make train` writes it again."


def share_columns(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns of shares, in class order."""
    return [f"{SHARE}{label}" for label in classes]


def with_shares(frame: pd.DataFrame, images: Path, classes: Sequence[str]) -> pd.DataFrame:
    """Return the frame (image_id) with a column `share_<label>` a class, where `images.csv` tells of soft labels.

    Raises InputError where it lacks those of an image.
    """
    names = share_columns(classes)
    if not set(names) <= set(header_of(images)):
        return frame
    given = read_numbers(images, ["image_id", "split", *names], AGAIN, SHARE)
    given = given[given["split"] == "train"].drop_duplicates("image_id").set_index("image_id")[names]
    shares = given.reindex(frame["image_id"]).set_axis(frame.index)
    total = shares.sum(axis=1)
    if not (total > 0).all():
        raise InputError(f"{images} lacks the shares of {first(frame.loc[~(total > 0), 'image_id'].tolist())}. {AGAIN}")
    return pd.concat([frame, shares.div(total, axis=0).astype(np.float64)], axis=1)
