"""From a matplotlib figure to SVG embedded in the page: its colours are CSS variables, its text stays text.

Figures are drawn in sentinel colours, one for each variable of the page's style sheets (`page.css`, `charts.css`), so
that the same chart serves light and dark mode. One unit of a figure (a 72nd of an inch) is one CSS pixel.
"""

import hashlib
import io
import re
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

WIDTH = 350.0  # of a chart in CSS pixels: what a phone of 390 pixels has for it
GROWTH = 1.5  # how much wider the page may show it: half of the page, where two stand side by side
SIZE = 11.0  # of text, in CSS pixels

INK, QUIET, LINE, PANEL, PAPER = "#0a0001", "#0a0002", "#0a0003", "#0a0004", "#0a0005"
COLOURS = tuple(f"#0a001{index}" for index in range(8))  # the categorical palette
VARIABLES = {
    **dict(zip((INK, QUIET, LINE, PANEL, PAPER), ("--ink", "--quiet", "--line", "--panel", "--paper"), strict=True)),
    **{colour: f"--c{index}" for index, colour in enumerate(COLOURS)},
}

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 1)), (0, (7, 1.5)), (0, (1, 3)), "-")
MARKS: list[dict[str, Any]] = [  # so that no two series are told apart by colour alone
    {"color": colour, "marker": marker, "linestyle": dashes, "fillstyle": fill}
    for fill in ("full", "none")
    for colour, marker, dashes in zip(COLOURS, "osD^vPX*", _DASHES, strict=True)
]
_SMALL = 10.5  # of numbers on axes, in CSS pixels
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ripik",
    "text.parse_math": False,
    "font.size": SIZE,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": QUIET,
    "axes.labelpad": 6.0,
    "axes.labelsize": _SMALL,
    "axes.prop_cycle": cycler(**{key: [each[key] for each in MARKS] for key in MARKS[0]}),
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    "axes.titlecolor": QUIET,
    "axes.titlelocation": "left",
    "axes.titlesize": _SMALL,
    "figure.facecolor": "none",
    "figure.dpi": 72.0,
    "grid.color": LINE,
    "legend.borderpad": 0.2,
    "legend.columnspacing": 1.2,
    "legend.fontsize": SIZE,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.4,
    "lines.markeredgewidth": 1.3,
    "lines.markersize": 5.5,
    "lines.solid_capstyle": "butt",
    "lines.dash_capstyle": "butt",
    "path.simplify": False,
    "savefig.facecolor": "none",
    "savefig.dpi": 72.0,
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (("color", LINE), ("major.size", 0))},
    "xtick.labelcolor": QUIET,
    "xtick.labelsize": _SMALL,
    "xtick.major.pad": 7.0,
    "ytick.labelcolor": INK,
}
_NO_DATES = dict.fromkeys(("Date", "Creator", "Type", "Format"))
_HEX = re.compile(r"#[0-9a-fA-F]{6}\b")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_REFERRED = re.compile(r"(?:href=\"#|url\(#)([^\")]+)")
_DECIMAL = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_ROOM = "\u2002"  # behind a character as wide as high: matplotlib has no glyph of it and takes it for narrower
_NOT_TURNED = re.compile(r"rotate\(-?0(?:\.0*)?[ )]")


@dataclass(frozen=True)
class Chart:
    """An inline SVG with the title above it and the sentences that say for a listener what it shows."""

    svg: str
    title: str
    description: str


@contextmanager
def theme() -> Iterator[None]:
    """Give the context in which figures are drawn and saved; matplotlib's settings are the former ones after it."""
    keep = ("backend", "backend_fallback", "toolbar")
    plain = {key: value for key, value in mpl.rcParamsDefault.items() if key not in keep}
    settings: Any = {**plain, **_STYLE}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has its own fonts
        yield


def to_svg(figure: Figure, title: str, description: str) -> str:
    """Return the figure as an `<svg>` element for an HTML document; the same figure and texts give the same bytes.

    It scales with its container, up to `GROWTH` times the figure's size. Its ids begin with a hash of its content, so
    any different charts can stand in one document. Raises ValueError for a colour that is not of the theme.
    """
    saved = _saved(figure)
    root = _cleaned(ET.fromstring(saved), frozenset(_REFERRED.findall(saved)))
    body = ET.tostring(root, encoding="unicode")
    prefix = "c" + hashlib.sha256("\0".join((body, title, description)).encode("utf-8", "replace")).hexdigest()[:10]
    _rename(root, prefix)
    _introduce(root, prefix, plain(title), plain(description))
    return ET.tostring(root, encoding="unicode")


