"""Groups of near copies from the similarities of pairs: linked, and re-checked from inside.

A group is a connected component of the links at or above the threshold. One wrong link would chain two photos, so the
pairs that were not compared yet are asked for: all of a small group, which average linkage then cuts; of a large group
each member against its hub, the member with most links, and in doubt against some witnesses too. So the cost of a
large group grows with its members, not with their pairs.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LARGE_GROUP = 16  # images in a group that are still compared all with all
SLACK = 0.1  # how far a mean similarity may lie below the threshold, and how far above it a single one is not doubted
WITNESSES = 4  # members of a large group that, with its hub, judge the doubtful ones
STRICTER = 0.1  # by how much the links of what is left of a large group must be stronger, round by round

Compare = Callable[[np.ndarray], np.ndarray]  # pairs (m, 2) to similarities (m,)


class Known:
    """The similarities known so far, of pairs among n images; pairs that are asked for and not known are compared.

    pairs: int64 (m, 2), a < b in each; scores: float64 (m,).
    """

    def __init__(self, n: int, pairs: np.ndarray, scores: np.ndarray, compare: Compare) -> None:
        self.n, self._compare = n, compare
        order = np.argsort(keys := pairs @ [n, 1])
        self._keys, self.scores = keys[order], scores[order]

    @property
    def pairs(self) -> np.ndarray:
        """Whose similarity is known, int64 (m, 2), a < b in each."""
        return np.stack(np.divmod(self._keys, self.n), axis=1)

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """Similarities float64 (m,) of pairs (m, 2) in any order."""
        keys = np.sort(pairs, axis=1) @ [self.n, 1]
        missing = np.setdiff1d(keys, self._keys)
        place = np.searchsorted(self._keys, missing)
        scores = self._compare(np.stack(np.divmod(missing, self.n), axis=1))
        self._keys, self.scores = np.insert(self._keys, place, missing), np.insert(self.scores, place, scores)
        return self.scores[np.searchsorted(self._keys, keys)]

    def of_each(self, lists: list[np.ndarray]) -> list[np.ndarray]:
        """The same for several lists of pairs at once."""
        scores = self.of(np.concatenate([np.zeros((0, 2), np.int64), *lists]))
        return np.split(scores, np.cumsum([len(pairs) for pairs in lists])[:-1]) if lists else []

    def groups(self, level: float, among: np.ndarray) -> list[np.ndarray]:
        """Components of two and more images that links of at least this similarity connect, ascending."""
        links = self.pairs[self.scores >= level]
        links = links[among[links].all(axis=1)]
        graph = coo_array((np.ones(len(links)), tuple(links.T)), shape=(self.n, self.n))
        labels = connected_components(graph, directed=False)[1]
        parts = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
        return [part for part in parts if len(part) > 1]

    def hubs(self, groups: list[np.ndarray], level: float) -> list[int]:
        """The member of each group that most links of at least this similarity lead to, of equals the most similar."""
        linked = self.scores >= level
        ends = self.pairs[linked].ravel()
        links = np.bincount(ends, minlength=self.n)
        similarity = np.bincount(ends, np.repeat(self.scores[linked], 2), self.n)
        return [int(group[np.lexsort((-similarity[group], -links[group]))[0]]) for group in groups]


def marked(n: int, groups: list[np.ndarray]) -> np.ndarray:
    """Which of n images are in some of the groups, bool (n,)."""
    marks = np.zeros(n, bool)
    for group in groups:
        marks[group] = True
    return marks


def settle(known: Known, threshold: float) -> np.ndarray:
    """Group labels int64 (n,): components of links, re-checked from inside, so that no weak link chains two photos.

    What is left of a large group is grouped again by stronger links.
    """
    labels, todo, level = np.arange(known.n), np.ones(known.n, bool), threshold
    while groups := known.groups(level, todo):
        large = [group for group in groups if len(group) > LARGE_GROUP]
        kept = _around_hubs(known, large, threshold, level)
        small = _by_average_linkage(known, [group for group in groups if len(group) <= LARGE_GROUP], threshold)
        for part in small + kept:
            labels[part] = part[0]
        todo, level = marked(known.n, large) & ~marked(known.n, kept), level + STRICTER
    return labels


def _by_average_linkage(known: Known, groups: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    """Cut small groups where the mean similarity of two parts says that they are two photos."""
    parts = []
    scores = known.of_each([np.array(list(combinations(group, 2))) for group in groups])
    for group, own in zip(groups, scores, strict=True):
        labels = fcluster(linkage(1.0 - own, "average"), 1.0 - threshold + SLACK, "distance")
        parts += [group[labels == label] for label in np.unique(labels)]
    return parts


def _around_hubs(known: Known, groups: list[np.ndarray], threshold: float, level: float) -> list[np.ndarray]:
    """Of each large group the members that resemble its hub or, in doubt, on the mean its hub and some witnesses."""
    hubs = known.hubs(groups, level)
    others = [group[group != hub] for group, hub in zip(groups, hubs, strict=True)]
    alike = known.of_each([_all_with_all(other, np.array([hub])) for other, hub in zip(others, hubs, strict=True)])
    doubted = [other[own < threshold + SLACK] for other, own in zip(others, alike, strict=True)]
    judges = []
    for other, own, hub in zip(others, alike, hubs, strict=True):
        trusted = other[np.argsort(-own, kind="stable")][: np.count_nonzero(own >= threshold + SLACK)]
        judges.append(np.append(trusted[:: len(trusted) // WITNESSES + 1], hub))
    scores = known.of_each([_all_with_all(*each) for each in zip(doubted, judges, strict=True)])
    kept = []
    for group, doubt, judge, own in zip(groups, doubted, judges, scores, strict=True):
        out = doubt[own.reshape(len(doubt), len(judge)).mean(axis=1) < threshold - SLACK]
        kept.append(np.setdiff1d(group, out))
    return kept


def _all_with_all(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(some, others, indexing="ij"), axis=-1).reshape(-1, 2)
