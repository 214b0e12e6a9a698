"""Extract one series: write its arrays into a temporary store and return its record.

The result depends on the contents of the files, the options and the key alone, not on names, folders or times of files.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomzarr.dicom import image_risks
from dicomzarr.privacy.pseudonyms import Pseudonyms
from dicomzarr.records.mask_record import NO_MASKS, SeriesMasks
from dicomzarr.records.plan import PlannedSeries, SeriesPlan
from dicomzarr.records.series_record import (
    Disagreement,
    FileOutcome,
    OptionValue,
    OtherFile,
    SeriesRecord,
    VolumeRecord,
)
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch import faces
from dicomzarr.stages.extract_batch.commit import pictures_of
from dicomzarr.stages.extract_batch.contents import SeriesContents
from dicomzarr.stages.extract_batch.duplicates import (
    has_images_elsewhere,
    mark_copies,
    mark_instances,
    pixel_digest,
    quarantine_copies,
    set_aside_as_decided,
)
from dicomzarr.stages.extract_batch.expected import expected_frames
from dicomzarr.stages.extract_batch.extraction import Extraction
from dicomzarr.stages.extract_batch.look_for_text import FAILED, TEXT, Looker
from dicomzarr.stages.extract_batch.masks import place_masks
from dicomzarr.stages.extract_batch.options import Options
from dicomzarr.stages.extract_batch.series_files import Readers, SourceFile, interpret, reason_of_content
from dicomzarr.stages.extract_batch.volume import BadFile, write_volume
from dicomzarr.system import json_files
from dicomzarr.system.files import link_or_copy, remove_tree, sha256_of_bytes
from dicomzarr.vocabulary.reasons import REASONS, REVIEWED, NotExtracted
from dicomzarr.volumes import stacking
from dicomzarr.volumes.model import Volume


@functools.lru_cache(maxsize=4)
def options_of(options: Options, *, has_masks: bool) -> Mapping[str, OptionValue]:
    """Return the options as a record contains them; of the names of masks, which may repeat labels, a keyed digest.

    `faces` is not among them: a series without a face has the same record under both policies.
    """
    shown = dataclasses.asdict(options)
    names_digest = shown.pop("names_digest")
    of_scans = () if options.burned_in == "scan" else ("allow_short",)
    for name in ("mask_names", "detector", "decisions", "faces", *of_scans):
        del shown[name]
    return shown | ({"mask_names": names_digest} if has_masks else {})


def plan_digest(plan: PlannedSeries, options: Options) -> str:
    """Return the digest of the planned series and the options; if it did not change, no source file is opened."""
    shown = options_of(options, has_masks=plan.has_masks)
    looks = [options.detector, options.decisions] if options.detector or options.decisions else []
    return sha256_of_bytes(plan.raw + json_files.canonical_json([shown, looks]))


def image_fingerprint(plan: SeriesPlan, contents: Mapping[str, str], options: Options) -> str:
    """Return the digest of everything the arrays of a series depend on, without its masks.

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
    own = {content for content, _, _ in files}
    decided = [[content, decision] for content, decision in options.decisions if content in own]
    risks = _risks(plan, contents, options)
    return sha256_of_bytes(json_files.canonical_json([files, others, ids, _decisive(options), decided, risks]))


def _decisive(options: Options, *, has_masks: bool = False) -> Mapping[str, OptionValue]:
    """Return the options that arrays depend on; for `burned_in` see `_risks` and `look_again`."""
    shown = options_of(options, has_masks=has_masks)
    return {name: shown[name] for name in shown if name not in ("burned_in", "allow_short")}


def _risks(plan: SeriesPlan, contents: Mapping[str, str], options: Options) -> list[tuple[str, str]]:
    """Return content and kind of risk of each file, also of other series, that is set aside without a look."""
    kept = {content for content, decision in options.decisions if decision == "keep"}
    rows = [row for row in (*plan.files, *plan.same_uid_elsewhere) if row["outcome"] == "image"]
    risks = [(contents[row["path"]], risk_of(row, options)) for row in rows]
    return sorted((content, risk) for content, risk in risks if risk and content not in kept)


