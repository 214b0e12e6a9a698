"""Label files and lists of splits, in the site's own identifiers: read and checked by the main process.

What they say is kept below `private/labels/` for the rule `join_labels`. Only values from a vocabulary or a range of
the configuration go on from here, and no message quotes a cell.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.stages.join_labels.join import Said
from dicomzarr.system import json_files
from dicomzarr.system.path_text import decode_path, encode_path
from dicomzarr.vocabulary.errors import ConfigProblem

LARGEST = 256 << 20  # bytes of a label file
SEPARATORS = ",;\t"  # a spreadsheet writes semicolons where the comma is the decimal mark
PLACES_TOLD = 5  # of the cells that are not allowed


def read_sources(sources: Sequence[Mapping[str, Any]]) -> list[Said]:
    """Return what all label files say, checked.

    Raises
    ------
    ConfigProblem
        Where cells are not allowed: by number of source, line and column, never by what they hold.
    """
    return [said for number, one in enumerate(sources) if "file" in one for said in _read_labels(number, one)]


def read_fixed(files: Mapping[str, str]) -> list[Said]:
    """Return the patients whose split is given by a list; the value of the label ``split`` is its name.

    Raises
    ------
    ConfigProblem
        Where two lists name one patient; a patient without an issuer stands for that of every issuer.
    """
    found = []
    for number, (split, name) in enumerate(sorted(files.items())):
        where = f"splits.fixed.{split}"
        columns, rows = _table(where, name, ["PatientID"])
        column = _column(where, columns, "PatientID")
        issuer = columns.index("IssuerOfPatientID") if "IssuerOfPatientID" in columns else None
        for line, row in rows:
            key = (row[column].strip(), row[issuer].strip() if issuer is not None else "")
            found.append(Said(number, line, "patient", key, {"split": split}))
    named: dict[str, list[Said]] = defaultdict(list)
    for said in found:
        patient, issuer_named = said.key
        for other in named[patient] if any(said.key) else ():
            alike = issuer_named == other.key[1] or not issuer_named or not other.key[1]
            if alike and other.values != said.values:
                both = sorted((other.values["split"], said.values["split"]))
                raise ConfigProblem(
                    f"config key 'splits.fixed': line {said.line} of the list for {said.values['split']!r} names a "
                    f"patient that another list names too; found in {both[0]!r} and {both[1]!r}, allowed is one"
                )
        named[patient].append(said)
    return found


def _read_labels(number: int, source: Mapping[str, Any]) -> Iterator[Said]:
    where = f"labels.{number}"
    wanted = {name: one.get("column", name) for name, one in source["columns"].items()}
    named = [source["key"], *wanted.values(), *([source["issuer"]] if source.get("issuer") else [])]
    columns, rows = _table(where, source["file"], named)
    key = _column(where, columns, source["key"])
    issuer = _column(where, columns, source["issuer"]) if source.get("issuer") else None
    labels = {name: (_column(where, columns, wanted[name]), one) for name, one in source["columns"].items()}
    wrong: list[tuple[int, str, str]] = []
    for line, row in rows:
        values = {}
        for name, (column, allowed) in labels.items():
            text = row[column].strip()
            value = _allowed(text, allowed) if text else None
            if value is not None:
                values[name] = value
            elif text:
                wrong.append((line, columns[column], name))
        identifier = row[key].strip()
        if identifier or values:  # a label of nobody is a line that matches nothing
            yield Said(number, line, source["by"], _key(source["by"], identifier, issuer, row), values)
    if wrong:
        raise ConfigProblem(_told(where, wrong, source["columns"]))


def _told(where: str, wrong: Sequence[tuple[int, str, str]], labels: Mapping[str, Any]) -> str:
    """Return the message for cells that are not allowed: where they are, and what is needed in the first one."""
    line, column, name = wrong[0]
    words = labels[name].get("values")
    low, high = labels[name].get("range", (0, 0))
    needed = f"one of the {len(words)} values of the configuration" if words else f"a number from {low} to {high}"
    text = f"config key {where!r}: line {line}, column {column!r}: needed is {needed}, or an empty cell"
    if len(wrong) > 1:
        others = ", ".join(f"line {line} column {column!r}" for line, column, _ in wrong[1:PLACES_TOLD])
        more = len(wrong) - PLACES_TOLD
        text += f"; the same holds for {others}" + (f" and {more} more cells" if more > 0 else "")
    return text


def _key(by: str, identifier: str, issuer: int | None, row: Sequence[str]) -> tuple[str, ...]:
    if by == "patient":
        return identifier, row[issuer].strip() if issuer is not None and identifier else ""
    if by in ("path", "folder"):
        return (_path_key(identifier.removeprefix("./").rstrip("/")),)
    return (identifier,)


def _path_key(text: str) -> str:
    """Return a path as the manifest has it: what stands there already so is taken as it is, all else is plain."""
    as_in_manifest = encode_path(decode_path(text)) == text
    return text if as_in_manifest else encode_path(text.encode())


def _table(where: str, name: str, needed: Sequence[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the columns of a CSV file and its rows with their line numbers."""
    path = Path(name)
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigProblem(f"config key {where!r}: {name!r} is larger than {LARGEST >> 20} MiB")
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigProblem(
            f"config key {where!r}: the file {name!r} cannot be read: {os.strerror(error.errno or 0)}"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigProblem(
            f"config key {where!r}: line {line} of {name!r} is not UTF-8; save the file as CSV in UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, needed), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        columns = [column.strip() for column in next(reader, [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num, row))
    except csv.Error:
        raise ConfigProblem(f"config key {where!r}: line {reader.line_num} of {name!r} is no CSV") from None
    for line, row in rows:
        if len(row) != len(columns):
            raise ConfigProblem(
                f"config key {where!r}: line {line} of {name!r}: found {len(row)} cells, needed {len(columns)} as in "
                "the first line"
            )
    return columns, rows


def _separator(text: str, needed: Sequence[str]) -> str:
    """Return what separates the columns: that by which the first line has all columns that are needed, or a comma."""
    for separator in SEPARATORS:
        try:
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        if set(needed) <= {column.strip() for column in first}:
            return separator
    return SEPARATORS[0]


def _column(where: str, columns: Sequence[str], name: str) -> int:
    if columns.count(name) != 1:
        found = "no column" if name not in columns else "several columns"
        raise ConfigProblem(
            f"config key {where!r}: the first line has {found} {name!r}; needed is one, separated by commas, "
            "semicolons or tabs"
        )
    return columns.index(name)


def _allowed(text: str, allowed: Mapping[str, Any]) -> str | None:
    """Return a cell as it goes into the dataset, None if it is none that the configuration allows.

    Numbers have one form, whatever wrote them: ``3``, not ``3.0`` or ``03``.
    """
    number = _number(text)
    plain = None if number is None else repr(int(number) if number == int(number) else number)
    if "values" in allowed:
        if text in {word for word in allowed["values"] if isinstance(word, str)}:
            return text
        return plain if plain in {str(word) for word in allowed["values"] if isinstance(word, int)} else None
    low, high = allowed["range"]
    return plain if number is not None and low <= number <= high else None


def _number(text: str) -> int | float | None:
    try:
        number: int | float = int(text) if text.lstrip("+-").isdecimal() else float(text)
        return number if math.isfinite(number) and "_" not in text else None
    except (ValueError, OverflowError):
        return None


def content(sources: Sequence[Mapping[str, Any]], fixed: Mapping[str, str]) -> bytes:
    """Return what the files of the configuration state, as `join_labels` reads it.

    A file is compared by what it states: neither its time nor its place matters.

    Parameters
    ----------
    sources : sequence of mapping
        The config key `labels`.
    fixed : mapping of str to str
        The config key `splits.fixed`: a file of patients by the name of the split.

    Raises
    ------
    ConfigProblem
        As `read_sources` and `read_fixed`.
    """
    labels = [[one.source, one.line, one.by, list(one.key), one.values] for one in read_sources(sources)]
    lists = [[one.source, one.line, one.by, list(one.key), one.values] for one in read_fixed(fixed)]
    return json_files.canonical_json({"labels": labels, "fixed": lists})
