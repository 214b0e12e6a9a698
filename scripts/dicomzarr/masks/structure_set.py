"""Read an RT Structure Set (PS3.3 A.19): its regions of interest, and their contours as points in space.

What is malformed is counted, never guessed. The coordinates are read from their bytes: of the attributes of a structure
set they are nearly all, and as objects of pydicom they would take a hundred times the memory.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.decimals import read_nonstandard
from dicomzarr.dicom.header_values import FARTHEST_MM, items_of, number, text_of, value_of
from dicomzarr.dicom.prefix import for_pydicom, has_prefix
from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from dicomzarr.masks.model import Algorithm, Code, Description, MaskProblem

if TYPE_CHECKING:
    from pydicom import Dataset

# Contour Geometric Type (3006,0042).
Geometry = Literal["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"]

_BLOCK: Final = 1 << 20
MAX_BYTES: Final = 1 << 30  # of a file, and of what a deflated one inflates to
MAX_CONTOURS: Final = 200_000
MAX_ITEMS: Final = 1_000_000  # of all sequences
MAX_POINTS: Final = 20_000_000

_CONTOUR_DATA: Final = 0x30060050
_UNDEFINED: Final = 0xFFFFFFFF
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "AUTOMATIC": "automatic",
    "SEMIAUTOMATIC": "semi-automatic",
    "MANUAL": "manual",
}
_BLANK: Final = re.compile(rb"(?:^|\\)\s*(?:\\|$)")
_DEFLATED: Final = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid.encode()
_EXPLICIT: Final = EXPLICIT_VR_LITTLE_ENDIAN.uid.encode()
# A structure set says in these which anatomy an ROI is: the most specific first.
_CODE_SEQUENCES: Final = (
    "RTROIIdentificationCodeSequence",
    "SegmentedPropertyTypeCodeSequence",
    "AnatomicRegionSequence",
    "SegmentedPropertyCategoryCodeSequence",
)
# Inside of the items of the above: such as left and right.
_MODIFIER_SEQUENCES: Final = ("SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence")
_MAX_CODES: Final = 64  # of one region; others are not read


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One contour whose numbers could be read.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        Contour Data (3006,0050), mm, LPS; finite. n is 1 or more.
    kind : str
        Contour Geometric Type (3006,0042).
    images : tuple of (str, int or None)
        SOP Instance UID (0008,1155) and 0-based number of each frame that it refers to; None for the whole instance.
    is_elsewhere : bool
        It refers to no image of the series on which its region is placed.
    is_as_stated : bool
        It has as many points as Number of Contour Points (3006,0046) states, if that is there.
    """

    points: NDArray[np.float64]
    kind: Geometry
    images: tuple[tuple[str, int | None], ...] = ()
    is_elsewhere: bool = False
    is_as_stated: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Roi:
    """One region of interest.

    Attributes
    ----------
    description : Description
    contours : tuple of Contour
        In the order of the file.
    frame_of_reference : str
        Referenced Frame of Reference UID (3006,0024), or that of the structure set; empty if unknown.
    unreadable : int
        Contours that are not in `contours`: their numbers cannot be read or are not points, or their type is unknown.
    problem : str
        Code of `vocabulary.mask_problems` if it cannot be used: its number is missing, several regions share its number
        and each may have contours, or it has none and contours of no region may be its own.
    """

    description: Description
    contours: tuple[Contour, ...] = ()
    frame_of_reference: str = ""
    unreadable: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class StructureSet:
    """The regions of interest of one structure set.

    Attributes
    ----------
    rois : tuple of Roi
        In the order of the Structure Set ROI Sequence (3006,0020); then those that only have contours.
    frame_of_reference : str
        The Frame of Reference UID that all regions have; empty if they have several or none.
    series : tuple of frozenset of str
        SOP Instance UIDs that it lists for each series, in RT Referenced Series Sequence (3006,0014).
    """

    rois: tuple[Roi, ...]
    frame_of_reference: str = ""
    series: tuple[frozenset[str], ...] = ()

    @property
    def unreadable(self) -> int:
        """Number of contours that cannot be read, of all regions."""
        return sum(roi.unreadable for roi in self.rois)


