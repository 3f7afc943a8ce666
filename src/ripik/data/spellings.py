"""When two labels are the same name: equal except for case, invisible characters, or Unicode encoding."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

INVISIBLE = re.compile(  # Default_Ignorable_Code_Point of Unicode 16: zero-width, soft hyphen, byte order mark, …
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
BETWEEN_TAGS = re.compile(r"[\s,;|]+")


def folded(label: str) -> str:
    """Return what a label is compared by: Unicode's NFKC_Casefold (UAX #44), and runs of any spaces as one."""
    seen = INVISIBLE.sub("", unicodedata.normalize("NFKC", label).casefold())
    return " ".join(unicodedata.normalize("NFKC", seen).split())


def same_names(labels: Iterable[str]) -> list[list[str]]:
    """Return the sets of labels that are one name (`folded`), each of two or more, in the order given."""
    return _alike(labels, folded)


def same_words(labels: Iterable[str]) -> list[list[str]]:
    """Return the sets of labels that hold the same two or more words in another order, as tags in a cell do.

    Words are parted by spaces, commas, semicolons or bars.
    """

    def words(label: str) -> tuple[str, ...]:
        return tuple(sorted(word for word in BETWEEN_TAGS.split(folded(label)) if word))

    return _alike((label for label in labels if len(words(label)) > 1), words)


def visible(label: str | int) -> str:
    """Return a label as `repr` does, with an escape for every character that cannot be seen, or looks like another."""
    composed = unicodedata.is_normalized("NFC", str(label))
    return "".join(ascii(each)[1:-1] if _is_unclear(each, composed) else each for each in repr(label))


def _is_unclear(character: str, composed: bool) -> bool:
    apart = not composed and unicodedata.category(character).startswith("M")  # an accent beside its letter
    return apart or bool(INVISIBLE.match(character)) or not unicodedata.is_normalized("NFKC", character)


def _alike(labels: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    found = defaultdict[Hashable, dict[str, None]](dict)
    for label in labels:
        found[key(label)][label] = None
    return [list(alike) for alike in found.values() if len(alike) > 1]
