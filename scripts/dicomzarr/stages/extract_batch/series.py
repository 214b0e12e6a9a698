"""One series: from its files to arrays in a temporary store and a record of all that happened.

A pure function of the files' contents, the configuration and the key: file names, times and places decide nothing.
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
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Readers, Roots, SourceFile, numbers_of, understand
from dicomzarr.stages.extract_batch.volume import BadFile, write_volume
from dicomzarr.system import files as storage
from dicomzarr.system import json_files
from dicomzarr.system.thread_pool import SERIAL, ThreadPool
from dicomzarr.vocabulary.reasons import REASONS, SetAside
from dicomzarr.volumes import stacking
from dicomzarr.volumes.model import Volume

# Reasons that leave no hole in a volume: the frame is there already, or is left out on purpose.
DELIBERATE = frozenset({"duplicate", "burned_in_risk"})


@functools.lru_cache(maxsize=4)
def options_of(options: Options) -> Mapping[str, OptionValue]:
    """Return options as a record has them."""
    return dataclasses.asdict(options)


def plan_digest(plan: bytes, options: Options) -> str:
    """Return the digest of a series as the plan file has it, with the options: what decides without opening a file."""
    return storage.sha256_of_bytes(plan + json_files.canonical_json(options_of(options)))


def fingerprint(plan: SeriesPlan, contents: Mapping[str, str], options: Options) -> str:
    """Return the digest of everything the arrays of a series depend on.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each of its files, and of those of other series with its SOP Instance UIDs, by path.
    options : Options
    """
    files = sorted((contents[row["path"]], row["outcome"], row["reason"]) for row in plan.files)
    others = sorted(contents[row["path"]] for row in plan.same_uid_elsewhere)
    ids = [plan.series_id, plan.study_id, plan.subject_id, plan.flags]
    return storage.sha256_of_bytes(json_files.canonical_json([files, others, ids, options_of(options)]))


def other_files(plan: SeriesPlan, contents: Mapping[str, str]) -> tuple[OtherFile, ...]:
    """Return the files of other series as a record has them."""
    return tuple(OtherFile(row["path"], (*row["stat"],), contents[row["path"]]) for row in plan.same_uid_elsewhere)


def _pixel_digest(files: Sequence[SourceFile], index: int, readers: Readers) -> str | None:
    """Return the digest of all pixels of a file, or None, with its reason noted, where they cannot be decoded."""
    file = files[index]
    digest = hashlib.sha256()
    try:
        for frame in file.frames:
            decoded = readers.frame(index, frame.number).pixels
            digest.update(f"{decoded.shape}{decoded.dtype.str}".encode())
            digest.update(decoded.data)
    except SetAside as error:
        _quarantine_copies(files, file.content, error.code, numbers_of(error))
        return None
    return digest.hexdigest()


def _quarantine_copies(files: Sequence[SourceFile], content: str, reason: str, numbers: dict[str, int]) -> None:
    """Note a reason for every file of this content: equal bytes fail alike."""
    for file in files:
        if file.content == content and (not file.reason or file.reason == "duplicate"):
            file.reason, file.numbers = reason, numbers


def _settle_duplicates(files: Sequence[SourceFile], readers: Readers) -> None:
    """Keep one file of each SOP Instance UID; others are duplicates; where pixels differ, all are refused."""
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
        for loser in sorted(members, key=lambda i: (files[i].content, i))[1:]:
            files[loser].reason = "duplicate"


def _validate_rest(files: Sequence[SourceFile], readers: Readers) -> None:
    """Decode every file that has no reason yet, so that one more pass is enough."""
    for index, file in enumerate(files):
        if file.own and not file.reason:
            _pixel_digest(files, index, readers)


def _expected_frames(
    volumes: Sequence[Volume], files: Sequence[SourceFile], options: Options
) -> dict[tuple[str, ...], int]:
    """Return how many frames each volume would have if no file of it had failed, by discriminators."""
    lost = [f for f in files if f.own and f.frames and f.reason and f.reason not in DELIBERATE]
    kept = {f.instance for f in files if f.own and not f.reason}
    lost = [f for f in lost if f.instance not in kept]
    remaining = [frame for f in files if f.own and not f.reason for frame in f.frames]
    if not lost or not remaining:
        return {v.discriminators: len(v.places) for v in volumes}
    whole = stacking.lay_out([*remaining, *(frame for f in lost for frame in f.frames)], tolerance=options.tolerance)
    would = {v.discriminators: len(v.places) for v in whole}
    return {v.discriminators: max(len(v.places), would.get(v.discriminators, 0)) for v in volumes}


def name_volumes(series_id: str, volumes: Sequence[Volume], pseudonyms: Pseudonyms) -> dict[str, Volume]:
    """Return the volumes of a series by id; where two of thousands would share one, the later is hashed once more."""
    named: dict[str, Volume] = {}
    for volume in sorted(volumes, key=lambda volume: volume.discriminators):
        name, again = pseudonyms.volume_id(series_id, volume.discriminators), 0
        while name in named:
            again += 1
            name = pseudonyms.volume_id(series_id, (*volume.discriminators, f"again {again}"))
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
    """Lay out and write the files that have no reason against it; raises `BadFile` at the first that fails."""
    remaining = [frame for file in files if file.own and not file.reason for frame in file.frames]
    if not remaining:
        return ()
    volumes = stacking.lay_out(remaining, tolerance=options.tolerance)
    expected = _expected_frames(volumes, files, options)
    named = name_volumes(plan.series_id, volumes, pseudonyms)
    done = []
    for volume_id, volume in sorted(named.items()):
        flagged = dataclasses.replace(volume, flags=tuple(sorted({*volume.flags, *plan.flags})))
        name = f"{plan.series_id}/{volume_id}"
        known = expected[volume.discriminators]
        done.append(write_volume(flagged, store, name, files, roots, options, known, pool))
    return tuple(done)


def extract(
    plan: SeriesPlan,
    contents: Mapping[str, str],
    store: Path,
    roots: Roots,
    pseudonyms: Pseudonyms,
    options: Options,
    pool: ThreadPool = SERIAL,
    kept: Mapping[str, bytes] = {},
) -> SeriesRecord:
    """Write the arrays of one series into a temporary store and return its record.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    store : Path
        A folder that does not exist yet; each volume becomes a folder in it.
    roots : Roots
        Where the source is.
    pseudonyms : Pseudonyms
        Makes the ids of volumes.
    options : Options
    pool : ThreadPool
        Decodes and compresses.
    kept : mapping of str to bytes
        Files that need not be opened again, by path.

    Returns
    -------
    SeriesRecord
    """
    own, others = (
        [SourceFile(row, contents[row["path"]], kept.get(row["path"]), own=is_own) for row in rows]
        for rows, is_own in ((plan.files, True), (plan.same_uid_elsewhere, False))
    )
    # By content first: equal inputs give equal bytes wherever the files lie.
    files = sorted([*own, *others], key=lambda f: (not f.own, f.content, f.row["path"]))
    for index, file in enumerate(files):
        file.reason = "" if file.row["outcome"] == "image" else file.row["reason"]
        if file.content == UNREADABLE:
            file.reason = "unreadable_file"
        if not file.reason and options.burned_in == "skip":
            file.risk = image_risks.burned_in(file.row["facts"])
            file.reason = "burned_in_risk" if file.risk else ""
        understand(index, file, roots)
    readers = Readers(files, roots)
    _settle_duplicates(files, readers)
    readers.close()
    disagreement: Disagreement | None = None
    for repeated in (False, True, True):
        storage.remove_tree(store)
        store.mkdir(parents=True)
        try:
            volumes = _attempt(plan, files, store, roots, pseudonyms, options, pool)
            break
        except BadFile as bad:
            if repeated and not bad.digests:
                raise ValueError("a file failed that had decoded before") from None
            if bad.digests:
                # One frame that two decoders read differently puts every frame of the series in doubt.
                disagreement = Disagreement(files[bad.source].content, bad.digests)
                for file in files:
                    file.reason = file.reason or bad.reason
                continue
            _quarantine_copies(files, files[bad.source].content, bad.reason, bad.numbers)
            readers = Readers(files, roots)
            _validate_rest(files, readers)
            readers.close()
    return _record(plan, contents, options, [file for file in files if file.own], volumes, disagreement)


def failed(plan: SeriesPlan, contents: Mapping[str, str], options: Options, reason: str) -> SeriesRecord:
    """Return the record of a series whose extraction failed: no array, and each file not extracted for one reason."""
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
