"""Labels and fixed splits, joined with the series inside `private/`.

What the label files say comes checked from `label_files`. Only values from a vocabulary or a range of the configuration
are in it.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan, planned_series
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.row import HeaderRow
from dicomzarr.system import csv_tables, files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.findings import FIXED_FINDING, LABEL_FINDINGS

JOINED = ("label", "finding", "value", "series")
DETAILS = ("label", "finding", "source", "line", "key", "series_id")
FIXED = "splits.fixed"  # stands in the column of labels for the lists; no label can have that name


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a label file: whom it speaks of, and what it says.

    Attributes
    ----------
    source, line : int
        Number of the source in the configuration, from 0, and of the line in its file, from 1.
    by : str
        What the key is: ``path``, ``folder``, ``series``, ``study`` or ``patient``.
    key : tuple of str
        The identifier, and for a patient the issuer, empty where the file has none. All empty: of nobody.
    values : dict of str to str
        Checked value of each label; a label whose cell is empty is not there.
    """

    source: int
    line: int
    by: str
    key: tuple[str, ...]
    values: dict[str, str]


def label_lines_path(results: Results) -> Path:
    """Return where the checked content of the label files is kept."""
    return results.private / "labels" / "labels.json"


class _Index:
    """Lines by what they speak of, and which of them found a series."""

    def __init__(self, lines: Sequence[Said]) -> None:
        self.lines = lines
        self.used: set[int] = set()
        self._imageless: dict[int, str] = {}
        self._found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, said in enumerate(lines):
            if any(said.key):
                self._found[(said.by, *said.key)].append(number)

    def of(self, plan: SeriesPlan) -> set[int]:
        """Return the numbers of the lines that speak of a series."""
        found: set[int] = set()
        for key in {key for row in plan.files for key in _keys_of(row)}:
            found.update(self._found.get(key, ()))
        return found

    def without_image(self, numbers: set[int], series_id: str) -> None:
        """Remember that lines speak of a series of which no image is in the dataset."""
        for number in numbers:
            self._imageless.setdefault(number, series_id)

    def without_partner(self) -> Iterator[tuple[Said, str]]:
        """Yield the lines that speak of no image, each with the series of the source that it speaks of, if any."""
        for number, line in enumerate(self.lines):
            if number not in self.used:
                yield line, self._imageless.get(number, "")


def _keys_of(row: HeaderRow) -> Iterator[tuple[str, ...]]:
    facts, path = row["facts"], row["path"]
    yield "path", path
    parent = path.rpartition("/")[0]
    while parent:
        yield "folder", parent
        parent = parent.rpartition("/")[0]
    yield "series", facts.get("SeriesInstanceUID", "")
    yield "study", facts.get("StudyInstanceUID", "")
    patient, issuer = _as_text(facts.get("PatientID", "")), _as_text(facts.get("IssuerOfPatientID", ""))
    yield "patient", patient, issuer
    yield "patient", patient, ""


def _as_text(value: str) -> str:
    """Return a text of the header, which stands for its bytes (Latin-1), as UTF-8 where the bytes are that."""
    # ASSUME the other character sets of Specific Character Set (0008,0005) do not occur in identifiers of patients.
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _folder_values(plan: SeriesPlan, source: Mapping[str, Any]) -> set[str]:
    """Return what the n-th folder names of a series' files say, as far as the vocabulary has it."""
    names = [row["path"].split("/")[:-1] for row in plan.files]
    words = {str(word) for word in source["values"]}
    depth = source["folder"]
    return {parts[depth - 1] for parts in names if len(parts) >= depth} & words