def fingerprint(plan: SeriesPlan, contents: Mapping[str, str], options: Options) -> str:
    """Return the digest of everything the arrays and the masks of a series depend on; parameters as above."""
    images = image_fingerprint(plan, contents, options)
    if not plan.masks:
        return images
    masks = sorted(contents[row["path"]] for row in plan.masks)
    return sha256_of_bytes(json_files.canonical_json([images, masks, _decisive(options, has_masks=True)]))


def other_files(plan: SeriesPlan, contents: Mapping[str, str]) -> tuple[OtherFile, ...]:
    """Return the files of other series as a record lists them."""
    return tuple(OtherFile(row["path"], (*row["stat"],), contents[row["path"]]) for row in plan.same_uid_elsewhere)


def _decode_remaining(files: Sequence[SourceFile], readers: Readers) -> None:
    """Decode every file that has no reason yet, to find all that fail: one more attempt is enough then."""
    for index, file in enumerate(files):
        if file.own and not file.reason:
            pixel_digest(files, index, readers)


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


def attempt(extraction: Extraction, files: Sequence[SourceFile], looker: Looker) -> tuple[VolumeRecord, ...]:
    """Stack and write the frames of the files without a reason.

    Parameters
    ----------
    extraction : Extraction
    files : sequence of SourceFile
        Interpreted.
    looker : Looker
        Of the same files.

    Returns
    -------
    tuple of VolumeRecord

    Raises
    ------
    BadFile
        At the first file that fails.
    """
    plan, options, pseudonyms = extraction.plan, extraction.options, extraction.pseudonyms
    remaining = [frame for file in files if file.own and not file.reason for frame in file.frames]
    if not remaining:
        return ()
    volumes = stacking.lay_out(remaining, tolerance=options.tolerance)
    risks = faces.face_risks(volumes, files)
    if options.faces == "skip" and faces.set_aside(risks.values(), files):
        return ()
    expected = expected_frames(volumes, files, options.tolerance)
    series_flags = {*plan.flags, *({"series_incomplete"} if expected.lost_elsewhere else ())}
    series_flags |= {"images_elsewhere"} if has_images_elsewhere(files) else set()
    named = name_volumes(plan.series_id, volumes, pseudonyms)
    records = []
    for volume_id, volume in sorted(named.items()):
        group_id = pseudonyms.group_id(plan.series_id, volume.group)
        flags = tuple(sorted({*volume.flags, *series_flags, *faces.flags_of(risks[volume.discriminators])}))
        flagged = dataclasses.replace(volume, flags=flags, group_id=group_id)
        name = f"{plan.series_id}/{volume_id}"
        frames = expected.frames[volume.discriminators]
        records.append(write_volume(extraction, flagged, name, files, frames, looker))
    if aside := looker.set_aside():  # for what does not move
        raise BadFile(aside[0], NotExtracted(aside[1]))
    return tuple(records)


def risk_of(row: HeaderRow, options: Options) -> str:
    """Return the kind of risk that sets a file aside without a look: all with `skip`, two with `scan`.

    Parameters
    ----------
    row : HeaderRow
        Of the file.
    options : Options

    Returns
    -------
    str
        Empty if there is none.
    """
    if options.burned_in == "keep":
        return ""
    risk = image_risks.burned_in(row["facts"])
    return risk if options.burned_in == "skip" or risk in ("declared", "slide_label") else ""


