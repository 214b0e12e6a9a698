"""The list of what to retrieve: a CSV file with a column for each attribute that a line asks for."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import re
from pathlib import Path

from dicomzarr.system import list_text
from dicomzarr.vocabulary.errors import UserError

# Columns that identify something. A line needs one of them, so that none asks for a whole archive.
IDENTIFYING = ("StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "PatientID")
NARROWING = ("StudyDate", "Modality")
COLUMNS = (*IDENTIFYING, *NARROWING)
# Wider than PS3.5 9.1: old archives hold such UIDs.
UID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_SEPARATORS = ",;\t"
_WILDCARDS = re.compile(r"[*?\\]|[\x00-\x1f\x7f]")
_DAY = r"(\d{4})-?(\d\d)-?(\d\d)"
_RANGE = re.compile(rf"{_DAY}(?:\s*[-/]\s*{_DAY})?")


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A line of the list.

    Attributes
    ----------
    number : int
        In the file, from 1; the header is line 1.
    study, series, accession, patient : str
        What it asks for; empty where it does not.
    dates : tuple of str
        First and last Study Date (0008,0020), YYYYMMDD; empty for any.
    modalities : frozenset of str
        Series of these only; empty for all.
    """

    number: int
    study: str = ""
    series: str = ""
    accession: str = ""
    patient: str = ""
    dates: tuple[str, ...] = ()
    modalities: frozenset[str] = frozenset()


def read_list(path: Path) -> list[Line]:
    """Return the lines of the list that ask for something; equal ones once.

    Parameters
    ----------
    path : Path
        UTF-8 or UTF-16, with the names of columns in the first line; separated by commas, semicolons or tabs.

    Returns
    -------
    list of Line

    Raises
    ------
    UserError
        If it cannot be read, lacks a column, or a line asks for nothing or has a value that is none. Names the line,
        never a value.
    """
    try:
        text = list_text.decoded(path.read_bytes())
    except list_text.NoText as error:
        raise _problem(f"it is {error.problem}; needed is a CSV file", error.line) from None
    except OSError:
        raise _problem("it cannot be read, or does not exist; needed is a CSV file") from None
    separator, text = list_text.without_separator_line(text)
    above = 1 if separator else 0  # lines before the names of the columns
    heading = text.split("\n", 1)[0]
    if not separator and not any(map(heading.count, _SEPARATORS)):
        separator = list_text.separator_at_ends(text, _SEPARATORS)
    rows = csv.reader(text.splitlines(), delimiter=separator or max(_SEPARATORS, key=heading.count))
    try:
        columns = [*map(list_text.cell, next(rows, []))]
        _check_columns(columns)
        lines: dict[Line, Line] = {}
        for row in rows:
            values = [*map(list_text.cell, row)]
            if any(values):
                line = _line(above + rows.line_num, columns, values)
                lines.setdefault(dataclasses.replace(line, number=0), line)
    except csv.Error:
        raise _problem("it is no CSV; is a quotation mark not closed?", above + rows.line_num) from None
    if not lines:
        raise _problem("it has no line below the names of its columns")
    return [*lines.values()]


def _problem(text: str, line: int = 0) -> UserError:
    return UserError(f"config key 'dicomweb.studies': {f'line {line} of the list: ' if line else 'the list: '}{text}")


def _check_columns(columns: list[str]) -> None:
    if not set(columns) & set(IDENTIFYING):
        names = f"{', '.join(IDENTIFYING[:-1])} or {IDENTIFYING[-1]}"
        raise _problem(f"no column is named {names}; write the names of the columns in its first line")
    known = {name.lower(): name for name in COLUMNS}
    for number, name in enumerate(columns, 1):
        if name not in COLUMNS and name.lower() in known:
            raise _problem(f"column {number} must be written {known[name.lower()]}")
        if name in COLUMNS and columns.index(name) != number - 1:
            raise _problem(f"the column {name} is there twice")


def _line(number: int, columns: list[str], values: list[str]) -> Line:
    if any(values[len(columns) :]):
        raise _problem("more values than columns", number)
    given = {name: value for name, value in zip(columns, values, strict=False) if name in COLUMNS}
    if not any(given.get(name) for name in IDENTIFYING):
        raise _problem(f"it has none of {', '.join(IDENTIFYING)}, and would ask for everything", number)
    for name in ("AccessionNumber", "PatientID"):
        if _WILDCARDS.search(given.get(name, "")):
            raise _problem(f"{name} holds * ? \\ or a control character, which a server takes for a pattern", number)
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        if given.get(name) and not UID.fullmatch(given[name]):
            raise _problem(f"{name} is no UID", number)
    return Line(
        number,
        given.get("StudyInstanceUID", ""),
        given.get("SeriesInstanceUID", ""),
        given.get("AccessionNumber", ""),
        given.get("PatientID", ""),
        _dates(given.get("StudyDate", ""), number),
        frozenset(_modalities(given.get("Modality", ""), number)),
    )


def _dates(text: str, number: int) -> tuple[str, ...]:
    if not text:
        return ()
    match = _RANGE.fullmatch(text)
    try:
        if not match:
            raise ValueError
        first, last = match.groups()[:3], match.groups()[3:]
        days = [datetime.date(*map(int, day)) for day in (first, last if last[0] else first)]
    except ValueError:
        raise _problem("StudyDate is no day or range, such as 20240131 or 20240101-20240331", number) from None
    if days[0] > days[1]:
        raise _problem("StudyDate is a range that ends before it begins", number)
    return tuple(day.strftime("%Y%m%d") for day in days)


def _modalities(text: str, number: int) -> list[str]:
    names = text.replace("\\", " ").replace("/", " ").split()
    if any(not re.fullmatch("[A-Z0-9_]{1,16}", name) for name in names):
        raise _problem("Modality is no name such as CT, or several with a space between them", number)
    return names
