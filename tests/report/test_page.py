"""The step `report` on the tiny competition: a whole, self-contained page, with the numbers of `ripik.analysis`."""

import os
import re
import shutil
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from conftest import FAST, MEMBERS, Tiny, copy_of
from html_page import Page
from made_up_report import made_up_run
from ripik import analysis
from ripik.analysis import Predictions
from ripik.config import load_settings
from ripik.report import page as step
from ripik.report.blocks import Matrix, Table, Text, Tile, View
from ripik.report.charts.words import spoken
from ripik.report.evidence import gather
from ripik.report.page import report
from ripik.report.sections import results
from ripik.storage import artifacts

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SECTIONS = ["summary", "variants", "classes", "confusion", "learning", "calibration", "blend", "views"]
SECTIONS += ["folds", "test", "adversarial", "augmentation", "photos", "times", "configuration"]
MANY = 32  # classes
SCRIPT, AND, IMAGE = "<script>alert(1)</script>", 'a&b "c"', "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture(scope="module")
def page(reported: Tiny) -> Page:
    return Page(reported.run / "report" / "index.html")


@pytest.fixture(scope="module")
def found(reported: Tiny) -> dict[str, Predictions]:
    return analysis.load_run(reported.run)


@pytest.fixture
def again(reported: Tiny, tmp_path: Path) -> Tiny:
    """Return a copy of the competition with its report, to be changed."""
    return copy_of(reported, tmp_path / "again")


def made(tiny: Tiny, *overrides: str) -> Page:
    with mock.patch("ripik.ensemble.expectation.FEWEST", 2):  # photos from which train is told from test
        return Page(report(tiny.settings(*FAST, *overrides)))


def anchors(page: Page) -> list[str]:
    return [section.get("aria-labelledby") for section in page.all("section") if section.get("aria-labelledby")]


def check_whole(page: Page) -> None:
    """Check what holds for every page, whatever the run has."""
    assert page.faults == []
    ids = [node.get("id") for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    assert {link.get("href") for link in page.all("a")} <= {f"#{name}" for name in ids}
    for node in page.all():
        assert set(node.get("aria-labelledby").split()) <= set(ids)
    assert {link.get("href")[1:] for nav in page.all("nav") for link in nav.all("a")} == set(anchors(page))
    assert all(image.get("alt").strip() and image.get("src").startswith("data:image/") for image in page.all("img"))
    for chart in page.all("svg"):
        titles, texts = chart.all("title"), chart.all("desc")
        assert titles
        assert texts
        assert titles[0].text
        assert texts[0].text
    charted = [section for section in page.all("section") if section.all("svg")]
    assert [section.get("aria-labelledby") for section in charted if not section.all("table")] == []
    assert page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0].get("content") == POLICY
    tags = {node.tag for node in page.all()}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    assert not any(name.startswith("on") for node in page.all() for name in node.attributes)
    without_names = re.sub(r'xmlns="http://www\.w3\.org/\S+"', "", page.source)
    assert not re.search(r"https?://|@import|url\((?!#)", without_names)


def value(text: str) -> float:
    """Return the number that a cell shows; NaN for a dash."""
    return float("nan") if text == "–" else float(text.replace("−", "-").removesuffix(" %"))


def same(text: str, number: float, digits: int) -> None:
    """Check that a cell shows a number, rounded to its digits."""
    assert value(text) == pytest.approx(number, abs=0.5000001 * 10.0**-digits, nan_ok=True)
    if text != "–":
        assert len(text.removesuffix(" %").partition(".")[2]) == digits


def same_ends(text: str, low: float, high: float, between: str = "–") -> None:
    if np.isnan(low):
        assert text == "–"
        return
    first, last = text.split(between)
    same(first, low, 3)
    same(last, high, 3)


# A whole page.


def test_a_finished_run_is_shown_in_one_whole_page(page: Page, reported: Tiny) -> None:
    check_whole(page)
    assert anchors(page) == SECTIONS
    path = reported.run / "report" / "index.html"
    assert path.stat().st_size < 15e6
    assert [node.text for node in page.all("h1")] == ["Report of tiny"]
    assert "27 training and 6 test images, 3 classes" in page.root.text
    assert "or were made with other settings" not in page.root.text
    assert sorted(path.parent.glob("*.html")) == [path]
    assert artifacts.read_meta(path.parent / "index.meta.json")


