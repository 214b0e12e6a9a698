"""Splits by patient: a function of the keyed subject id and a seed, so that no patient ever moves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def position(subject_id: str, seed: int) -> float:
    """Return where a subject stands between 0 and 1: evenly spread, and the same however many others there are.

    Parameters
    ----------
    subject_id : str
        Keyed id of the patient, 16 hex digits.
    seed : int
        Another seed deals all patients anew.
    """
    digest = hashlib.sha256(f"split\0{seed}\0{subject_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)  # as many bits as a double holds: 1.0 never comes out


def split_of(subject_id: str, fractions: Mapping[str, float], seed: int) -> str:
    """Return the split of a subject.

    Parameters
    ----------
    fractions : mapping of str to float
        Share of each split; they add up to 1. Splits are laid side by side in the order of their names, so that the
        order in which they are written decides nothing.
    """
    place, names, end = position(subject_id, seed), sorted(name for name in fractions if fractions[name] > 0), 0.0
    for name in names:
        end += fractions[name]
        if place < end:
            return name
    return names[-1]  # the shares add up to a little less than 1
