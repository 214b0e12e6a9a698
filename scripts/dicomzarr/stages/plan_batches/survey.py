"""Read the header index, to find the series of each line: a few numbers for each file.

Processes share the index: each reads some ranges of its lines. What was found in a range is cached (`part_cache`).
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import orjson
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.dicom.transfer_syntaxes import DECODING_COST
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.plan_batches.masks import Line, ids_of, is_mask_file, uid_hash
from dicomzarr.stages.plan_batches.membership import Ids, Issuers, Membership, membership
from dicomzarr.stages.plan_batches.part_cache import COLUMNS, Part, PartCache
from dicomzarr.system.forked_work import sharing

# Bytes of native pixels that take as long as it takes to open one more file, and to interpret one more frame that has
# functional groups; such a frame is believed only if the file has as many bytes for it.
WORK_PER_FILE, WORK_PER_FRAME, LEAST_FRAME = 50_000, 150_000, 512
NO_UID = 0  # instead of a hash: the file has no such UID


class _IndexedFile(NamedTuple):
    """A line of the index, as far as planning needs it."""

    outcome: str
    reason: str
    size: int
    work: int
    frame: int
    instance: str
    ids: Ids
    is_mask: bool


# A header may claim any size: decoded bytes per byte of the file, and work per file, are limited to these.
LARGEST_RATIO, LARGEST_WORK = 32, 1 << 44
_FRAME_SIZES = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
_SIZES = (*_FRAME_SIZES, "NumberOfFrames")


def work_of(syntax: str, size: int, sizes: Iterable[int], frames: int = 0) -> int:
    """Return how much work a file is, in bytes of native pixels.

    Parameters
    ----------
    syntax : str
        Transfer Syntax UID (0002,0010).
    size : int
        Bytes of the file.
    sizes : iterable of int
        The known factors of the decoded size in bits: rows, columns, samples, bits, frames. Ignored for native files.
    frames : int
        Number of frames that have functional groups.
    """
    factor = DECODING_COST.get(syntax)
    decoded = min(math.prod(sizes) // 8, LARGEST_RATIO * size) * factor if factor else 0
    of_frames = WORK_PER_FRAME * max(0, min(frames, size // LEAST_FRAME))
    return min(max(size, decoded) + of_frames, LARGEST_WORK)


def frame_of(size: int, sizes: Iterable[int]) -> int:
    """Return the bytes of a decoded frame, as far as the header can be believed.

    Parameters
    ----------
    size : int
        Bytes of the file.
    sizes : iterable of int
        The known factors of a frame in bits: rows, columns, samples, bits.
    """
    return max(min(math.prod(sizes) // 8, LARGEST_RATIO * size, LARGEST_WORK), 0)


def _parse(line: bytes) -> _IndexedFile:
    """Parse a line of the index."""
    row: HeaderRow = orjson.loads(line)
    facts = row["facts"]
    size = row["stat"][0]
    ids = ids_of(facts)
    values: Mapping[str, Any] = facts
    known = {name: values[name] for name in _SIZES if isinstance(values.get(name), int)}
    frames = known.get("NumberOfFrames", 0) if facts.get("has_functional_groups") else 0
    work = work_of(facts.get("TransferSyntaxUID", ""), size, known.values(), frames)
    frame = frame_of(size, (known[name] for name in _FRAME_SIZES if name in known))
    return _IndexedFile(
        row["outcome"], row["reason"], size, work, frame, facts.get("SOPInstanceUID", ""), ids, is_mask_file(row)
    )


def _belongs_to_a_series(file: _IndexedFile) -> bool:
    """Return whether a file is listed in a plan: an image, or a file without which its series is incomplete."""
    if file.outcome == "image":
        return True
    return (file.outcome == "quarantined" or file.reason == "missing_pixel_data") and bool(file.ids.series)


@dataclass(slots=True)
class Survey:
    """The files that belong to a series, as arrays of shape (files,): numbers only, so that ten million fit."""

    series: NDArray[np.uint64]  # id of the series, as a number
    instance: NDArray[np.uint64]  # hash of the SOP Instance UID
    offset: NDArray[np.uint64]  # of the line in the index, in bytes
    length: NDArray[np.uint64]  # of the line, in bytes
    size: NDArray[np.uint64]  # bytes of the source file
    work: NDArray[np.uint64]  # bytes of native pixels that take as long
    frame: NDArray[np.uint64]  # bytes of a decoded frame
    series_uid: NDArray[np.uint64]  # hash of the Series Instance UID
    subject: NDArray[np.uint64]  # id of the subject, as a number
    study: NDArray[np.uint64]  # id of the study, as a number; `NO_UID` where the header names none
    digest: NDArray[np.uint64]  # BLAKE3 of the line, 128 bits; shape (files, 2)
    flags: NDArray[np.uint8]  # number of the flags of its membership in `combinations`
    combinations: list[tuple[str, ...]]
    mask_files: list[Line]  # segmentations and structure sets
    shared: set[int]  # series with the SeriesInstanceUID of another series, of another patient
    shared_studies: set[int]  # of several subjects


MembershipOf = Callable[[Ids], Membership | None]
BYTES_PER_PROCESS = 8 << 20  # of the index that one more process is worth: the lines of one range, about
_OFFSET = 2  # column of the offset of a line
_END = 255  # bits of the checksum of a line that are 0 at the end of a range: lines that follow stay in their ranges


def survey_of(
    index: Path, pseudonyms: Pseudonyms, caches: Path, processes: int, code: str
) -> tuple[Survey, MembershipOf]:
    """Read the index once; return where the lines of each series are.

    Parameters
    ----------
    index : Path
        The header index, one JSON line for each file.
    pseudonyms : Pseudonyms
        Computes the ids.
    caches : Path
        The folder of caches.
    processes : int
        Most processes to use.
    code : str
        Digest of the code that plans; ranges that other code cached are read again.

    Returns
    -------
    survey : Survey
    membership_of : callable
        Returns the membership of a file, with the issuer of its series or study where it states none.
    """
    ranges = _ranges(index)
    cache = PartCache(caches, f"{code} {pseudonyms.key_check}")
    with sharing(functools.partial(_part, index, pseudonyms, cache), ranges, min(processes, len(ranges)) - 1) as shared:
        keys, parts = zip(*shared.finish(), strict=True)
    cache.keep(set(keys))
    issuers = Issuers(pseudonyms)
    combinations: dict[tuple[str, ...], int] = {}
    flags = []
    for part in parts:
        issuers.merge(part.issuers)
        numbers = [combinations.setdefault(words, len(combinations)) for words in part.combinations]
        flags.append(np.array(numbers, np.uint8)[part.flags])
    as_stated = functools.lru_cache(maxsize=1 << 16)(functools.partial(membership, pseudonyms=pseudonyms))

    def membership_of(ids: Ids) -> Membership | None:
        return as_stated(issuers.completed(ids))

    columns = [np.concatenate([part.numbers[:, column] for part in parts]) for column in range(COLUMNS)]
    columns[_OFFSET] += np.repeat([np.uint64(begin) for begin, _ in ranges], [len(part.flags) for part in parts])
    series, instance, offset, length, size, work, frame, series_uid, subject, study, *digest = columns
    surveyed = Survey(
        series,
        instance,
        offset,
        length,
        size,
        work,
        frame,
        series_uid,
        subject,
        study,
        np.stack(digest, axis=1),
        flags=np.concatenate(flags),
        combinations=[*combinations],
        mask_files=[
            Line(begin + line.offset, line.length)
            for (begin, _), part in zip(ranges, parts, strict=True)
            for line in part.mask_files
        ],
        shared=set(),
        shared_studies=set(),
    )
    _add_issuers(index, surveyed, issuers, membership_of)
    is_shared = np.isin(surveyed.series_uid, _shared(surveyed.series_uid, surveyed.series))
    surveyed.shared = set(surveyed.series[is_shared].tolist())
    surveyed.shared_studies = set(_shared(surveyed.study, surveyed.subject).tolist())
    return surveyed, membership_of


def _ranges(index: Path) -> list[tuple[int, int]]:
    """Return where ranges of whole lines begin and end, in bytes: together the whole index.

    A checksum decides whether a range ends with a line, so that an inserted line does not move the ends of later ones.
    """
    ends = [0]
    with open(index, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        while ends[-1] < size:
            stream.seek(ends[-1] + BYTES_PER_PROCESS)
            stream.readline()
            while stream.tell() < min(ends[-1] + 2 * BYTES_PER_PROCESS, size) and crc32(stream.readline()) & _END:
                pass
            ends.append(min(stream.tell(), size))
    return list(itertools.pairwise(ends)) or [(0, 0)]


def _part(index: Path, pseudonyms: Pseudonyms, cache: PartCache, lines: tuple[int, int]) -> tuple[str, Part]:
    """Return what the lines of a range of the index hold, from the cache or by reading them, and its key there."""
    begin, end = lines
    with open(index, "rb") as stream:
        stream.seek(begin)
        data = stream.read(end - begin)
    key = cache.key_of(data)
    part = cache.load(key)
    if part is None:
        part = _read(data.splitlines(keepends=True), pseudonyms)
        cache.save(key, part)
    return key, part


def _read(lines: Iterable[bytes], pseudonyms: Pseudonyms) -> Part:
    """Read lines of the index."""
    offset = 0
    digests = bytearray()
    numbers, flags = array("Q"), array("B")
    combinations: dict[tuple[str, ...], int] = {}
    mask_files: list[Line] = []
    issuers = Issuers(pseudonyms)
    membership_of = functools.lru_cache(maxsize=1 << 12)(functools.partial(membership, pseudonyms=pseudonyms))
    hash_of_uid = functools.lru_cache(maxsize=1 << 12)(uid_hash)
    for line in lines:
        file = _parse(line)
        if file.is_mask:
            mask_files.append(Line(offset, len(line)))
        member = membership_of(file.ids) if _belongs_to_a_series(file) else None
        if member is not None:
            issuers.add(file.ids)
            instance = uid_hash(file.instance) if file.instance else NO_UID
            uid = hash_of_uid(file.ids.series) if file.ids.series else NO_UID
            study = int(member.study_id, 16) if member.study_id else NO_UID
            place = (offset, len(line))
            sizes = (file.size, file.work, file.frame)
            subject = int(member.subject_id, 16)
            numbers.extend((int(member.series_id, 16), instance, *place, *sizes, uid, subject, study))
            flags.append(combinations.setdefault(member.flags, len(combinations)))
            digests += blake3(line).digest(length=_BYTES_OF_DIGEST)
        offset += len(line)
    of_lines = np.frombuffer(bytes(digests), np.uint64).reshape(-1, _BYTES_OF_DIGEST // 8)
    table = np.array(numbers, np.uint64).reshape(-1, COLUMNS - of_lines.shape[1])
    return Part(np.hstack([table, of_lines]), np.array(flags, np.uint8), [*combinations], mask_files, issuers.stated)


_BYTES_OF_DIGEST = 16


def _add_issuers(index: Path, files: Survey, issuers: Issuers, membership_of: MembershipOf) -> None:
    """Move files without an issuer to the one of their series or study, which is known after the last file only."""
    of_series, of_subjects = (np.fromiter(ids, np.uint64) for ids in issuers.incomplete())
    moved = np.flatnonzero(np.isin(files.series, of_series) | np.isin(files.subject, of_subjects))
    ids = np.stack([files.series[moved], files.study[moved]], axis=1)  # files with equal ones have equal ids
    distinct, firsts, which = np.unique(ids, axis=0, return_index=True, return_inverse=True)
    numbers, owners = distinct[:, 0].copy(), files.subject[moved][firsts]
    with open(index, "rb") as stream:
        for place, row in enumerate(moved[firsts].tolist()):
            line = os.pread(stream.fileno(), int(files.length[row]), int(files.offset[row]))
            member = membership_of(ids_of(orjson.loads(line)["facts"]))
            if member is not None:
                numbers[place], owners[place] = int(member.series_id, 16), int(member.subject_id, 16)
    which = which.reshape(-1)  # some versions of numpy return it with an axis more
    files.series[moved], files.subject[moved] = numbers[which], owners[which]


def _shared(uids: NDArray[np.uint64], owners: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the UIDs, as numbers, that occur under several owners: series or subjects."""
    order = np.lexsort((owners, uids))
    uids, owners = uids[order], owners[order]
    is_repeated = (uids[1:] == uids[:-1]) & (owners[1:] != owners[:-1]) & (uids[1:] != NO_UID)
    return np.unique(uids[1:][is_repeated])


def same_uid_elsewhere(survey: Survey) -> dict[int, list[int]]:
    """Return, by series, the files of other series that have one of its SOP Instance UIDs, as rows of the survey."""
    order = np.argsort(survey.instance, kind="stable")
    ordered = survey.instance[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
    ends = np.append(starts[1:], len(ordered))
    elsewhere: dict[int, list[int]] = defaultdict(list)
    is_group = (ends - starts > 1) & (ordered[starts] != NO_UID)
    for start, end in zip(starts[is_group].tolist(), ends[is_group].tolist(), strict=True):
        members = [(int(survey.series[row]), row) for row in order[start:end].tolist()]
        for series in {series for series, _ in members}:
            elsewhere[series].extend(row for other, row in members if other != series)
    return elsewhere