def test_headings_stand_in_order(page: Page) -> None:
    levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_links_and_regions_have_names(page: Page) -> None:
    regions = [node for node in page.all() if node.get("role") == "region" or node.tag in ("section", "nav")]
    assert regions
    for node in regions:
        assert node.get("aria-label").strip() or node.get("aria-labelledby"), node
    assert all(link.text or link.get("aria-label") for link in page.all("a"))
    assert page.all("html")[0].get("lang") == "en"


@pytest.mark.long
def test_a_second_report_of_the_same_run_differs_in_its_times_alone(reported: Tiny, again: Tiny) -> None:
    def steady(page: Page) -> str:
        text = re.sub(r"Made \d{4}-\d\d-\d\d \d\d:\d\d", "", page.source)
        whole = re.search(r'<section aria-labelledby="times">.*?</section>', text, re.DOTALL)
        assert whole
        return text.replace(whole.group(), "").replace(str(again.folder), str(reported.folder))

    assert steady(made(again)) == steady(Page(reported.run / "report" / "index.html"))


# Every number equals that of `ripik.analysis`.


def test_the_summary_tells_the_blends_score(page: Page, found: dict[str, Predictions], reported: Tiny) -> None:
    rows = {name: cells["ensemble"] for name, cells in page.table("ensemble", "summary").items()}
    blend, record = found["ensemble"], analysis.read_blend(reported.run)
    scores = analysis.scores(blend).set_index("score")
    same(rows["CV macro F1"], scores.loc["macro_f1", "value"], 4)
    same_ends(rows["95 % interval"], scores.loc["macro_f1", "low"], scores.loc["macro_f1", "high"])
    same(rows["accuracy"], scores.loc["accuracy", "value"], 4)
    assert rows["images, groups of near copies"] == f"{len(blend.frame)}, {blend.frame['group'].nunique()}"
    same(rows["in-sample (optimistic)"], record["scores"]["in_sample"], 4)
    others = record["scores"]["cross_fitted_by_partition"]
    low, high = rows[f"CV by {len(others)} other partitions"].split(" to ")
    same(low, min(others), 4)
    same(high, max(others), 4)
    agreed = rows["blend's options, chosen again without each fold"]
    assert agreed.startswith("the same in ")
    assert f" {len(record['recipes_without_part'])} " in agreed
    expected = record["test"]["expected_score"]
    same_ends(rows["expected test score (95 % interval)"], expected["low"], expected["high"])
    (submission,) = (reported.folder / "submissions").glob("tiny-*[0-9].csv")
    assert rows["submission"] == submission.name


@pytest.mark.parametrize("name", [*MEMBERS, "ensemble"])
def test_scores_of_variants_and_blend(page: Page, found: dict[str, Predictions], name: str) -> None:
    row, scores = page.table("OOF macro F1")[name], analysis.scores(found[name]).set_index("score")
    same(row["OOF macro F1"], scores.loc["macro_f1", "value"], 4)
    same_ends(row["95 %"], scores.loc["macro_f1", "low"], scores.loc["macro_f1", "high"])
    same(row["mean of folds"], analysis.fold_scores(found[name])["macro_f1"].mean(), 4)
    same(row["accuracy"], scores.loc["accuracy", "value"], 4)
    same(row["log loss"], scores.loc["log_loss", "value"], 4)
    ece = page.table("calibration error (ECE)")[name]
    same(ece["calibration error (ECE)"], analysis.calibration_error(found[name]), 4)
    same(ece["log loss"], scores.loc["log_loss", "value"], 4)


def test_gains_of_the_blend(page: Page, found: dict[str, Predictions]) -> None:
    rows = page.table("gain")
    wanted = analysis.gains({name: found[name] for name in MEMBERS}, found["ensemble"]).set_index("name")
    assert list(rows) == MEMBERS
    for name, row in rows.items():
        same(row["gain"], wanted.loc[name, "value"], 4)
        same_ends(row["95 %"], wanted.loc[name, "low"], wanted.loc[name, "high"], " to ")
        assert row["the blend is"] == wanted.loc[name, "verdict"]


