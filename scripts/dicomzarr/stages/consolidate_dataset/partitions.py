"""Cache the rows of the accounts by partition of the series, so that a new series costs one partition.

A partition holds the series of one batch, or of the batches whose series share the first two digits of their ids, so
that each file of the provenance belongs to one partition. A cached partition is keyed by the digests of the records
that it was built from, and records the digests of its rows and of its provenance. If it is stale, damaged or missing,
it is rebuilt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records import batch_record, record_file
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.check_record import CheckRecord
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.consolidate_dataset import mask_rows, ties
from dicomzarr.stages.consolidate_dataset.volume_rows import Joined, volume_line
from dicomzarr.system import csv_tables, digested_json, files, flush, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary import errors

MAX_PARTITIONS = 256  # the number of pairs of hex digits; that many files can be open at once
# Reasons that a policy of the configuration gives, and its key.
POLICIES = {"burned_in_risk": "burned_in", "text_in_pixels": "burned_in", "face_risk": "faces"}
_PARTS = ("volumes", "files", "frames", "digests", "masks", "mask_names", "mask_files", "segmentations", "pictures")


@dataclass(frozen=True, slots=True)
class Basis:
    """What all partitions depend on beside their records: a change of key, joined values or code rebuilds them."""

    results: Results
    pseudonyms: Pseudonyms
    joined: Joined
    code: str


@dataclass(frozen=True, slots=True)
class Partition:
    """The cached rows of the accounts for the series of a partition.

    Attributes
    ----------
    folder : Path
        Of all cached partitions.
    name : str
    risks : mapping of str to int
        Files that are not extracted because of a policy, by the key of the configuration and the kind, with a space
        between them.
    claims : mapping of str to FileClaim
        Its files of the provenance, by path below the results folder.
    """

    folder: Path
    name: str
    risks: Mapping[str, int]
    claims: Mapping[str, FileClaim]

    def part(self, part: str) -> Path:
        """Return the path of its rows of a part: see `_PARTS`."""
        return self.folder / f"{self.name}.{part}"

    def rows(self, part: str) -> Iterator[bytes]:
        """Yield the rows of a part in their order."""
        with open(self.part(part), "rb") as stream:
            yield from stream


@dataclass(frozen=True, slots=True)
class _PartitionRecord:
    """The key of a cached partition, and the digests of its files.

    Attributes
    ----------
    key : str
        Digest of everything that it was built from, except the labels and splits joined to its series.
    joined : str
        Digest of the labels and splits joined to its series.
    series : mapping of str to str
        The subject of each series.
    parts : mapping of str to str
        SHA-256 of each file of rows.
    risks, claims
        As in `Partition`.
    """

    SCHEMA: ClassVar[int] = 1

    key: str
    joined: str
    series: Mapping[str, str]
    parts: Mapping[str, str]
    risks: Mapping[str, int]
    claims: Mapping[str, FileClaim]

    def to_bytes(self) -> bytes:
        return record_file.to_bytes(self.SCHEMA, record_file.fields_of(self)).data

    @classmethod
    def load(cls, path: Path) -> _PartitionRecord:
        """Return the record of a cached partition; raises `OSError` or `Damaged`."""
        raw = record_file.read(path, cls.SCHEMA).fields
        raw["claims"] = record_file.file_claims(raw["claims"])
        return cls(**raw)


def file_row(path: str, outcome: str, reason: str, series_id: str) -> bytes:
    """Return a row of `files.csv` with its sort keys and outcome in front, separated by tabs.

    A path holds no control character (`path_text.encode_path`), so that rows sort as their paths do. The row of a file
    from its series sorts before the one from its header.

    Parameters
    ----------
    path : str
        As in the manifest.
    outcome, reason : str
    series_id : str
        Empty where the outcome comes from the header or the listing.
    """
    line = csv_tables.line((path, outcome, reason, series_id))
    return f"{path}\t{0 if series_id else 1}\t{outcome} {reason}\t{line}".encode("utf-8", "surrogateescape")


def frame_row(path: str, number: int, array: str, t: int | None, z: int | None) -> bytes:
    """Return a row of `frames.csv` with its sort keys in front, separated by tabs.

    Parameters
    ----------
    path : str
        Of the file, as in the manifest.
    number : int
        Of the frame in the file, from 0.
    array : str
    t, z : int or None
        Indices in the array, None where it has no such axis.
    """
    line = csv_tables.line((path, number, array, t, z))
    return f"{path}\t{number:012d}\t{line}".encode("utf-8", "surrogateescape")


def batches_by_partition(batches: Sequence[str]) -> dict[str, list[str]]:
    """Return the batches of each partition by its name; both in the order of the ids of their series."""
    ordered = sorted(batches)
    size = max(1, -(-len(ordered) // MAX_PARTITIONS))
    groups = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return {f"{len(groups):03d}-{number:03d}": group for number, group in enumerate(groups)}


def refresh(basis: Basis, batches: Sequence[str]) -> tuple[list[Partition], int]:
    """Bring all cached partitions up to date; return them in the order of their series, and how many were rebuilt."""
    files.remove_tree(basis.results.private / "fragments")  # their folder in earlier states of 0.1.0
    folder = files.make_private(basis.results.private / "partitions")
    partitions, rebuilt = [], 0
    for name, group in batches_by_partition(batches).items():
        key = _key(basis, group)
        partition = _cached(basis, folder, name, key)
        if partition is None:
            partition = _build(basis, folder, name, key, group)
            rebuilt += 1
        partitions.append(partition)
    current = {f"{partition.name}.{part}" for partition in partitions for part in ("json", *_PARTS)}
    for path in folder.iterdir():
        if path.name not in current:
            files.remove_tree(path)
    claimed = {path for partition in partitions for path in partition.claims}
    for rule in (EXTRACT, CHECK):
        for path in (basis.results.dataset / "provenance" / rule).glob("*"):
            if f"dataset/provenance/{rule}/{path.name}" not in claimed:
                files.remove_tree(path)
    return partitions, rebuilt


def _key(basis: Basis, batches: Sequence[str]) -> str:
    """Return a digest of everything that a partition is built from, except labels and splits."""
    records = [
        [
            digested_json.digest_of_record(batch_record.batch_record_path(basis.results, rule, batch))
            for rule in (EXTRACT, CHECK)
        ]
        for batch in batches
    ]
    return files.sha256_of_bytes(json_files.canonical_json([basis.code, basis.pseudonyms.key_check, batches, records]))


def _joined(basis: Basis, series: Mapping[str, str]) -> str:
    """Return a digest of what is joined to series, which are given with their subjects."""
    joined = basis.joined
    cells = []
    if joined.is_wanted:
        cells = [[*joined.of(series_id, subject_id).values()] for series_id, subject_id in sorted(series.items())]
    uncertain = sorted(series.keys() & set(joined.uncertain))
    return files.sha256_of_bytes(json_files.canonical_json([joined.columns, joined.expected_masks, cells, uncertain]))


def _cached(basis: Basis, folder: Path, name: str, key: str) -> Partition | None:
    """Return the cached partition with this key if it and its provenance are undamaged, else None."""
    try:
        record = _PartitionRecord.load(folder / f"{name}.json")
        if record.key != key or record.joined != _joined(basis, record.series):
            return None
        partition = Partition(folder, name, record.risks, record.claims)
        digests = [(partition.part(part), record.parts[part]) for part in _PARTS]
        digests += [(basis.results.root / path, claim.digest) for path, claim in record.claims.items()]
        return partition if all(files.sha256_of(path) == digest for path, digest in digests) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Lines:
    """The lines of a partition: of its parts, and of its provenance by path; and what else its record states."""

    def __init__(self) -> None:
        self.parts: dict[str, list[bytes]] = {part: [] for part in _PARTS}
        self.provenance: dict[str, list[bytes]] = {}
        self.subjects: dict[str, str] = {}
        self.risks: Counter[str] = Counter()

    def add(self, basis: Basis, record: SeriesRecord, checked: CheckRecord) -> None:
        """Add those of a series."""
        series_id, parts, source_files = record.series_id, self.parts, record.files  # a property that builds a list
        self.subjects[series_id] = record.subject_id
        for rule, projection in (
            (EXTRACT, _extraction_projection(record, basis.pseudonyms)),
            (CHECK, _check_projection(checked, series_id)),
        ):
            line = json_files.canonical_json({"series_id": series_id, "rule": rule, **projection})
            self.provenance.setdefault(f"{rule}/{series_id[:2]}.jsonl", []).append(line)
        for file in source_files:
            parts["files"].append(file_row(file.path, file.outcome, file.reason, series_id))
            if file.reason in POLICIES:
                self.risks[f"{POLICIES[file.reason]} {file.risk or file.reason}"] += 1
        parts["masks"] += mask_rows.mask_lines(record, checked)
        parts["mask_names"] += mask_rows.name_lines(record)
        parts["mask_files"] += mask_rows.file_lines(record)
        parts["segmentations"] += mask_rows.segmentation_lines(record)
        parts["pictures"] += [csv_tables.row_of(csv_tables.PICTURES, row).encode() for row in checked.pictures]
        parts["digests"] += ties.digest_rows(record.volumes, checked.depth, record.subject_id)
        for volume in record.volumes:
            for frame in volume.frames:
                path = source_files[frame.source].path
                parts["frames"].append(frame_row(path, frame.number, volume.array, frame.t, frame.z))
            parts["volumes"].append(volume_line(record, volume, basis.joined).encode("utf-8", "surrogateescape"))


def _build(basis: Basis, folder: Path, name: str, key: str, batches: Sequence[str]) -> Partition:
    """Build a partition from the records of its series; write it and its provenance."""
    lines = _Lines()
    for record, checked in _records(basis.results, batches):
        lines.add(basis, record, checked)
    for part in ("files", "frames", "digests"):
        lines.parts[part].sort()
    shared = {path: b"".join(rows) for path, rows in lines.provenance.items()}
    _commit(basis.results.dataset / "provenance", shared)
    claims = {
        f"dataset/provenance/{path}": FileClaim(len(data), files.sha256_of_bytes(data)) for path, data in shared.items()
    }
    partition = Partition(folder, name, dict(lines.risks), claims)
    files.remove_tree(folder / f"{name}.json")
    digests = {}
    for part, rows in lines.parts.items():
        data = b"".join(rows)
        files.write_unflushed(partition.part(part), data)
        digests[part] = files.sha256_of_bytes(data)
    subjects = lines.subjects
    finished = _PartitionRecord(key, _joined(basis, subjects), subjects, digests, partition.risks, claims)
    files.write_unflushed(folder / f"{name}.json", finished.to_bytes())
    return partition


def _commit(folder: Path, shared: Mapping[str, bytes]) -> None:
    """Write the files whose content changed, given by path below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = flush.Disk(folder)
    staged = flush.Staged(disk, private=False)
    try:
        for path, data in shared.items():
            staged.add_if_changed(folder / path, data)
        staged.commit()
    finally:
        staged.abandon()
        disk.close()


