"""Join labels and fixed splits with the series, inside `private/`.

The lines of the label files come from `label_files`, already checked: they hold only values that the
configuration allows by a list or a range.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomzarr.privacy.pseudonyms import Pseudonyms, text_of_patient
from dicomzarr.records.plan import SeriesPlan, planned_series
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.source.row import HeaderRow
from dicomzarr.system import csv_tables, files, json_files
from dicomzarr.system.path_text import encode_text
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.findings import FIXED_FINDING, LABEL_FINDINGS

JOINED = ("label", "finding", "value", "series")
DETAILS = ("label", "finding", "source", "line", "key", "series_id")
FIXED = "splits.fixed"  # the lists of splits, in the column `label`; no label can have this name


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line of a label file: an identifier and the values of its labels.

    Attributes
    ----------
    source, line : int
        Number of the source in the configuration, from 0, and of the line in its file, from 1.
    by : str
        Kind of the identifier: ``path``, ``folder``, ``series``, ``study`` or ``patient``.
    key : tuple of str
        The identifier; for a patient also the issuer, empty where the file has none. All empty: the line has no
        identifier and matches nothing.
    values : dict of str to str
        Checked value of each label; labels with an empty cell are left out.
    """

    source: int
    line: int
    by: str
    key: tuple[str, ...]
    values: dict[str, str]


def label_lines_path(results: Results) -> Path:
    """Return the path of the checked lines of the label files."""
    return results.private / "labels" / "labels.json"


