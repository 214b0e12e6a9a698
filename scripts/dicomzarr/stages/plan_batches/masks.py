"""Find the image of each segmentation and structure set: the series to whose plan it is added.

By the UIDs of series and instances that it names; else by Frame of Reference UID, where one image alone contains it.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from dicomzarr.dicom.facts import ImageFacts, MaskReferences
from dicomzarr.dicom.sop_classes import MASK_CLASSES, NOT_MASKED, RT_STRUCTURE_SET
from dicomzarr.masks.extent import is_within
from dicomzarr.privacy.pseudonyms import text_of_patient
from dicomzarr.records.plan import UnplacedMask
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.plan_batches.membership import Ids, Membership


class Line(NamedTuple):
    """Place of a line in the header index, bytes."""

    offset: int
    length: int


class SurveyColumns(NamedTuple):
    """Columns of all files that belong to a series, shape (files,): see `survey`."""

    series: NDArray[np.uint64]
    instance: NDArray[np.uint64]
    series_uid: NDArray[np.uint64]
    subject: NDArray[np.uint64]
    study: NDArray[np.uint64]
    offset: NDArray[np.uint64]
    length: NDArray[np.uint64]


class Assigned(NamedTuple):
    """The lines of the mask files of each series, and the files without one."""

    of_series: Mapping[int, list[Line]]
    unplaced: Sequence[UnplacedMask]


class _Person(NamedTuple):
    """Whose a file is: the subject, and the attributes that it follows from."""

    subject_id: str
    issuer: str
    patient: str

    def may_be(self, other: _Person) -> bool:
        """Return whether two files may be of one patient; many masks do not repeat the issuer that an image states."""
        is_same_id = bool(self.patient) and self.patient == other.patient and not (self.issuer and other.issuer)
        return self.subject_id == other.subject_id or is_same_id


class _MaskFile(NamedTuple):
    line: Line
    path: str
    kind: str
    references: MaskReferences
    person: _Person
    study_id: str

    @property
    def series_uids(self) -> Sequence[str]:
        return self.references.get("series", ())

    @property
    def instances(self) -> Sequence[str]:
        return self.references.get("instances", ())

    @property
    def frames_of_reference(self) -> Sequence[str]:
        return self.references.get("frames_of_reference", ())


class _Image(NamedTuple):
    """A series on which masks may lie, with its patient."""

    series: int
    person: _Person


MembershipOf = Callable[[Ids], Membership | None]


def uid_hash(text: str) -> int:
    """Return a number for a UID; never 0, which stands for no UID."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") or 1


def is_mask_file(row: HeaderRow) -> bool:
    """Return whether a line of the index is that of a segmentation or structure set, also of a broken one."""
    is_broken = row["outcome"] != "image" and row["facts"].get("SOPClassUID", "") in MASK_CLASSES
    return is_broken or "mask_references" in row["facts"]


def ids_of(facts: ImageFacts) -> Ids:
    """Return the attributes that decide the membership of a file."""
    return Ids(
        issuer=text_of_patient(facts.get("IssuerOfPatientID", "")),
        patient=text_of_patient(facts.get("PatientID", "")),
        study=facts.get("StudyInstanceUID", ""),
        series=facts.get("SeriesInstanceUID", ""),
        content=facts.get("content_sha256", ""),
    )


def assign_masks(index: Path, lines: Sequence[Line], survey: SurveyColumns, membership_of: MembershipOf) -> Assigned:
    """Assign each segmentation and structure set to the series that it refers to.

    Parameters
    ----------
    index : Path
        The header index.
    lines : sequence of Line
        Those of the segmentations and structure sets, by path.
    survey : SurveyColumns
    membership_of : callable
        Returns the membership of a file.

    Returns
    -------
    Assigned
    """
    if not lines:
        return Assigned({}, ())
    found: dict[str, set[int] | str] = {}
    with open(index, "rb") as stream:
        finder = _Finder(stream.fileno(), survey, membership_of)
        masks = [finder.mask_file(line) for line in lines]
        by_series = _first_rows(survey.series_uid, survey.series, {uid for mask in masks for uid in mask.series_uids})
        by_instance = _first_rows(survey.instance, survey.series, {uid for mask in masks for uid in mask.instances})
        for mask in masks:
            series = finder.named(mask, mask.series_uids, by_series, by_instance)
            instances = finder.named(mask, mask.instances, by_instance, by_instance)
            found[mask.path] = instances if _contradict(series, instances) else series or instances
    remaining = [mask for mask in masks if not found[mask.path]]
    boxes = _boxes(index, {uid for mask in remaining for uid in mask.frames_of_reference}, membership_of)
    for mask in remaining:
        found[mask.path] = _by_frame_of_reference(mask, boxes)
    of_series: dict[int, list[Line]] = defaultdict(list)
    unplaced = []
    for mask in masks:
        answer = found[mask.path]
        if isinstance(answer, str):
            reason = answer if mask.references else "mask_unreadable"
            may_be_any = reason != "mask_without_image" or not any(mask.references.values())  # it names nothing
            unplaced.append(UnplacedMask(mask.path, mask.kind, reason, _series_of(mask, survey) if may_be_any else ()))
        else:
            for number in sorted(answer):
                of_series[number].append(mask.line)
    return Assigned(of_series, unplaced)


