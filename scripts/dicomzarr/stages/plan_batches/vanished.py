"""The guard against a source that was swapped: series that earlier runs extracted and that it no longer has.

Files of the same names may hold other patients, as on a wrong disk. That is known once all headers are read and before
anything that an earlier run made is removed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, UserError

KEPT = "batches.json"  # in private/: what planning keeps from run to run


def labels_now(results: Results) -> list[str]:
    """Return the labels of the source folders of this run, sorted; one that is empty where there is one folder."""
    try:
        with open(results.inventory, "rb") as stream:
            return sorted(json.loads(stream.readline())["roots"])
    except FileNotFoundError:
        return [""]


def refuse_vanished(
    results: Results,
    index: Path,
    planned: set[str],
    first_paths: Callable[[], Iterable[tuple[str, str]]],
    largest_drop: float,
) -> None:
    """Refuse a source that no longer has more than a share of the series that earlier runs extracted.

    Parameters
    ----------
    results : Results
    index : Path
        The header index.
    planned : set of str
        Ids of the series that the source has.
    first_paths : callable
        Returns pairs of the id of each of them and the first of its paths. Called where the source has several folders.
    largest_drop : float
        Share of the series of a source folder that may be gone.

    Raises
    ------
    UserError
        If more are gone, or all.

    Notes
    -----
    A series that moved or whose files have other names is not gone: its id depends on its content. One is not missed
    whose folder was taken out of the configuration, nor one of which a file is as it was (code may group files in
    another way) or is quarantined now, which is reported with its reason.
    """
    known = _known_series(results)
    gone = known - planned
    labels = _labels_before(results) & set(labels_now(results))
    if not gone or not labels:
        return
    if labels == {""}:
        if not _is_too_many(len(gone), len(known), largest_drop):
            return
        files = {series: _files_of(results, series) for series in gone}
        label_of = dict.fromkeys(gone, "")
        was = Counter({"": len(known)})
    else:
        files = {series: _files_of(results, series) for series in gone}
        label_of = {series: min(paths).partition("/")[0] for series, paths in files.items() if paths}
        was = Counter(label_of.values())
        was.update(path.partition("/")[0] for series, path in first_paths() if series in known)
    for label in sorted(labels):
        of_label = {series: files[series] for series, one in label_of.items() if one == label}
        if not _is_too_many(len(of_label), was[label], largest_drop):
            continue
        missing = len(of_label) - _still_there(index, of_label)
        if _is_too_many(missing, was[label], largest_drop):
            key = f"source.{label}" if label else "source"
            raise UserError(
                f"config key {key!r}: of the {was[label]} series that earlier runs extracted, {missing} are no longer "
                "in it, although its files can be read; nothing was removed. Is it the right disk or folder? If the "
                "series were removed or replaced on purpose, add: --config confirm_drop=true"
            )


def _is_too_many(gone: int, was: int, largest_drop: float) -> bool:
    return gone > 0 and (gone > largest_drop * was or gone == was)


def _known_series(results: Results) -> set[str]:
    folder = results.records / "extract_batch"
    found: set[str] = set()
    for prefix in os.listdir(folder) if folder.is_dir() else ():
        if len(prefix) == 3:
            found.update(name.removesuffix(".json") for name in os.listdir(folder / prefix) if name.endswith(".json"))
    return found


def _labels_before(results: Results) -> set[str]:
    """Return the labels of the source folders when series were last planned; those of now where that is not known."""
    try:
        return set(json_files.read_json(results.private / KEPT)["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return set(labels_now(results))


def _files_of(results: Results, series: str) -> dict[str, list[int]]:
    """Return the stat of each file of a series by path, as it was extracted; none where its record is damaged."""
    try:
        record = SeriesRecord.load(results.series_record("extract_batch", series))
        return {file.path: list(file.stat) for file in record.files}
    except (OSError, Damaged):
        return {}


def _still_there(index: Path, files: Mapping[str, Mapping[str, list[int]]]) -> int:
    """Return of how many series a file is as it was, or quarantined."""
    series_of = {path: (series, stat) for series, paths in files.items() for path, stat in paths.items()}
    found = set()
    with open(index, "rb", buffering=1 << 20) as stream:
        for line in stream:
            row: Mapping[str, Any] = orjson.loads(line)
            series, stat = series_of.get(row["path"], ("", []))
            if series and (
                list(row["stat"]) == stat and row["outcome"] != "changed" or row["outcome"] == "quarantined"
            ):
                found.add(series)
    return len(found)