def label_names(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all labels, sorted: the columns of `volumes.csv`, less their ``label_``."""
    found = {name for one in sources for name in one.get("columns", {})}
    return sorted(found | {one["name"] for one in sources if "folder" in one})


def _sayings(
    name: str, labels: _Index, lines: set[int], plan: SeriesPlan, sources: Sequence[Mapping[str, Any]]
) -> Iterator[list[Any]]:
    """Yield a row of the details for each line, and each folder name, that says something of a label of a series."""
    said = (labels.lines[n] for n in lines if name in labels.lines[n].values)
    for line in said:
        yield [name, "label_conflicts", line.source, line.line, " ".join(line.key).strip(), plan.series_id]
    for number, one in enumerate(sources):
        if one.get("name") == name and "folder" in one:
            for value in _folder_values(plan, one):
                yield [name, "label_conflicts", number, "", value, plan.series_id]


def _series_with_images(table: Path) -> set[str]:
    with open(table, newline="", encoding="utf-8") as stream:
        return {row["array"].partition("/")[0] for row in csv.DictReader(stream)}


def join_labels(
    results: Results,
    batches: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
    pseudonyms: Pseudonyms,
    arrays: Path,
    outputs: Mapping[str, Path],
) -> RuleRecord:
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
    arrays : Path
        A table with the column ``array``. A series that has none there is no part of the dataset: it is not counted,
        and what speaks of it alone has no partner.
    outputs : mapping of str to Path
        ``joined``: labels and fixed split of each series that has any, by id; ``report``: counts, which may be shared;
        ``details``: lines and series without a partner, which may not.

    Notes
    -----
    A series has a label where every line that speaks of it, or of one of its files, says the same. Where they differ
    it has none, and a conflict is counted.
    """
    content = json_files.read_json(label_lines_path(results))
    labels, fixed = (_Index([Said(a, b, c, tuple(d), e) for a, b, c, d, e in content[x]]) for x in ("labels", "fixed"))
    names, present = label_names(sources), _series_with_images(arrays)
    joined: dict[str, dict[str, Any]] = {}
    counted: Counter[tuple[str, str, str]] = Counter(
        {(name, finding, ""): 0 for name in names for finding in LABEL_FINDINGS}
    )
    if fixed.lines:
        counted[FIXED, FIXED_FINDING, ""] = 0
    details: list[list[Any]] = []
    for plan in planned_series([results.plan(batch) for batch in sorted(batches)]):
        series_id = plan.series_id
        lines, own = labels.of(plan), fixed.of(plan)
        if series_id not in present:
            labels.without_image(lines, series_id)
            fixed.without_image(own, series_id)
            continue
        labels.used |= lines
        fixed.used |= own
        chosen: dict[str, str] = {}
        for name in names:
            said = {labels.lines[n].values[name] for n in lines if name in labels.lines[n].values}
            for one in sources:
                said |= _folder_values(plan, one) if one.get("name") == name and "folder" in one else set()
            if len(said) == 1:
                chosen[name] = said.pop()
                counted[name, "matched", chosen[name]] += 1
                continue
            finding = "label_conflicts" if said else "images_unlabelled"
            counted[name, finding, ""] += 1
            details += (
                _sayings(name, labels, lines, plan, sources) if said else [[name, finding, "", "", "", series_id]]
            )
        split = min((fixed.lines[n].values["split"] for n in own), default="")  # all say the same: `read_fixed`
        if split:
            counted[FIXED, "matched", split] += 1
        if chosen or split:
            joined[series_id] = {"labels": chosen, "split": split}
    for line, series_id in labels.without_partner():
        for name in sorted(line.values):
            counted[name, "labels_unmatched", ""] += 1
            details.append([name, "labels_unmatched", line.source, line.line, " ".join(line.key).strip(), series_id])
    for line, series_id in fixed.without_partner():
        counted[FIXED, FIXED_FINDING, ""] += 1
        details.append([FIXED, FIXED_FINDING, line.source, line.line, " ".join(line.key).strip(), series_id])
    files.write_atomically(outputs["joined"], json_files.canonical_json(joined), private=True)
    csv_tables.write(
        outputs["report"], JOINED, [csv_tables.line([*key, count]) for key, count in sorted(counted.items())]
    )
    text = sorted([str(cell) for cell in row] for row in details)
    csv_tables.write(outputs["details"], DETAILS, [csv_tables.line(row) for row in text], private=True)
    counts = {finding: sum(counted[name, finding, ""] for name in names) for finding in LABEL_FINDINGS}
    counts |= {FIXED_FINDING: counted[FIXED, FIXED_FINDING, ""], "series": len(joined), "labels": len(names)}
    inputs = {"labels": pseudonyms.digest("labels", files.sha256_of(label_lines_path(results)))}
    return RuleRecord(counts=counts, inputs=inputs)