def test_scores_of_classes(page: Page, found: dict[str, Predictions]) -> None:
    rows, wanted = page.table("precision"), analysis.class_scores(found["ensemble"]).set_index("label")
    assert list(rows) == wanted.index.tolist()
    for label, row in rows.items():
        of = wanted.loc[label]
        assert (row["images"], row["groups"]) == (str(int(of["images"])), str(int(of["groups"])))
        for column, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
            same(row[column], of[name], 3)
        same_ends(row["95 %"], of["low"], of["high"])


def test_every_cell_of_the_confusion_matrix(page: Page, found: dict[str, Predictions]) -> None:
    counts = analysis.confusion(found["ensemble"]).to_numpy()
    shown = [[0 if cell.text == "·" else int(cell.text) for cell in row] for row in page.matrix()]
    assert shown == counts.tolist()
    for label, row in enumerate(page.matrix()):
        for predicted, cell in enumerate(row):
            part = float(cell.get("style").removeprefix("--share: "))
            assert part == pytest.approx(counts[label, predicted] / counts[label].sum(), abs=0.0006)
    right = re.search(r"([\d.]+) % are correct", page.section("confusion").text)
    assert right
    same(right.group(1), 100 * np.trace(counts) / counts.sum(), 1)


def test_a_cell_leads_to_its_photos_one_of_each_group(page: Page, found: dict[str, Predictions]) -> None:
    frame, classes = found["ensemble"].frame, found["ensemble"].classes
    links = {link.get("href")[1:]: link for row in page.matrix() for cell in row for link in cell.all("a")}
    cells = page.all("section", class_="cell")
    assert [cell.get("id") for cell in cells] == list(links)
    for cell in cells:
        label, predicted = (classes[int(part)] for part in cell.get("id").split("-")[1:])
        rows = frame[(frame["label"] == label) & (frame["predicted"] == predicted)]
        assert links[cell.get("id")].text == str(len(rows))
        record = {
            caption.text.split("p ")[0].strip(): caption.text.split("p ")[1] for caption in cell.all("figcaption")
        }
        assert set(record) <= set(rows["image_id"])
        kept = rows.set_index("image_id").loc[list(record)]
        assert kept["group"].is_unique
        assert set(kept["group"]) == set(rows["group"])
        for image_id, p in record.items():
            same(p, kept.loc[image_id, "confidence"], 2)
        order = kept["confidence"].tolist()
        assert order == sorted(order, reverse=label != predicted)


def test_hits_of_the_members(page: Page, found: dict[str, Predictions]) -> None:
    rows = page.table("only this one correct")
    wanted = analysis.hits({name: found[name] for name in MEMBERS}).set_index("member")
    assert list(rows) == MEMBERS
    for name, row in rows.items():
        assert [int(cell) for cell in row.values()] == wanted.loc[name, ["right", "only_right", "only_wrong"]].tolist()


def test_what_each_view_adds(page: Page, reported: Tiny) -> None:
    tables = [table for table in page.tables("views") if "adds" in table[0]]
    rows = [dict(zip(columns, row, strict=True)) for columns, lines in tables for row in lines]
    wanted = [of for name in MEMBERS for of in analysis.views(reported.run, name).to_dict("records")]
    assert len(rows) == len(wanted) == 8
    for row, of in zip(rows, wanted, strict=True):
        assert row["view"] == of["view"]
        same(row["alone, macro F1"], of["alone"], 4)
        same(row["all others"], of["without"], 4)
        same(row["adds"], of["adds"], 4)
        same_ends(row["95 %"], of["low"], of["high"], " to ")


def test_folds_and_their_labels(page: Page, reported: Tiny) -> None:
    rows, wanted = page.table("all", "folds"), analysis.fold_classes(reported.run)
    assert list(rows) == [f"fold {fold}" for fold in wanted.index]
    for fold, row in zip(wanted.index, rows.values(), strict=True):
        assert [int(cell) for cell in row.values()] == [wanted.loc[fold].sum(), *wanted.loc[fold]]


def test_class_shares_of_train_and_test(page: Page, reported: Tiny) -> None:
    rows = page.table("predicted on test")
    for of in analysis.shares(reported.run).to_dict("records"):
        cells = list(rows[of["label"]].values())
        wanted = [of[name] for name in ("train", "predicted_train", "predicted_test", "estimated_test")]
        for cell, number in zip(cells[:4], wanted, strict=True):
            same(cell, 100 * number, 1)
        for cell, name in zip(cells[4].split(" to "), ("estimated_low", "estimated_high"), strict=True):
            same(cell, 100 * of[name], 1)


