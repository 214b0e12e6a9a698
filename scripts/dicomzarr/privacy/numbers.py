"""Numbers that may identify: long ids and dates of the source, as numbers in JSON, in tables and in small arrays.

A number is known by its whole part, without sign, fraction and leading zeros, and counts from eight digits on, as in
texts. A number that describes an image must not read as a date either, whatever the source says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Container, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.dates_in_numbers import may_be_date
from dicomzarr.privacy.identifiers import MIN_NUMBER, hash_of_number
from dicomzarr.privacy.words import words_of

IN_FILE, DATE = "number_in_file", "date_in_number"  # codes of findings
Found = tuple[str, str]  # code, and the attribute or "" where its name is not known to this project

# A number of eight digits and more, or with an exponent, in JSON without its strings.
_LONG = re.compile(r"(?<![\d.])\d{8}|\d[eE]\+?\d")
_IN_TEXT = re.compile(r"(?<![\w.])(?:(\d{8,40})(?:\.\d*)?|(\d(?:\.\d{1,17})?[eE]\+?\d\d?))(?![\w.])")
_OURS = re.compile(r"(\w+_)?bytes|files|frames")  # sizes and counts of this project
_MEASURES = re.compile(r"\w+_bq")  # large numbers with a unit: some read as a date by chance, or stand in a text, too


_COUNTS = (("dicomzarr", "voxels"), ("foreground", "count"))  # of voxels of a mask, at the end of a path of keys
_MASKS = "masks"  # in a file of an export: of their names, then what is known of each


def is_identifier(number: float, identifiers: Container[int]) -> bool:
    """Return whether a number is one of the source; NaN and infinity are not."""
    if -MIN_NUMBER < number < MIN_NUMBER or not math.isfinite(number):
        return False
    return hash_of_number(abs(int(number))) in identifiers


def in_text(text: str, identifiers: Container[int], own_words: Container[str]) -> bool:
    """Return whether one of the numbers in a text, such as the cells of a table, is one of the source.

    Numbers among the `own_words` are those that the configuration publishes.
    """
    numbers = (int(match[1] or float(match[2])) for match in _IN_TEXT.finditer(text))
    return any(is_identifier(number, identifiers) and str(number) not in own_words for number in numbers)


def in_json(
    text: str, rest: str, identifiers: Container[int], own_words: Container[str], *, with_dates: bool
) -> tuple[Found, int] | None:
    """Return the first finding among the numbers of JSON, or of lines of JSON.

    Parameters
    ----------
    text, rest : str
        The JSON; the same without its strings.
    identifiers : container of int
        With the hashes of numbers.
    own_words : container of str
        Words of this project, which alone are used to name an attribute; and numbers that the configuration publishes.
    with_dates : bool
        A number that reads as a date is a finding.

    Returns
    -------
    ((code, attribute), line) or None
        The line is 0 where unknown.
    """
    if not _LONG.search(rest):
        return None
    try:
        documents = [(json.loads(text), text.count("\n", 0, -1) == 0)]
    except ValueError:
        try:
            documents = [(json.loads(line), True) for line in text.splitlines() if line.strip()]
        except ValueError:  # a piece of a long file
            return ((IN_FILE, ""), 0) if in_text(rest, identifiers, own_words) else None
    for number, (document, is_line) in enumerate(documents, 1):
        for path, value in _numbers(document, ()):
            code = _code_of(path, value, identifiers, own_words)
            if code and (with_dates or code != DATE):
                return (code, _name(path, own_words)), number if is_line else 0
    return None


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the long numbers of parsed JSON with the keys that lead to them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, path)
    elif isinstance(value, (int, float)) and not -MIN_NUMBER < value < MIN_NUMBER and math.isfinite(value):
        yield path, value


def _code_of(path: tuple[str, ...], number: float, identifiers: Container[int], own_words: Container[str]) -> str:
    last = path[-1] if path else ""
    describes = "attributes" in path  # of a Zarr group or array
    if not describes and _OURS.fullmatch(last) or path[-2:] in _COUNTS:
        return ""
    if path[-3:-2] == (_MASKS,) and last == "voxels":
        return ""
    if (describes or path[-2:-1] == ("acquisition",)) and _MEASURES.fullmatch(last):
        return ""
    if is_identifier(number, identifiers) and str(abs(int(number))) not in own_words:
        return IN_FILE
    return DATE if describes and may_be_date(number) else ""


def _name(path: tuple[str, ...], own_words: Container[str]) -> str:
    """Return the name of an attribute: its keys below `attributes`, up to the first that is not one of this project."""
    keys = path[path.index("attributes") + 1 :] if "attributes" in path else path
    keys = keys[1:] if len(keys) > 1 and keys[0] in ("dicomzarr", "ome") else keys
    known = takewhile(lambda key: all(word in own_words for word in words_of(key.replace("_", " "))), keys)
    return ".".join(known)


def in_array(values: NDArray[Any], identifiers: Container[int], *, with_dates: bool = True) -> str | None:
    """Return the finding in a small array beside an image: a list of numbers that was too long for its attribute.

    Parameters
    ----------
    values : ndarray
        Of any shape.
    identifiers : container of int
        With the hashes of numbers.
    with_dates : bool
        A number that reads as a date is a finding.

    Returns
    -------
    str or None
        A code.
    """
    if values.dtype.itemsize < 4:
        return None  # no number of eight digits
    with np.errstate(invalid="ignore"):
        long = np.unique(values[(np.abs(values.astype(float)) >= MIN_NUMBER) & np.isfinite(values)]).tolist()
    checks: tuple[tuple[str, Callable[[float], bool]], ...] = (
        (IN_FILE, lambda number: is_identifier(number, identifiers)),
        (DATE, lambda number: with_dates and may_be_date(number)),
    )
    return next((code for code, is_found in checks if any(map(is_found, long))), None)


def values_of(chunk: Path) -> NDArray[Any]:
    """Return the values of a small array beside an image, flat.

    Parameters
    ----------
    chunk : Path
        The only chunk of the array, not compressed.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, KeyError, TypeError, OSError
        If it is no such array.
    """
    folder = chunk
    while folder.name != "c":
        folder = folder.parent
    metadata = json.loads((folder.parent / "zarr.json").read_bytes())
    if [codec["name"] for codec in metadata["codecs"]] != ["bytes", "crc32c"]:
        raise ValueError("not written by this project")
    kind = np.dtype(metadata["data_type"]).newbyteorder("<")
    return np.frombuffer(chunk.read_bytes(), kind, count=math.prod(metadata["shape"]))
