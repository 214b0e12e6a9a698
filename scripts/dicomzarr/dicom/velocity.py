"""Velocity encoding outside of its attributes: at the end of Sequence Name (0018,0024) of Siemens, as fl3d1_v150in."""

from __future__ import annotations

import re
from typing import Final

_ENCODING: Final = re.compile("_v([0-9]{1,4}[a-z]{2,8})$")
# Direction in which velocity was encoded, by the word behind the number.
VELOCITY_DIRECTIONS: Final = {
    "in": "through_plane",
    "rl": "right_left",
    "lr": "left_right",
    "ap": "anterior_posterior",
    "pa": "posterior_anterior",
    "fh": "foot_head",
    "hf": "head_foot",
}


def velocity_encoding(name: str) -> str:
    """Return what the name of a sequence says of the encoding of velocity.

    Parameters
    ----------
    name : str
        Sequence Name (0018,0024), without padding.

    Returns
    -------
    str
        Digits and small letters, such as ``150in``; empty where it says nothing.
    """
    found = _ENCODING.search(name)
    return found[1] if found else ""


def split_velocity(encoding: str) -> tuple[float, str]:
    """Return velocity and word of an encoding such as ``150in``.

    Parameters
    ----------
    encoding : str
        A number, then a word.

    Returns
    -------
    velocity : float
        Largest velocity, cm/s.
    word : str
        For the direction; see `VELOCITY_DIRECTIONS`.
    """
    word = encoding.lstrip("0123456789.")
    return float(encoding.removesuffix(word)), word
