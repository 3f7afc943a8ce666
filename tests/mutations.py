"""Configuration texts and overrides as people, editors and broken disks spoil them; seeded."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

ODD_TEXT = (
    *(
        "",
        " ",
        "-",
        "0",
        "1",
        "-1",
        "007",
        "1.0",
        "1e3",
        "1e400",
        "nan",
        "NaN",
        "None",
        "null",
        "inf",
        "true",
        "[]",
        "{}",
    ),
    *("é", "ß", "日本語", "١٢", "²", "🚗", "a\u0301", "\u200b", "\ufeff", "\u202eabc", "\x00", "\x1b[31m", "\t", "\n"),
    *("[bold]", "[/]", "<b>", "%s", "{0}", "$HOME", "~", ".", "..", "../x", "/", "/etc/passwd", "C:\\x", "a/b", "a,b"),
    *("'", '"', '""', "'''", "=", "#", ";", "\\", "9" * 18, "9" * 19, "9" * 40, "x" * 300, "image_id", "label", "p_1"),
)
ODD_TOML = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "1_000",
        "+5",
        "0x1F",
        "0b2",
        "07",
        "9223372036854775808",
        "9" * 30,
        "9" * 5000,
        "-" + "9" * 400,
    ),
    *("1.5", "-0.0", "1e400", "1e-400", "inf", "-inf", "nan", "1.", ".5", "true", "True", "yes", "null", "''", '""'),
    *(
        "1979-05-27",
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "1979-13-40",
        "[]",
        "[[]]",
        "[1, 'a']",
        "[1, 1]",
        "{}",
        "{ a = 1 }",
    ),
    *('"8h30m"', '"0h"', '"-1h"', '"1d"', '"identity"', '["identity"]', '["equal", "equal"]', '"head"', '"original"'),
    *(
        '"all"',
        '"block7a"',
        '"accuracy"',
        '"auto"',
        '"on"',
        '"none"',
        '{ "1" = 2.0 }',
        '"\\u0000"',
        '"\\ud800"',
        '"é\\n"',
    ),
    *('"""', "'''", "[", "]", "[" * 300, "[" * 2000 + "]" * 2000, "{ a = " * 500, '"' + "x" * 3000 + '"', "=", "#", ""),
)
PLACES = ("paths.", "competition.root", "competition.t", "competition.sample", "competition.correct", "network.weights")
ODD_PATHS = (
    *(
        '"a\\u0000b"',
        '"a\\nb"',
        "~nobody-of-this-name/x",
        "~",
        "tiny.toml",
        "input/train/train.csv",
        "input",
        ".",
        "..",
        "x" * 300,
    ),
    *("a/" * 2000, "/dev/null", "/proc/self/mem", "é", "\udcff", '" "', "//", "tiny.toml/x", "*", "[a-", "CON", "a:b"),
)


def odd_config(rng: Random, texts: Sequence[str]) -> bytes:
    """Return one of the texts, which are TOML, spoiled one to four times."""
    text = rng.choice(texts)
    for _ in range(rng.randint(0, 3)):
        text = rng.choice((_other_value, _other_value, _other_line, _other_line, _other_key, _new_line))(rng, text)
    return odd_bytes(rng, text.encode("utf-8", "surrogatepass")) if rng.random() < 0.3 else text.encode()


def odd_override(rng: Random, keys: Sequence[str]) -> str:
    """Return a text for --set: a key, most often one of the documented ones, and a value of any kind."""
    key = rng.choice(keys)
    if rng.random() < 0.25:
        key = typo(rng, key)
    if rng.random() < 0.1:
        key = rng.choice(
            (key.replace(".", "..", 1), f"{key}.{rng.choice(keys)}", key.upper(), f" {key} ", "a." * 1500 + "b")
        )
    value = rng.choice(ODD_TOML if rng.random() < 0.7 else ODD_TEXT)
    if rng.random() < 0.2:
        key, value = rng.choice([key for key in keys if key.startswith(PLACES)]), rng.choice(ODD_PATHS)
    text = f"{key}{rng.choice(('=', '=', '=', '=', '=', ' = ', '==', ':', ''))}{value}"
    return typo(rng, text) + "\udcff" if rng.random() < 0.03 else text


def odd_bytes(rng: Random, content: bytes) -> bytes:
    """Return bytes flipped, cut, doubled, or with others among them."""
    at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    noise = rng.randbytes(rng.choice((1, 1, 2, 16)))
    kinds = (
        content[:at] + noise + content[at:],
        content[:at] + noise + content[at + len(noise) :],
        content[:at] + content[end:],
        content[:at] + content[at:end] * 2 + content[end:],
        content[:at],
        content[:at] + b"\x00" + content[at:],
        *((noise * 20, b"") if rng.random() < 0.1 else ()),
    )
    return rng.choice(kinds)


def typo(rng: Random, word: str) -> str:
    """Return the word with a letter more, less or another."""
    at = rng.randrange(len(word) + 1)
    letter = rng.choice("aeé_-. 0\x00")
    return rng.choice((word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[:at] + letter + word[at + 1 :]))


def _other_line(rng: Random, text: str) -> str:
    lines = text.split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = typo(rng, lines[at])
    return "\n".join(lines)


def _other_value(rng: Random, text: str) -> str:
    lines = text.split("\n")
    at = rng.choice([number for number, line in enumerate(lines) if "=" in line] or [0])
    key, _, _ = lines[at].partition("=")
    lines[at] = f"{key}= {rng.choice(ODD_TOML)}"
    return "\n".join(lines)


def _other_key(rng: Random, text: str) -> str:
    lines = text.split("\n")
    at = rng.choice([number for number, line in enumerate(lines) if "=" in line or "[" in line] or [0])
    start, sign, end = lines[at].partition("=" if "=" in lines[at] else "]")
    lines[at] = (
        rng.choice((typo(rng, start), f'"{rng.choice(ODD_TEXT[:30])}" ', f"a.{start}", start.upper())) + sign + end
    )
    return "\n".join(lines)


def _new_line(rng: Random, text: str) -> str:
    lines = text.split("\n")
    word = rng.choice(
        ("training", "variants", "variants.original", "run", "network", "x", '"é"', "a.b.c", "folds", "''")
    )
    new = (
        f"[{word}]",
        f"[[{word}]]",
        f"{word} = {rng.choice(ODD_TOML)}",
        "a." * 1500 + "b = 1",
        f"[{'a.' * 1500}b]",
        "\x00",
    )
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(new))
    return "\n".join(lines)