def _series_of(mask: _MaskFile, survey: SurveyColumns) -> list[str]:
    """Return the series of the study of a mask file, else of its patient: on one of them it lies, or on none."""
    is_near = np.zeros(len(survey.series), bool)
    if mask.person.subject_id:
        is_near = survey.subject == int(mask.person.subject_id, 16)
    if mask.study_id:
        of_study = survey.study == int(mask.study_id, 16)
        is_near = of_study if of_study.any() else is_near
    return [f"{series:016x}" for series in np.unique(survey.series[is_near]).tolist()]


class _Finder:
    """Finds series by hashes of UIDs, and reads what the index says of them."""

    def __init__(self, index: int, survey: SurveyColumns, membership_of: MembershipOf) -> None:
        self._index, self._survey, self._membership_of = index, survey, membership_of
        self._images: dict[int, _Image | None] = {}

    def _row(self, line: Line) -> HeaderRow:
        row: HeaderRow = orjson.loads(os.pread(self._index, line.length, line.offset))
        return row

    def mask_file(self, line: Line) -> _MaskFile:
        """Return a mask file by its line in the index."""
        row = self._row(line)
        facts = row["facts"]
        ids = ids_of(facts)
        # A file that is cut may have lost its series, of which nothing is needed here.
        member = self._membership_of(ids if ids.series or ids.content else ids._replace(content="cut"))
        kind = "RTSTRUCT" if facts.get("SOPClassUID") == RT_STRUCTURE_SET else "SEG"
        person = _person(ids, member.subject_id if member else "")
        study_id = member.study_id if member else ""
        return _MaskFile(line, row["path"], kind, facts.get("mask_references", {}), person, study_id)

    def _image(self, series: int, row: int) -> _Image | None:
        """Return a series, of which a row of the survey is given; None if masks do not lie on such images."""
        if series not in self._images:
            facts = self._row(Line(int(self._survey.offset[row]), int(self._survey.length[row])))["facts"]
            ids = ids_of(facts)
            member = self._membership_of(ids)
            is_masked = member is not None and facts.get("SOPClassUID", "") not in NOT_MASKED
            self._images[series] = _Image(series, _person(ids, member.subject_id)) if member and is_masked else None
        return self._images[series]

    def named(
        self,
        mask: _MaskFile,
        uids: Iterable[str],
        rows: Mapping[int, list[int]],
        rows_of_instances: Mapping[int, list[int]],
    ) -> set[int] | str:
        """Return the series with the UIDs that a mask file names, or why it is not known which; or no series.

        One UID may occur under several subjects: it is the series of the subject of the mask. A series of another
        subject counts only if it holds an instance that the file names.
        """
        instances = {
            int(self._survey.series[row]) for uid in mask.instances for row in rows_of_instances.get(uid_hash(uid), ())
        }
        series: set[int] = set()
        is_ambiguous = False
        for uid in uids:
            found = {int(self._survey.series[row]): row for row in rows.get(uid_hash(uid), ())}
            images = [image for image in (self._image(*pair) for pair in found.items()) if image is not None]
            images = [image for image in images if image.person.may_be(mask.person) or image.series in instances]
            images = _preferred(images, mask.person)
            is_ambiguous = is_ambiguous or len(images) > 1
            series |= {image.series for image in images} if len(images) == 1 else set()
        return series or ("mask_ambiguous" if is_ambiguous else set())


def _contradict(series: set[int] | str, instances: set[int] | str) -> bool:
    """Return whether all instances that a file names are in other series than those that it names."""
    if isinstance(series, str) or isinstance(instances, str) or not series or not instances:
        return False
    return series.isdisjoint(instances)


def _person(ids: Ids, subject_id: str) -> _Person:
    return _Person(subject_id, ids.issuer, ids.patient)


