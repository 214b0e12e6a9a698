"""Read the tables of a dataset."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from dicomzarr.vocabulary.errors import DamagedTable


def rows(table: Path, needed: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Yield the rows of a table; none if it is not there, as `masks.csv` in older datasets.

    Parameters
    ----------
    table : Path
    needed : sequence of str
        Columns without which it is damaged.

    Raises
    ------
    DamagedTable
        If it lacks columns, or a row has not one cell for each of them.
    """
    for number, row in enumerate(_checked(table, needed), 2):
        if row is None or None in row or None in row.values():
            problem = f"row {number} does not fit the columns" if row else "it has not the columns of such a table"
            raise DamagedTable(table, problem)
        yield row


def _checked(table: Path, needed: Sequence[str]) -> Iterator[dict[str, str] | None]:
    """Yield the rows of a table, None where it cannot be read as one."""
    try:
        stream = _opened(table, "surrogateescape")
        if stream is None:
            return
        with stream:
            reader = csv.DictReader(stream)
            if not reader.fieldnames or not {*needed} <= {*reader.fieldnames}:
                yield None
            yield from reader
    except csv.Error:
        yield None


def raw_rows(table: Path, *, errors: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table as they are, also of a damaged one; none if it is not there.

    Parameters
    ----------
    table : Path
    errors : str
        As of `open`, for bytes that are not UTF-8: a table has such bytes only if it is damaged.
    """
    stream = _opened(table, errors)
    if stream is not None:
        with stream:
            yield from csv.DictReader(stream)


def _opened(table: Path, errors: str) -> TextIO | None:
    try:
        return open(table, newline="", encoding="utf-8", errors=errors)
    except (FileNotFoundError, NotADirectoryError):
        return None


def row_of(table: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Return the first row with these values, without its empty cells; nothing if there is none."""
    for row in rows(table):
        if all(row.get(name) == value for name, value in values.items()):
            return {name: value for name, value in row.items() if value}
    return {}
