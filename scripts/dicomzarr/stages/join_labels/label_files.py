"""Read and check label files and lists of splits, which use the site's own identifiers. Runs in the main process.

Their lines are saved below `private/labels/` for the rule `join_labels`. Only values that the configuration allows are
passed on, and no message quotes a cell.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomzarr.source.archives import names as archive_names
from dicomzarr.stages.join_labels.join import LabelLine
from dicomzarr.system import json_files, list_text
from dicomzarr.system.path_text import decode_path, encode_path
from dicomzarr.vocabulary.errors import ConfigProblem

if TYPE_CHECKING:
    import pandas

LARGEST = 256 << 20  # bytes of a label file
SEPARATORS = ",;\t"  # a spreadsheet writes semicolons where the comma is the decimal mark
MAX_CELLS_LISTED = 5  # in the message about cells that are not allowed


def read_sources(sources: Sequence[Mapping[str, Any]]) -> list[LabelLine]:
    """Return the lines of all label files, checked.

    Raises
    ------
    ConfigProblem
        If cells are not allowed. The message gives source, line and column, never the cell.
    """
    return [line for number, source in enumerate(sources) if "file" in source for line in _read_labels(number, source)]


def read_fixed(files: Mapping[str, str]) -> list[LabelLine]:
    """Return the patients in the lists of `splits.fixed`; the name of the split is the value of the label ``split``.

    Raises
    ------
    ConfigProblem
        If a list names nobody, or two lists name the same patient. A patient without an issuer matches that ID of every
        issuer.
    """
    lines = []
    for number, (split, name) in enumerate(sorted(files.items())):
        where = f"splits.fixed.{split}"
        table = _table(where, name, ["PatientID"])
        patients = _column(where, table, name, "PatientID")
        if not (patients != "").any():  # its patients would get a split by chance, such as training
            raise ConfigProblem(f"config key {where!r}: {name!r} names no patient; add them, or remove the list")
        has_issuer = "IssuerOfPatientID" in table.columns
        issuers = _first_column(table, "IssuerOfPatientID") if has_issuer else [""] * len(table)
        for line, *key in zip(table.index.tolist(), patients, issuers, strict=True):
            lines.append(LabelLine(number, line, "patient", _composed(*key), {"split": split}))
    by_patient: dict[str, list[LabelLine]] = defaultdict(list)
    for entry in lines:
        patient, issuer = entry.key
        for other in by_patient[patient] if any(entry.key) else ():
            same_patient = issuer == other.key[1] or not issuer or not other.key[1]
            if same_patient and other.values != entry.values:
                both = sorted((other.values["split"], entry.values["split"]))
                raise ConfigProblem(
                    f"config key 'splits.fixed': line {entry.line} of the list for {entry.values['split']!r} names a "
                    f"patient that another list names too; found in {both[0]!r} and {both[1]!r}, allowed is one"
                )
        by_patient[patient].append(entry)
    return lines


def _read_labels(number: int, source: Mapping[str, Any]) -> Iterator[LabelLine]:
    where = f"labels.{number}"
    column_names = {name: label.get("column", name) for name, label in source["columns"].items()}
    needed = [source["key"], *column_names.values(), *([source["issuer"]] if source.get("issuer") else [])]
    table = _table(where, source["file"], needed)
    identifiers = _column(where, table, source["file"], source["key"])
    issuers = _column(where, table, source["file"], source["issuer"]) if source.get("issuer") else [""] * len(table)
    cells = {name: _column(where, table, source["file"], column_names[name]) for name in source["columns"]}
    # Few distinct values fill many cells: each value is checked once.
    values = {
        name: column.map({text: _allowed(text, source["columns"][name]) for text in column.unique() if text})
        for name, column in cells.items()
    }
    refused = sorted(
        (line, order, name)
        for order, (name, column) in enumerate(cells.items())
        for line in column.index[(column != "") & values[name].isna()].tolist()
    )
    if refused:
        places = [(line, column_names[name], name) for line, _, name in refused]
        hints = {_hint(cells[name][line], source["columns"][name]) for line, _, name in refused}
        raise ConfigProblem(_refused_message(where, places, source["columns"]) + "".join(sorted(hints)))
    by, rows = source["by"], zip(*(column.tolist() for column in values.values()), strict=True)
    for line, identifier, issuer, row in zip(table.index.tolist(), identifiers, issuers, rows, strict=True):
        given = {name: value for name, value in zip(values, row, strict=True) if isinstance(value, str)}
        if identifier or given:  # labels without an identifier are reported as unmatched
            yield LabelLine(number, line, by, _key(by, identifier, issuer), given)


def _refused_message(where: str, places: Sequence[tuple[int, str, str]], labels: Mapping[str, Any]) -> str:
    """Return the message about cells that are not allowed: line, column and label of each, and the allowed values.

    Parameters
    ----------
    where : str
        The config key of the source.
    places : sequence of (line, column, label)
        At least one; the message states the allowed values of the first.
    labels : mapping
        The labels of the source, as configured.
    """
    line, column, name = places[0]
    words = labels[name].get("values")
    low, high = labels[name].get("range", (0, 0))
    allowed = "the one value" if len(words or "") == 1 else f"one of the {len(words or '')} values"
    needed = f"{allowed} of the configuration" if words else f"a number from {low} to {high}"
    text = f"config key {where!r}: line {line}, column {column!r}: needed is {needed}, or an empty cell"
    if len(places) > 1:
        others = ", ".join(f"line {line} column {column!r}" for line, column, _ in places[1:MAX_CELLS_LISTED])
        more = len(places) - MAX_CELLS_LISTED
        text += f"; the same holds for {others}" + (f" and {more} more" if more > 0 else "")
    return text


def _hint(text: str, allowed: Mapping[str, Any]) -> str:
    """Return what may be wrong with a cell that is not allowed, without any of it; empty if nobody knows."""
    if _allowed(text.replace(",", "."), allowed):
        return "; write numbers with a point as the decimal mark, and with nothing between thousands"
    words = [word for word in allowed.get("values", []) if isinstance(word, str)]
    if text.casefold() in {word.casefold() for word in words}:
        return "; small and capital letters must be those of the configuration"
    return ""


def _key(by: str, identifier: str, issuer: str) -> tuple[str, ...]:
    if by == "patient":
        return _composed(identifier, issuer if identifier else "")
    if by in ("path", "folder"):
        return (_path_key(identifier.removeprefix("./").rstrip("/"), is_folder=by == "folder"),)
    return (identifier,)


def _composed(*texts: str) -> tuple[str, ...]:
    """Return texts in the form that `text_of_patient` gives those of headers: an accent is part of its letter."""
    return tuple(unicodedata.normalize("NFC", text) for text in texts)


def _path_key(text: str, *, is_folder: bool) -> str:
    """Return a path as the manifest has it, from a cell that holds it plain or already percent-encoded.

    The path of a member is that of its archive, ``!/`` and its name. As a folder, an archive has its own path.
    """
    archive, member = archive_names.split(text)
    if member and archive_names.kind_by_name(archive):
        return f"{_encoded(archive)}{archive_names.MARK}{_encoded('/' + member)[1:]}"
    if is_folder and text.endswith("!") and archive_names.kind_by_name(text[:-1]):
        return _encoded(text[:-1])
    return _encoded(text + "/")[:-1] if is_folder else _encoded(text)


def _encoded(text: str) -> str:
    as_in_manifest = encode_path(decode_path(text)) == text
    return text if as_in_manifest else encode_path(text.encode())


def _table(where: str, name: str, needed: Sequence[str]) -> pandas.DataFrame:
    """Return a CSV file as a table of text, indexed by the number of the line in which a row ends.

    Cells are as `list_text.cell` gives them, names of columns also as `_composed` does; empty cells behind the last
    column are left out. The file is parsed by `csv`, since pandas does not report the line of an error.
    """
    import pandas  # slow to import, and few projects have label files

    path = Path(name)
    try:
        state = path.stat()
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):  # it is read several times
            raise ConfigProblem(f"config key {where!r}: {name!r} is a pipe or device; save its lines in a file")
        if state.st_size > LARGEST:
            raise ConfigProblem(f"config key {where!r}: {name!r} is larger than {LARGEST >> 20} MiB")
        data = path.read_bytes()
        text = list_text.decoded(data)
    except OSError as error:
        raise ConfigProblem(
            f"config key {where!r}: the file {name!r} cannot be read: {os.strerror(error.errno or 0)}"
        ) from None
    except list_text.NoText as error:
        place = f"line {error.line} of {name!r}" if error.line else repr(name)
        raise ConfigProblem(
            f"config key {where!r}: {place} is {error.problem}; save the file as CSV in UTF-8"
        ) from None
    if not text.strip():
        raise ConfigProblem(f"config key {where!r}: {name!r} is empty; needed is a first line with names of columns")
    separator, text = list_text.without_separator_line(text)
    above = 1 if separator else 0  # lines before the names of the columns
    separator = separator or _separator(text, needed)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        columns = [*_composed(*map(list_text.cell, next(reader, [])))]
        for row in reader:
            cells = [*map(list_text.cell, row)]
            if any(cells):
                rows.append((above + reader.line_num, cells))
    except csv.Error:
        line = above + reader.line_num
        raise ConfigProblem(f"config key {where!r}: line {line} of {name!r} is not valid CSV") from None
    for line, row in rows:
        if any(row[len(columns) :]) or len(row) < len(columns):
            raise ConfigProblem(
                f"config key {where!r}: line {line} of {name!r}: needed are as many cells as in the first line, "
                f"{len(columns)}; found {len(row)}"
            )
    lines, values = [line for line, _ in rows], [row[: len(columns)] for _, row in rows]
    return pandas.DataFrame(values, index=lines, columns=columns, dtype=object)


def _separator(text: str, needed: Sequence[str]) -> str:
    """Return the separator with which the first line has all columns that are needed, or else such as differ in case.

    It is a comma if there is none.
    """
    headings: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        with contextlib.suppress(csv.Error):
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
            headings[separator] = [*map(list_text.cell, first)]
    for form in (str, _letters):
        for separator, first in headings.items():
            if {*map(form, _composed(*needed))} <= {*map(form, _composed(*first))}:
                return (len(first) == 1 and list_text.separator_at_ends(text, SEPARATORS)) or separator
    return SEPARATORS[0]


def _first_column(table: pandas.DataFrame, name: str) -> pandas.Series:
    return table.iloc[:, list(table.columns).index(name)]


def _column(where: str, table: pandas.DataFrame, file: str, name: str) -> pandas.Series:
    (name,) = _composed(name)
    count = list(table.columns).count(name)
    if count != 1:
        found = "several columns" if count else "no column"
        # Of the first line nothing else is quoted: it may be one of patients.
        near = next((each for each in table.columns if _letters(each) == _letters(name)), "") if not count else ""
        raise ConfigProblem(
            f"config key {where!r}: the first line of {file!r} has {found} {name!r}{near and f', but {near!r}'}; "
            "needed is one, separated by commas, semicolons or tabs"
        )
    return _first_column(table, name)


def _letters(name: str) -> str:
    """Return the letters and digits of the name of a column, of whatever case; the whole name if it has none."""
    (name,) = _composed(name)
    return "".join(filter(str.isalnum, name)).casefold() or name


def _allowed(text: str, allowed: Mapping[str, Any]) -> str | None:
    """Return a cell as the dataset holds it, None if the configuration does not allow it.

    Numbers are written in one form: ``3``, not ``3.0`` or ``03``.
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
    """Return the lines of the configured label files and lists as the JSON that `join_labels` reads.

    It depends on the content of the files alone, not on their time or path.

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
    parts = {"labels": read_sources(sources), "fixed": read_fixed(fixed)}
    return json_files.canonical_json(
        {name: [[x.source, x.line, x.by, list(x.key), x.values] for x in lines] for name, lines in parts.items()}
    )
