"""Similarity beyond chance: what an image's resemblance to unrelated images of the set says about a pair.

Different photos of real scenes hardly resemble each other. Strokes on an empty ground do: a turn and a crop lay almost
any circle over any other, and digits of one kind over each other. Such images show by the company they keep. A group of
copies is alone, or next to a few groups of the same scene; drawings make families of many groups that resemble each
other without being one. In a family a crop proves nothing, so its images are compared in place, and the similarity
counts from chance on: from the greatest one to unrelated images of a sample of the set. A sample's maximum grows with
its size, for a tail that falls exponentially with its logarithm (Gumbel 1958), so it is carried on to the whole set.

An image's own copies must not be its null: its group is left out while it is small, or so uniform that it is one photo.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ripik.splits.near_copies.candidates import nearest_among
from ripik.splits.near_copies.clusters import LARGE_GROUP, Compare, Known, marked

RESEMBLING = 0.35  # groups with a pair of this similarity resemble each other; few groups of photos do
FAMILY = 5  # groups that resemble each other, in a chain, from which on they are no few photos of one scene
MOST = 0.75  # a share of the linked images in families, from which on no linked image of the set is trusted
NEARLY_ONE = 0.52  # below that share: the similarity by which a family is known among photos, just below the threshold
EXPECTED = 0.97  # chance in place is taken to be at least that
PROVEN = 0.1  # what chance becomes on the scale of similarities
REFERENCES = 128  # images of the sample
GROWTH = 0.16  # by which the greatest Fisher z of unrelated images grows when e times as many are looked at
COMPARED = 3  # of them compared with an image, the most alike ones
SMALL_SHARE = 8  # a group of at most 1 / SMALL_SHARE of the images, and of LARGE_GROUP, is left out of its own null
UNIFORM = 0.75  # and so is a larger one, if half of its pairs are at least that similar


def in_families(descriptors: np.ndarray, known: Known, labels: np.ndarray, threshold: float) -> np.ndarray:
    """Which images resemble unrelated ones, so that only their similarity in place counts: bool (n,).

    Only images with a link of at least `threshold` are. descriptors: of n images. labels: int64 (n,), the groups that
    `known` alone makes, each the index of a member, which is compared to the sample too: many copies of an image may
    leave no unrelated one among its candidates.
    """
    linked = marked(known.n, [known.pairs[known.scores >= threshold].ravel()])
    leads, references = np.unique(labels[linked]), _references(known.n)
    known.of(nearest_among(descriptors, leads, references, leads[:, None] != labels[references], COMPARED))
    found = linked & _families(known, labels, RESEMBLING)
    return linked if found.sum() >= MOST * linked.sum() else linked & _families(known, labels, NEARLY_ONE)


def _families(known: Known, labels: np.ndarray, level: float) -> np.ndarray:
    """Whose group is one of FAMILY and more that similarities of at least this level connect: bool (n,)."""
    ties = labels[known.pairs[known.scores >= level]]
    graph = coo_array((np.ones(len(ties)), tuple(ties.T)), shape=(known.n, known.n))
    family = connected_components(graph, directed=False)[1]
    groups = np.bincount(family[np.unique(labels)], minlength=known.n)
    return groups[family[labels]] >= FAMILY


def _references(n: int) -> np.ndarray:
    """A sample of the images: the first ones, since they come in the order of their digests, a random one."""
    return np.arange(min(REFERENCES, n))


def chance_of(descriptors: np.ndarray, images: np.ndarray, labels: np.ndarray, in_place: Compare) -> np.ndarray:
    """The similarity in place that an unrelated image of the set may have to each image, float64 (n,); 0 for others.

    images: int64 (k,), for which it is asked. labels: int64 (n,), the groups so far.
    """
    n, references = len(descriptors), _references(len(descriptors))
    own = (labels[images, None] == labels[references]) & _left_out(labels, images, in_place)[images, None]
    pairs = nearest_among(descriptors, images, references, ~own & (images[:, None] != references), COMPARED)
    greatest = np.zeros(n)
    np.maximum.at(greatest, pairs[:, 0], np.minimum(in_place(pairs), 0.999))
    met = np.isin(np.arange(n), pairs[:, 0])
    return np.where(met, np.tanh(np.arctanh(greatest) + GROWTH * (1 + np.log(n / len(references)))), 0.0)


def _left_out(labels: np.ndarray, images: np.ndarray, in_place: Compare) -> np.ndarray:
    """Whose group is no part of its null, bool (n,): small, or two members taken anyhow are very much alike."""
    size = np.bincount(labels, minlength=len(labels))
    out = size <= max(min(LARGE_GROUP, len(labels) // SMALL_SHARE), 1)
    for label in np.intersect1d(np.flatnonzero(~out), labels[images]):
        members = np.flatnonzero(labels == label)
        out[label] = np.median(in_place(np.stack([members, np.roll(members, len(members) // 2)], axis=1))) >= UNIFORM
    return out[labels]


def beyond(similarity: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Similarity beyond chance, float64 (m,): the greater chance of a pair becomes PROVEN, and 1 stays 1.

    similarity: in place, (m,). chance: of both images, (m, 2); it counts as EXPECTED at least.
    """
    above = np.maximum(chance.max(axis=1), EXPECTED)
    return np.maximum(0.0, 1 - (1 - similarity) * (1 - PROVEN) / (1 - above))
