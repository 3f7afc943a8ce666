"""The report in a browser: nothing is fetched, nothing runs, nothing overflows, and photos are reached by keyboard."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Tiny
from made_up_report import made_up_run
from ripik.report.page import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]
WIDTHS, SCHEMES = (1200, 390), ("light", "dark")
SCRIPT = "<script>alert(1)</script>"
CONTRAST = """element => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = () => {
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paint = colour => { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); };
  const above = [];
  for (let each = element; each; each = each.parentElement) above.unshift(getComputedStyle(each).backgroundColor);
  above.forEach(paint);
  const paper = light();
  paint(getComputedStyle(element).color);
  const ink = light();
  return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
}"""

CHART_TEXTS = """all => all.flatMap(svg => {
  const name = svg.querySelector("title").textContent, whole = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter(each => each.textContent.trim());
  const boxes = texts.map(each => each.getBoundingClientRect());
  const shared = (a, b) => Math.min(
    Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) - 3);
  const cut = box => box.left < whole.left - 1 || box.right > whole.right + 1
    || box.top < whole.top - 2 || box.bottom > whole.bottom + 2;
  return texts.flatMap((each, i) => [
    ...(cut(boxes[i]) ? [`${name}: ${each.textContent} is cut off`] : []),
    ...texts.slice(0, i).filter((_, j) => shared(boxes[i], boxes[j]) > 1)
      .map(other => `${name}: ${each.textContent} stands on ${other.textContent}`),
  ]);
})"""


@dataclass
class Opened:
    """A page in the browser, and what it did that it should not."""

    page: Any
    record: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(params=[(width, scheme) for width in WIDTHS for scheme in SCHEMES], ids=str)
def opened(request: pytest.FixtureRequest, browser: Any, reported: Tiny) -> Iterator[Opened]:
    yield from open_page(browser, reported.run / "report" / "index.html", *request.param)


@pytest.fixture
def wide(browser: Any, reported: Tiny) -> Iterator[Any]:
    for opened in open_page(browser, reported.run / "report" / "index.html", 1200, "light"):
        yield opened.page


def open_page(browser: Any, path: Path, width: int, scheme: str) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = Opened(context.new_page())
    page, url = opened.page, path.as_uri()
    page.on("console", lambda message: opened.record.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: opened.record.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (opened.record.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: None if own(request.url, url) else opened.record.append(request.url))
    page.goto(url, wait_until="load")
    yield opened
    context.close()


def own(url: str, page: str) -> bool:
    """Whether a request is for the page itself, or for what it holds."""
    return url.startswith("data:") or url.partition("#")[0] == page


def shown_cells(page: Any) -> list[str]:
    return page.eval_on_selector_all("section.cell", "all => all.filter(e => e.offsetParent).map(e => e.id)")


def wrong_cell(page: Any) -> Any:
    return page.locator("#matrix td.wrong a").first


def focused(page: Any, expression: str) -> Any:
    return page.evaluate(f"(() => {{ const e = document.activeElement; return {expression}; }})()")


def press_tab_until(page: Any, expression: str, limit: int = 120) -> None:
    for _ in range(limit):
        page.keyboard.press("Tab")
        if focused(page, expression):
            return
    raise AssertionError(f"{limit} times Tab never came to {expression}")


def test_nothing_is_fetched_nothing_is_told_and_nothing_overflows(opened: Opened) -> None:
    page = opened.page
    width = page.evaluate("innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wrong_cell(page).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.locator("#photos ~ .pictures figure, section[aria-labelledby=photos] figure").first.focus()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(100)
    assert opened.record == []


def test_numbers_of_the_matrix_stand_out_from_their_colours(opened: Opened) -> None:
    page, ratios = opened.page, f"all => all.map({CONTRAST})"
    assert min(page.eval_on_selector_all("#matrix tbody td > *", ratios)) >= 4.5
    cells = page.locator("#matrix tbody td", has=page.locator("a"))
    assert cells.evaluate_all("all => new Set(all.map(each => each.className)).size") == 2  # right and wrong
    cells.evaluate_all("all => all.forEach(each => each.style.setProperty('--share', 1))")  # as dark as cells become
    assert min(page.eval_on_selector_all("#matrix tbody td > a", ratios)) >= 4.5


def test_texts_stand_out_from_the_paper(opened: Opened) -> None:
    for selector in ("p.quiet", ".caption", "td", "nav a", ".note", ".notable", "th"):
        assert opened.page.eval_on_selector(selector, CONTRAST) >= 4.5, selector


def test_texts_of_the_charts_are_whole_and_stand_apart(opened: Opened) -> None:
    assert opened.page.locator("figure.chart svg").count() >= 10
    assert opened.page.eval_on_selector_all("figure.chart svg", CHART_TEXTS) == []


def test_a_wrong_cell_shows_its_photos_and_no_others(wide: Any) -> None:
    assert shown_cells(wide) == []
    link = wrong_cell(wide)
    target = link.get_attribute("href").removeprefix("#")
    link.click()
    assert shown_cells(wide) == [target]
    cell = wide.locator(f"#{target}")
    assert cell.is_visible()
    photos = cell.locator("img")
    assert photos.count() > 0
    photos.evaluate_all("all => Promise.all(all.map(each => each.decode()))")
    assert all(width > 0 for width in photos.evaluate_all("all => all.map(each => each.naturalWidth)"))
    assert all(width > 0 for width in photos.evaluate_all("all => all.map(each => each.clientWidth)"))
    assert cell.evaluate("e => { const r = e.getBoundingClientRect(); return r.top >= 0 && r.top < innerHeight; }")
    wide.locator("#matrix td.wrong a").last.click()
    assert len(shown_cells(wide)) == 1
    assert shown_cells(wide) != [target]


def test_every_photo_of_the_page_can_be_shown(wide: Any) -> None:
    wide.add_style_tag(content=".cell { display: block !important }")
    wide.locator("img").evaluate_all("all => Promise.all(all.map(each => each.decode()))")
    assert min(wide.locator("img").evaluate_all("all => all.map(each => each.naturalWidth)")) > 0


def test_photos_of_a_cell_are_reached_and_left_by_keyboard(wide: Any) -> None:
    press_tab_until(wide, "e.matches('#matrix td.wrong a')")
    assert focused(wide, "getComputedStyle(e).outlineStyle") != "none"
    target = focused(wide, "e.hash.slice(1)")
    wide.keyboard.press("Enter")
    assert shown_cells(wide) == [target]
    press_tab_until(wide, f"e.closest('#{target}') && e.matches('a')", limit=3)
    assert focused(wide, "e.textContent") == "Back to the matrix"
    press_tab_until(wide, f"e.closest('#{target}') && e.matches('figure')", limit=3)
    wide.keyboard.press("Shift+Tab")
    wide.keyboard.press("Enter")
    assert shown_cells(wide) == []
    assert wide.evaluate("document.getElementById('matrix').getBoundingClientRect().top") < 800


def test_the_first_tab_skips_to_the_report(wide: Any) -> None:
    wide.keyboard.press("Tab")
    assert focused(wide, "e.className") == "skip"
    assert focused(wide, "e.getBoundingClientRect().left >= 0")
    wide.keyboard.press("Enter")
    wide.keyboard.press("Tab")
    assert focused(wide, "Boolean(e.closest('main'))")


def test_a_photo_grows_when_it_is_focused(wide: Any) -> None:
    tile = wide.locator("section[aria-labelledby=photos] figure.tile").first
    before = tile.locator("img").first.bounding_box()
    tile.focus()
    after = tile.locator("img").first.bounding_box()
    assert after["width"] > 1.3 * before["width"]
    assert after["height"] > 1.3 * before["height"]


def test_the_page_is_dark_where_the_reader_wants_it(browser: Any, reported: Tiny) -> None:
    lightness = {}
    for scheme in SCHEMES:
        for opened in open_page(browser, reported.run / "report" / "index.html", 390, scheme):
            colour = opened.page.eval_on_selector("body", "e => getComputedStyle(e).backgroundColor")
            lightness[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert lightness["light"] > 600
    assert lightness["dark"] < 150


def test_everything_has_a_name_and_headings_stand_in_order(wide: Any) -> None:
    assert wide.evaluate("document.documentElement.lang") == "en"
    levels = wide.eval_on_selector_all("h1, h2, h3, h4, h5, h6", "all => all.map(each => Number(each.tagName[1]))")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    nameless = """all => all.filter(each => {
      const by = (each.getAttribute("aria-labelledby") || "").split(" ").map(id => document.getElementById(id));
      const text = by.map(e => e ? e.textContent : "").join("") + (each.getAttribute("aria-label") || "");
      return !(text + (each.matches("a, summary, figure") ? each.textContent : "")).trim();
    }).map(each => each.outerHTML.slice(0, 80))"""
    everything = "a, section, nav, summary, figure, [role=region], [role=img], table"
    assert wide.eval_on_selector_all(everything, nameless) == []
    scrolling = "each => each.scrollWidth > each.clientWidth && getComputedStyle(each).overflowX == 'auto'"
    lost = f"all => all.filter({scrolling}).filter(each => each.tabIndex < 0).length"  # out of the keyboard's reach
    assert wide.eval_on_selector_all("*", lost) == 0


def test_scripts_in_names_do_not_run(browser: Any, tmp_path: Path) -> None:
    labels = [SCRIPT, 'a&b "c"', "plain"] * 4
    names = ["<img src=x onerror=alert(1)>.jpg", *(f"{number}'\">.jpg" for number in range(1, 12))]
    order = sorted(set(labels))
    values = np.full((12, 3), 0.1) + 0.7 * np.eye(3)[[(order.index(label) + 1) % 3 for label in labels]]
    path = report(made_up_run(tmp_path, labels, names, values))
    for opened in open_page(browser, path, 390, "light"):
        page = opened.page
        for link in page.locator("#matrix a").all():
            link.click()
        page.wait_for_timeout(100)
        assert opened.record == []
        assert page.locator("script, img[onerror], main i").count() == 0
        assert page.locator("#matrix th", has_text=SCRIPT).count() >= 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.eval_on_selector_all("figure.chart svg", CHART_TEXTS) == []
