"""Find the array, or the mask, that a user means by an id or its beginning: for `./run explain` and `./run view`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dicomzarr.commands.tables import rows
from dicomzarr.vocabulary.errors import UserError

_SHOWN = 5  # ids in a message
_OF_SEVERAL = ("subject_id", "study_id")  # ids that are no part of an array's


def find_array(arrays: Sequence[str], word: str) -> str:
    """Return the array that a whole id, the beginning of one, or the part after the slash names.

    Parameters
    ----------
    arrays : sequence of str
        All arrays of the dataset, ``<series>/<volume>`` each.
    word : str

    Raises
    ------
    UserError
        If none or several have it; the message names them, or the nearest.
    """
    wanted = word.strip("/")
    return _only(wanted, _matching(arrays, wanted), arrays)


def find(dataset: Path, word: str) -> tuple[str, str]:
    """Return the array that an id names, and the mask if it names one; the mask is empty if not.

    Parameters
    ----------
    dataset : Path
    word : str
        A whole id, ``<series>/<volume>``, the beginning of one, the part after the slash, or the id of a series, study
        or patient with one array. After an array may follow ``/labels/<mask>``, or ``/<mask>``.

    Raises
    ------
    UserError
        If none or several have it; the message names them, or the nearest.
    """
    parts = word.strip("/").removeprefix("images.zarr/").split("/")
    wanted, below = "/".join(parts[:2]), [part for part in parts[2:] if part != "labels"]
    if len(below) > 1 or not wanted:
        raise UserError(f"found {word!r}, needed is an array of volumes.csv, or ARRAY/labels/MASK")
    arrays: list[str] = []
    owned: list[str] = []
    for row in rows(dataset / "volumes.csv", ["array"]):
        arrays.append(row["array"])
        if len(wanted) >= 8 and any(row.get(name, "").startswith(wanted) for name in _OF_SEVERAL):
            owned.append(row["array"])
    array = _only(wanted, _matching(arrays, wanted) or owned, arrays)
    return array, _mask(dataset, array, below[0]) if below else ""


def _matching(arrays: Sequence[str], wanted: str) -> list[str]:
    """Return the array with this id, or else those whose id begins with it, or else those whose second part it is."""
    if wanted in arrays:
        return [wanted]
    matches = [array for array in arrays if array.startswith(wanted)]
    return matches or [array for array in arrays if array.partition("/")[2] == wanted]


def _only(wanted: str, matches: Sequence[str], arrays: Sequence[str]) -> str:
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = ", ".join(matches[:_SHOWN]) + (f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else "")
        raise UserError(f"{wanted!r} names {len(matches)} arrays: {shown}. Give more of the id of one")
    near = max(arrays, key=lambda array: _alike(wanted, array), default="")
    nearest = f"; the nearest is {near}" if near else ", which has none"
    raise UserError(f"there is no array {wanted!r} in this dataset{nearest}. volumes.csv lists them")


def _alike(one: str, other: str) -> int:
    """Return in how many places two ids agree, counted from the start or from the end."""
    forwards = sum(a == b for a, b in zip(one, other, strict=False))
    return max(forwards, sum(a == b for a, b in zip(reversed(one), reversed(other), strict=False)))


def _mask(dataset: Path, array: str, wanted: str) -> str:
    names = [row["mask"] for row in rows(dataset / "masks.csv", ["array", "mask"]) if row["array"] == array]
    matches = [name for name in names if name == wanted] or [name for name in names if name.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    has = f"it has {', '.join(map(repr, names))}" if names else "it has no masks"
    raise UserError(f"the array {array} has no mask {wanted!r}: {has}")