def test_what_the_blend_looked_at(page: Page, reported: Tiny) -> None:
    rows, record = page.table("gain ± its error"), analysis.read_blend(reported.run)
    assert list(rows) == [f"{option['stage']}: {option['name']}" for option in record["options"]]
    for row, option in zip(rows.values(), record["options"], strict=True):
        same(row["cross-fitted macro F1"], option["score"], 4)
        assert ("chosen" in row.values()) == option["chosen"]


def test_numbers_of_the_charts_stand_in_tables(page: Page, found: dict[str, Predictions], reported: Tiny) -> None:
    record, alike = analysis.read_blend(reported.run), analysis.correlation({name: found[name] for name in MEMBERS})
    folds = {name: analysis.fold_scores(of)["macro_f1"].tolist() for name, of in found.items()}
    bins, sizes = analysis.calibration(found["ensemble"]), analysis.group_sizes(reported.run)
    tables = {
        ("fold 0", "variants"): [folds[name] for name in found],
        (MEMBERS[0], "blend"): alike.to_numpy().tolist(),
        ("train groups", "folds"): sizes[["train_groups", "test_groups"]].to_numpy().tolist(),
    }
    for (column, where), wanted in tables.items():
        rows = page.table(column, where).values()
        assert [[value(cell) for cell in row.values()] for row in rows] == [
            pytest.approx(row, abs=0.006) for row in wanted
        ]
    for row, of in zip(page.table("mean confidence").values(), bins.to_dict("records"), strict=True):
        same(row["accuracy"], 100 * of["accuracy"], 1)
        same_ends(row["95 %"], of["accuracy_low"], of["accuracy_high"])
    column = "weight" if len(record["trajectory"]) < 2 else f"step {record['trajectory'][-1]['step']}"
    rows = page.table(column, "blend")
    for name, weight in record["weights"].items():
        same(rows[name][column], weight, 4)


def test_the_last_epoch_of_each_variant(page: Page, reported: Tiny) -> None:
    rows = page.table("loss", "learning")
    for (name, row), member in zip(rows.items(), MEMBERS, strict=True):
        history = analysis.history(reported.run, member).query("fold >= 0")
        last = history[history["epoch"] == history.groupby(["fold", "seed"])["epoch"].transform("max")]
        assert name == f"{member}, epoch {last['epoch'].mean():.0f}"
        same(row["loss"], last["loss"].mean(), 3)


def test_likeness_of_train_and_test(page: Page, reported: Tiny) -> None:
    auc = artifacts.read_json(reported.run / "analysis" / "adversarial.meta.json")["auc"]
    shown = re.search(r"AUC of ([\d.]+) \(95 % ([\d.]+) to ([\d.]+)", page.section("adversarial").text)
    assert shown
    for text, name in zip(shown.groups(), ("value", "low", "high"), strict=True):
        same(text, auc[name], 3)


@pytest.mark.long
def test_of_too_few_photos_train_is_not_told_from_test(again: Tiny) -> None:
    page = Page(report(again.settings(*FAST)))
    assert anchors(page) == [name for name in SECTIONS if name != "adversarial"]


def test_the_configuration_and_versions_are_the_runs(page: Page, reported: Tiny) -> None:
    (listing,) = page.section("configuration").all("pre")
    kept = tomllib.loads((reported.run / "config.toml").read_text(encoding="utf-8"))
    shown = tomllib.loads("".join(part for part in listing.content if isinstance(part, str)))
    assert shown.pop("paths")["output"] == str(reported.run.parent)
    kept.pop("paths")
    assert shown == kept
    versions = page.table("version")
    for package, version in artifacts.read_json(reported.run / "original" / "meta.json")["versions"].items():
        assert versions[package]["version"] == version


def test_the_sentence_on_what_is_next_names_a_mistake_there_is(page: Page, found: dict[str, Predictions]) -> None:
    (sentence,) = [text for node in page.section("summary").all("p") if (text := node.text).startswith("Next: ")]
    record = re.search(r"label (\S+) predicted as (\S+) \((\d+) of (\d+) images", sentence)
    assert record
    counts = analysis.confusion(found["ensemble"])
    label, predicted, count, of_label = record.groups()
    assert (counts.loc[label, predicted], counts.loc[label].sum()) == (int(count), int(of_label))


