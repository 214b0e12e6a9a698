"""The accounts: every path with its outcome, every frame with its place. Merged as streams, not held in memory."""

from __future__ import annotations

import heapq
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dicomzarr import ome, storage, tables
from dicomzarr.errors import SourceChanged
from dicomzarr.identity import Pseudonyms
from dicomzarr.inventory import NOT_FILES, rows_of
from dicomzarr.paths import Results
from dicomzarr.reasons import REASONS
from dicomzarr.splits import split_of

log = logging.getLogger("dicomzarr")

OPEN_AT_ONCE = 256  # streams merged in one go: stays below the usual limit of open files


@dataclass(slots=True)
class Consolidation:
    """What consolidation counted, and what it wrote beside its declared outputs."""

    counts: dict[str, int]
    claims: dict[str, list[Any]] = field(default_factory=dict)


def _not_files(inventory: Path) -> Iterator[list[str]]:
    """Yield [path, outcome, reason, series] of the entries that are no regular files."""
    for row in rows_of(inventory):
        if row[1] != "file":
            reason = REASONS[NOT_FILES[row[1]]]
            yield [row[0], reason.outcome, reason.code, ""]


def _settled_by_header(index: Path) -> Iterator[list[str]]:
    """Yield [path, outcome, reason, series] of the files whose fate the header index decides.

    Raises
    ------
    SourceChanged
        At the end, if files changed while it was made.
    """
    changed = 0
    with open(index, "rb") as stream:
        for header in map(json.loads, stream):
            changed += header["outcome"] == "changed"
            if header["outcome"] != "image":
                yield [header["path"], header["outcome"], header["reason"], ""]
    if changed:
        raise SourceChanged(changed)


def _spill(rows: Iterable[Sequence[Any]], folder: Path, name: str) -> Path:
    """Write sorted rows as JSON lines and return the file."""
    path = folder / f"{name}.jsonl"
    with storage.replacing(path, private=True) as stream:
        for row in rows:
            stream.write(storage.canonical_json(list(row)))
    return path


def _read_spill(path: Path) -> Iterator[list[Any]]:
    with open(path, "rb") as stream:
        yield from map(json.loads, stream)


def merged(paths: Sequence[Path], folder: Path) -> Iterator[list[Any]]:
    """Merge files of sorted JSON lines, a bounded number at once."""
    waiting, level = list(paths), 0
    while len(waiting) > OPEN_AT_ONCE:
        level += 1
        waiting = [
            _spill(heapq.merge(*map(_read_spill, waiting[i : i + OPEN_AT_ONCE])), folder, f"merge-{level}-{i}")
            for i in range(0, len(waiting), OPEN_AT_ONCE)
        ]
    yield from heapq.merge(*map(_read_spill, waiting))


def spacing_text(axes: str, spacing: Mapping[str, float]) -> str:
    """Return the spacing of the spatial axes joined by `x`; an unknown one is empty, all unknown an empty text."""
    cells = [repr(float(spacing[axis])) if axis in spacing else "" for axis in axes if axis in "zyx"]
    return "x".join(cells) if any(cells) else ""


