import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import ripik
from ripik.report.charts import svg as charts

HOSTILE = '</text><script>alert("1")</script> & $x_1^{2}$ {y} \\frac 日本 \x00\ud800 #0a0001 url(#a)'
TEMPLATES = Path(ripik.__file__).parent / "templates"
SVG = "{http://www.w3.org/2000/svg}"
SIGHT = {  # how colours look to others: Machado et al. 2009, full severity
    "normal": np.eye(3),
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def figure(text: str = "a", values: tuple[float, ...] = (1.0, 3.0, 2.0)) -> Figure:
    with charts.theme():
        made = Figure(figsize=(350 / 72, 2))
        axes = made.add_subplot()
        axes.plot(values, marker="o", color=charts.COLOURS[3])
        axes.text(1, 2, text, color=charts.QUIET)
        axes.set_yticks([1, 2], labels=["low", text])
    return made


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def ids(svg: str) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', svg)


def test_is_an_image_with_its_title_and_description_and_scales() -> None:
    root = ET.fromstring(charts.to_svg(figure(), "The title", "What it shows."))
    named = {each.attrib["id"]: each for each in root.iter() if "id" in each.attrib}
    title, text = (named[name] for name in root.attrib["aria-labelledby"].split())
    assert (root.tag, root.attrib["role"], root.attrib["viewBox"]) == (f"{SVG}svg", "img", "0 0 350 144")
    assert (title.tag, title.text) == (f"{SVG}title", "The title")
    assert (text.tag, text.text) == (f"{SVG}desc", "What it shows.")
    assert "width" not in root.attrib
    assert "width:100%" in root.attrib["style"]


def test_has_nothing_that_tells_when_or_changes_the_page() -> None:
    svg = charts.to_svg(figure(), "t", "d")
    assert svg.startswith("<svg ")
    assert not re.search(r"<\?|<!|metadata|<style|<script|<image|matplotlib|DejaVu|font-family|xlink", svg)


def test_colours_are_variables_of_the_style_sheets() -> None:
    svg = charts.to_svg(figure(), "t", "d")
    css = (TEMPLATES / "page.css").read_text() + (TEMPLATES / "charts.css").read_text()
    used = set(re.findall(r"var\((--\w+)\)", svg))
    assert {"--c3", "--quiet", "--ink", "--line"} <= used
    assert all(css.count(f"{name}:") == 2 for name in charts.VARIABLES.values())  # light and dark
    assert not re.search(r"#[0-9a-fA-F]{3,8}[;\"]|rgb|white|black", svg)


def test_refuses_a_colour_of_its_own() -> None:
    made = Figure()
    made.text(0, 0, "a", color="#123456")
    with pytest.raises(ValueError, match="#123456"):
        charts.to_svg(made, "t", "d")


def test_texts_are_shown_as_they_are() -> None:
    svg = charts.to_svg(figure(charts.plain(HOSTILE)), HOSTILE, HOSTILE)
    shown = '</text><script>alert("1")</script> & $x_1^{2}$ {y} \\frac 日本 ? #0a0001 url(#a)'
    assert "<script" not in svg
    assert texts(svg).count(shown) == 2
    assert [ET.fromstring(svg).findtext(f"{SVG}{tag}") for tag in ("title", "desc")] == [shown, shown]


def test_ids_differ_between_charts_and_references_find_them() -> None:
    both = [charts.to_svg(figure(values=values), "t", "d") for values in ((1.0, 2.0, 3.0), (1.0, 2.0, 4.0))]
    joined = "".join(both)
    referred = re.findall(r'(?:href="#|url\(#)([^")]+)', joined)
    assert len(set(ids(joined))) == len(ids(joined))
    assert referred
    assert set(referred) <= set(ids(joined))
    assert not set(ids(both[0])) & set(ids(charts.to_svg(figure(values=(1.0, 2.0, 3.0)), "t", "other")))


def test_same_data_same_text_whatever_the_settings() -> None:
    first = charts.to_svg(figure(), "t", "d")
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red", "text.usetex": True}):
        assert charts.to_svg(figure(), "t", "d") == first
    assert dict(mpl.rcParams) == before
    assert charts.to_svg(figure(values=(1.0, 3.0, 2.5)), "t", "d") != first


@pytest.mark.parametrize("text", ["", "dent", "W" * 100, "日本語" * 20, "a b\nc\td", "e\u0301" * 9, "x y " * 40])
@pytest.mark.parametrize("most", [3, 12, 100])
def test_shortened_texts_fit_and_begin_the_same(text: str, most: int) -> None:
    short = charts.shorten(text, most)
    assert len(short) <= most  # a wide character is followed by the room that it takes
    assert "\n" not in short
    short = short.replace("\u2002", "")
    assert short == charts.plain(text) or (short.endswith("…") and charts.plain(text).startswith(short[:-1]))


def test_wide_characters_have_room_and_are_written_without_it() -> None:
    with charts.theme():
        made = Figure(figsize=(350 / 72, 2), layout="constrained")
        made.add_subplot().set_yticks([0, 1], labels=[charts.shorten("日本語" * 3), charts.shorten("日" * 40)])
    svg = charts.to_svg(made, "t", "d")
    assert {"日本語" * 3, "日" * 11 + "…"} <= set(texts(svg))
    ends = [float(each.attrib["x"]) for each in ET.fromstring(svg).iter(f"{SVG}text") if "日" in (each.text or "")]
    assert min(ends) >= 11.5 * charts.SIZE  # right-aligned: as far from the chart's edge as they are long


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_palette_stands_out_and_can_be_told_apart(mode: int) -> None:
    css = (TEMPLATES / "page.css").read_text() + (TEMPLATES / "charts.css").read_text()
    value = {name: _linear(re.findall(rf"{name}: (#\w+)", css)[mode]) for name in charts.VARIABLES.values()}
    palette = [value[f"--c{index}"] for index in range(8)]
    for paper in ("--paper", "--panel"):
        assert min(_contrast(colour, value[paper]) for colour in palette) >= 3
    for matrix in SIGHT.values():
        seen = [_oklab(np.array(matrix) @ colour) for colour in palette]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.04
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen[:4], 2)) > 0.055


def _linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted(float(each @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def _oklab(linear: np.ndarray) -> np.ndarray:
    cones = np.array([[0.41222, 0.53633, 0.05145], [0.2119, 0.6807, 0.1074], [0.0883, 0.28172, 0.62998]])
    mixed = np.array([[0.21045, 0.79362, -0.00407], [1.978, -2.42859, 0.45059], [0.0259, 0.78277, -0.80868]])
    return mixed @ np.cbrt(cones @ np.clip(linear, 0, 1))
