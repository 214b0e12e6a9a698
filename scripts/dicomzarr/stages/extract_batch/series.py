"""Extract one series: write its arrays into a temporary store and return its record.

The result depends on the contents of the files, the options and the key alone, not on names, folders or times of files.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomzarr.dicom import image_risks
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import (
    Disagreement,
    FileOutcome,
    OptionValue,
    OtherFile,
    SeriesRecord,
    VolumeRecord,
)
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Readers, Roots, SourceFile, interpret, numbers_of
from dicomzarr.stages.extract_batch.volume import BadFile, write_volume
from dicomzarr.system import json_files
from dicomzarr.system.files import remove_tree, sha256_of_bytes
from dicomzarr.system.thread_pool import SERIAL, ThreadPool
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted
from dicomzarr.volumes import stacking
from dicomzarr.volumes.model import Volume

# Reasons that do not make a volume incomplete: the frame is in it already, or is left out on purpose.
DELIBERATE = frozenset({"duplicate", "burned_in_risk"})


@functools.lru_cache(maxsize=4)
def options_of(options: Options) -> Mapping[str, OptionValue]:
    """Return the options as a record contains them."""
    return dataclasses.asdict(options)


def plan_digest(plan: bytes, options: Options) -> str:
    """Return the digest of the planned series and the options; if it did not change, no source file is opened."""
    return sha256_of_bytes(plan + json_files.canonical_json(options_of(options)))


def fingerprint(plan: SeriesPlan, contents: Mapping[str, str], options: Options) -> str:
    """Return the digest of everything the arrays of a series depend on.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each file of the series, and of files of other series with its SOP Instance UIDs, by path.
    options : Options

    Returns
    -------
    str
        SHA-256, hex.
    """
    files = sorted((contents[row["path"]], row["outcome"], row["reason"]) for row in plan.files)
    others = sorted(contents[row["path"]] for row in plan.same_uid_elsewhere)
    ids = [plan.series_id, plan.study_id, plan.subject_id, plan.flags]
    return sha256_of_bytes(json_files.canonical_json([files, others, ids, options_of(options)]))


def other_files(plan: SeriesPlan, contents: Mapping[str, str]) -> tuple[OtherFile, ...]:
    """Return the files of other series as a record lists them."""
    return tuple(OtherFile(row["path"], (*row["stat"],), contents[row["path"]]) for row in plan.same_uid_elsewhere)


def _pixel_digest(files: Sequence[SourceFile], index: int, readers: Readers) -> str | None:
    """Return the digest of all pixels of a file; None if they cannot be decoded, and the reason is set."""
    file = files[index]
    digest = hashlib.sha256()
    try:
        for frame in file.frames:
            decoded = readers.frame(index, frame.number).pixels
            digest.update(f"{decoded.shape}{decoded.dtype.str}".encode())
            digest.update(decoded.data)
    except NotExtracted as error:
        _quarantine_copies(files, file.content, error.code, numbers_of(error))
        return None
    return digest.hexdigest()


def _quarantine_copies(files: Sequence[SourceFile], content: str, reason: str, numbers: dict[str, int]) -> None:
    """Set the reason of every file with this content: equal bytes fail alike."""
    for file in files:
        if file.content == content and (not file.reason or file.reason == "duplicate"):
            file.reason, file.numbers = reason, numbers


def _mark_duplicates(files: Sequence[SourceFile], readers: Readers) -> None:
    """Mark all files but one of each SOP Instance UID as duplicates; if their pixels differ, refuse them all."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        if not file.reason:
            groups[file.instance].append(index)
    for members in groups.values():
        if len(members) < 2:
            continue
        if len({files[i].content for i in members}) > 1:
            digests = {i: _pixel_digest(files, i, readers) for i in members}
            members = [i for i in members if digests[i] is not None]
            if len({digests[i] for i in members}) > 1:
                for i in members:
                    files[i].reason = "conflicting_instance"
                continue
        for duplicate in sorted(members, key=lambda i: (files[i].content, i))[1:]:
            files[duplicate].reason = "duplicate"


def _decode_remaining(files: Sequence[SourceFile], readers: Readers) -> None:
    """Decode every file that has no reason yet, to find all that fail: one more attempt is enough then."""
    for index, file in enumerate(files):
        if file.own and not file.reason:
            _pixel_digest(files, index, readers)


def _expected_frames(
    volumes: Sequence[Volume], files: Sequence[SourceFile], options: Options
) -> dict[tuple[str, ...], int]:
    """Return the number of frames of each volume if no file had failed, by discriminators."""
    lost = [f for f in files if f.own and f.frames and f.reason and f.reason not in DELIBERATE]
    extracted = {f.instance for f in files if f.own and not f.reason}
    lost = [f for f in lost if f.instance not in extracted]
    remaining = [frame for f in files if f.own and not f.reason for frame in f.frames]
    if not lost or not remaining:
        return {v.discriminators: len(v.places) for v in volumes}
    complete = stacking.lay_out([*remaining, *(frame for f in lost for frame in f.frames)], tolerance=options.tolerance)
    expected = {v.discriminators: len(v.places) for v in complete}
    return {v.discriminators: max(len(v.places), expected.get(v.discriminators, 0)) for v in volumes}


def name_volumes(series_id: str, volumes: Sequence[Volume], pseudonyms: Pseudonyms) -> dict[str, Volume]:
    """Return the volumes of a series by id; if two ids collide, the later one is hashed again.

    Parameters
    ----------
    series_id : str
    volumes : sequence of Volume
    pseudonyms : Pseudonyms
        Computes the ids.

    Returns
    -------
    dict of str to Volume
    """
    named: dict[str, Volume] = {}
    for volume in sorted(volumes, key=lambda volume: volume.discriminators):
        name, collisions = pseudonyms.volume_id(series_id, volume.discriminators), 0
        while name in named:
            collisions += 1
            name = pseudonyms.volume_id(series_id, (*volume.discriminators, f"again {collisions}"))
        named[name] = volume
    return named


