"""Labels and fixed splits: files in the site's own identifiers, joined with the series inside `private/`.

The main process reads and checks the files, and keeps what they say below `private/labels/`; the rule `join_labels`
joins that with the plans. Only values from a vocabulary or a range of the configuration go on from there.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr import storage, tables
from dicomzarr.configuration import LABEL_FINDINGS, ConfigProblem
from dicomzarr.identity import Pseudonyms
from dicomzarr.paths import Results, encode_path

KEYS = ("path", "folder", "series", "study", "patient")
JOINED = ("label", "finding", "value", "series")
DETAILS = ("label", "finding", "source", "line", "key", "series_id")
LARGEST = 256 << 20  # bytes of a label file


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a label file: whom it speaks of, and what it says.

    Attributes
    ----------
    source, line : int
        Number of the source in the configuration, from 0, and of the line in its file, from 1.
    key : tuple of str
        The identifier, and for a patient the issuer, empty where the file has none.
    values : dict of str to str
        Checked value of each label; a label whose cell is empty is not there.
    """

    source: int
    line: int
    by: str
    key: tuple[str, ...]
    values: dict[str, str]


# ---- reading, in the main process


def read_sources(sources: Sequence[Mapping[str, Any]]) -> list[Said]:
    """Return what all label files say, checked.

    Raises
    ------
    ConfigProblem
        At the first cell that is not allowed, by number of source, line and column, never by what it holds.
    """
    return [said for number, one in enumerate(sources) if "file" in one for said in _read_labels(number, one)]


def read_fixed(files: Mapping[str, str]) -> list[Said]:
    """Return the patients whose split is given by a list; the value of the label ``split`` is its name."""
    found = []
    for number, (split, name) in enumerate(sorted(files.items())):
        where = f"splits.fixed.{split}"
        columns, rows = _table(where, name)
        column = _column(where, columns, "PatientID")
        issuer = columns.index("IssuerOfPatientID") if "IssuerOfPatientID" in columns else None
        for line, row in rows:
            key = (row[column].strip(), row[issuer].strip() if issuer is not None else "")
            if any(key):
                found.append(Said(number, line, "patient", key, {"split": split}))
    lists: dict[tuple[str, ...], str] = {}
    for said in found:
        if lists.setdefault(said.key, said.values["split"]) != said.values["split"]:
            both = sorted((lists[said.key], said.values["split"]))
            raise ConfigProblem(
                f"config key 'splits.fixed': line {said.line} of the list for {said.values['split']!r} names a patient "
                f"that another list names too; found in {both[0]!r} and {both[1]!r}, allowed is one"
            )
    return found


def _read_labels(number: int, source: Mapping[str, Any]) -> Iterator[Said]:
    where = f"labels.{number}"
    columns, rows = _table(where, source["file"])
    key = _column(where, columns, source["key"])
    issuer = _column(where, columns, source["issuer"]) if source.get("issuer") else None
    labels = {name: (_column(where, columns, one.get("column", name)), one) for name, one in source["columns"].items()}
    for line, row in rows:
        values = {}
        for name, (column, allowed) in labels.items():
            text = row[column].strip()
            if text:
                values[name] = _checked(where, line, columns[column], text, allowed)
        identifier = row[key].strip()
        if identifier:
            yield Said(number, line, source["by"], _key(source["by"], identifier, issuer, row), values)


def _key(by: str, identifier: str, issuer: int | None, row: Sequence[str]) -> tuple[str, ...]:
    if by == "patient":
        return identifier, row[issuer].strip() if issuer is not None else ""
    if by in ("path", "folder"):
        return (encode_path(os.fsencode(identifier.removeprefix("./").rstrip("/"))),)
    return (identifier,)