def _interpreted(extraction: Extraction, contents: SeriesContents) -> list[SourceFile]:
    """Return the files of a series, then those of others with its SOP Instance UIDs, with frames or a reason.

    Each group is sorted by content: equal inputs give equal bytes, whatever the names and folders of the files.
    """
    plan, roots, options = extraction.plan, extraction.roots, extraction.options

    def source_file(row: HeaderRow, *, is_own: bool) -> SourceFile:
        path = row["path"]
        content, blocks = contents.small_files.get(path), contents.blocks.get(path, b"")
        return SourceFile(row, contents.digests[path], content, blocks, own=is_own)

    files = [source_file(row, is_own=True) for row in plan.files]
    files += [source_file(row, is_own=False) for row in plan.same_uid_elsewhere]
    files.sort(key=lambda file: (not file.own, file.content, file.row["path"]))
    decisions = dict(options.decisions)
    for index, file in enumerate(files):
        file.decision = decisions.get(file.content, "")
        file.reason = "" if file.row["outcome"] == "image" else file.row["reason"]
        file.reason = reason_of_content(file.content) or file.reason
        if not file.reason and file.decision != "keep":
            file.risk = risk_of(file.row, options)
            file.reason = "burned_in_risk" if file.risk else ""
        interpret(index, file, roots)
    readers = Readers(files, roots)
    mark_instances(files, readers)
    mark_copies(files, readers)
    readers.close()
    if options.burned_in == "scan":
        set_aside_as_decided(files, TEXT)
    return files


def extract(extraction: Extraction, contents: SeriesContents) -> SeriesRecord:
    """Write the arrays of one series into a temporary store and return its record.

    Parameters
    ----------
    extraction : Extraction
    contents : SeriesContents
        Small files among them are not opened again.

    Returns
    -------
    SeriesRecord
    """
    store, roots, options, pool = extraction.store, extraction.roots, extraction.options, extraction.pool
    files = _interpreted(extraction, contents)
    pictures = pictures_of(store)
    remove_tree(pictures)
    looker = Looker(files, roots, options)
    disagreement: Disagreement | None = None
    # Again after a file that failed, when all that fail are known, and after decoders that disagree: no file is left.
    for is_repeated in (False, True, True):
        remove_tree(store)
        store.mkdir(parents=True)
        try:
            volumes = attempt(extraction, files, looker)
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
            if options.burned_in == "scan":
                if bad.reason not in (TEXT, FAILED):
                    quarantine_copies(files, files[bad.source].content, bad.reason, bad.numbers)
                looker.look_at_rest(pool)
                continue
            quarantine_copies(files, files[bad.source].content, bad.reason, bad.numbers)
            readers = Readers(files, roots)
            _decode_remaining(files, readers)
            readers.close()
    own = [file for file in files if file.own]
    instances = [file.row["facts"].get("SOPInstanceUID", "") for file in own]
    copies = {uid for uid, file in zip(instances, own, strict=True) if file.reason == "duplicate"}
    plan, digests = extraction.plan, contents.digests
    masks = place_masks(extraction, digests, volumes, instances, copies)
    looker.draw(pictures)
    record = record_of(plan, digests, options, own, volumes, masks, disagreement)
    return dataclasses.replace(record, looked=looker.looked(), text=looker.findings())


def has_looked(record: SeriesRecord, options: Options) -> bool:
    """Return whether a series was looked at for text as the options say: by this detector, or not at all.

    Parameters
    ----------
    record : SeriesRecord
    options : Options
    """
    looked = (record.looked.get("code"), record.looked.get("allow_short"))
    return looked == ((options.detector, options.allow_short) if options.burned_in == "scan" else (None, None))


