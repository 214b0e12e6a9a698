"""Refuse a source that was swapped: one that no longer has the series that earlier runs extracted.

Files of the same names may hold other patients, as on a wrong disk. The check runs after all headers are read and
before any output of an earlier run is removed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source.inventory import read_roots
from dicomzarr.system import files, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, UserError

STATE = "batches.json"  # in private/: number of batches and labels of the last run


def labels_now(results: Results) -> list[str]:
    """Return the labels of the source folders of this run, sorted; a single folder has the label ""."""
    try:
        return sorted(read_roots(results.inventory))
    except FileNotFoundError:
        return [""]


def refuse_vanished(
    results: Results,
    index: Path,
    planned: set[str],
    first_paths: Callable[[], Iterable[tuple[str, str]]],
    largest_drop: float,
) -> None:
    """Raise an error if more than a share of the series that earlier runs extracted are missing from the source.

    Parameters
    ----------
    results : Results
    index : Path
        The header index.
    planned : set of str
        Ids of the series of the source.
    first_paths : callable
        Returns pairs: the id of each of these series and the first of its paths. Called if the source has several
        folders.
    largest_drop : float
        Largest share of the series of a source folder that may be missing; from 0 to 1.

    Raises
    ------
    UserError
        If a larger share is missing, or all.

    Notes
    -----
    A series that moved or whose files were renamed is not missing: its id depends on its content. Not counted as
    missing are also series whose folder was removed from the configuration, series with a file that did not change
    (newer code may group files differently), and series with a file that is quarantined, which is reported anyway.
    """
    extracted = _extracted_series(results)
    absent = extracted - planned
    labels = _labels_before(results) & set(labels_now(results))
    if not absent or not labels:
        return
    if labels == {""}:
        if not _is_too_many(len(absent), len(extracted), largest_drop):
            return
        files = {series: _files_of(results, series) for series in absent}
        label_of = dict.fromkeys(absent, "")
        series_before = Counter({"": len(extracted)})
    else:
        files = {series: _files_of(results, series) for series in absent}
        label_of = {series: min(paths).partition("/")[0] for series, paths in files.items() if paths}
        series_before = Counter(label_of.values())
        series_before.update(path.partition("/")[0] for series, path in first_paths() if series in extracted)
    for label in sorted(labels):
        of_label = {series: files[series] for series, its_label in label_of.items() if its_label == label}
        if not _is_too_many(len(of_label), series_before[label], largest_drop):
            continue
        missing = len(of_label) - _not_missing(index, of_label)
        if _is_too_many(missing, series_before[label], largest_drop):
            key = f"source.{label}" if label else "source"
            raise UserError(
                f"config key {key!r}: series that earlier runs extracted are missing from the source, {missing} of "
                f"{series_before[label]}, although its files can be read; nothing was removed. Check that it is the "
                "right disk or folder. If the series were removed or replaced on purpose, add: "
                "--config confirm_drop=true"
            )


def _is_too_many(missing: int, before: int, largest_drop: float) -> bool:
    return missing > 0 and (missing > largest_drop * before or missing == before)


def _extracted_series(results: Results) -> set[str]:
    """Return the ids of the series that have a record of extraction."""
    folder = results.records / "extract_batch"
    series: set[str] = set()
    for prefix in os.listdir(folder) if files.is_dir(folder) else ():
        if len(prefix) == 3:
            series.update(name.removesuffix(".json") for name in os.listdir(folder / prefix) if name.endswith(".json"))
    return series


def _labels_before(results: Results) -> set[str]:
    """Return the labels of the source folders of the last run; those of this run if they cannot be read."""
    try:
        return set(json_files.read_json(results.private / STATE)["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return set(labels_now(results))


def _files_of(results: Results, series: str) -> dict[str, list[int]]:
    """Return the stat of each file of a series at its extraction, by path; empty if its record is damaged."""
    try:
        record = SeriesRecord.load(results.series_record("extract_batch", series))
        return {file.path: list(file.stat) for file in record.files}
    except (OSError, Damaged):
        return {}


def _not_missing(index: Path, files: Mapping[str, Mapping[str, list[int]]]) -> int:
    """Return the number of series with a file that did not change or that is quarantined."""
    series_of = {path: (series, stat) for series, paths in files.items() for path, stat in paths.items()}
    present = set()
    with open(index, "rb", buffering=1 << 20) as stream:
        for line in stream:
            row: Mapping[str, Any] = orjson.loads(line)
            series, stat = series_of.get(row["path"], ("", []))
            if series and (
                list(row["stat"]) == stat and row["outcome"] != "changed" or row["outcome"] == "quarantined"
            ):
                present.add(series)
    return len(present)