def test_galleries_show_the_first_of_each_group_with_heat_maps(page: Page, found: dict[str, Predictions]) -> None:
    galleries = page.section("photos").all("div", class_="pictures")
    wrong, unsure = analysis.errors(found["ensemble"]), analysis.uncertain(found["ensemble"])
    assert galleries
    for gallery, rows, pictures in zip(galleries, (wrong, unsure), (3, 2), strict=False):
        wanted = rows.drop_duplicates("group").head(24)
        tiles = gallery.all("figure")
        assert len(tiles) == len(wanted)
        for tile, row in zip(tiles, wanted.to_dict("records"), strict=True):
            caption = tile.all("figcaption")[0].text
            assert row["image_id"] in caption
            assert f"label {row['label']}, predicted {row['predicted']}" in caption
            assert len(tile.all("img")) == pictures  # the photo, and a heat map for each class told
            assert tile.get("tabindex") == "0"


# What a run lacks is left out, not broken.


def with_one_variant(tiny: Tiny) -> None:
    shutil.rmtree(tiny.run / "ensemble")
    for name in MEMBERS[1:]:
        (tiny.run / name / "oof.csv").unlink()


def without(*patterns: str) -> Callable[[Tiny], None]:
    def remove(tiny: Tiny) -> None:
        for pattern in patterns:
            paths = list(tiny.run.glob(pattern))
            assert paths
            for path in paths:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def with_views_of_another_prediction(tiny: Tiny) -> None:
    path = tiny.run / "original" / "fold0" / "predictions.npz"
    with np.load(path) as kept:
        arrays = dict(kept)
    path.unlink()
    np.savez(path, **(arrays | {"oof": np.roll(arrays["oof"], 1, axis=-1)}))


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        (with_one_variant, ["blend"]),
        (
            without("*/fold*/*.weights.h5", "features", "analysis/adversarial*", "config.toml", "images.csv"),
            ["adversarial"],
        ),
        (without("*/test.csv"), ["test"]),
        # the blend is made of the jobs' files
        pytest.param(without("original/test.csv", "finetuned/oof.csv"), [], marks=pytest.mark.long),
        pytest.param(without("*/fold*/history.csv"), ["learning"], marks=pytest.mark.long),
        pytest.param(without("original/fold0/history.csv", "*/fold*/predictions.npz"), [], marks=pytest.mark.long),
        pytest.param(without("*/meta.json"), [], marks=pytest.mark.long),
        pytest.param(with_views_of_another_prediction, [], marks=pytest.mark.long),
    ],
    ids=["one variant", "models", "test", "members' CSVs", "curves", "a curve and views", "meta", "stale views"],
)
def test_what_is_missing_is_left_out(
    again: Tiny, change: Callable[[Tiny], None], lacking: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "heat_maps", lambda run, name, requests: {})  # they take seconds
    change(again)
    page = made(again)
    check_whole(page)
    assert set(anchors(page)).isdisjoint(lacking)
    assert set(anchors(page)) >= {"summary", "variants", "classes", "confusion", "photos", "calibration", "folds"}
    assert page.table("OOF macro F1")["original"]
    assert "Grad-CAM" not in page.root.text


@pytest.mark.long
def test_without_a_blend_the_best_variant_is_shown(again: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "heat_maps", lambda run, name, requests: {})
    shutil.rmtree(again.run / "ensemble")
    page, members = made(again), analysis.load_run(again.run)
    best = max(members, key=lambda name: analysis.scores(members[name])["value"][0])
    rows = page.table(best, "summary")
    assert "CV macro F1" not in rows
    same(rows["best OOF macro F1"][best], analysis.scores(members[best])["value"][0], 4)
    assert "there is no blend" in rows["variant"][best]
    assert "submission" not in rows
    assert list(page.table("OOF macro F1")) == MEMBERS
    assert "Weights in the blend" not in page.root.text
    shown = [[0 if cell.text == "·" else int(cell.text) for cell in row] for row in page.matrix()]
    assert shown == analysis.confusion(members[best]).to_numpy().tolist()


def test_a_stale_blend_is_not_shown(again: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "heat_maps", lambda run, name, requests: {})
    page = made(again, "blend.seed=5")
    check_whole(page)
    assert "ensemble" not in page.table("OOF macro F1")
    assert "there is no blend of the current predictions" in page.section("summary").text
    estimated = [row.get("estimated in test", "–") for row in page.table("predicted on test").values()]
    assert estimated == ["–"] * 3


