"""Write the accounts: every path with its outcome, every frame with its position in an array.

Rows are merged as streams, so that memory does not grow with the source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.rule_record import RuleRecord
from dicomzarr.records.series_record import GROUP, collection
from dicomzarr.source.inventory import LISTED, NOT_FILES
from dicomzarr.stages.consolidate_dataset import mask_rows, partitions, ties
from dicomzarr.stages.consolidate_dataset.mask_rows import MaskFileOutcome
from dicomzarr.stages.consolidate_dataset.partitions import file_row
from dicomzarr.stages.consolidate_dataset.volume_rows import Joined
from dicomzarr.system import csv_tables, files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import REASONS

log = logging.getLogger("dicomzarr")


@dataclasses.dataclass(frozen=True, slots=True)
class SourceLists:
    """What earlier rules found in the source.

    Attributes
    ----------
    inventory : Path
        The listing of the source.
    members : Path
        The rows of archives and of their members.
    index : Path
        The header index.
    unplaced_masks : Path
        The mask files of which no image is known, from the plan.
    """

    inventory: Path
    members: Path
    index: Path
    unplaced_masks: Path


def _not_files(inventory: Path) -> Iterator[bytes]:
    """Yield the rows of directory entries that are not regular files."""
    with open(inventory, "rb") as stream:
        next(stream)
        for line in stream:
            if line.find(_REGULAR) >= 0:  # no text holds a quotation mark without a backslash before it
                continue
            row = orjson.loads(line)
            reason = REASONS[NOT_FILES[row[1]]]
            yield file_row(row[0], reason.outcome, reason.code, "")


def _not_read(members: Path) -> Iterator[bytes]:
    """Yield the rows of archives that could not be listed as a whole, and of members that are not read.

    An archive that was listed has none, as a folder has none: the accounts do not depend on how files are packed.
    """
    with open(members, "rb") as stream:
        for line in stream:
            if line.find(_REGULAR) >= 0:
                continue
            path, _, reason = orjson.loads(line)[:3]
            if reason == LISTED:
                continue
            yield file_row(path, REASONS[reason].outcome, reason, "")


def _without_image(index: Path, masks: Mapping[str, MaskFileOutcome]) -> Iterator[bytes]:
    """Yield the rows of the files whose header is not that of an image: the index has their outcome.

    Parameters
    ----------
    index : Path
    masks : mapping of str to MaskFileOutcome
        What became of structure sets, by path.

    Raises
    ------
    SourceChanged
        At the end, if files changed while the index was written.
    """
    changed = 0
    with open(index, "rb") as stream:
        for line in stream:
            if line.startswith(_IMAGE, line.rfind(_OUTCOME)):  # keys are sorted: `outcome` follows `facts`
                continue
            header = orjson.loads(line)
            changed += header["outcome"] == "changed"
            outcome, reason = header["outcome"], header["reason"]
            if reason == "structure_set":
                reason = mask_rows.reason_of(header["path"], masks)
                outcome = REASONS[reason].outcome
            yield file_row(header["path"], outcome, reason, "")
    if changed:
        raise SourceChanged(changed)


_REGULAR, _OUTCOME, _IMAGE = b'","file",', b',"outcome":"', b',"outcome":"image"'


def _account(others: Iterable[bytes], series: Iterable[Iterable[bytes]], totals: Counter[bytes]) -> Iterator[bytes]:
    """Yield the rows of files.csv, one a path; an outcome from a series takes precedence over that of the header index.

    Parameters
    ----------
    others : iterable of bytes
        Rows of `partitions.file_row` for paths outside of the series, sorted.
    series : iterable of iterables of bytes
        Those of each partition, sorted.
    totals : Counter
        Counts the outcomes; changed while rows are yielded.
    """
    last = None
    for row in heapq.merge(others, *series):
        path, _, outcome, line = row.split(b"\t", 3)
        if path != last:
            last = path
            totals[outcome] += 1
            yield line


def _frames(series: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    for row in heapq.merge(*series):
        yield row[row.rindex(b"\t") + 1 :]


def _chained(parts: Sequence[partitions.Partition], part: str) -> Iterator[bytes]:
    """Yield the rows of a part of all partitions, in the order of their series."""
    return itertools.chain.from_iterable(partition.rows(part) for partition in parts)


def _write(path: Path, columns: Sequence[str], rows: Iterable[bytes], *, private: bool = False) -> int:
    """Write a table of encoded rows and return their number."""
    count = 0
    with files.replacing(path, private=private) as stream:
        stream.write(csv_tables.line(columns).encode())
        for row in rows:
            stream.write(row)
            count += 1
    return count


def _write_collection(path: Path, volumes: Iterable[bytes]) -> None:
    """Write the `zarr.json` of `images.zarr`, which lists the images; `volumes` are rows of volumes.csv."""
    before, after = collection([_ARRAY]).split(_ARRAY.encode())
    with files.replacing(path, private=False) as stream:
        first = next(iter(volumes := iter(volumes)), None)
        if first is None:
            stream.write(collection([]))
            return
        stream.write(before + first[: first.index(b",")])
        for row in volumes:
            stream.write(b'","' + row[: row.index(b",")])
        stream.write(after)


_ARRAY = "array"  # in place of the list of images


def _write_outcomes(path: Path, totals: Mapping[bytes, int]) -> dict[tuple[str, ...], int]:
    """Write the number of files by outcome and reason, and return it."""
    outcomes = {tuple(key.decode().split(" ")): count for key, count in totals.items()}
    rows = [csv_tables.line((*key, count)) for key, count in sorted(outcomes.items())]
    csv_tables.write(path, csv_tables.OUTCOMES, rows)
    return outcomes


def _write_policy(path: Path, parts: Sequence[partitions.Partition]) -> None:
    """Write the number of files that a policy leaves out, by policy and kind of risk."""
    risks: Counter[str] = Counter()
    for part in parts:
        risks.update(part.risks)
    rows = [csv_tables.line((*kind.split(" "), count)) for kind, count in sorted(risks.items())]
    csv_tables.write(path, csv_tables.POLICY, rows)


def consolidate(
    results: Results,
    batches: Sequence[str],
    source: SourceLists,
    pseudonyms: Pseudonyms,
    outputs: Mapping[str, Path],
    joined: Joined,
    code: str = "",
) -> RuleRecord:
    """Write the tables of the dataset, the accounts of the source and the provenance by series; no pixel is read.

    Parameters
    ----------
    results : Results
    batches : sequence of str
        Names of all batches.
    source : SourceLists
    pseudonyms : Pseudonyms
        Makes keyed digests of source files for the provenance.
    outputs : mapping of str to Path
        Paths of volumes, masks, outcomes, mask_outcomes, policy, pictures, files, frames, mask_files, mask_names, group
        and root.
    joined : Joined
        Labels and splits.
    code : str
        Digest of the code that consolidates; partitions that other code cached are rebuilt.

    Returns
    -------
    RuleRecord
        Its claims are the files of the provenance by series.

    Raises
    ------
    SourceChanged
        If files changed while their headers were read; the record of the header index is revoked first.
    """
    joined = dataclasses.replace(joined, uncertain=mask_rows.uncertain_series(source.unplaced_masks))
    basis = partitions.Basis(results, pseudonyms, joined, code)
    parts, rebuilt = partitions.refresh(basis, batches)
    totals: Counter[bytes] = Counter()
    try:
        volumes = _chained(parts, "volumes")
        tied = ties.tied_arrays([part.rows("digests") for part in parts])
        mask_files = mask_rows.outcomes(_chained(parts, "mask_files"), source.unplaced_masks)
        flags = mask_rows.flags_of_segmentations(_chained(parts, "segmentations"), mask_files)
        for array in tied:
            flags.setdefault(array, set()).add(ties.FLAG)
        arrays = _write(outputs["volumes"], joined.columns, ties.flagged(volumes, joined.columns, flags))
        masks = _write(outputs["masks"], csv_tables.MASKS, _chained(parts, "masks"))
        _write(outputs["pictures"], csv_tables.PICTURES, _chained(parts, "pictures"))
        _write(outputs["mask_names"], csv_tables.MASK_NAMES, _chained(parts, "mask_names"), private=True)
        _write(outputs["mask_files"], csv_tables.MASK_FILES, mask_rows.private_rows(mask_files), private=True)
        csv_tables.write(outputs["mask_outcomes"], csv_tables.MASK_OUTCOMES, mask_rows.outcome_rows(mask_files))
        others = heapq.merge(
            _not_files(source.inventory), _not_read(source.members), _without_image(source.index, mask_files)
        )
        file_rows = _account(others, [part.rows("files") for part in parts], totals)
        entries = _write(outputs["files"], csv_tables.FILES, file_rows, private=True)
        frame_rows = _frames([part.rows("frames") for part in parts])
        frame_count = _write(outputs["frames"], csv_tables.FRAMES, frame_rows, private=True)
    except SourceChanged:
        # The next run reads the headers again, even if the source then matches the inventory. An archive that changed
        # was not listed.
        for rule in ("discover_files", "index_headers"):
            revoke(results, results.records / f"{rule}.json", Revocation.SOURCE_CHANGED)
        raise
    outcomes = _write_outcomes(outputs["outcomes"], totals)
    _write_policy(outputs["policy"], parts)
    _write_collection(outputs["group"], _chained(parts, "volumes"))
    files.write_atomically(outputs["root"], GROUP)
    with contextlib.suppress(OSError):  # the folder of the pictures, if there are none: it would be surplus
        results.pictures.rmdir()
    counts = {"entries": entries, "frames": frame_count, "arrays": arrays, "masks": masks}
    counts |= dict.fromkeys(("extracted", "skipped", "quarantined", "ignored"), 0)
    for (outcome, *_), count in outcomes.items():
        counts[outcome] += count
    log.info(
        "entries %d, arrays %d, frames %d; parts rebuilt %d of %d", entries, arrays, frame_count, rebuilt, len(parts)
    )
    return RuleRecord(counts=counts, claims={path: claim for part in parts for path, claim in part.claims.items()})