def _attempt(
    plan: SeriesPlan,
    files: Sequence[SourceFile],
    store: Path,
    roots: Roots,
    pseudonyms: Pseudonyms,
    options: Options,
    pool: ThreadPool,
) -> tuple[VolumeRecord, ...]:
    """Stack and write the frames of the files without a reason; raises `BadFile` at the first file that fails."""
    remaining = [frame for file in files if file.own and not file.reason for frame in file.frames]
    if not remaining:
        return ()
    volumes = stacking.lay_out(remaining, tolerance=options.tolerance)
    expected = _expected_frames(volumes, files, options)
    named = name_volumes(plan.series_id, volumes, pseudonyms)
    records = []
    for volume_id, volume in sorted(named.items()):
        group_id = pseudonyms.volume_id(plan.series_id, ("group", *volume.group))
        flags = tuple(sorted({*volume.flags, *plan.flags}))
        flagged = dataclasses.replace(volume, flags=flags, group_id=group_id)
        name = f"{plan.series_id}/{volume_id}"
        frames = expected[volume.discriminators]
        records.append(write_volume(flagged, store, name, files, roots, options, frames, pool))
    return tuple(records)


def extract(
    plan: SeriesPlan,
    contents: Mapping[str, str],
    store: Path,
    roots: Roots,
    pseudonyms: Pseudonyms,
    options: Options,
    pool: ThreadPool = SERIAL,
    small_files: Mapping[str, bytes] = {},
) -> SeriesRecord:
    """Write the arrays of one series into a temporary store and return its record.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    store : Path
        The folder to write, with one folder for each volume; emptied first.
    roots : Roots
        The source folders.
    pseudonyms : Pseudonyms
        Computes the ids of volumes.
    options : Options
    pool : ThreadPool
        Its threads decode and compress.
    small_files : mapping of str to bytes
        The contents of files that need not be opened again, by path.

    Returns
    -------
    SeriesRecord
    """
    own, others = (
        [SourceFile(row, contents[row["path"]], small_files.get(row["path"]), own=is_own) for row in rows]
        for rows, is_own in ((plan.files, True), (plan.same_uid_elsewhere, False))
    )
    # Sorted by content: equal inputs give equal bytes, whatever the names and folders of the files.
    files = sorted([*own, *others], key=lambda f: (not f.own, f.content, f.row["path"]))
    for index, file in enumerate(files):
        file.reason = "" if file.row["outcome"] == "image" else file.row["reason"]
        if file.content == UNREADABLE:
            file.reason = "unreadable_file"
        if not file.reason and options.burned_in == "skip":
            file.risk = image_risks.burned_in(file.row["facts"])
            file.reason = "burned_in_risk" if file.risk else ""
        interpret(index, file, roots)
    readers = Readers(files, roots)
    _mark_duplicates(files, readers)
    readers.close()
    disagreement: Disagreement | None = None
    for is_repeated in (False, True, True):
        remove_tree(store)
        store.mkdir(parents=True)
        try:
            volumes = _attempt(plan, files, store, roots, pseudonyms, options, pool)
            break
        except BadFile as bad:
            if is_repeated and not bad.digests:
                raise ValueError("a file failed that had decoded before") from None
            if bad.digests:
                # If two decoders disagree on one frame, no frame of the series can be trusted.
                disagreement = Disagreement(files[bad.source].content, bad.digests)
                for file in files:
                    file.reason = file.reason or bad.reason
                continue
            _quarantine_copies(files, files[bad.source].content, bad.reason, bad.numbers)
            readers = Readers(files, roots)
            _decode_remaining(files, readers)
            readers.close()
    return _record(plan, contents, options, [file for file in files if file.own], volumes, disagreement)


def failed(plan: SeriesPlan, contents: Mapping[str, str], options: Options, reason: str) -> SeriesRecord:
    """Return the record of a series whose extraction failed: no array, and the same reason for each file.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    options : Options
    reason : str
        Reason code of all files.

    Returns
    -------
    SeriesRecord
    """
    files = [SourceFile(row, contents[row["path"]], reason=reason) for row in plan.files]
    ordered = sorted(files, key=lambda file: (file.content, file.row["path"]))
    return dataclasses.replace(_record(plan, contents, options, ordered), failed=True)


def _record(
    plan: SeriesPlan,
    contents: Mapping[str, str],
    options: Options,
    files: Sequence[SourceFile],
    volumes: tuple[VolumeRecord, ...] = (),
    disagreement: Disagreement | None = None,
) -> SeriesRecord:
    return SeriesRecord(
        series_id=plan.series_id,
        study_id=plan.study_id,
        subject_id=plan.subject_id,
        flags=plan.flags,
        options=options_of(options),
        fingerprint=fingerprint(plan, contents, options),
        file_rows=tuple(map(_outcome, files)),
        volumes=volumes,
        disagreement=disagreement,
        same_uid_elsewhere=other_files(plan, contents),
    )


def _outcome(file: SourceFile) -> FileOutcome:
    return FileOutcome(
        path=file.row["path"],
        stat=(*file.row["stat"],),
        content=file.content,
        outcome=REASONS[file.reason].outcome if file.reason else "extracted",
        reason=file.reason,
        risk=file.risk,
        found=file.numbers.get("found"),
        needed=file.numbers.get("needed"),
    )
