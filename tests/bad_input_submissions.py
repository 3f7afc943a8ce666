"""The cases of `tests.bad_input` about a submission, held against the sample before it is kept."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from tests.bad_input_world import CHECK, Case
from tests.conftest import Tiny

Change = Callable[[pd.DataFrame], pd.DataFrame]
FOLLOW = "Give it the sample submission's ids, columns and order"


def case(name: str, change: Change, *says: str, code: int = 2, shares: bool = False) -> Case:
    """Return the case of a submission, of labels or of probabilities, that was right before it was changed."""

    def spoil(tiny: Tiny) -> None:
        frame = pd.read_csv(tiny.sample_csv, dtype={"image_id": str})
        if shares:
            frame = frame[["image_id"]].assign(**{"1": 0.5, "2": 0.25, "3": 0.25})
            frame.to_csv(tiny.sample_csv, index=False)
        change(frame).to_csv(tiny.folder / "mine.csv", index=False)

    command = (CHECK, "{folder}/mine.csv", "probabilities" if shares else "labels")
    refused = ("The submission would be rejected", FOLLOW) if code else ()
    return Case("submissions", name, spoil, (*says, *refused), code, command)


def cell(row: int, column: str, value: object) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[row, column] = value
        return frame

    return change


def shorter(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[:-1]


CASES = (
    case("a row is missing", shorter, "missing 1 id (13)"),
    case(
        "a row too many",
        lambda frame: pd.concat([frame, pd.DataFrame({"image_id": ["99"], "label": [1]})]),
        "extra 1 id (99)",
    ),
    case("rows of the training set", cell(0, "image_id", "1"), "missing 1 id (16)", "extra 1 id (1)"),
    case("a row twice", lambda frame: pd.concat([frame, frame[:1]]), "repeated 1 id (16)"),
    case("rows in another order", lambda frame: frame[::-1], "not in the sample's order"),
    case(
        "ids with leading zeros", lambda frame: frame.assign(image_id="0" + frame["image_id"]), "missing 4 ids", "016"
    ),
    case(
        "columns in another order", lambda frame: frame[["label", "image_id"]], "columns are not in the sample's order"
    ),
    case(
        "another column",
        lambda frame: frame.assign(p=1),
        "its columns are image_id, label, p",
        "but the sample's are image_id, label",
    ),
    case("another name of a column", lambda frame: frame.rename(columns={"label": "class"}), "image_id, class"),
    case("a label that is no class", cell(1, "label", 7), "not a class (7) for 1 id (15)"),
    case("a label is missing", cell(1, "label", None), "no value for 1 id (15)"),
    case("labels as floats", lambda frame: frame.assign(label=frame["label"] + 0.5), "not a class (1.5) for 4 ids"),
    case("probabilities for labels", lambda frame: frame.assign(label=0.25), "not a class (0.25) for 4 ids"),
    case("a probability above 1", cell(0, "1", 1.5), "outside [0, 1] for 1 id (16)", shares=True),
    case("a negative probability", cell(0, "1", -0.5), "outside [0, 1] for 1 id (16)", shares=True),
    case("a row that does not sum to 1", cell(0, "1", 0.9), "a sum other than 1 for 1 id (16)", shares=True),
    case("a probability is missing", cell(0, "1", None), "no value for 1 id (16)", shares=True),
    case("a probability of text", cell(0, "1", "high"), "columns that are not numbers (1)", shares=True),
    case("a class is missing", lambda frame: frame.drop(columns="2"), "its columns are image_id, 1, 3", shares=True),
)