def plain(text: object) -> str:
    """Return the text in one line, without characters that XML cannot hold."""
    shown = str(text).encode("utf-8", "replace").decode()
    kept = (" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in shown)
    return " ".join("".join("\ufffd" if each in "\ufffe\uffff" else each for each in kept).split())


def shorten(text: object, most: int = 24) -> str:
    """Return a text to be drawn, in one line, cut with "…" where it is longer; a wide character counts two."""
    whole = plain(text)
    widths = [2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in whole]
    fit = sum(width < most for width in accumulate(widths))
    kept = whole if sum(widths) <= most else whole[:fit].rstrip() + "…"
    return "".join(each + _ROOM * (width - 1) for each, width in zip(kept, [*widths[:fit], 1], strict=False))


def _saved(figure: Figure) -> str:
    made = io.StringIO()
    with theme():
        FigureCanvasSVG(figure)
        if engine := figure.get_layout_engine():  # once: savefig would draw the figure twice for it
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(made, format="svg", metadata=_NO_DATES)
    return made.getvalue()


def _cleaned(element: ET.Element, referred: frozenset[str]) -> ET.Element:
    """Return the element without namespaces, style sheets (they would hold for the page) and what draws nothing."""
    new = ET.Element(_local(element.tag), {_local(key): value for key, value in element.attrib.items()})
    new.text = (element.text or "").replace(_ROOM, "") if new.tag == "text" else None
    _clean_attributes(new.attrib, referred)
    for child in element:
        made = _cleaned(child, referred)
        if made.tag in ("metadata", "style") or (made.tag in ("g", "defs") and not len(made)):
            continue
        if made.attrib.get("style") == "fill:none" and made.tag == "path":
            continue
        only_groups = made.tag == "g" and not made.attrib
        new.extend(made if only_groups else [made])
    return new


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _clean_attributes(attributes: dict[str, str], referred: frozenset[str]) -> None:
    if attributes.get("id") not in referred:
        attributes.pop("id", None)
    if "style" in attributes:
        attributes["style"] = _themed(attributes["style"])
    for key in ("d", "x", "y", "transform"):
        if key in attributes:
            attributes[key] = _DECIMAL.sub(_rounded, attributes[key].replace("\n", "").strip())
    if _NOT_TURNED.match(attributes.get("transform", "")):
        del attributes["transform"]


def _themed(style: str) -> str:
    parts = (part.strip() for part in _REFERENCE.sub(r"url(#\1)", style).split(";"))
    kept = (re.sub(r":\s*", ":", part, count=1) for part in parts if part and not part.startswith("font-family"))
    return _DECIMAL.sub(_rounded, ";".join(_HEX.sub(_variable, part) for part in kept))


def _variable(found: re.Match[str]) -> str:
    colour = found.group().lower()
    if colour not in VARIABLES:
        raise ValueError(f"{colour} is no colour of the theme")
    return f"var({VARIABLES[colour]})"


def _rounded(found: re.Match[str]) -> str:
    short = f"{float(found.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _rename(root: ET.Element, prefix: str) -> None:
    names = {each.attrib["id"]: f"{prefix}-{index}" for index, each in enumerate(_with_id(root))}
    for each in root.iter():
        for key, value in each.attrib.items():
            if key == "id":
                each.set(key, names[value])
            elif key == "href":
                each.set(key, "#" + names[value[1:]])
            else:
                each.set(key, _REFERENCE.sub(lambda found: f"url(#{names[found.group(1)]})", value))


def _with_id(root: ET.Element) -> list[ET.Element]:
    return [each for each in root.iter() if "id" in each.attrib]


def _introduce(root: ET.Element, prefix: str, title: str, description: str) -> None:
    """Give the root its role, texts and size."""
    width = float(root.attrib["viewBox"].split()[2])
    style = f"width:100%;height:auto;max-width:{width * GROWTH:.0f}px;stroke-linejoin:round"
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": _DECIMAL.sub(_rounded, root.attrib["viewBox"]),
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-text",
        "style": style + ";font-variant-numeric:tabular-nums",
    }
    root.attrib.clear()
    root.attrib.update(attributes)
    for index, (tag, name, text) in enumerate((("title", "title", title), ("desc", "text", description))):
        element = ET.Element(tag, {"id": f"{prefix}-{name}"})
        element.text = text
        root.insert(index, element)