@pytest.mark.long
def test_a_photo_that_cannot_be_read_leaves_a_tile_that_says_so(again: Tiny) -> None:
    shutil.copytree(again.input, again.folder / "own")
    broken = {analysis.uncertain(of)["image_id"][0] for of in analysis.load_run(again.run).values()}
    for image_id in broken:
        photo = again.folder / "own" / "train" / "images" / f"{image_id}.jpg"
        record = photo.stat()
        photo.write_bytes(bytes(record.st_size))
        os.utime(photo, ns=(record.st_atime_ns, record.st_mtime_ns))
    shutil.rmtree(again.run / "report")
    page = made(again, f"competition.root={again.folder / 'own'}")
    check_whole(page)
    tiles = page.all("div", class_="unreadable")
    assert tiles
    assert all(node.get("role") == "img" and "cannot be read" in node.get("aria-label") for node in tiles)
    explained = [tile for tile in page.section("photos").all("figure") if len(tile.all("img")) > 1]
    assert explained  # the other photos have their heat maps


def test_nothing_trained_is_one_message(tiny: Tiny, capsys: pytest.CaptureFixture) -> None:
    tiny.write_folds()
    assert tiny.cli("report") == 2
    record = capsys.readouterr().err
    assert record.startswith("ripik: ")
    assert "make train" in record
    assert len(record.strip().splitlines()) == 1
    assert not (tiny.run / "report").exists()


# Names are shown as they are.


def probabilities(classes: int, predicted: np.ndarray) -> np.ndarray:
    return np.full((len(predicted), classes), 0.3 / classes) + 0.7 * np.eye(classes)[predicted]


@pytest.fixture
def hostile(tmp_path: Path) -> Any:
    labels = [SCRIPT, AND, "plain"] * 4
    names = [IMAGE, *(f"{number}'\">.jpg" for number in range(1, 12))]
    order = sorted(set(labels))
    predicted = np.array([order.index(label) for label in labels])
    predicted[:3] = (predicted[:3] + 1) % 3
    return made_up_run(tmp_path, labels, names, probabilities(3, predicted))


def test_tags_in_names_show_as_text(hostile: Any, capsys: pytest.CaptureFixture) -> None:
    page = Page(report(hostile))
    assert capsys.readouterr().err.startswith("warning: report: the trainings of plain are missing, or were made")
    check_whole(page)
    assert page.all("i") == []
    assert list(page.table("precision")) == sorted({SCRIPT, AND, "plain"})
    assert page.section("confusion").text.count(SCRIPT) > 2
    assert any(SCRIPT in link.get("aria-label") for link in page.all("a"))
    assert "<i>0</i>" in page.section("photos").text
    assert anchors(page)[-3:] == ["photos", "times", "configuration"]  # after every chart but that of times
    assert AND in page.root.text


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_no_score_stands_twice_beside_the_metric(tmp_path: Path, metric: str) -> None:
    made_up_run(tmp_path, ["a", "b"] * 4, [f"{number}.jpg" for number in range(8)], probabilities(2, np.arange(8) % 2))
    evidence = gather(load_settings(tmp_path / "here.toml", [f"competition.metric={metric}"]), None)
    columns = results.score_columns(evidence)
    told = [spoken(column.removeprefix("OOF ")) for column in columns]
    assert [told.count(score) for score in ("accuracy", "log loss")] == [1, 1]
    table = results.summary(evidence).blocks[0]
    assert isinstance(table, Table)
    assert [row[0].split()[-1] for row in table.rows].count("accuracy") == 1


def test_scores_are_of_the_present_metric_where_the_run_recorded_another(tmp_path: Path) -> None:
    made_up_run(tmp_path, ["a", "b"] * 4, [f"{number}.jpg" for number in range(8)], probabilities(2, np.arange(8) % 2))
    (tmp_path / "output" / "here" / "config.toml").write_text('[competition]\nmetric = "macro_f1"\n')
    evidence = gather(load_settings(tmp_path / "here.toml", ["competition.metric=weighted_f1"]), None)
    assert (evidence.best, evidence.focus.metric) == ("plain", "weighted_f1")


