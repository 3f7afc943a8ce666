"""Rows that belong together by any of several groupings."""

import numpy as np


def joined(*groupings: np.ndarray) -> np.ndarray:
    """Return int64 (n,): rows that share a value in any of the groupings, directly or in a chain, share a number.

    The number is the smallest row of the group.
    """
    memberships = [np.unique(values, return_inverse=True)[1].ravel() for values in groupings]
    lead = np.arange(len(groupings[0]))
    while True:
        before = lead
        for member in memberships:
            least = np.full(member.max(initial=-1) + 1, len(lead))
            np.minimum.at(least, member, lead)
            lead = least[member]
        lead = lead[lead]  # the leader's own leader: long chains close in few rounds
        if np.array_equal(lead, before):
            return lead