def _records(results: Results, batches: Sequence[str]) -> Iterator[tuple[SeriesRecord, CheckRecord]]:
    """Yield the records of extraction and check of every series by increasing id.

    Raises
    ------
    Damaged
        If their digests do not match the record of the batch.
    """
    for batch in batches:
        extracted = batch_record.load_extracted(results, batch)
        digests = []
        for series_id in sorted(extracted.series):
            record, _, digest = SeriesRecord.read(results.series_record(EXTRACT, series_id), must_exist=True)
            digests.append(digest)
            yield record, CheckRecord.load(results.series_record(CHECK, series_id), must_exist=True)
        if digested_json.digest_of_digests(digests) != extracted.records_digest:
            raise errors.Damaged(batch_record.batch_record_path(results, EXTRACT, batch))


def _extraction_projection(record: SeriesRecord, pseudonyms: Pseudonyms) -> dict[str, object]:
    """Return the part of the extraction record of a series that may be shared."""
    files = [[pseudonyms.source_digest(file.content), file.outcome, file.reason] for file in record.files]
    order = sorted(range(len(files)), key=files.__getitem__)
    place = {index: number for number, index in enumerate(order)}
    volumes = [
        {
            "array": volume.array,
            "inputs": sorted({place[frame.source] for frame in volume.frames}),
            "kind": volume.kind,
            "why": volume.why,
            "pixel_digest": volume.pixel_digest,
            "cross_checks": volume.cross_checks,
            "files": {path: claim.digest for path, claim in volume.files.items()},
        }
        for volume in record.volumes
    ]
    projection: dict[str, object] = {
        "params": record.options,
        "inputs": [files[index] for index in order],
        "volumes": volumes,
    }
    if record.looked:
        projection["looked"] = record.looked
    if record.masks.files:
        projection["mask_inputs"] = sorted(
            [pseudonyms.source_digest(file.content), file.kind, file.reason, file.masks] for file in record.masks.files
        )
        projection["masks"] = [
            {
                "array": mask.array,
                "mask": mask.mask,
                "kind": mask.kind,
                "pixel_digest": mask.pixel_digest,
                "files": {path: claim.digest for path, claim in mask.files.items()},
            }
            for mask in record.masks.masks
        ]
    return projection


def _check_projection(checked: CheckRecord, series: str) -> dict[str, object]:
    """Return the part of the check record of a series that may be shared."""
    sizes = {row.array: row.verdict for row in checked.size}
    arrays = [
        {"array": row.array, "read_back": row.read_back, "depth": row.verdict, "size": sizes[row.array]}
        for row in checked.depth
    ]
    projection: dict[str, object] = {"params": {"code": checked.code, "pictures": checked.draws}, "arrays": arrays}
    if checked.picture_files:  # with the series: the id of a volume alone may look like a number of the source
        projection["pictures"] = {f"{series}/{name}": claim.digest for name, claim in checked.picture_files.items()}
    if checked.masks:
        projection["masks"] = [[row.array, row.mask, row.read_back, row.verdict] for row in checked.masks]
    return projection