@dataclass(frozen=True, slots=True)
class Joined:
    """What comes to the volumes from outside of the images.

    Attributes
    ----------
    labels : sequence of str
        Names of the labels: columns ``label_…`` of `volumes.csv`.
    splits : mapping
        ``fractions`` and ``seed``; empty where there are no splits.
    series : mapping of str to mapping
        By series id, its ``labels`` and its ``split`` where a list gives one.
    """

    labels: Sequence[str] = ()
    splits: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `volumes.csv`."""
        return (*tables.VOLUMES, *(f"label_{name}" for name in self.labels))

    def of(self, series_id: str, subject_id: str) -> dict[str, str]:
        """Return split and labels of a series."""
        own = self.series.get(series_id, {})
        split = own.get("split", "")
        if not split and self.splits:
            split = split_of(subject_id, self.splits["fractions"], self.splits.get("seed", 0))
        values = own.get("labels", {})
        return {"split": split} | {f"label_{name}": values.get(name, "") for name in self.labels}


def volume_line(record: Mapping[str, Any], volume: Mapping[str, Any], joined: Joined) -> str:
    """Return the row of `volumes.csv` of a volume as CSV text."""
    facts = volume["facts"]
    return tables.row(
        joined.columns,
        {
            **joined.of(record["series_id"], record["subject_id"]),
            "array": volume["array"],
            "series_id": record["series_id"],
            "study_id": record["study_id"],
            "subject_id": record["subject_id"],
            "modality": facts["modality"],
            "axes": volume["axes"],
            "shape": "x".join(map(str, volume["shape"])),
            "dtype": np.dtype(volume["dtype"]).name,
            "bits_stored": facts["bits_stored"],
            "photometric": facts["photometric"],
            "spacing_mm": spacing_text(volume["axes"], volume["spacing_mm"]),
            "frames": len(volume["frames"]),
            "source_bytes": volume["source_bytes"],
            "stored_bytes": volume["stored_bytes"],
            "pixel_digest": volume["pixel_digest"],
            "flags": " ".join(volume["flags"]),
        },
    )


def _series(results: Results, batches: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (batch, record) of every series by increasing id: batches own prefixes of ids, in order of their names."""
    for batch in sorted(batches):
        extracted = storage.read_record(results.records / "extract_batch" / f"{batch}.json")
        for series_id in sorted(extracted["series"]):
            yield batch, storage.read_record(results.series_record("extract_batch", series_id))


