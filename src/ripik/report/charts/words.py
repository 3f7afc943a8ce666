"""How numbers, names and lists are written on charts and in their descriptions."""

import math
from collections.abc import Iterable
from typing import TypeGuard

from matplotlib.figure import Figure

from ripik.report.charts.svg import Chart, plain, to_svg


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a number: neither NaN nor the null that a JSON file has for it."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int | None = None) -> str:
    """Return a number as people write it; "–" where there is none."""
    if not known(value):
        return "–"
    text = f"{value:.6g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def percent(value: float) -> str:
    """Return a share as whole per cent, or with a digit where it is small."""
    return "–" if not math.isfinite(value) else f"{100 * value:.{1 if 0 < abs(value) < 0.0995 else 0}f} %"


def duration(seconds: float) -> str:
    """Return a time as people say it: 0.4 s, 12 s, 3.5 min, 2.1 h."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size * 0.9995:
            return f"{seconds / size:.{1 if seconds < 9.95 * size else 0}f} {unit}"
    return f"{seconds:.{1 if 0 < seconds < 9.95 else 0}f} s" if math.isfinite(seconds) else "–"


def spoken(metric: str) -> str:
    """Return a metric's or column's name as read aloud: "macro F1"."""
    words = plain(metric).replace("_", " ")
    return " ".join("F1" if word == "f1" else "AUC" if word == "auc" else word for word in words.split())


def listed(items: Iterable[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    *before, last = [*items] or [""]
    return f"{', '.join(before)} and {last}" if before else last


def capital(sentence: str) -> str:
    """Return the sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]


def with_interval(name: object, value: float, low: float, high: float) -> str:
    """Return "name 0.782 (0.743 to 0.818)", without the interval where it is not known."""
    shown = f"{plain(name)} {number(value, 3)}"
    return f"{shown} ({number(low, 3)} to {number(high, 3)})" if known(low) and known(high) else shown


def count(n: int, what: str) -> str:
    """Return "1 fold", "2 folds"."""
    return f"{n} {what}{'s' if n != 1 else ''}"


def chart(figure: Figure, title: str, text: str) -> Chart:
    """Return the chart of a figure."""
    return Chart(to_svg(figure, title, text), plain(title), plain(text))


def ends(low: float | None, high: float | None) -> str:
    """Return the ends of an interval; a dash where it has none."""
    return f"{number(low, 3)}–{number(high, 3)}" if known(low) and known(high) else number(None)


def signed(value: float | None, digits: int | None = 4) -> str:
    """Return a number with its sign; a dash where there is none."""
    return f"{'+' if known(value) and value > 0 else ''}{number(value, digits)}"


def change(low: float, high: float) -> str:
    """Return the ends of the interval of a difference."""
    return f"{signed(low, 3)} to {signed(high, 3)}" if known(low) and known(high) else number(None)


def share(value: float) -> str:
    """Return a share of 0–1 in per cent, with a digit."""
    return f"{number(100 * value, 1)} %" if math.isfinite(value) else number(value)
