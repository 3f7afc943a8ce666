from itertools import combinations

import numpy as np
import pytest

from ripik.splits.near_copies import clusters
from ripik.splits.near_copies.clusters import Known, settle


def known(scores: dict[tuple[int, int], float], n: int, others: float) -> Known:
    """Known scores, every pair not among them scoring `others`."""
    pairs = np.array(sorted(scores), np.int64).reshape(-1, 2)
    return Known(n, pairs, np.array([scores[tuple(p)] for p in pairs]), lambda new: np.full(len(new), others))


def settled(scores: dict[tuple[int, int], float], n: int, others: float) -> list[set[int]]:
    labels = settle(known(scores, n, others), 0.6)
    return [set(np.flatnonzero(labels == label).tolist()) for label in dict.fromkeys(labels)]


def all_of(images: range, score: float) -> dict[tuple[int, int], float]:
    return dict.fromkeys(combinations(images, 2), score)


def test_what_is_not_known_is_compared_once() -> None:
    asked: list[list[int]] = []

    def compare(pairs: np.ndarray) -> np.ndarray:
        asked.extend(pairs.tolist())
        return pairs.sum(axis=1) / 10

    found = Known(5, np.array([[3, 4], [0, 1]]), np.array([0.9, 0.8]), compare)
    assert found.of(np.array([[1, 0], [2, 0], [0, 2], [4, 3]])).tolist() == [0.8, 0.2, 0.2, 0.9]
    assert found.of(np.array([[0, 2]])).tolist() == [0.2]
    assert asked == [[0, 2]]
    assert found.pairs.tolist() == [[0, 1], [0, 2], [3, 4]]
    assert [part.tolist() for part in found.of_each([np.array([[0, 1]]), np.array([[0, 2], [3, 4]])])] == [
        [0.8],
        [0.2, 0.9],
    ]


def test_groups_are_components_of_links_among_the_wanted() -> None:
    found = known({(0, 1): 0.9, (1, 2): 0.7, (3, 4): 0.5, (2, 5): 0.9}, 7, others=0.0)
    everyone = np.ones(7, bool)
    assert [group.tolist() for group in found.groups(0.7, everyone)] == [[0, 1, 2, 5]]
    assert [group.tolist() for group in found.groups(0.5, everyone)] == [[0, 1, 2, 5], [3, 4]]
    assert [group.tolist() for group in found.groups(0.5, np.arange(7) != 2)] == [[0, 1], [3, 4]]
    assert found.hubs([np.array([0, 1, 2, 5])], 0.7) == [1]


def test_a_weak_link_does_not_chain_two_photos() -> None:
    inside = all_of(range(3), 0.95) | all_of(range(3, 6), 0.95)
    assert settled({**inside, (2, 3): 0.65}, 6, others=0.2) == [{0, 1, 2}, {3, 4, 5}]
    assert settled({**inside, (2, 3): 0.65}, 6, others=0.6) == [set(range(6))]


def test_one_failed_comparison_does_not_split_a_group() -> None:
    assert settled({(0, 1): 0.9, (1, 2): 0.9}, 3, others=0.3) == [{0, 1, 2}]


def test_no_pairs_no_groups() -> None:
    assert settled({}, 3, others=1.0) == [{0}, {1}, {2}]


@pytest.fixture
def large_from_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "LARGE_GROUP", 4)


@pytest.mark.usefixtures("large_from_five")
def test_a_weak_link_does_not_chain_two_large_groups() -> None:
    inside = all_of(range(8), 0.9) | all_of(range(8, 14), 0.9)
    assert settled({**inside, (7, 8): 0.65}, 14, others=0.1) == [set(range(8)), set(range(8, 14))]


@pytest.mark.usefixtures("large_from_five")
def test_a_member_unlike_the_hub_stays_if_it_is_like_the_others() -> None:
    scores = all_of(range(8), 0.9)
    hub = settle(known(scores, 8, others=0.0), 0.6)[0]
    assert settled({**scores, (hub, 5): 0.1}, 8, others=0.0) == [set(range(8))]


@pytest.mark.usefixtures("large_from_five")
def test_a_member_with_a_weak_link_to_the_hub_leaves_if_it_is_unlike_the_others() -> None:
    unlike = {(min(5, other), max(5, other)): 0.1 for other in (0, 1, 2, 3, 4, 6)}
    assert settled({**all_of(range(8), 0.9), **unlike, (5, 7): 0.65}, 8, others=0.0) == [{0, 1, 2, 3, 4, 6, 7}, {5}]


@pytest.mark.usefixtures("large_from_five")
def test_large_groups_cost_what_their_members_cost_not_their_pairs() -> None:
    n, asked = 400, []
    chain = np.array([[index, index + 1] for index in range(n - 1)])

    def compare(pairs: np.ndarray) -> np.ndarray:
        asked.append(len(pairs))
        return np.full(len(pairs), 0.62)

    assert (settle(Known(n, chain, np.full(n - 1, 0.9), compare), 0.6) == 0).all()
    assert sum(asked) <= n * (1 + clusters.WITNESSES)


@pytest.mark.usefixtures("large_from_five")
def test_a_long_chain_of_different_photos_falls_apart() -> None:
    n = 60
    chain = {(index, index + 1): 0.62 for index in range(n - 1)}
    assert max(map(len, settled(chain, n, others=0.0))) <= 3
