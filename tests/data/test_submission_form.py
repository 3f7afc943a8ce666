"""What a sample submission asks for: every metric against every kind of submission and every form of sample."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from ripik.data.sample_columns import id_column_of, left_over
from ripik.data.submission_form import Form, form_of
from ripik.errors import InputError
from ripik.settings import CompetitionSettings, Label

OF_LABELS = ("macro_f1", "accuracy", "balanced_accuracy", "cohen_kappa", "quadratic_kappa")
OF_PROBABILITIES = ("log_loss", "auc")
ASKED = ("auto", "labels", "probability", "probabilities")
LABELS, ONE, EACH = "labels", "probability", "probabilities"
METRIC = "as the metric scores"  # labels, or the probability of one class
REFUSED = "refused"
TWO: tuple[Label, ...] = (0, 1)
THREE: tuple[Label, ...] = (0, 1, 2)
SAMPLES = {  # by their values: columns beside the ids, and what the setting auto makes of them with two classes
    "halves": ({"label": ["0.5", "0.5", "0.5"]}, ONE),
    "odds": ({"label": ["0.1", "0", "1"]}, ONE),
    "zeros": ({"label": ["0", "0", "0"]}, METRIC),
    "zeros and ones": ({"label": ["0", "1", "0"]}, METRIC),
    "zeros as floats": ({"label": ["0.0", "0.0", "1.0"]}, METRIC),
    "empty": ({"label": ["", "", ""]}, METRIC),
    "some empty": ({"label": ["", "0.5", ""]}, ONE),
    "placeholders": ({"label": ["-1", "-1", "-1"]}, METRIC),
    "words": ({"label": ["?", "?", "?"]}, REFUSED),
    "per cent": ({"label": ["37.5", "50", "0"]}, REFUSED),
}


def settings(metric: str = "macro_f1", submission: str = "auto", **more: Any) -> CompetitionSettings:
    return CompetitionSettings.model_validate(
        {"id_column": "id", "metric": metric, "submission": submission, "filename_column": "", **more}
    )


def form(columns: dict[str, Sequence[str]], classes: Sequence[Label], how: CompetitionSettings) -> Form:
    return form_of(pd.DataFrame({"id": ["a", "b", "c"], **columns}), how, classes, "sample.csv")


def refusal(columns: dict[str, Sequence[str]], classes: Sequence[Label], how: CompetitionSettings) -> str:
    with pytest.raises(InputError) as caught:
        form(columns, classes, how)
    return str(caught.value)


@pytest.mark.parametrize("metric", [*OF_LABELS, *OF_PROBABILITIES])
@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("asked", ASKED)
def test_one_column_of_two_classes(metric: str, values: str, asked: str) -> None:
    columns, wanted = SAMPLES[values]
    scores_labels, how = metric in OF_LABELS, settings(metric, asked)
    if asked == "auto":
        kind = (LABELS if scores_labels else ONE) if wanted == METRIC else wanted
    else:
        kind = REFUSED if asked == EACH or (asked == LABELS and not scores_labels) else asked
    if kind == REFUSED:
        assert "sample.csv" in refusal(columns, TWO, how)
        return
    found = form(columns, TWO, how)
    assert (found.kind, found.id_column, found.columns) == (kind, "id", ("label",))
    assert found.positive == (1 if kind == ONE else None)
    told = ("probability of class 1 in the column label" in found.note) if kind == ONE else not found.positive
    assert told
    if asked == "auto" and wanted == METRIC:
        assert f"could be either; {metric} scores {'labels' if scores_labels else 'probabilities'}" in found.note
    if asked == "auto" and wanted == ONE and scores_labels:
        assert f"are not classes, but {metric} scores labels" in found.note


@pytest.mark.parametrize("metric", [*OF_LABELS, *OF_PROBABILITIES])
@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("asked", ASKED)
def test_one_column_of_three_classes_can_be_labels_alone(metric: str, values: str, asked: str) -> None:
    columns, wanted = SAMPLES[values]
    how = settings(metric, asked)
    if metric in OF_PROBABILITIES or asked in (ONE, EACH) or (asked == "auto" and wanted in (ONE, REFUSED)):
        assert "sample.csv" in refusal(columns, THREE, how)
        return
    found = form(columns, THREE, how)
    assert (found.kind, found.columns, found.positive) == (LABELS, ("label",), None)
    plain = asked == LABELS or values in ("zeros", "zeros and ones")
    assert found.note == "" if plain else "are not classes" in found.note


@pytest.mark.parametrize("metric", [*OF_LABELS, *OF_PROBABILITIES])
@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("value", ["0", "0.5", ""])
def test_one_column_a_class(metric: str, classes: Sequence[Label], asked: str, value: str) -> None:
    names = [str(label) for label in reversed(classes)]
    columns, how = dict.fromkeys(names, [value] * 3), settings(metric, asked)
    if asked in (LABELS, ONE):
        assert "sample.csv" in refusal(columns, classes, how)
        return
    found = form(columns, classes, how)
    assert (found.kind, found.columns, found.positive) == (EACH, tuple(names), None)
    assert bool(found.note) == (asked == "auto" and metric in OF_LABELS)


@pytest.mark.parametrize(("asked", "metric"), list(itertools.product(ASKED, ["macro_f1", "auc"])))
def test_other_columns_are_refused_whatever_is_asked_for(asked: str, metric: str) -> None:
    for names in (["label", "more"], ["0", "2"], ["0", "1", "more"]):
        message = refusal(dict.fromkeys(names, ["0"] * 3), TWO, settings(metric, asked))
        assert "sample.csv" in message
        assert "et competition." in message
    assert "sample.csv" in refusal({}, TWO, settings(metric, asked))


@pytest.mark.parametrize("metric", ["macro_f1", "log_loss"])
def test_columns_that_are_not_the_classes_are_shown_beside_them(metric: str) -> None:
    message = refusal(dict.fromkeys(["healthy", "rust"], ["0.5"] * 3), THREE, settings(metric))
    assert "has the columns id, healthy, rust; a submission of one probability per class has id, 0, 1, 2" in message


@pytest.mark.parametrize("classes", [(0, 1), (1, 2), ("cat", "dog"), ("0", "1")])
def test_text_and_other_numbers_are_classes_too(classes: tuple[Label, Label]) -> None:
    names = [str(label) for label in classes]
    both = {"label": [names[0], names[1], names[0]]}
    assert form(both, classes, settings()).kind == LABELS
    halves = form({"target": ["0.5"] * 3}, classes, settings("auc"))
    assert (halves.kind, halves.columns, halves.positive) == (ONE, ("target",), classes[1])
    if classes in ((1, 2), ("cat", "dog")):  # which 0 … 1 is not
        assert form(both, classes, settings()).note == ""
        assert "auc of 2 classes scores a probability" in refusal(both, classes, settings("auc"))
        assert form(both, classes, settings("auc", ONE)).kind == ONE


def test_the_column_of_one_probability_has_the_samples_own_name() -> None:
    found = form({"target": ["0"] * 3}, TWO, settings("log_loss"))
    assert found.columns == ("target",)
    assert "the probability of class 1 in the column target: " in found.note


@pytest.mark.parametrize("values", [["0", "1", "2"], ["0", "0", "0"], ["", "", ""]])
def test_a_single_column_of_another_name_takes_the_labels_where_its_values_may_be_some(values: list[str]) -> None:
    found = form({"target": values}, THREE, settings())
    assert (found.kind, found.columns) == (LABELS, ("target",))
    assert found.note.startswith("labels in target: ")
    assert found.note.endswith("its only column besides the ids")
    assert found.as_settings() == {"submission": LABELS, "sample_label_column": "target"}
    again = form({"target": ["?"] * 3}, THREE, settings().model_copy(update=found.as_settings()))
    assert (again.kind, again.columns, again.note) == (LABELS, ("target",), "")


@pytest.mark.parametrize("values", [["a.jpg", "b.jpg", "c.jpg"], ["0.2", "0.3", "0.4"]])
def test_a_single_column_of_another_name_and_other_values_is_refused(values: list[str]) -> None:
    message = refusal({"target": values}, THREE, settings())
    assert "no column label; it has id, target" in message
    assert "sample_label_column" in message
    assert form({"target": values}, THREE, settings(submission=LABELS)).columns == ("target",)
    named = settings(sample_label_column="target")
    assert "neither classes" in refusal({"target": values}, THREE, named)  # as of a column called label


def test_a_label_column_that_is_named_must_be_there() -> None:
    for columns in ({"label": ["0"] * 3}, {"0": ["0"] * 3, "1": ["1"] * 3}):
        assert "no column target" in refusal(columns, TWO, settings(sample_label_column="target"))


def test_the_sample_s_own_names_are_recorded_only_where_they_differ() -> None:
    assert form({"label": ["0", "1", "2"]}, THREE, settings()).as_settings() == {"submission": LABELS}
    one = form({"target": ["0.5"] * 3}, TWO, settings("auc"))
    assert one.as_settings() == {"submission": ONE, "positive_class": 1}


def test_the_column_with_the_ids_of_the_test_set_holds_the_ids() -> None:
    sample = pd.DataFrame({"ID": ["a", "b"], "Target": ["0", "1"]})
    ids = pd.Series(["b", "a"])
    assert id_column_of(sample, settings(), ids, "sample.csv") == "ID"
    assert id_column_of(sample.rename(columns={"Target": "id"}), settings(), ids, "sample.csv") == "id"
    assert id_column_of(sample, settings(sample_id_column="Target"), ids, "sample.csv") == "Target"
    for odd, how in (
        (sample, settings(sample_id_column="Id")),
        (sample.assign(again=sample["ID"]), settings()),
        (sample[["Target"]], settings()),
    ):
        with pytest.raises(InputError, match=r"sample\.csv has no column [iI]d; it has .*sample_id_column"):
            id_column_of(odd, how, ids, "sample.csv")
    found = form_of(sample, settings(), (0, 1), "sample.csv", "ID")
    assert (found.id_column, found.columns) == ("ID", ("Target",))
    assert "the ids in ID, which holds those of the test set" in found.note
    assert found.as_settings() == {"submission": LABELS, "sample_id_column": "ID", "sample_label_column": "Target"}


def test_columns_that_a_program_left_in_the_sample_are_left_out_and_told() -> None:
    ids = ["1", "0", "2"]
    sample = pd.DataFrame(
        {"Unnamed: 0": ["0", "1", "2"], "id": ids, "label": ["", "", ""], "Unnamed: 3": ["", " ", ""]}
    )
    assert left_over(sample, settings(), "id") == ["Unnamed: 0", "Unnamed: 3"]
    assert left_over(sample.rename(columns={"Unnamed: 0": "number"}), settings(), "id") == ["Unnamed: 3"]
    assert left_over(sample, settings(), "Unnamed: 0") == ["Unnamed: 3"]
    for cells in (["0", "0", "1"], ["a", "b", "c"], ["", "", ""]):
        assert left_over(sample.assign(**{"Unnamed: 0": cells}), settings(), "id") == ["Unnamed: 3"]
    assert left_over(sample.assign(**{"Unnamed: 3": ["", "x", ""]}), settings(), "id") == ["Unnamed: 0"]
    assert id_column_of(sample, settings(id_column="ID"), pd.Series(ids), "sample.csv") == "id"
    with pytest.raises(InputError, match="no column id; it has Unnamed: 0, label"):
        id_column_of(sample[["Unnamed: 0", "label"]], settings(), pd.Series(ids), "sample.csv")
    found = form_of(sample[["id", "label"]], settings(), THREE, "sample.csv", "id", ["Unnamed: 0"])
    assert "ignored Unnamed: 0, which a program added" in found.note


def test_of_hundreds_of_columns_a_few_are_told() -> None:
    names = tuple(f"c{number}" for number in range(785))
    message = refusal(dict.fromkeys(["x", *names[1:]], ["0"] * 3), names, settings("log_loss"))
    assert "missing: c0; too many: x" in message
    assert len(message) < 500
    assert len(refusal({"label": ["0"] * 3}, names, settings("auc", positive_class="?"))) < 1500


@pytest.mark.parametrize(
    ("classes", "column", "named", "positive"),
    [
        ((1, 0), "label", "", 1),  # the greater, in whatever order the classes are listed
        ((0, 1), "label", 0, 0),
        (("0", "1"), "label", 0, "0"),
        (("cat", "dog"), "label", "", "dog"),
        (("cat", "dog"), "label", "cat", "cat"),
        (("cat", "dog"), "cat", "", "cat"),
        (("cat", "dog"), "cat", "dog", "dog"),
    ],
)
def test_whose_probability_it_is(classes: Sequence[Label], column: str, named: Label, positive: Label) -> None:
    found = form({column: ["0.5"] * 3}, classes, settings("auc", positive_class=named))
    assert found.positive == positive
    assert type(found.positive) is type(positive)


@pytest.mark.parametrize("asked", ["auto", ONE])
def test_a_positive_class_that_is_none_is_refused(asked: str) -> None:
    message = refusal({"label": ["0.5"] * 3}, ("cat", "dog"), settings("auc", asked, positive_class="dgo"))
    assert "competition.positive_class = 'dgo' is not one of the classes" in message
    assert "did you mean dog?" in message


def test_a_positive_class_without_effect_is_told() -> None:
    found = form({"label": ["0", "1", "2"]}, THREE, settings(positive_class=1))
    assert found.note == "labels in label: competition.positive_class has no effect"


@pytest.mark.parametrize("metric", OF_PROBABILITIES)
def test_a_contradiction_says_what_to_do(metric: str) -> None:
    of_three = refusal({"label": ["0.5"] * 3}, THREE, settings(metric))
    assert f"{metric} of 3 classes scores one probability per class" in of_three
    assert "one column per class" in of_three
    of_two = refusal({"label": ["0"] * 3}, TWO, settings(metric, LABELS))
    assert f"{metric} of 2 classes scores a probability" in of_two
    assert '"probability"' in of_two


def test_as_settings_it_is_the_same_for_any_values() -> None:
    for classes, metric in ((TWO, "macro_f1"), (("cat", "dog"), "auc")):
        found = form({"label": ["0.5"] * 3}, classes, settings(metric))
        again = form({"label": ["?"] * 3}, classes, settings(metric).model_copy(update=found.as_settings()))
        assert (again.kind, again.positive) == (found.kind, found.positive)


def test_a_metric_of_a_ranking_asks_for_one() -> None:
    found = form({"whale": ["a b c", "a b c", "a b c"]}, ("a", "b", "c", "d"), settings("map@3", label_type="string"))
    assert (found.kind, found.columns, found.depth) == ("ranking", ("whale",), 3)
    assert found.note.startswith("labels separated by spaces, the most probable first in whale")
    assert found.as_settings() == {"submission": "ranking", "sample_label_column": "whale"}
    assert form({"label": ["", "", ""]}, (0, 1), settings("map@5")).depth == 2
    each = form({"0": ["1", "0", "0"], "1": ["0", "1", "1"]}, (0, 1), settings("map@3"))
    assert each.kind == "probabilities"


@pytest.mark.parametrize(
    ("classes", "metric", "asked", "why"),
    [
        ((0, 1, 2), "macro_f1", "ranking", r"macro_f1 scores no ranking\. Set competition\.metric to map@3"),
        ((0, 1, 2), "map@3", "labels", r'map@3 scores several\. Set competition\.submission = "ranking"'),
        (("door dent", "rust"), "auto", "ranking", "no label may contain a space: door dent"),
    ],
)
def test_rankings_that_contradict_are_refused(classes: tuple[Label, ...], metric: str, asked: str, why: str) -> None:
    how = settings("map@3" if metric == "auto" else metric, asked)
    with pytest.raises(InputError, match=why):
        form({"label": ["x", "y", "z"]}, classes, how)
