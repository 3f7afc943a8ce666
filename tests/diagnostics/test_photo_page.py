import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from ripik.data.image_files import decode
from ripik.diagnostics.photo_page import Picture, Row, Section, data_uri, write_gallery

HOSTILE = "<script>alert(1)</script><b>&\"'"


class Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its text outside of style sheets."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def photo(path: Path, height: int = 300, width: int = 200) -> Path:
    """Write a photo that is red above and blue below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 2] = image[height // 2 :, :, 0] = 250
    cv2.imwrite(str(path), image)
    return path


def decoded(uri: str) -> np.ndarray:
    kind, text = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(int)


def one_row(*pictures: Picture, total: int = 0) -> list[Section]:
    return [Section("part", "text", [Row("row", pictures)], total)]


def page_of(tmp_path: Path, *pictures: Picture, total: int = 0) -> Page:
    write_gallery(tmp_path / "page.html", "title", "intro", one_row(*pictures, total=total))
    return Page(tmp_path / "page.html")


def test_photos_are_embedded_in_their_colours_with_text(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    page = page_of(tmp_path, Picture(path, "caption", "note"))
    (image,) = page.all("img")
    assert image["alt"] == "caption; note"
    small = decoded(image["src"])
    assert small.shape == (224, 149, 3)
    assert small[20, 70] == pytest.approx([250, 0, 0], abs=12)
    assert small[-20, 70] == pytest.approx([0, 0, 250], abs=12)


def test_photos_are_turned_as_the_models_see_them(tmp_path: Path) -> None:
    plain = photo(tmp_path / "a.jpg", 100, 200).read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:])
    small = decoded(data_uri(turned, 112))
    assert small.shape == decode(turned).shape == (200, 100, 3)
    assert np.abs(small - decode(turned)).mean() < 5


def test_long_sides_are_bounded_and_small_photos_keep_their_size(tmp_path: Path) -> None:
    assert decoded(data_uri(photo(tmp_path / "wide.png", 10, 4000), 50)).shape == (1, 100, 3)
    assert decoded(data_uri(photo(tmp_path / "small.png", 20, 30), 50)).shape == (20, 30, 3)


def test_html_in_any_text_shows_as_text(tmp_path: Path) -> None:
    picture = Picture(photo(tmp_path / "a.png"), HOSTILE + "1", HOSTILE + "2", alarm=True)
    lost = Picture(tmp_path / "<script>x", HOSTILE + "3")
    section = Section(HOSTILE + "4", HOSTILE + "5", [Row(HOSTILE + "6", [picture, lost])])
    write_gallery(tmp_path / "page.html", HOSTILE + "7", HOSTILE + "8", [section, section])
    page = Page(tmp_path / "page.html")
    assert not page.all("script")
    assert not page.all("b")
    assert all(f"{HOSTILE}{number}" in page.text for number in range(1, 9))
    assert "<script>x" in page.text


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    sections = one_row(Picture(path, "a", alarm=True), Picture(tmp_path / "lost.png", "b")) * 2
    write_gallery(tmp_path / "page.html", "title", "intro", sections)
    page = Page(tmp_path / "page.html")
    sources = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert sources
    assert all(value.startswith(("data:image/jpeg;base64,", "#")) for value in sources)
    assert not re.search(r"url\(|@import|https?:", (tmp_path / "page.html").read_text())
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object"})
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.all("a")} == targets


def test_every_photo_is_reached_by_keyboard_and_alarms_are_told_in_words(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    page = page_of(tmp_path, Picture(path, "a"), Picture(path, "b", alarm=True))
    assert [figure["tabindex"] for figure in page.all("figure")] == ["0", "0"]
    assert [span["aria-label"] for span in page.all("span") if "aria-label" in span] == ["attention"]


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_a_photo_that_cannot_be_read_leaves_its_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "lost.jpg").write_bytes(content)
    page = page_of(tmp_path, Picture(tmp_path / "lost.jpg", "7"), Picture(photo(tmp_path / "a.png"), "8"))
    assert len(page.all("img")) == 1
    assert "lost.jpg cannot be read" in page.text
    assert any("lost.jpg" in div.get("aria-label", "") for div in page.all("div"))


def test_a_part_of_many_says_so_and_an_empty_one_too(tmp_path: Path) -> None:
    picture = Picture(photo(tmp_path / "a.png"), "a")
    assert "First 1 of 540." in page_of(tmp_path, picture, total=540).text
    assert "First" not in page_of(tmp_path, picture, total=1).text
    write_gallery(tmp_path / "page.html", "title", "", [Section("part", "", [])])
    assert "None." in Page(tmp_path / "page.html").text


def test_the_same_photos_make_the_same_page(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    for name in ("one.html", "two.html"):
        write_gallery(tmp_path / name, "title", "intro", one_row(Picture(path, "a")))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "one.html", "two.html"]


def test_names_that_are_no_unicode_do_not_stop_the_page(tmp_path: Path) -> None:
    assert "b?c" in page_of(tmp_path, Picture(tmp_path / "lost", "b\udcffc")).text
