from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ripik.data.submission_form import Form
from ripik.ensemble.submission import check_submission, submission_frame, submission_name
from ripik.errors import InputError

CLASSES = [1, 2, 3]
LABELS = Form("labels", "image_id", ("label",))
PROBABILITY = Form("probability", "image_id", ("label",), 2)
PROBABILITIES = Form("probabilities", "image_id", ("3", "1", "2"))
RANKING = Form("ranking", "image_id", ("label",), depth=2)
IDS = [12, 10, 13, 11]


def sample() -> pd.DataFrame:
    return pd.DataFrame({"image_id": IDS, "label": 1})


def wide_sample() -> pd.DataFrame:
    return pd.DataFrame({"image_id": IDS, "3": 0.0, "1": 0.0, "2": 0.0})


def predictions() -> tuple[list[int], np.ndarray]:
    return [10, 11, 12, 13], np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])


def made(**changes: Any) -> pd.DataFrame:
    ids, probabilities = predictions()
    given = {"sample": sample(), "ids": ids, "probabilities": probabilities, "classes": CLASSES, "form": LABELS}
    return submission_frame(**{**given, **changes})


def test_labels_are_joined_by_id_in_the_samples_order() -> None:
    frame = made()
    assert frame.to_csv(index=False) == "image_id,label\n12,3\n10,1\n13,2\n11,2\n"
    check_submission(frame, sample(), CLASSES, LABELS)


def test_the_order_of_predictions_and_the_samples_row_labels_do_not_matter() -> None:
    ids, probabilities = predictions()
    shuffled = [2, 0, 3, 1]
    odd = sample().set_index(pd.Index([7, 7, 0, 1]))
    again = made(sample=odd, ids=[ids[i] for i in shuffled], probabilities=probabilities[shuffled])
    pd.testing.assert_frame_equal(again, made())


def test_probabilities_follow_the_samples_columns() -> None:
    frame = made(sample=wide_sample(), form=PROBABILITIES)
    assert list(frame.columns) == ["image_id", "3", "1", "2"]
    assert frame.iloc[0].tolist() == [12, 0.7, 0.1, 0.2]
    check_submission(frame, wide_sample(), CLASSES, PROBABILITIES)


def test_one_probability_is_that_of_the_positive_class() -> None:
    frame = made(form=PROBABILITY)
    assert frame.to_csv(index=False) == "image_id,label\n12,0.2\n10,0.2\n13,0.4\n11,0.8\n"
    assert made(form=replace(PROBABILITY, positive=3))["label"].tolist() == [0.7, 0.1, 0.3, 0.1]
    check_submission(frame, sample(), CLASSES, PROBABILITY)


def test_a_probability_is_not_refused_for_the_rounding_of_a_mean() -> None:
    sure = np.tile([1 + 2e-16, -1e-17, 0.0], (4, 1))
    for own, form in ((sample(), replace(PROBABILITY, positive=1)), (wide_sample(), PROBABILITIES)):
        frame = made(sample=own, probabilities=sure, form=form)
        check_submission(frame, own, CLASSES, form)
    off = made(probabilities=sure * 1.5, form=replace(PROBABILITY, positive=1))
    with pytest.raises(InputError, match=r"outside \[0, 1\] for 4 ids"):
        check_submission(off, sample(), CLASSES, PROBABILITY)


def test_text_labels_other_names_and_column_order() -> None:
    own = pd.DataFrame({"Class": "?", "Photo": ["b", "a"]})
    form = Form("labels", "Photo", ("Class",))
    frame = submission_frame(own, ["a", "b"], np.array([[0.6, 0.4], [0.1, 0.9]]), ["dent", "lamp"], form)
    assert frame.to_csv(index=False) == "Class,Photo\nlamp,b\ndent,a\n"
    check_submission(frame, own, ["dent", "lamp"], form)


def test_a_submission_read_back_from_its_csv_passes(tmp_path: Path) -> None:
    for own, form in ((sample(), LABELS), (sample(), PROBABILITY), (wide_sample(), PROBABILITIES)):
        made(sample=own, form=form).to_csv(tmp_path / "s.csv", index=False, float_format="%.9g")
        check_submission(pd.read_csv(tmp_path / "s.csv"), own, CLASSES, form)


def test_equal_probabilities_take_the_first_class() -> None:
    assert made(probabilities=np.full((4, 3), 1 / 3))["label"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": [10, 11, 12, 99]}, r"missing 1 id \(13\); extra 1 id \(99\)"),
        ({"ids": [10, 11, 12, 12]}, r"missing 1 id \(13\); repeated 1 id \(12\)"),
        ({"ids": ["010", "11", "12", "13"]}, r"missing 1 id \(10\); extra 1 id \(010\)"),
        ({"ids": [1, 2, 3, 4]}, r"missing 4 ids \(12, 10, 13 and 1 more\)"),
        ({"ids": [10, 11, 12]}, r"shape \(4, 3\), not \(3 ids, 3 classes\)"),
        ({"classes": [1, 2]}, r"shape \(4, 3\), not \(4 ids, 2 classes\)"),
        ({"probabilities": np.full((4, 3), np.nan)}, "predictions to submit have 4 of 4 rows"),
        ({"sample": pd.DataFrame({"id": IDS, "label": 1})}, "columns are id, label, .* needs image_id, label"),
        ({"sample": sample().assign(note="")}, "columns are image_id, label, note"),
        ({"sample": pd.concat([sample(), sample()])}, r"sample submission .*repeated 4 ids \(12, 10, 13"),
        ({"form": PROBABILITIES}, "probabilities needs image_id, 1, 2, 3"),
        ({"sample": wide_sample()}, "labels needs image_id, label"),
        (
            {"sample": wide_sample().rename(columns={"3": "p_3"}), "form": PROBABILITIES},
            "columns are image_id, p_3, 1, 2",
        ),
    ],
)
def test_what_does_not_fit_the_sample_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(**changes)


