"""Rows that belong together by any of several groupings."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def joined(*groupings: np.ndarray) -> np.ndarray:
    """Return int64 (n,): rows that share a value in any of the groupings, directly or in a chain, share a number.

    The number is the smallest row of the group.
    """
    rows = np.arange(len(groupings[0]))
    first = [np.unique(values, return_index=True, return_inverse=True)[1:] for values in groupings]
    links = np.concatenate([start[inverse] for start, inverse in first]), np.tile(rows, len(groupings))
    _, component = connected_components(coo_array((np.ones(len(links[0])), links), shape=(len(rows),) * 2))
    _, lead, place = np.unique(component, return_index=True, return_inverse=True)
    return lead[place]