class _LineIndex:
    """Lines by identifier, and which of them match a series of the dataset."""

    def __init__(self, lines: Sequence[LabelLine], pseudonyms: Pseudonyms) -> None:
        self.lines = lines
        self.matched: set[int] = set()
        self._imageless: dict[int, str] = {}
        self._by_key: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_subject: dict[str, list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            if any(line.key):
                self._by_key[(line.by, *line.key)].append(number)
            if line.by == "patient" and all(line.key):
                patient, issuer = line.key
                self._by_subject[pseudonyms.subject_id(issuer, patient)].append(number)

    def of(self, plan: SeriesPlan) -> set[int]:
        """Return the numbers of the lines that match a series: a file of it, or its subject.

        No file of a series need state the issuer that other series of its study state for it.
        """
        numbers = {*self._by_subject.get(plan.subject_id, ())}
        for key in {key for row in plan.files for key in _keys_of(row)}:
            numbers.update(self._by_key.get(key, ()))
        return numbers

    def add_imageless(self, numbers: set[int], series_id: str) -> None:
        """Note that lines match a series that has no image in the dataset."""
        for number in numbers:
            self._imageless.setdefault(number, series_id)

    def unmatched(self) -> Iterator[tuple[LabelLine, str]]:
        """Yield the lines that match no image, each with the imageless series that it matches, if any."""
        for number, line in enumerate(self.lines):
            if number not in self.matched:
                yield line, self._imageless.get(number, "")


def _keys_of(row: HeaderRow) -> Iterator[tuple[str, ...]]:
    """Yield the keys by which a label line can match a file: kind of identifier, identifier, issuer."""
    facts, path = row["facts"], row["path"]
    yield "path", path
    parent = path.rpartition("/")[0]
    while parent:
        yield "folder", parent.removesuffix("!")  # an archive counts as a folder of its name
        parent = parent.rpartition("/")[0]
    yield "series", facts.get("SeriesInstanceUID", "")
    yield "study", facts.get("StudyInstanceUID", "")
    patient, issuer = text_of_patient(facts.get("PatientID", "")), text_of_patient(facts.get("IssuerOfPatientID", ""))
    yield "patient", patient, issuer
    yield "patient", patient, ""


def _ambiguous(labels: _LineIndex, plans: Iterable[SeriesPlan]) -> set[int]:
    """Return the lines whose identifier may mean several people: only one of them is labelled rightly.

    That is the number of a patient that several issuers gave, if the line has no issuer, and the UID of a series or a
    study under which there are images of several patients.
    """
    keys = {
        number: (line.by, line.key[0])
        for number, line in enumerate(labels.lines)
        if line.by in ("series", "study") or (line.by == "patient" and not line.key[1])
    }
    if not keys:
        return set()
    wanted = {*keys.values()}
    patients: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for plan in plans:
        for row in plan.files:
            facts = row["facts"]
            patient, issuer = (
                text_of_patient(facts.get("PatientID", "")),
                text_of_patient(facts.get("IssuerOfPatientID", "")),
            )
            series, study = facts.get("SeriesInstanceUID", ""), facts.get("StudyInstanceUID", "")
            for key in (("patient", patient), ("series", series), ("study", study)):
                if patient and key in wanted:
                    patients[key].add((patient, issuer))
    return {number for number, key in keys.items() if _are_several(patients.get(key, set()))}


def _are_several(patients: Set[tuple[str, str]]) -> bool:
    """Return whether patients, number and issuer, are certainly not one; no issuer may be any issuer."""
    issuers = [issuer for _, issuer in patients if issuer]
    return len({patient for patient, _ in patients}) > 1 or len(issuers) > 1


def _folder_names(plan: SeriesPlan, depth: int) -> set[str]:
    """Return the names of the n-th folder of the paths of a series, percent-encoded as in the manifest."""
    folders = [[part.removesuffix("!") for part in row["path"].split("/")[:-1]] for row in plan.files]
    return {parts[depth - 1] for parts in folders if len(parts) >= depth}


def _folder_values(plan: SeriesPlan, source: Mapping[str, Any]) -> set[str]:
    """Return the labels that a series gets from the n-th folder of its paths: names that the configuration lists."""
    return _folder_names(plan, source["folder"]) & {str(word) for word in source["values"]}


def label_names(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all labels, sorted: the columns of `volumes.csv` without the prefix ``label_``."""
    names = {name for source in sources for name in source.get("columns", {})}
    return sorted(names | {source["name"] for source in sources if "folder" in source})


def _key_cell(line: LabelLine) -> str:
    """Return the key of a line for the details; a path is percent-encoded already, as in the manifest."""
    text = " ".join(line.key).strip()
    return text if line.by in ("path", "folder") else encode_text(text)


def _conflict_rows(
    name: str, labels: _LineIndex, numbers: set[int], plan: SeriesPlan, sources: Sequence[Mapping[str, Any]]
) -> Iterator[list[Any]]:
    """Yield a row of the details for each line, and each folder name, that gives a series a value of the label."""
    for line in (labels.lines[n] for n in numbers if name in labels.lines[n].values):
        yield [name, "label_conflicts", line.source, line.line, _key_cell(line), plan.series_id]
    for number, source in enumerate(sources):
        if source.get("name") == name and "folder" in source:
            for value in _folder_values(plan, source):
                yield [name, "label_conflicts", number, "", value, plan.series_id]


def _unlabelled_rows(name: str, plan: SeriesPlan, sources: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Yield the rows of the details for a series without the label: with the names of its folders, if those count."""
    found: list[tuple[int | str, str]] = [
        (number, value)
        for number, source in enumerate(sources)
        if source.get("name") == name and "folder" in source
        for value in sorted(_folder_names(plan, source["folder"]))
    ]
    for number, value in found or [("", "")]:
        yield [name, "images_unlabelled", number, "", value, plan.series_id]


def _series_with_images(table: Path) -> set[str]:
    with open(table, newline="", encoding="utf-8") as stream:
        return {row["array"].partition("/")[0] for row in csv.DictReader(stream)}


class _Findings:
    """What joining finds: the rows of the report and of the details.

    Parameters
    ----------
    names : sequence of str
        All labels; each has a row for each finding, also without any.
    has_fixed : bool
        Whether there are lists of splits, which have a row too.
    """

    def __init__(self, names: Sequence[str], *, has_fixed: bool) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter(
            {(name, finding, ""): 0 for name in names for finding in LABEL_FINDINGS}
        )
        if has_fixed:
            self.counts[FIXED, FIXED_FINDING, ""] = 0
        self.details: list[list[Any]] = []

    def value_of(
        self,
        name: str,
        plan: SeriesPlan,
        labels: _LineIndex,
        numbers: set[int],
        ambiguous: set[int],
        sources: Sequence[Mapping[str, Any]],
    ) -> str | None:
        """Return the value of a label for a series, and count it; None if there is none, or not one alone.

        Parameters
        ----------
        name : str
            Of the label.
        plan : SeriesPlan
        labels : _LineIndex
        numbers : set of int
            The lines that match the series.
        ambiguous : set of int
            The lines that may mean several people.
        sources : sequence of mapping
            ``labels`` of the configuration.
        """
        with_name = {number for number in numbers if name in labels.lines[number].values}
        values = {labels.lines[number].values[name] for number in with_name}
        for source in sources:
            values |= _folder_values(plan, source) if source.get("name") == name and "folder" in source else set()
        if len(values) == 1 and not with_name & ambiguous:
            (value,) = values
            self.counts[name, "matched", value] += 1
            return value
        if values:
            self.counts[name, "label_conflicts", ""] += 1
            self.details += _conflict_rows(name, labels, numbers, plan, sources)
        else:
            self.counts[name, "images_unlabelled", ""] += 1
            self.details += _unlabelled_rows(name, plan, sources)
        return None

    def split_of(self, fixed: _LineIndex, numbers: set[int]) -> str:
        """Return the split that lines of the lists give to a series, and count it; empty without such lines."""
        # All lines of a patient give one split: `read_fixed` refuses others.
        split = min((fixed.lines[number].values["split"] for number in numbers), default="")
        if split:
            self.counts[FIXED, "matched", split] += 1
        return split

    def add_unmatched(self, labels: _LineIndex, fixed: _LineIndex) -> None:
        """Add the lines that match no image, once all series were matched."""
        for line, series_id in labels.unmatched():
            for name in sorted(line.values):
                self.counts[name, "labels_unmatched", ""] += 1
                self.details.append([name, "labels_unmatched", line.source, line.line, _key_cell(line), series_id])
        for line, series_id in fixed.unmatched():
            self.counts[FIXED, FIXED_FINDING, ""] += 1
            self.details.append([FIXED, FIXED_FINDING, line.source, line.line, _key_cell(line), series_id])


def join_labels(
    results: Results,
    batches: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
    pseudonyms: Pseudonyms,
    arrays: Path,
    outputs: Mapping[str, Path],
) -> RuleRecord:
    """Give each series its labels and its fixed split.

    Parameters
    ----------
    results : Results
    batches : sequence of str
        Names of all batches.
    sources : sequence of mapping
        ``labels`` of the configuration.
    pseudonyms : Pseudonyms
        For the digests of the provenance.
    arrays : Path
        A table with the column ``array``. A series without a row there is not in the dataset: it is not counted, and
        lines that match only such series are unmatched.
    outputs : mapping of str to Path
        ``joined``: labels and fixed split of each series that has any, by id; ``report``: counts, which may be shared;
        ``details``: unmatched lines, unlabelled series and conflicts, which may not.

    Returns
    -------
    RuleRecord
        How many labels have each finding, how many series have a label or a split.

    Notes
    -----
    A series gets a label where all lines that match it, or one of its files, give the same value. Where they differ
    it gets none, and a conflict is counted; so it is with a line that may mean several people.
    """
    content = json_files.read_json(label_lines_path(results))
    labels, fixed = (
        _LineIndex(
            [LabelLine(source, line, by, tuple(key), values) for source, line, by, key, values in content[part]],
            pseudonyms,
        )
        for part in ("labels", "fixed")
    )
    names, present = label_names(sources), _series_with_images(arrays)
    plans = [results.plan(batch) for batch in sorted(batches)]
    ambiguous = _ambiguous(labels, planned_series(plans))
    found = _Findings(names, has_fixed=bool(fixed.lines))
    joined: dict[str, dict[str, Any]] = {}
    for plan in planned_series(plans):
        label_numbers, fixed_numbers = labels.of(plan), fixed.of(plan)
        if plan.series_id not in present:
            labels.add_imageless(label_numbers, plan.series_id)
            fixed.add_imageless(fixed_numbers, plan.series_id)
            continue
        labels.matched |= label_numbers
        fixed.matched |= fixed_numbers
        series_labels = {
            name: value
            for name in names
            if (value := found.value_of(name, plan, labels, label_numbers, ambiguous, sources)) is not None
        }
        split = found.split_of(fixed, fixed_numbers)
        if series_labels or split:
            joined[plan.series_id] = {"labels": series_labels, "split": split}
    found.add_unmatched(labels, fixed)
    files.write_atomically(outputs["joined"], json_files.canonical_json(joined), private=True)
    counts = found.counts
    csv_tables.write(
        outputs["report"], JOINED, [csv_tables.line([*key, count]) for key, count in sorted(counts.items())]
    )
    rows = sorted([str(cell) for cell in row] for row in found.details)
    csv_tables.write(outputs["details"], DETAILS, [csv_tables.line(row) for row in rows], private=True)
    totals = {finding: sum(counts[name, finding, ""] for name in names) for finding in LABEL_FINDINGS}
    totals |= {FIXED_FINDING: counts[FIXED, FIXED_FINDING, ""], "series": len(joined), "labels": len(names)}
    inputs = {"labels": pseudonyms.digest("labels", files.sha256_of(label_lines_path(results)))}
    return RuleRecord(counts=totals, inputs=inputs)