def _table(where: str, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the columns of a CSV file and its rows with their line numbers."""
    path = Path(name)
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigProblem(f"config key {where!r}: {name!r} is larger than {LARGEST >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigProblem(
            f"config key {where!r}: the file {name!r} cannot be read: {os.strerror(error.errno or 0)}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigProblem(f"config key {where!r}: {name!r} is not UTF-8; save it as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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


def _column(where: str, columns: Sequence[str], name: str) -> int:
    if columns.count(name) != 1:
        found = "no column" if name not in columns else "several columns"
        raise ConfigProblem(
            f"config key {where!r}: the first line has {found} {name!r}; needed is one, separated by commas"
        )
    return columns.index(name)


def _checked(where: str, line: int, column: str, text: str, allowed: Mapping[str, Any]) -> str:
    """Return a cell as it goes into the dataset, if it is one that the configuration allows."""
    if "values" in allowed:
        words = [str(word) for word in allowed["values"]]
        if text in words:
            return text
        needed = f"one of the {len(words)} values of the configuration"
    else:
        low, high = allowed["range"]
        number = _number(text)
        if number is not None and low <= number <= high:
            return repr(int(number)) if number == int(number) else repr(number)
        needed = f"a number from {low} to {high}"
    raise ConfigProblem(f"config key {where!r}: line {line}, column {column!r}: needed is {needed}, or an empty cell")


def _number(text: str) -> float | None:
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def keep(results: Results, sources: Sequence[Mapping[str, Any]], fixed: Mapping[str, str]) -> None:
    """Read the files of the configuration and keep what they say for `join_labels`, where that changed.

    A file is compared by what it says: neither its time nor its place matters.
    """
    said = [[one.source, one.line, one.by, list(one.key), one.values] for one in read_sources(sources)]
    lists = [[one.source, one.line, one.by, list(one.key), one.values] for one in read_fixed(fixed)]
    content = storage.canonical_json({"labels": said, "fixed": lists})
    storage.write_if_changed(said_path(results), content, private=True)


def said_path(results: Results) -> Path:
    """Return where the checked content of the label files is kept."""
    return results.private / "labels" / "said.json"


# ---- joining, in the rule


@dataclass(slots=True)
class Join:
    """What the join found, beside its outputs."""

    counts: dict[str, int]
    inputs: dict[str, str] = field(default_factory=dict)


class _Index:
    """Lines by what they speak of."""

    def __init__(self, lines: Sequence[Said]) -> None:
        self.lines = lines
        self._found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, said in enumerate(lines):
            self._found[(said.by, *said.key)].append(number)

    def of(self, entry: Mapping[str, Any]) -> set[int]:
        """Return the numbers of the lines that speak of a series."""
        found: set[int] = set()
        for key in {key for row in entry["files"] for key in _keys_of(row)}:
            found.update(self._found.get(key, ()))
        return found


def _keys_of(row: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    facts, path = row["facts"], row["path"]
    yield "path", path
    parent = path.rpartition("/")[0]
    while parent:
        yield "folder", parent
        parent = parent.rpartition("/")[0]
    yield "series", facts.get("SeriesInstanceUID", "")
    yield "study", facts.get("StudyInstanceUID", "")
    patient = facts.get("PatientID", "")
    yield "patient", patient, facts.get("IssuerOfPatientID", "")
    yield "patient", patient, ""


def _folder_values(entry: Mapping[str, Any], source: Mapping[str, Any]) -> set[str]:
    """Return what the n-th folder names of a series' files say, as far as the vocabulary has it."""
    names = [row["path"].split("/")[:-1] for row in entry["files"]]
    words = {str(word) for word in source["values"]}
    depth = source["folder"]
    return {parts[depth - 1] for parts in names if len(parts) >= depth} & words


def label_names(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all labels, sorted: the columns of `volumes.csv`, less their ``label_``."""
    found = {name for one in sources for name in one.get("columns", {})}
    return sorted(found | {one["name"] for one in sources if "folder" in one})


def _entries(results: Results, batches: Sequence[str]) -> Iterator[dict[str, Any]]:
    for batch in sorted(batches):
        yield from storage.read_json(results.plan(batch))["series"]


def join_labels(
    results: Results,
    batches: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
    pseudonyms: Pseudonyms,
    outputs: Mapping[str, Path],
) -> Join:
    """Say which label each series has.

    Parameters
    ----------
    results : Results
    batches : sequence of str
        Names of all batches, whose plans are joined.
    sources : sequence of mapping
        ``labels`` of the configuration.
    pseudonyms : Pseudonyms
        For the digests of the provenance.
    outputs : mapping of str to Path
        ``joined``: labels and fixed split of each series that has any, by id; ``report``: counts, which may be shared;
        ``details``: lines and series without a partner, which may not.

    Notes
    -----
    A series has a label where every line that speaks of it, or of one of its files, says the same. Where they differ
    it has none, and a conflict is counted.
    """
    content = storage.read_json(said_path(results))
    labels = _Index([Said(a, b, c, tuple(d), e) for a, b, c, d, e in content["labels"]])
    fixed = _Index([Said(a, b, c, tuple(d), e) for a, b, c, d, e in content["fixed"]])
    names = label_names(sources)
    used: set[int] = set()
    used_fixed: set[int] = set()
    joined: dict[str, dict[str, Any]] = {}
    values: dict[tuple[str, str], int] = defaultdict(int)
    findings: dict[tuple[str, str], int] = defaultdict(int)
    details: list[list[Any]] = []
    for entry in _entries(results, batches):
        series_id = entry["series_id"]
        lines = labels.of(entry)
        used |= lines
        chosen: dict[str, str] = {}
        for name in names:
            said = {labels.lines[n].values[name] for n in lines if name in labels.lines[n].values}
            for one in sources:
                said |= _folder_values(entry, one) if one.get("name") == name and "folder" in one else set()
            if len(said) == 1:
                chosen[name] = said.pop()
                values[name, chosen[name]] += 1
                continue
            finding = "label_conflicts" if said else "images_unlabelled"
            findings[name, finding] += 1
            details.append([name, finding, "", "", "", series_id])
        own = fixed.of(entry)
        used_fixed |= own
        split = sorted({fixed.lines[n].values["split"] for n in own})
        if chosen or split:
            joined[series_id] = {"labels": chosen, "split": split[0] if split else ""}
    for number, line in enumerate(labels.lines):
        if number not in used:
            for name in sorted(line.values):
                findings[name, "labels_unmatched"] += 1
                details.append([name, "labels_unmatched", line.source, line.line, " ".join(line.key).strip(), ""])
    for number, line in enumerate(fixed.lines):
        if number not in used_fixed:
            details.append(["split", "labels_unmatched", line.source, line.line, " ".join(line.key).strip(), ""])
    storage.write_atomically(outputs["joined"], storage.canonical_json(joined), private=True)
    rows = [[name, "matched", value, count] for (name, value), count in values.items()]
    rows += [[name, finding, "", findings[name, finding]] for name in names for finding in LABEL_FINDINGS]
    tables.write(outputs["report"], JOINED, [tables.line(row) for row in sorted(rows)])
    text = sorted([str(cell) for cell in row] for row in details)
    tables.write(outputs["details"], DETAILS, [tables.line(row) for row in text], private=True)
    counts = {finding: sum(findings[name, finding] for name in names) for finding in LABEL_FINDINGS}
    counts |= {"series": len(joined), "labels": len(names)}
    return Join(counts, {"said": pseudonyms.digest("labels", storage.sha256_of(said_path(results)))})