def changed(column: str, row: int, value: Any) -> pd.DataFrame:
    frame = made().astype({column: object})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (made().iloc[1:], r"missing 1 id \(12\)"),
        (changed("image_id", 0, 99), r"missing 1 id \(12\); extra 1 id \(99\)"),
        (changed("image_id", 0, 10), r"missing 1 id \(12\); repeated 1 id \(10\)"),
        (pd.concat([made(), made().iloc[:1]]), r"rejected: repeated 1 id \(12\)\. Give"),
        (made().iloc[::-1], "ids are not in the sample's order"),
        (made()[["label", "image_id"]], "columns are not in the sample's order"),
        (made()[["image_id"]], "columns are image_id, but the sample's are image_id, label"),
        (made().rename(columns={"label": "class"}), "columns are image_id, class"),
        (changed("label", 1, np.nan), r"rejected: no value for 1 id \(10\)\. Give"),
        (made().assign(label=[3, np.nan, 2, 2]), r"rejected: no value for 1 id \(10\)\. Give"),
        (
            made().assign(label=[3, np.nan, 9, 2]),
            r"no value for 1 id \(10\); a label that is not a class \(9\) for 1 id \(13\)",
        ),
        (made().astype({"label": float}), r"not a class \(3.0, 1.0, 2.0\) for 4 ids"),
        (changed("label", 1, 9), r"a label that is not a class \(9\) for 1 id \(10\)\. .* one of the classes\.$"),
        (changed("label", 1, "dent"), r"not a class \(dent\)"),
        (made().astype({"image_id": float}), r"missing 4 ids .*extra 4 ids \(12.0"),
    ],
)
def test_check_names_what_is_wrong_with_labels(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_submission(frame, sample(), CLASSES, LABELS)


def test_check_lists_all_that_is_wrong() -> None:
    frame = changed("label", 1, 9)
    frame.loc[2, "image_id"] = 99
    with pytest.raises(
        InputError,
        match=r"missing 1 id \(13\); extra 1 id \(99\); a label that is not a class \(9\) for 1 id \(10\)\. Give it",
    ):
        check_submission(frame, sample(), CLASSES, LABELS)


def test_check_refuses_a_sample_of_another_kind() -> None:
    with pytest.raises(InputError, match="sample submission does not fit the settings"):
        check_submission(made(), wide_sample(), CLASSES, LABELS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.7, 0.2, 0.2], r"rejected: a sum other than 1 for 1 id \(10\)\. Give"),
        ([1.2, -0.1, -0.1], r"rejected: a probability outside \[0, 1\] for 1 id \(10\)\. Give"),
        (
            [1.2, 0.1, 0.1],
            r"outside \[0, 1\] for 1 id \(10\); a sum other than 1 for 1 id \(10\)\. .* that sum to 1\.$",
        ),
        ([np.nan, 0.5, 0.5], r"rejected: no value for 1 id \(10\)\. Give"),
        (["a", "b", "c"], r"not numbers \(3, 1, 2\)"),
    ],
)
def test_check_names_what_is_wrong_with_probabilities(row: list[Any], message: str) -> None:
    frame = made(sample=wide_sample(), form=PROBABILITIES)
    frame = frame.astype(dict.fromkeys("123", object)) if isinstance(row[0], str) else frame
    frame.loc[1, ["3", "1", "2"]] = row
    with pytest.raises(InputError, match=message):
        check_submission(frame, wide_sample(), CLASSES, PROBABILITIES)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.2, r"rejected: a probability outside \[0, 1\] for 1 id \(10\)\. .* from 0 to 1\.$"),
        (-0.1, r"outside \[0, 1\] for 1 id \(10\)"),
        (np.nan, r"rejected: no value for 1 id \(10\)\. Give"),
        ("high", r"columns that are not numbers \(label\)"),
    ],
)
def test_check_names_what_is_wrong_with_one_probability(value: Any, message: str) -> None:
    frame = made(form=PROBABILITY).astype({"label": object if isinstance(value, str) else float})
    frame.loc[1, "label"] = value
    with pytest.raises(InputError, match=message):
        check_submission(frame, sample(), CLASSES, PROBABILITY)


def test_name_carries_run_time_and_cv() -> None:
    time = datetime(2026, 11, 23, 13, 45, 1)
    assert submission_name("ripik", time, 0.74214) == "ripik-20261123-134501-cv0.7421.csv"
    with pytest.raises(InputError, match="no CV"):
        submission_name("ripik", time, float("nan"))


def test_a_ranking_names_the_most_probable_labels_first() -> None:
    frame = made(form=RANKING)
    assert frame.to_csv(index=False) == "image_id,label\n12,3 2\n10,1 2\n13,2 1\n11,2 1\n"
    check_submission(frame, sample(), CLASSES, RANKING)


@pytest.mark.parametrize(
    ("ranking", "why"),
    [
        ("3 9", "a label that is not a class for 1 id"),
        ("3 3", "twice for 1 id"),
        ("1 2 3", "more than 2 labels"),
        ("", "none"),
        (None, "no value"),
    ],
)
def test_rankings_that_would_be_refused(ranking: str | None, why: str) -> None:
    frame = made(form=RANKING)
    frame.loc[0, "label"] = ranking
    with pytest.raises(InputError, match=why):
        check_submission(frame, sample(), CLASSES, RANKING)