@dataclass(slots=True)
class _Contours:
    """Contours of one ROI Number while they are read."""

    readable: list[Contour] = field(default_factory=list)
    unreadable: int = 0
    items: int = 0  # of the ROI Contour Sequence, with contours


def read_structure_set(data: bytes | BinaryIO) -> StructureSet:
    """Read a structure set.

    Parameters
    ----------
    data : bytes or binary file
        A whole DICOM file.

    Returns
    -------
    StructureSet

    Raises
    ------
    MaskProblem
        ``unreadable_header`` if it cannot be parsed or is cut off, ``missing_attribute`` without the sequences of
        regions or contours, ``too_large`` beyond the limits of this module.
    """
    raw = data if isinstance(data, bytes) else _whole(data)
    if len(raw) > MAX_BYTES:
        raise MaskProblem("too_large", found=len(raw), needed=MAX_BYTES)
    raw = _inflated(raw)
    _check_counts(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return _read(_parsed(raw))
    except MaskProblem:
        raise
    except MemoryError:
        raise MaskProblem("too_large") from None
    except Exception:  # so do its exceptions
        raise MaskProblem("unreadable_header") from None


def _whole(file: BinaryIO) -> bytes:
    """Return the bytes of a file, at most one block more than the limit; `read` with the limit would reserve it."""
    raw = bytearray()
    while len(raw) <= MAX_BYTES and (block := file.read(_BLOCK)):
        raw += block
    return bytes(raw)


def points_of(value: bytes) -> NDArray[np.float64] | None:
    """Return Contour Data (3006,0050) as points.

    Parameters
    ----------
    value : bytes
        Decimal strings between backslashes.

    Returns
    -------
    ndarray of float64, shape (n, 3), or None
        mm, LPS. None if a number cannot be read, is not finite or lies beyond `FARTHEST_MM`, or if they are not points.
    """
    text = value.strip(b" \t\r\n\0")
    count = text.count(b"\\") + 1
    # numpy takes a blank between backslashes for a number, but only where there is white space.
    if not text or count % 3 or (len(text.split(None, 1)) > 1 and _BLANK.search(text)):
        return None
    try:
        numbers = np.fromstring(text, dtype=np.float64, sep="\\")
    except ValueError:
        read = read_nonstandard(text.decode("latin-1").split("\\"))
        if read is None:
            return None
        numbers = np.array(read, np.float64)
    if len(numbers) != count or not np.all(np.abs(numbers) <= FARTHEST_MM):  # NaN compares as false
        return None
    return numbers.reshape(-1, 3)


def _inflated(raw: bytes) -> bytes:
    """Return a deflated file as an ordinary one of bounded size; any other file as it is."""
    head = raw[:4096]
    if _DEFLATED not in head or not has_prefix(head):
        return raw
    try:
        begin = _end_of_meta(raw)
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated = stream.decompress(raw[begin:], MAX_BYTES)
    except (zlib.error, ValueError):
        raise MaskProblem("unreadable_header") from None
    if stream.unconsumed_tail:
        raise MaskProblem("too_large", found=MAX_BYTES + 1, needed=MAX_BYTES)
    if not stream.eof:
        raise MaskProblem("unreadable_header")
    # Same length, padded with NUL as a UID is: the file then claims what it is.
    return raw[:begin].replace(_DEFLATED, _EXPLICIT.ljust(len(_DEFLATED), b"\0")) + inflated


def _end_of_meta(raw: bytes) -> int:
    """Return where the File Meta Information (explicit, little-endian, PS3.10 7.1) ends; ValueError if it does not."""
    position = 132
    while raw[position : position + 2] == b"\x02\0":
        if raw[position + 4 : position + 6] in (b"OB", b"UN"):
            position += 12 + int.from_bytes(raw[position + 8 : position + 12], "little")
        else:
            position += 8 + int.from_bytes(raw[position + 6 : position + 8], "little")
    if position > len(raw):
        raise ValueError
    return position


def _check_counts(raw: bytes) -> None:
    """Refuse more contours or items than the limits allow before any of them is parsed."""
    contours = max(raw.count(b"\x06\x30\x50\x00"), raw.count(b"\x30\x06\x00\x50"))
    if contours > MAX_CONTOURS:
        raise MaskProblem("too_large", found=contours, needed=MAX_CONTOURS)
    items = max(raw.count(b"\xfe\xff\x00\xe0"), raw.count(b"\xff\xfe\xe0\x00"))
    if items > MAX_ITEMS:
        raise MaskProblem("too_large", found=items, needed=MAX_ITEMS)


def _parsed(raw: bytes) -> Dataset:
    """Return the data set; MaskProblem if a value of it is cut off."""
    from pydicom import dcmread

    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # so do its logs
    dataset = dcmread(for_pydicom(io.BytesIO(raw)), force=True)
    for tag in list(dataset.keys()):
        _check_length(dataset.get_item(tag))
    return dataset


def _check_length(element: Any) -> None:
    """Raise MaskProblem if an element that is not converted yet has fewer bytes than its length."""
    length, value = getattr(element, "length", _UNDEFINED), getattr(element, "value", None)
    if isinstance(value, bytes) and length not in (len(value), _UNDEFINED):
        raise MaskProblem("unreadable_header")


def _read(dataset: Dataset) -> StructureSet:
    """Return the regions of a data set."""
    for keyword in ("StructureSetROISequence", "ROIContourSequence"):
        if keyword not in dataset:
            raise MaskProblem("missing_attribute")
    contours = _contours_by_number(dataset)
    observations: dict[int | None, list[Any]] = {}
    for item in items_of(dataset, "RTROIObservationsSequence"):
        observations.setdefault(_number_of(item, "ReferencedROINumber"), []).append(item)
    regions: dict[int | None, list[Any]] = {}
    for item in items_of(dataset, "StructureSetROISequence"):
        regions.setdefault(_number_of(item, "ROINumber"), []).append(item)
    only = _frame_of_reference(dataset)
    has_others = any(found.items for roi, found in contours.items() if roi not in regions)
    rois = []
    for roi in [*regions, *(other for other in contours if other not in regions)]:
        items, found = regions.get(roi, []), contours.get(roi, _Contours())
        frames = {text_of(value_of(item, "ReferencedFrameOfReferenceUID")) for item in items} - {""}
        problem = ""
        if roi is None:
            problem = "missing_attribute"
        # Whose contours an item holds is not known; together they would be the exclusive or of two structures. Contours
        # of no region may be those of a region without any, which then is not known to be empty.
        elif (found.items > 1 and _are_several(items)) or (has_others and not found.items):
            problem = "invalid_attribute"
        rois.append(
            Roi(
                _description(roi or 0, items, observations.get(roi, [])),
                tuple(found.readable),
                frames.pop() if len(frames) == 1 else "" if frames else only,
                found.unreadable,
                problem,
            )
        )
    shared = {roi.frame_of_reference for roi in rois} or {only}
    return StructureSet(tuple(rois), shared.pop() if len(shared) == 1 else "", _series(dataset))


def _are_several(items: list[Any]) -> bool:
    """Return whether items that share a number describe several regions."""
    return len({text_of(value_of(item, "ROIName")) for item in items}) > 1


def _number_of(item: Any, keyword: str) -> int | None:
    """Return a number of a region; None if it is missing."""
    value = number(value_of(item, keyword))
    return None if value is None else int(value)


def _frame_of_reference(dataset: Dataset) -> str:
    """Return the one frame of reference that the structure set refers to, or empty."""
    references = items_of(dataset, "ReferencedFrameOfReferenceSequence")
    found = {text_of(value_of(item, "FrameOfReferenceUID")) for item in references} - {""}
    if not found:
        found = {text_of(value_of(dataset, "FrameOfReferenceUID"))}
    return found.pop() if len(found) == 1 else ""


def _series(dataset: Dataset) -> tuple[frozenset[str], ...]:
    """Return the instances that the structure set lists for each series."""
    return tuple(
        frozenset(
            text_of(value_of(image, "ReferencedSOPInstanceUID")) for image in items_of(series, "ContourImageSequence")
        )
        - {""}
        for space in items_of(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items_of(space, "RTReferencedStudySequence")
        for series in items_of(study, "RTReferencedSeriesSequence")
    )


def _description(roi: int, items: list[Any], observations: list[Any]) -> Description:
    """Return what the file says of a region. Items that share its number and differ in a value leave it unknown."""

    def agreed(entries: list[Any], keyword: str) -> str:
        found = {text_of(value_of(entry, keyword)) for entry in entries} - {""}
        return found.pop() if len(found) == 1 else ""

    found = (
        code
        for keyword in _CODE_SEQUENCES
        for entry in (*observations, *items)
        for concept in items_of(entry, keyword)
        for code in _codes(concept)
    )
    return Description(
        kind="RTSTRUCT",
        number=roi,
        label=agreed(items, "ROIName"),
        description=agreed(observations, "ROIObservationLabel"),
        algorithm=_ALGORITHMS.get(agreed(items, "ROIGenerationAlgorithm").upper(), ""),
        codes=tuple(dict.fromkeys(islice(found, _MAX_CODES))),
    )


def _codes(concept: Any) -> Iterator[Code]:
    """Yield the code of an item, and the codes that modify it."""
    modifiers = (item for keyword in _MODIFIER_SEQUENCES for item in items_of(concept, keyword))
    yield from (code for code in map(_code, (concept, *modifiers)) if code is not None)


def _code(item: Any) -> Code | None:
    """Return the code of an item (PS3.3 8.8), or None without scheme or value."""
    scheme = text_of(value_of(item, "CodingSchemeDesignator"))
    value = text_of(value_of(item, "CodeValue")) or text_of(value_of(item, "LongCodeValue"))
    return Code(scheme, value) if scheme and value else None


def _contours_by_number(dataset: Dataset) -> dict[int | None, _Contours]:
    """Return the contours of each ROI Number."""
    found: dict[int | None, _Contours] = {}
    points = 0
    for region in items_of(dataset, "ROIContourSequence"):
        into = found.setdefault(_number_of(region, "ReferencedROINumber"), _Contours())
        before = len(into.readable) + into.unreadable
        for item in _contour_items(region):
            contour = _contour(item)
            if contour is None:
                into.unreadable += 1
            else:
                into.readable.append(contour)
                points += len(contour.points)
            if points > MAX_POINTS:
                raise MaskProblem("too_large", found=points, needed=MAX_POINTS)
        if len(into.readable) + into.unreadable > before:
            into.items += 1
            if _number_of(region, "ReferencedROINumber") is None:
                raise MaskProblem("missing_attribute")  # nothing says whose contours they are
    return found


def _contour_items(region: Any) -> Iterator[Any]:
    """Yield the items of a Contour Sequence (3006,0040); a malformed one is an error, since contours would be lost."""
    if "ContourSequence" in region:
        _check_length(region.get_item("ContourSequence"))
        yield from region.ContourSequence


def _contour(item: Any) -> Contour | None:
    """Return a contour, or None if it cannot be read."""
    kind = text_of(value_of(item, "ContourGeometricType")).upper()
    element = item.get_item(_CONTOUR_DATA) if _CONTOUR_DATA in item else None
    value = getattr(element, "value", None)
    if kind not in get_args(Geometry) or not isinstance(value, bytes):
        return None
    _check_length(element)
    points = points_of(value)
    if points is None:
        return None
    stated = number(value_of(item, "NumberOfContourPoints"))
    is_closed = len(points) > 1 and np.array_equal(points[0], points[-1])  # whether the last point counts is not fixed
    is_as_stated = stated in (None, len(points), len(points) - is_closed)
    return Contour(points, kind, tuple(_images(item)), is_as_stated=is_as_stated)  # type: ignore[arg-type]


def _images(item: Any) -> Iterator[tuple[str, int | None]]:
    """Yield the frames that a contour refers to."""
    for reference in items_of(item, "ContourImageSequence"):
        uid = text_of(value_of(reference, "ReferencedSOPInstanceUID"))
        frames = value_of(reference, "ReferencedFrameNumber")
        if not uid:
            continue
        if frames is None or frames == "":
            yield uid, None
            continue
        several = not isinstance(frames, (str, int)) and hasattr(frames, "__iter__")
        for frame in frames if several else [frames]:
            index = number(frame)
            if index is not None and index >= 1:
                yield uid, int(index) - 1
