"""Read the tables of a dataset."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path


def rows(table: Path, *, errors: str = "surrogateescape") -> Iterator[dict[str, str]]:
    """Yield the rows of a table; none if it is not there, as `masks.csv` in older datasets.

    Parameters
    ----------
    table : Path
    errors : str
        As of `open`, for bytes that are not UTF-8: a table has such bytes only if it is damaged.
    """
    try:
        stream = open(table, newline="", encoding="utf-8", errors=errors)  # noqa: SIM115
    except (FileNotFoundError, NotADirectoryError):
        return
    with stream:
        yield from csv.DictReader(stream)


def row_of(table: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Return the first row with these values, without its empty cells; nothing if there is none."""
    for row in rows(table):
        if all(row.get(name) == value for name, value in values.items()):
            return {name: value for name, value in row.items() if value}
    return {}