def test_trainings_that_are_not_there_are_told_in_the_page(tmp_path: Path) -> None:
    made_up_run(tmp_path, ["a", "b"] * 4, [f"{number}.jpg" for number in range(8)], probabilities(2, np.arange(8) % 2))
    evidence = gather(load_settings(tmp_path / "here.toml"), None)
    first, *_ = (block for block in results.summary(evidence).blocks if isinstance(block, Text))
    assert first.notable
    assert first.text.startswith("The trainings of plain are missing, or were made with other settings or data; ")


@pytest.mark.long
def test_many_classes_make_a_whole_page(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 4 * MANY
    classes = [f"class {number:02d}" for number in range(MANY)]
    labels = [classes[number % MANY] for number in range(n)]
    values = probabilities(MANY, rng.integers(0, MANY, n))
    settings = made_up_run(tmp_path, labels, [f"{number}.jpg" for number in range(n)], values)
    page = Page(report(settings))
    check_whole(page)
    assert [len(row) for row in page.matrix()] == [MANY] * MANY
    assert len(page.table("precision")) == MANY
    assert len(page.source) < 15e6


@pytest.mark.parametrize("classes", [2, 6, pytest.param(40, marks=pytest.mark.long)])
def test_the_photos_of_the_confusion_matrix_are_bounded(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, n = np.random.default_rng(0), 2000
    labels = tuple(str(number) for number in range(classes))
    target, predicted = rng.integers(0, classes, (2, n))
    frame = pd.DataFrame({"image_id": [str(row) for row in range(n)], "group": range(n), "confidence": rng.random(n)})
    frame["label"], frame["predicted"] = np.array(labels)[target], np.array(labels)[predicted]
    columns = pd.DataFrame(probabilities(classes, predicted), columns=[f"p_{label}" for label in labels])
    frame = pd.concat([frame, columns], axis=1)
    focus = Predictions("made_up", Path("oof.csv"), frame, labels, "macro_f1", {})
    album = SimpleNamespace(tile=lambda image_id, caption, note="": Tile([View(image_id, "data:")], caption, note))
    (matrix,) = results.confusion(SimpleNamespace(focus=focus), album).blocks  # type: ignore[arg-type]
    assert isinstance(matrix, Matrix)
    cells = [cell for row in matrix.rows for cell in row]
    assert sum(cell.count for cell in cells) == n
    shown = [len(cell.photos.tiles) if cell.photos else 0 for cell in cells]
    assert 0 < sum(shown) <= 800  # of about 10 KB each
    assert max(shown) <= 12


def test_of_many_classes_the_most_confused_pairs_are_shown() -> None:
    classes = results.MATRIX_CLASSES + 1
    target = np.repeat(np.arange(classes), 6)
    predicted = np.where(np.arange(len(target)) % 6 == 0, (target + 1) % classes, target)
    predicted[:5] = [3, 3, 3, 3, 2]
    labels = tuple(f"c{number:02d}" for number in range(classes))
    frame = pd.DataFrame(probabilities(classes, predicted), columns=[f"p_{label}" for label in labels])
    frame = frame.assign(label=np.array(labels)[target], predicted=np.array(labels)[predicted])
    focus = Predictions("made_up", Path("oof.csv"), frame, labels, "macro_f1", {})
    (pairs,) = results.confusion(SimpleNamespace(focus=focus), None).blocks  # type: ignore[arg-type]
    assert isinstance(pairs, Table)
    assert list(pairs.rows[0]) == ["c00", "c03", "4", "66.7 %"]
    assert list(pairs.rows[1]) == ["c00", "c02", "1", "16.7 %"]
    assert len(pairs.rows) == 62
    assert f"{number_of(predicted == target)} % of all images are correct" in pairs.caption


def number_of(right: np.ndarray) -> str:
    return f"{100 * right.mean():.1f}"


def test_a_blend_of_other_folds_is_left_out(again: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "heat_maps", lambda run, name, requests: {})
    oof = again.run / "ensemble" / "oof.csv"
    frame = pd.read_csv(oof, dtype=str)
    frame.assign(fold=1 - frame["fold"].astype(int)).to_csv(oof, index=False)
    weights = again.run / "ensemble" / "weights.json"
    weights.write_text(weights.read_text()[:-20])
    assert "ensemble" not in made(again).table("OOF macro F1")
