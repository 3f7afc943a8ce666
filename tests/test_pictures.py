"""The README's pictures and badges: small enough, and true; and the terminal that is photographed."""

import re
import tomllib
from pathlib import Path

import pytest
from benchmarks.pictures.screen import Screen, page
from PIL import Image

import ripik

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.png")), ids=lambda path: path.name)
def test_pictures_are_small_and_shown(path: Path) -> None:
    assert path.stat().st_size <= 300_000
    assert f"(docs/pictures/{path.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    with Image.open(path) as picture:
        assert min(picture.size) >= 300


def test_badges_say_what_the_project_says() -> None:
    licence, python = ((PICTURES / f"{name}.svg").read_text(encoding="utf-8") for name in ("licence", "python"))
    assert f"<title>licence: {PROJECT['license']}</title>" in licence
    versions = re.search(r"<title>Python: (.*)</title>", python)
    first, last = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert versions
    assert versions[1].split(" | ") == [f"3.{minor}" for minor in range(int(first), int(last))]


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ripik.__version__}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


def test_a_screen_shows_what_a_terminal_does() -> None:
    screen = Screen(10)
    for part in ("one\r\ntwo", "\r\n\x1b[2K\x1b[", "1A\x1b[2Kthr\x1b[31mee\x1b[0m!\r\n", "\x1b[?25l<long line>"):
        screen.feed(part)
    assert screen.text(5) == ["one", "three!", "<long line", ">"]
    assert screen.text(1) == [">"]
    shown = page(screen.snapshot(3))
    assert 'thr<span style="color:#ff7b72;">ee</span>!\n&lt;long line\n&gt;' in shown
