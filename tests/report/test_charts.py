import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ripik.report import charts
from ripik.report.charts import words
from ripik.report.charts.parts import around
from ripik.report.charts.svg import Chart

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["dent", "tire flat", "lamp", "glass"]
HOSTILE = ["<script>alert(1)</script>", "a & b\nc", "$x_1$ {y}_z^2 \\alpha", "日" * 100]
NAN = math.nan


def classes(labels: list[str], seed: int = 0) -> pd.DataFrame:
    f1 = np.random.default_rng(seed).uniform(0.3, 0.9, len(labels))
    return pd.DataFrame({"label": labels, "images": range(3, 3 + len(labels)), "f1": f1, "low": f1 - 0.1, "high": f1})


def scores(names: list[str]) -> pd.DataFrame:
    value = np.linspace(0.7, 0.8, len(names))
    return pd.DataFrame({"name": names, "value": value, "low": value - 0.04, "high": value + 0.03})


def history(folds: int = 3, epochs: int = 4, seeds: int = 1) -> pd.DataFrame:
    rows = [
        {"fold": fold, "seed": seed, "epoch": epoch, "loss": (1 + fold) / epoch, "inner_loss": 1.5 / epoch}
        for fold in range(-1, folds)
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


def bins(shift: float = 0.0) -> pd.DataFrame:
    low = np.array([0.4, 0.6, 0.8])
    right = low + 0.1 - shift
    columns = {"low": low, "high": low + 0.2, "images": [10, 30, 60], "confidence": low + 0.1, "accuracy": right}
    return pd.DataFrame(columns | {"accuracy_low": right - 0.1, "accuracy_high": right + 0.1})


def by_fold(names: list[str], folds: int = 3) -> pd.DataFrame:
    return pd.DataFrame({name: 0.7 + 0.01 * index + 0.02 * np.arange(folds) for index, name in enumerate(names)})


def steps(members: int, length: int = 5) -> list[dict]:
    shares = np.random.default_rng(0).dirichlet(np.ones(members), length)
    return [{"step": 10 * i, "weights": shares[i].tolist(), "score": 0.7 + 0.01 * i} for i in range(length)]


def alike(names: list[str]) -> pd.DataFrame:
    values = 0.5 + 0.5 * np.eye(len(names))
    return pd.DataFrame(values, index=names, columns=names)


def added(names: list[str]) -> pd.DataFrame:
    n = len(names)
    frame = {"view": names, "alone": [0.7] * n, "without": [0.71] * n, "adds": np.linspace(-0.01, 0.02, n)}
    return pd.DataFrame(frame | {"low": np.linspace(-0.02, 0.01, n), "high": np.linspace(0.0, 0.03, n)})


def class_shares(names: list[str]) -> pd.DataFrame:
    share = np.linspace(0.1, 0.4, len(names))
    frame = {"label": names, "train": share, "predicted_train": share[::-1], "predicted_test": share + 0.01}
    return pd.DataFrame(frame | {"estimated_test": [NAN] * len(names)})


MAKE: dict[str, Callable[[list[str]], Chart | None]] = {
    "variant_scores": lambda names: charts.variant_scores(scores(names), "macro_f1"),
    "fold_scores": lambda names: charts.fold_scores(by_fold(names), "macro_f1"),
    "class_f1": lambda names: charts.class_f1(classes(names)),
    "class_f1_two": lambda names: charts.class_f1(classes(names), classes(names, 1), (names[0], names[1])),
    "learning_curves": lambda names: charts.learning_curves(history(), "loss", names[0]),
    "reliability": lambda names: charts.reliability({name: bins(0.05 * i) for i, name in enumerate(names)}),
    "weights": lambda names: charts.weights(dict.fromkeys(names, 1 / len(names))),
    "trajectory": lambda names: charts.trajectory(steps(len(names)), "macro_f1", names),
    "correlation": lambda names: charts.correlation(alike(names)),
    "views": lambda names: charts.views(added(names), "macro_f1", names[0]),
    "offsets": lambda names: charts.offsets(dict(zip(names, (0.1, -0.3, 0, 0.2), strict=True))),
    "fold_sizes": lambda names: charts.fold_sizes(pd.DataFrame([[5, 6, 7, 8], [1, 2, 3, 4]], columns=names)),
    "group_sizes": lambda _: charts.group_sizes(
        pd.DataFrame({"images": [1, 3], "train_groups": [9, 30], "test_groups": [4, 0]})
    ),
    "shares": lambda names: charts.shares(class_shares(names)),
    "adversarial": lambda _: charts.adversarial([0.1, 0.4, 0.5], [0.4, 0.9], 0.75),
    "times": lambda names: charts.times(
        pd.DataFrame({"step": "train", "what": names, "seconds": [0.5, 90.0, 7200.0, 3.0]})
    ),
    "trials": lambda _: charts.trials([0, 1, 5, 7], [0.5, 0.4, 0.62, 0.6], {0: 0.5, 5: 0.62}, "macro_f1"),
    "slice_of": lambda names: charts.slice_of(names[0], [1e-4, 1e-3, 1e-1], [0.5, 0.6, 0.4], "macro_f1"),
    "slice_of_choices": lambda names: charts.slice_of(names[0], names, [0.5, 0.6, 0.4, 0.6], "macro_f1"),
}


def made(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def marks(chart: Chart) -> list[tuple[float, float]]:
    return [(float(each.attrib["x"]), float(each.attrib["y"])) for each in ET.fromstring(chart.svg).iter(f"{SVG}use")]


def shown(chart: Chart) -> list[str]:
    return [each.text or "" for each in ET.fromstring(chart.svg).iter(f"{SVG}text")]


def value_at(chart: Chart, x: float) -> float:
    """Read a value off the x axis, whose numbers stand above it in the middle of their lines."""
    ticks = [
        (float(each.attrib["x"]), float((each.text or "").replace("−", "-")))
        for each in ET.fromstring(chart.svg).iter(f"{SVG}text")
        if "middle" in each.attrib["style"] and re.fullmatch(r"[−+]?[\d.]+", each.text or "")
    ]
    places, values = np.array(ticks).T
    slope, start = np.polyfit(places, values, 1)
    return float(slope * x + start)


@pytest.mark.parametrize("labels", [NAMES, HOSTILE], ids=["names", "hostile"])
@pytest.mark.parametrize("kind", MAKE)
def test_every_chart_is_sound(kind: str, labels: list[str]) -> None:
    chart, again = made(MAKE[kind](labels)), made(MAKE[kind](labels))
    ET.fromstring(chart.svg)
    assert chart == again
    assert len(chart.svg) < 60_000
    assert not re.search(r"<script|rgb|#[0-9a-f]{6}[;\"]|nan|inf\b", chart.svg.lower().replace("inf</", ""))
    assert re.search(r"\d", chart.description)
    assert chart.description.endswith(".")
    assert "\n" not in chart.description + chart.title


def test_ids_of_all_charts_differ() -> None:
    ids = re.findall(r'\bid="([^"]+)"', "".join(made(make(NAMES)).svg for make in MAKE.values()))
    assert len(ids) > 2 * len(MAKE)
    assert len(set(ids)) == len(ids)


def test_names_are_text_and_no_mathematics() -> None:
    texts = shown(made(charts.class_f1(classes(["<b>x</b>", "$x_1$", "a\nb"]))))
    assert {"<b>x</b>", "$x_1$", "a b"} <= set(texts)


def test_scores_stand_where_the_axis_says() -> None:
    frame = scores(["a", "b", "ensemble"])
    chart = made(charts.variant_scores(frame, "macro_f1"))
    read = [value_at(chart, x) for x, _ in marks(chart)]
    assert read == pytest.approx(frame["value"].tolist(), abs=5e-4)
    assert {"0.700", "0.750", "0.800"} <= set(shown(chart))
    assert "ensemble 0.800 (0.760 to 0.830)" in chart.description


def test_intervals_end_where_the_axis_says() -> None:
    frame = classes(NAMES)
    chart = made(charts.class_f1(frame))
    colour = "stroke:var(--c0)"
    lines = [e.attrib["d"] for e in ET.fromstring(chart.svg).iter(f"{SVG}path") if colour in e.attrib.get("style", "")]
    found = [[float(n) for n in re.findall(r"[\d.]+", line)] for line in lines if "C" not in line]
    ends = [(value_at(chart, line[0]), value_at(chart, line[2])) for line in found]
    assert ends == [pytest.approx(pair, abs=2e-3) for pair in zip(frame["low"], frame["high"], strict=True)]
    assert [line[1] for line in found] == sorted(line[1] for line in found)  # class order, from above


def test_bars_are_as_long_as_the_weights() -> None:
    chart = made(charts.weights({"a": 0.2, "b": 0.0, "c": 0.8}))
    paths = [e for e in ET.fromstring(chart.svg).iter(f"{SVG}path") if "fill:var(--c0)" in e.attrib["style"]]
    ends = [[float(x) for x, _ in re.findall(r"([\d.]+) ([\d.]+)", path.attrib["d"])] for path in paths]
    a, b, c = (max(xs) - min(xs) for xs in ends)
    assert b == 0
    assert c / a == pytest.approx(4, rel=0.01)
    assert {"0.20", "0.00", "0.80"} <= set(shown(chart))
    assert chart.description == "Weights of the 3 members: a 0.20, b 0.00 and c 0.80."


def test_learning_curves_tell_the_mean_of_the_folds_and_the_refit() -> None:
    chart = made(charts.learning_curves(history(folds=3, epochs=4), "loss"))
    assert {"mean 0.500", "refit 0.000", "inner mean 0.375", "inner refit 0.375"} <= set(shown(chart))
    shorter = history().query("not (fold == 2 and epoch > 2)")  # a fold that stopped early ends the mean
    assert "mean 1.000" in shown(made(charts.learning_curves(shorter, "loss")))


def test_one_epoch_is_drawn_as_marks_at_a_whole_number() -> None:
    chart = made(charts.learning_curves(history(folds=3, epochs=1), "loss"))
    assert len(marks(chart)) > 3
    assert "1" in shown(chart)
    assert {"0.96", "0.98", "1.02", "1.04"}.isdisjoint(shown(chart))


def test_train_against_test_tells_the_auc_and_the_means() -> None:
    chart = made(charts.adversarial([0.1, 0.4], [0.4, 0.9, NAN], 0.612))
    assert chart.title == "Train against test: AUC 0.612"
    assert "train 0.25 and test 0.65" in chart.description
    assert {"train, 2 images", "test, 2 images"} <= set(shown(chart))


def test_sizes_times_and_shares_are_told() -> None:
    sizes = made(MAKE["fold_sizes"](NAMES))
    assert {"26", "10", "5", "8"} <= set(shown(sizes))
    assert "fold 0 26 and fold 1 10" in sizes.description
    times = made(MAKE["times"](NAMES))
    assert times.title == "Time: 2.0 h"
    assert {"0.5 s", "1.5 min", "2.0 h", "3.0 s"} <= set(shown(times))
    assert (
        "dent: true in train 10 %, predicted in train 40 %, predicted in test 11 %"
        in made(MAKE["shares"](NAMES)).description
    )


def test_many_groups_and_times_are_drawn_together_without_loss() -> None:
    frame = pd.DataFrame({"images": range(1, 31), "train_groups": [2] * 30, "test_groups": [1] * 30})
    assert "38 in train and 19 in test of 12 or more images" in made(charts.group_sizes(frame)).description
    times = pd.DataFrame({"step": "train", "what": [f"fold {i}" for i in range(40)], "seconds": [10.0] * 40})
    chart = made(charts.times(times))
    assert {"17 shorter ones", "2.8 min"} <= set(shown(chart))
    assert chart.title == "Time: 6.7 min"


@pytest.mark.long
def test_large_runs_stay_small() -> None:
    labels = [f"a class of some kind {index}" for index in range(50)]
    large = [
        charts.class_f1(classes(labels), classes(labels, 1)),
        charts.shares(class_shares(labels)),
        charts.offsets(dict.fromkeys(labels, 0.1)),
        charts.learning_curves(history(5, 30, 4), "loss"),
        charts.fold_sizes(pd.DataFrame(np.arange(250).reshape(5, 50), columns=labels)),
        charts.correlation(alike(labels[:20])),
        charts.fold_scores(by_fold(labels[:20], 10), "macro_f1"),
    ]
    assert max(len(made(chart).svg) for chart in large) < 60_000


EMPTY = pd.DataFrame
NOTHING: dict[str, Callable[[], Chart | None]] = {
    "variant_scores": lambda: charts.variant_scores(scores([]), "macro_f1"),
    "fold_scores": lambda: charts.fold_scores(EMPTY({"a": [NAN]}), "macro_f1"),
    "class_f1": lambda: charts.class_f1(classes([])),
    "learning_curves": lambda: charts.learning_curves(history(), "accuracy"),
    "reliability": lambda: charts.reliability({"a": bins().head(0)}),
    "weights": lambda: charts.weights({"a": 1.0}),
    "trajectory": lambda: charts.trajectory(steps(3, 1), "macro_f1"),
    "trajectory of one": lambda: charts.trajectory(steps(1, 3), "macro_f1"),
    "correlation": lambda: charts.correlation(alike(["a"])),
    "views": lambda: charts.views(added(["identity"]), "macro_f1"),
    "offsets": lambda: charts.offsets({"a": 0.0, "b": 0.0}),
    "fold_sizes": lambda: charts.fold_sizes(EMPTY({"a": [0, 0]})),
    "group_sizes": lambda: charts.group_sizes(EMPTY({"images": [1], "train_groups": [0], "test_groups": [0]})),
    "shares": lambda: charts.shares(class_shares([])),
    "adversarial": lambda: charts.adversarial([], [0.5], 0.5),
    "trials": lambda: charts.trials([3], [0.5], {3: 0.5}, "macro_f1"),
    "slice_of": lambda: charts.slice_of("a", [1, 1], [0.5, 0.6], "macro_f1"),
    "times": lambda: charts.times(EMPTY({"step": ["a"], "what": ["b"], "seconds": [NAN]})),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_to_draw_is_none(kind: str) -> None:
    assert NOTHING[kind]() is None


def test_degenerate_frames_are_drawn() -> None:
    one = EMPTY({"label": ["a"], "images": [0], "f1": [0.0], "low": [NAN], "high": [NAN]})
    flat = EMPTY({"name": ["a", "b"], "value": [0.5, NAN], "low": [0.5, NAN], "high": [0.5, NAN]})
    drawn = [
        charts.class_f1(one),
        charts.class_f1(one.assign(f1=NAN)),
        charts.class_f1(classes(NAMES), classes(NAMES[:2]), ("a", "b")),
        charts.variant_scores(flat, "log_loss"),
        charts.variant_scores(flat.assign(high=math.inf), "log_loss"),
        charts.fold_scores(by_fold(["a"], 1), "macro_f1"),
        charts.fold_scores(by_fold(["a"], 3).assign(b=[0.7, NAN, NAN]), "macro_f1"),
        charts.learning_curves(history(1, 1), "loss"),
        charts.learning_curves(history().query("fold == -1"), "loss"),
        charts.reliability({"a": bins().head(1).assign(accuracy_low=NAN)}),
        charts.correlation(alike(["a", "b"]) * NAN),
        charts.views(added(["a", "b"]).assign(low=NAN, high=NAN), "macro_f1"),
        charts.shares(class_shares(["a"])),
        charts.adversarial([0.5], [0.5], 0.5),
        charts.trajectory(steps(3, 2), "log_loss"),
        charts.fold_sizes(EMPTY({"a": [1]})),
    ]
    for chart in drawn:
        assert "nan" not in made(chart).svg.lower()


def test_numbers_are_written_as_people_do() -> None:
    assert [words.number(-0.25), words.number(-0.0001, 2), words.number(NAN), words.number(0.7, 3)] == [
        "−0.25",
        "0.00",
        "–",
        "0.700",
    ]
    assert [words.number(None), words.ends(None, 0.5), words.signed(None), words.change(0.1, None)] == ["–"] * 4
    assert [words.percent(each) for each in (0.5, 0.024, 0.0, 1.0)] == ["50 %", "2.4 %", "0 %", "100 %"]
    record = [words.duration(each) for each in (0, 0.44, 12.3, 59.99, 90, 3599.9, 7800)]
    assert record == ["0 s", "0.4 s", "12 s", "1.0 min", "1.5 min", "1.0 h", "2.2 h"]
    assert words.spoken("macro_f1") == "macro F1"
    assert words.listed(["a", "b", "c"]) == "a, b and c"


def test_axes_have_room_around_their_values() -> None:
    low, high = around([0.3, NAN, 0.4])
    assert 0.25 < low < 0.3 < 0.4 < high < 0.45
    assert around([0.5]) == pytest.approx((0.49, 0.51))
    assert around([NAN]) == pytest.approx((-0.06, 1.06))


@pytest.mark.parametrize(("metric", "best"), [("macro_f1", "2"), ("log_loss", "3")])
def test_the_best_value_of_a_search_is_by_its_metric(metric: str, best: str) -> None:
    chart = made(charts.slice_of("key", [1, 2, 3], [0.5, 0.6, 0.4], metric))
    assert f"; the best at {best}." in chart.description
