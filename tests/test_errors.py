"""Hints for unknown words: near ones alone."""

import pytest

from ripik.errors import nearest


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("finetund", ("original", "finetuned"), " (did you mean finetuned?)"),
        ("f1", ("accuracy", "macro_f1"), " (did you mean macro_f1?)"),  # a part of a name
        ("output", ("soup", "seed"), " (known: seed, soup)"),
    ],
)
def test_a_hint_is_near_or_tells_all(word: str, known: tuple[str, ...], hint: str) -> None:
    assert nearest(word, known) == hint


def test_of_very_many_known_words_the_first_are_told() -> None:
    assert nearest("x", [f"label{number:03}" for number in range(102)]).endswith("label099 and 2 more)")
