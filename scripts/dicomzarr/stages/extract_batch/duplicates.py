"""Find the duplicates of a series: files with one SOP Instance UID, and copies of images under another UID."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.stages.extract_batch.series_files import Readers, SourceFile, numbers_of
from dicomzarr.system import json_files
from dicomzarr.vocabulary.reasons import NotExtracted
from dicomzarr.volumes import duplicates
from dicomzarr.volumes.duplicates import Pixels


def pixel_digest(files: Sequence[SourceFile], index: int, readers: Readers) -> str | None:
    """Return the digest of all pixels of a file; None if they cannot be decoded, and the reason is set."""
    file = files[index]
    digest = hashlib.sha256()
    try:
        for frame in file.frames:
            decoded = readers.frame(index, frame.number).pixels
            digest.update(f"{decoded.shape}{decoded.dtype.str}".encode())
            digest.update(decoded.data)
    except NotExtracted as error:
        quarantine_copies(files, file.content, error.code, numbers_of(error))
        return None
    return digest.hexdigest()


def quarantine_copies(files: Sequence[SourceFile], content: str, reason: str, numbers: dict[str, int]) -> None:
    """Set the reason of every file with this content: equal bytes fail alike.

    Parameters
    ----------
    files : sequence of SourceFile
    content : str
        BLAKE3 of the bytes of the file that failed, hex.
    reason : str
    numbers : dict of str to int
        ``found`` and ``needed``, where they explain the reason.
    """
    for file in files:
        if file.content == content and (not file.reason or file.reason == "duplicate"):
            file.reason, file.numbers = reason, numbers


def set_aside_as_decided(files: Sequence[SourceFile], reason: str) -> None:
    """Set the reason of the files that somebody decided to set aside, and of those with the same pixels."""
    decided = {file.same_as for file in files if file.decision == "set_aside" and file.same_as is not None}
    decided |= {index for index, file in enumerate(files) if file.decision == "set_aside"}
    for index, file in enumerate(files):
        if (
            file.reason in ("", "duplicate")
            and file.decision != "keep"
            and not decided.isdisjoint({index, file.same_as})
        ):
            file.reason = reason


def mark_instances(files: Sequence[SourceFile], readers: Readers) -> None:
    """Mark all files but one of each SOP Instance UID as duplicates.

    If their pixels differ, or what their headers say of equal pixels, all are refused. If several series have such
    files, those of one series stay, the same for all of them.

    Parameters
    ----------
    files : sequence of SourceFile
        Of the series, and those of other series with one of its SOP Instance UIDs.
    readers : Readers
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        if not file.reason:
            groups[file.instance].append(index)
    for members in groups.values():
        if len(members) < 2:
            continue
        if len({files[i].content for i in members}) > 1:
            digests = {i: pixel_digest(files, i, readers) for i in members}
            members = [i for i in members if digests[i] is not None]
            if len({digests[i] for i in members}) > 1 or _contradict([files[i] for i in members]):
                for i in members:
                    files[i].reason = "conflicting_instance"
                continue
        order = {
            i: (
                _series_of(files[i]),
                duplicates.fullest_first(files[i].frames, _length_of_header(files[i])),
                files[i].content,
                i,
            )
            for i in members
        }
        first_to_last = sorted(members, key=order.__getitem__)  # empty if none can be decoded
        for duplicate in first_to_last[1:]:
            files[duplicate].reason, files[duplicate].same_as = "duplicate", first_to_last[0]


def _length_of_header(file: SourceFile) -> int:
    """Return the bytes before the pixels."""
    location = file.row["facts"].get("pixel")
    return location["offset"] if location else 0


def _contradict(files: Sequence[SourceFile]) -> bool:
    """Return whether the headers of files with equal pixels say different things of them."""
    distinct = {file.content: file.frames for file in files}.values()
    return any(duplicates.contradict(first, second) for first, second in combinations(distinct, 2))


def _series_of(file: SourceFile) -> str:
    """Return a digest of the series that a file names, which decides between series; it is never written.

    Not the id of the series: that depends on the key, and which images are in a dataset does not.
    """
    facts = file.row["facts"]
    names = [facts.get(name, "") for name in ("IssuerOfPatientID", "PatientID", "SeriesInstanceUID")]
    return blake3(json_files.canonical_json(names)).hexdigest()


def has_images_elsewhere(files: Sequence[SourceFile]) -> bool:
    """Return whether a file of another series stands for one of this series."""
    return any(file.own and file.same_as is not None and not files[file.same_as].own for file in files)


def mark_copies(files: Sequence[SourceFile], readers: Readers) -> None:
    """Mark the copies of images under another SOP Instance UID as duplicates (see `volumes.duplicates`).

    Pixels are read only where several files have the same place and facts.
    """
    read: dict[int, Pixels | None] = {}

    def pixels(index: int) -> Pixels | None:
        if index not in read:
            read[index] = _pixels(files, index, readers)
        return read[index]

    images = {index: file.frames for index, file in enumerate(files) if file.own and not file.reason}
    found = duplicates.copies(images, lambda index: _facts(files[index]), pixels)
    stays = {read[index]: index for index in sorted(images.keys() & read.keys(), reverse=True) if index not in found}
    for copy in found:
        files[copy].reason, files[copy].same_as = "duplicate", stays.get(read.get(copy))


def may_have_copies(files: Sequence[SourceFile]) -> bool:
    """Return whether `mark_copies` would read pixels of the files."""
    asked: list[int] = []
    duplicates.copies(
        {index: file.frames for index, file in enumerate(files)}, lambda i: _facts(files[i]), asked.append
    )
    return bool(asked)


def _pixels(files: Sequence[SourceFile], index: int, readers: Readers) -> Pixels | None:
    """Return the pixels of a file; None if they cannot be decoded, and the reason is set."""
    file, digest, is_constant = files[index], blake3(), True
    try:
        for frame in file.frames:
            decoded = readers.frame(index, frame.number).pixels
            digest.update(decoded.data.cast("B"))
            is_constant = is_constant and _has_one_value(decoded)
    except NotExtracted as error:
        quarantine_copies(files, file.content, error.code, numbers_of(error))
        return None
    return Pixels(digest.hexdigest(), is_constant)


def _has_one_value(plane: NDArray[Any]) -> bool:
    """Return whether all pixels of a frame are equal; shape (rows, columns) or (rows, columns, samples)."""
    first = plane[:1, :1]
    return bool((plane == first).all() or (plane != plane).all())  # NaN differs from itself


def _facts(file: SourceFile) -> Hashable:
    """Return the facts of a file that are not those of its frames."""
    facts = file.row["facts"]
    tables = json_files.canonical_json([file.palette, file.modality_lut]) if file.palette or file.modality_lut else b""
    names = ("DoseGridScaling", "DoseUnits", "PixelPaddingValue", "PixelPaddingRangeLimit")
    return (tables, *(facts.get(name) for name in names))