def look_again(extraction: Extraction, contents: Mapping[str, str], record: SeriesRecord) -> SeriesRecord | None:
    """Look at the files of a series as the options say now, or no longer; of the dataset nothing is written.

    Parameters
    ----------
    extraction : Extraction
        Only the pictures beside its store are written.
    contents : mapping of str to str
        BLAKE3 of each file, also of other series with its SOP Instance UIDs, by path.
    record : SeriesRecord
        Of the last extraction; its fingerprint is the current one.

    Returns
    -------
    SeriesRecord, optional
        The record with the detector and the places it found; None if another file is set aside now, or for another
        reason, and the series must be extracted again.
    """
    is_aside = any(file.reason in REVIEWED for file in record.files)
    if extraction.options.burned_in != "scan":
        return None if is_aside else dataclasses.replace(record, looked={}, text={})
    # A decision to set aside is one about files with the same pixels, too, and only a scan follows it. Of files without
    # pixels to trust, those with text have that reason.
    by_decision = "set_aside" in map(dict(extraction.options.decisions).get, contents.values())
    if by_decision or record.disagreement:
        return None
    roots, options = extraction.roots, extraction.options
    rows = sorted(extraction.plan.files, key=lambda row: (contents[row["path"]], row["path"]))
    decisions = dict(options.decisions)
    files = [SourceFile(row, contents[row["path"]], decision=decisions.get(contents[row["path"]], "")) for row in rows]
    for index, (file, last) in enumerate(zip(files, record.files, strict=True)):
        file.reason = last.reason
        if file.reason in REVIEWED:
            is_copy = index and files[index - 1].content == file.content  # equal bytes are looked at once
            file.reason = "duplicate" if is_copy else ""
        if file.reason in ("", *REVIEWED):
            interpret(index, file, roots)
    looker = Looker(files, roots, options)
    looker.look_at_rest(extraction.pool)
    if [file.reason for file in files] != [file.reason for file in record.files]:
        return None
    pictures = pictures_of(extraction.store)
    remove_tree(pictures)
    looker.draw(pictures)
    return dataclasses.replace(record, looked=looker.looked(), text=looker.findings())


def extract_masks(
    extraction: Extraction, contents: Mapping[str, str], images: Path, record: SeriesRecord
) -> SeriesRecord:
    """Write the masks of a series whose images did not change, beside links to its images; return its new record.

    Parameters
    ----------
    extraction : Extraction
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    images : Path
        The group with the images of the last extraction.
    record : SeriesRecord
        Of that extraction, with the paths and stats of the plan.

    Returns
    -------
    SeriesRecord
    """
    plan, store, options = extraction.plan, extraction.store, extraction.options
    remove_tree(store)
    store.mkdir(parents=True)
    for volume in record.volumes:
        for path in volume.files:
            link_or_copy(images / volume.array / path, store / volume.array.split("/")[1] / path)
    by_content = {contents[row["path"]]: row["facts"].get("SOPInstanceUID", "") for row in plan.files}
    instances = [by_content[file.content] for file in record.files]
    copies = {uid for uid, file in zip(instances, record.files, strict=True) if file.reason == "duplicate"}
    return dataclasses.replace(
        record,
        options=options_of(options, has_masks=bool(plan.masks)),
        fingerprint=fingerprint(plan, contents, options),
        masks=place_masks(extraction, contents, record.volumes, instances, copies),
    )


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
    return dataclasses.replace(record_of(plan, contents, options, ordered), failed=True)


def record_of(
    plan: SeriesPlan,
    contents: Mapping[str, str],
    options: Options,
    files: Sequence[SourceFile],
    volumes: tuple[VolumeRecord, ...] = (),
    masks: SeriesMasks = NO_MASKS,
    disagreement: Disagreement | None = None,
) -> SeriesRecord:
    """Return the record of a series.

    Parameters
    ----------
    plan : SeriesPlan
    contents : mapping of str to str
        BLAKE3 of each file, by path.
    options : Options
    files : sequence of SourceFile
        Its own files, sorted by content and path.
    volumes : tuple of VolumeRecord
    masks : SeriesMasks
    disagreement : Disagreement, optional
        If two decoders disagreed on a frame.

    Returns
    -------
    SeriesRecord
    """
    return SeriesRecord(
        series_id=plan.series_id,
        study_id=plan.study_id,
        subject_id=plan.subject_id,
        flags=plan.flags,
        options=options_of(options, has_masks=bool(plan.masks)),
        fingerprint=fingerprint(plan, contents, options),
        image_fingerprint=image_fingerprint(plan, contents, options),
        file_rows=tuple(map(_outcome, files)),
        volumes=volumes,
        masks=masks,
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
