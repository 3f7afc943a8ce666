"""The cases of `tests.bad_input` about predictions and the submissions' log, edited by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from tests.bad_input_world import LABELS, Case, Spoil, command
from tests.conftest import Tiny

Change = Callable[[pd.DataFrame], pd.DataFrame]
COMPARE = ("compare", "{folder}/a.csv", "{folder}/b.csv")
LOG = "file,time,commit,config_hash,members,cv,public,private\n"


def predicted(change: Change, encoding: str = "utf-8") -> Spoil:
    """Write two sets of out-of-fold predictions, the second of them changed."""

    def spoil(tiny: Tiny) -> None:
        code, _, told = command(tiny, ("folds",))
        if code:
            raise ValueError(told)
        folds = pd.read_csv(tiny.run / "folds.csv", dtype=str)[["image_id", "fold", "label"]]
        for name, seed in (("a", 1), ("b", 2)):
            values = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)), len(folds)).astype("float32")
            table = folds.join(pd.DataFrame(values, columns=[f"p_{label}" for label in LABELS]).astype(str))
            table = change(table) if name == "b" else table
            table.to_csv(tiny.folder / f"{name}.csv", index=False, encoding=encoding if name == "b" else "utf-8")

    return spoil


def cell(row: int, column: str, value: str) -> Change:
    """Set one cell; row 0 is the first below the header."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return change


def logged(text: str) -> Spoil:
    def spoil(tiny: Tiny) -> None:
        (tiny.folder / "submissions").mkdir()
        (tiny.folder / "submissions" / "log.csv").write_text(text, encoding="utf-8")

    return spoil


PREDICTIONS = tuple(
    Case("predictions", name, predicted(change), ("b.csv", *says), 2, COMPARE)
    for name, change, says in (
        (
            "no probabilities",
            lambda table: table[["image_id", "fold", "label"]],
            ("0 columns p_<label>", "one for each class"),
        ),
        (
            "a class is missing",
            lambda table: table.drop(columns="p_3"),
            ("12 images", "do not sum to 1", "Write probabilities"),
        ),
        ("a probability is missing", cell(2, "p_2", ""), ("(3)", "Predict again")),
        ("a probability is nan", cell(2, "p_2", "nan"), ("(3)", "Predict again")),
        ("a probability of text", cell(2, "p_2", "high"), ("(3)", "Predict again")),
        ("a probability above 1", cell(2, "p_2", "1.5"), ("(3)", "Write probabilities")),
        ("a row that does not sum to 1", cell(2, "p_2", "0"), ("(3)", "do not sum to 1", "Write probabilities")),
        ("a row is missing", lambda table: table[:-1], ("a.csv", "(12)", "the same training images")),
        ("a row twice", lambda table: pd.concat([table, table[:1]]), ("id 1", "lines 2, 14", "a unique id")),
        ("another label", cell(0, "label", "3"), ("a.csv", "(1)", "the same train.csv")),
        ("a fold with a fraction", cell(2, "fold", "0.5"), ("line 4", "fold '0.5'", "whole number")),
    )
)
FINE = (
    Case(
        "predictions",
        "rows in another order",
        predicted(lambda table: table[::-1]),
        ("12 images",),
        0,
        COMPARE,
    ),
    Case("predictions", "a byte order mark", predicted(lambda table: table, "utf-8-sig"), ("12 images",), 0, COMPARE),
)
LOGS = tuple(
    Case("submissions/log.csv", name, logged(text), ("log.csv", *says), 2, ("analyse", "runs"))
    for name, text, says in (
        (
            "another column",
            LOG.replace("cv", "score") + "a.csv,2024-05-01T10:00:00,,,a,0.5,,\n",
            ("no column cv", "Fix the header"),
        ),
        ("a score of text", LOG + "a.csv,2024-05-01T10:00:00,,,a,good,,\n", ("line 2", "'good'", "Correct the cell")),
        ("empty", "", ("is empty", "Fix the header")),
        ("semicolons", LOG.replace(",", ";"), ("semicolons", "with commas")),
    )
)

CASES = (*PREDICTIONS, *FINE, *LOGS)