def _preferred(images: list[_Image], person: _Person) -> list[_Image]:
    """Return the images of a subject, else of a patient; all, if none is of that patient."""
    of_subject = [image for image in images if image.person.subject_id == person.subject_id]
    return of_subject or [image for image in images if image.person.may_be(person)] or images


def _first_rows(column: NDArray[np.uint64], series: NDArray[np.uint64], uids: Collection[str]) -> dict[int, list[int]]:
    """Return, by hash of a UID, the first row of each series in which a column of the survey has it."""
    wanted = np.fromiter(map(uid_hash, uids), np.uint64)
    found = np.flatnonzero(np.isin(column, wanted))
    found = found[np.lexsort((series[found], column[found]))]
    is_first = np.ones(len(found), bool)
    is_first[1:] = np.diff(column[found]).astype(bool) | np.diff(series[found]).astype(bool)
    rows: dict[int, list[int]] = defaultdict(list)
    for row in found[is_first].tolist():
        rows[int(column[row])].append(row)
    return rows


class _Box(NamedTuple):
    """A series of a frame of reference, and the box of its slices, mm, LPS; no box where the index has no positions."""

    image: _Image
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def _boxes(index: Path, frames: set[str], membership_of: MembershipOf) -> dict[str, list[_Box]]:
    """Return, by Frame of Reference UID, the series of images in it with the boxes of their slices."""
    boxes: dict[tuple[str, int], _Box] = {}
    if not frames:
        return {}
    with open(index, "rb", buffering=1 << 20) as stream:
        for line in stream:
            row: HeaderRow = orjson.loads(line)
            facts = row["facts"]
            frame = facts.get("FrameOfReferenceUID", "")
            if row["outcome"] != "image" or frame not in frames or facts.get("SOPClassUID", "") in NOT_MASKED:
                continue
            ids = ids_of(facts)
            member = membership_of(ids)
            if member is None:
                continue
            series = int(member.series_id, 16)
            low, high = _corners(facts)
            known = boxes.get((frame, series))
            if known is not None:
                is_known = known.low is not None and known.high is not None and low is not None and high is not None
                low = np.minimum(known.low, low) if is_known else None  # type: ignore[arg-type]
                high = np.maximum(known.high, high) if is_known else None  # type: ignore[arg-type]
            boxes[frame, series] = _Box(_Image(series, _person(ids, member.subject_id)), low, high)
    of_frame = defaultdict(list)
    for (frame, _), box in boxes.items():
        of_frame[frame].append(box)
    return of_frame


def _corners(facts: ImageFacts) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """Return the box of a slice, half a slice thick on both sides; (None, None) if its position is not in the index."""
    position, cosines, spacing = (
        facts.get(name) for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    if not (isinstance(position, list) and isinstance(cosines, list) and isinstance(spacing, list)):
        return None, None
    if (len(position), len(cosines), len(spacing)) != (3, 6, 2):
        return None, None
    across, down = np.array(cosines[:3]) * spacing[1], np.array(cosines[3:]) * spacing[0]
    rows, columns = facts.get("Rows", 1), facts.get("Columns", 1)
    half = 0.5 * float(facts.get("SpacingBetweenSlices") or facts.get("SliceThickness") or 0)
    normal = np.cross(cosines[:3], cosines[3:]) * half
    corners = [
        np.array(position) + x * across + y * down + sign * normal
        for x in (-0.5, columns - 0.5)
        for y in (-0.5, rows - 0.5)
        for sign in (-1, 1)
    ]
    return np.min(corners, axis=0), np.max(corners, axis=0)


def _by_frame_of_reference(mask: _MaskFile, boxes: Mapping[str, list[_Box]]) -> set[int] | str:
    """Return the one series of the mask's patient and frame of reference that contains it, or why there is none."""
    found: dict[int, _Box] = {}
    for frame in mask.frames_of_reference:
        found |= {
            box.image.series: box
            for box in boxes.get(frame, ())
            if box.image.person.may_be(mask.person) and _contains(box, mask.references.get("extent"))
        }
    images = _preferred([box.image for box in found.values()], mask.person)
    if len(images) == 1:
        return {images[0].series}
    return "mask_ambiguous" if images else "mask_without_image"


def _contains(box: _Box, extent: list[float] | None) -> bool:
    """Return whether a box contains an extent; where one of them is not known, extraction finds out."""
    if box.low is None or box.high is None or not extent:
        return True
    return is_within((extent[:3], extent[3:]), box.low, box.high)