class _Spills:
    """Rows that leave in another order than they come: sorted and written aside, batch by batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[list[Any]] = []
        self._paths: list[Path] = []

    def add(self, row: list[Any]) -> None:
        self._rows.append(row)

    def close_batch(self, name: str) -> None:
        self._rows.sort(key=lambda row: row[:2])
        self._paths.append(_spill(self._rows, self._folder, name))
        self._rows = []

    def merged(self) -> Iterator[list[Any]]:
        return merged(self._paths, self._folder)


class _Projection:
    """The shareable records of a rule that works on series: one line a series, one file for two digits of its id."""

    def __init__(self, results: Results, rule: str) -> None:
        self._root = results.root
        self._folder = results.dataset / "provenance" / rule
        self._lines: dict[str, list[bytes]] = {}
        self._claims: dict[str, list[Any]] = {}

    def add(self, series_id: str, said: Mapping[str, Any]) -> None:
        line = storage.canonical_json({"series_id": series_id, **said})
        if series_id[:2] not in self._lines:
            self._flush()
        self._lines.setdefault(series_id[:2], []).append(line)

    def _flush(self) -> None:
        for prefix, lines in self._lines.items():
            path, data = self._folder / f"{prefix}.jsonl", b"".join(lines)
            storage.write_if_changed(path, data)
            self._claims[os.path.relpath(path, self._root)] = [len(data), storage.sha256_of_bytes(data)]
        self._lines = {}

    def close(self) -> dict[str, list[Any]]:
        """Write what waits, remove files of series that are gone, and return the claims."""
        self._flush()
        for path in self._folder.glob("*"):
            if os.path.relpath(path, self._root) not in self._claims:
                path.unlink()
        return self._claims


def _extraction_said(record: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    inputs = sorted([pseudonyms.source_digest(f["content"]), f["outcome"], f["reason"]] for f in record["files"])
    kept = ("array", "kind", "why", "pixel_digest", "cross_checks")
    volumes = [
        {key: volume[key] for key in kept} | {"files": {path: said[1] for path, said in volume["files"].items()}}
        for volume in record["volumes"]
    ]
    return {"rule": "extract_batch", "params": record["options"], "inputs": inputs, "volumes": volumes}


def _check_said(checked: Mapping[str, Any]) -> dict[str, Any]:
    size = {row["array"]: row for row in checked["size"]}
    arrays = [
        {
            "array": row["array"],
            "read_back": row["read_back"],
            "depth": row["verdict"],
            "size": size[row["array"]]["verdict"],
        }
        for row in checked["depth"]
    ]
    return {"rule": "check_batch", "params": {"code": checked["key"]["code"]}, "arrays": arrays}


def _account(settled: Iterator[list[str]], series: Iterator[list[Any]], totals: Counter[Any]) -> Iterator[str]:
    """Yield the rows of files.csv: what a series decided wins over what the header index said of the same path."""
    both = heapq.merge(([row[0], 1, *row[1:]] for row in settled), ([row[0], 0, *row[1:]] for row in series))
    last = None
    for path, _, outcome, reason, series_id in both:
        if path == last:
            continue
        last = path
        totals[outcome, reason] += 1
        yield tables.line((path, outcome, reason, series_id))


def consolidate(
    results: Results,
    batches: Sequence[str],
    inventory: Path,
    index: Path,
    pseudonyms: Pseudonyms,
    outputs: Mapping[str, Path],
    joined: Joined,
) -> Consolidation:
    """Write the tables of the dataset, the accounts of the source and the provenance by series; no pixel is read.

    Parameters
    ----------
    results : Results
    batches : sequence of str
        Names of all batches.
    inventory, index : Path
        What the scan found, and the header index.
    pseudonyms : Pseudonyms
        Makes keyed digests of source files for the provenance.
    outputs : mapping of str to Path
        volumes, outcomes, policy, files, frames, group.
    joined : Joined
        Labels and splits.

    Returns
    -------
    Consolidation
    """
    folder = storage.make_private(results.temporary / "consolidate")
    files, frames = _Spills(folder), _Spills(folder)
    extraction, checks = _Projection(results, "extract_batch"), _Projection(results, "check_batch")
    totals: Counter[Any] = Counter()
    risks: Counter[str] = Counter()

    def volumes() -> Iterator[str]:
        current = ""
        for batch, record in _series(results, batches):
            if current and batch != current:
                files.close_batch(f"files-{current}")
                frames.close_batch(f"frames-{current}")
            current = batch
            series_id = record["series_id"]
            extraction.add(series_id, _extraction_said(record, pseudonyms))
            checks.add(series_id, _check_said(storage.read_record(results.series_record("check_batch", series_id))))
            for said in record["files"]:
                files.add([said["path"], said["outcome"], said["reason"], series_id])
                risks.update([said["risk"]] if said["reason"] == "burned_in_risk" else [])
            for volume in record["volumes"]:
                for source, number, t, z, _ in volume["frames"]:
                    frames.add([record["files"][source]["path"], number, volume["array"], t, z])
                yield volume_line(record, volume, joined)
        files.close_batch("files-last")
        frames.close_batch("frames-last")

    try:
        arrays = tables.write(outputs["volumes"], joined.columns, volumes())
        settled = heapq.merge(_not_files(inventory), _settled_by_header(index))
        accounted = _account(settled, files.merged(), totals)
        entries = tables.write(outputs["files"], tables.FILES, accounted, private=True)
        placed = (tables.line(row) for row in frames.merged())
        frame_count = tables.write(outputs["frames"], tables.FRAMES, placed, private=True)
        listed = [tables.line((*key, count)) for key, count in sorted(totals.items())]
        tables.write(outputs["outcomes"], tables.OUTCOMES, listed)
        set_aside = [tables.line(("burned_in", kind, count)) for kind, count in sorted(risks.items())]
        tables.write(outputs["policy"], tables.POLICY, set_aside)
    except SourceChanged:
        # Read again by the next run, also where the source is then as the inventory had it.
        (results.records / "index_headers.json").unlink(missing_ok=True)
        raise
    finally:
        storage.remove_tree(folder)
    storage.write_atomically(outputs["group"], ome.GROUP)
    counts = {"entries": entries, "frames": frame_count, "arrays": arrays}
    counts |= dict.fromkeys(("extracted", "skipped", "quarantined", "ignored"), 0)
    for (outcome, _), count in totals.items():
        counts[outcome] += count
    log.info("entries %d, arrays %d, frames %d", entries, arrays, frame_count)
    return Consolidation(counts, extraction.close() | checks.close())
