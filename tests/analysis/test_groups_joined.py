import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ripik.analysis.groups import joined


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20))
def test_joined_rows_are_those_linked_by_either_grouping(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    found = joined(a, b)
    assert np.array_equal(found, joined(b, a))
    for row, number in enumerate(found):
        assert number == np.flatnonzero(found == number)[0]
        assert (found[(a == a[row]) | (b == b[row])] == number).all()
    assert np.array_equal(joined(found), found)  # nothing left to join


def test_rows_without_a_link_stay_apart() -> None:
    assert joined(np.array([0, 0, 1, 2, 3]), np.array(["x", "y", "y", "z", "w"])).tolist() == [0, 0, 0, 3, 4]
