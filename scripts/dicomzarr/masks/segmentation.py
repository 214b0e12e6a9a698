"""Read the header of a DICOM segmentation: its segments, and where each of its frames lies (PS3.3 A.51, C.8.20).

A number that cannot be read counts as absent. What cannot be used at all is a `MaskProblem`; nothing else is raised.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.dicom.header_values import (
    cosines_of,
    first_of,
    items_of,
    number,
    spacing_of,
    text_of,
    value_of,
    vector,
)
from dicomzarr.masks.model import Algorithm, Code, Description, MaskProblem, Part

if TYPE_CHECKING:
    from pydicom import Dataset

# Segments that a file may have, described or named by a frame: each becomes a mask.
MAX_SEGMENTS: Final = 4096
MAX_FRAMES: Final = 1 << 20
# Source images that are kept of one frame.
MAX_SOURCES: Final = 1024
_MAX_TEXT: Final = 4096
# Unit length and orthogonality of the cosines, as for images.
_COSINE_TOLERANCE: Final = 1e-3
_FORMS: Final = frozenset({"BINARY", "LABELMAP", "FRACTIONAL"})
_FRACTIONAL: Final = frozenset({"PROBABILITY", "OCCUPANCY"})
_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "MANUAL": "manual",
    "SEMIAUTOMATIC": "semi-automatic",
    "AUTOMATIC": "automatic",
}
# The most specific first.
_CODES: Final = (
    "SegmentedPropertyTypeCodeSequence",
    "AnatomicRegionSequence",
    "SegmentedPropertyCategoryCodeSequence",
)
# Inside of the items of the above: such as left and right. The standard has one for the type, and one for the region.
_MODIFIERS: Final = ("SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence")
_MAX_CODES: Final = 16  # of one sequence
_BACKGROUND: Final = Code("DCM", "125040")

# SOP Instance UID and 0-based frame; None for a reference without a frame number: to all frames of the file.
Source = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """One frame of a segmentation.

    Attributes
    ----------
    segment : int, optional
        Referenced Segment Number (0062,000B); None in a label map, whose pixels are segment numbers.
    position : tuple of 3 float, optional
        Image Position (Patient) (0020,0032), mm, LPS.
    orientation : tuple of 6 float, optional
        Image Orientation (Patient) (0020,0037); None also where it is not two orthogonal unit vectors.
    spacing : tuple of 2 float, optional
        Pixel Spacing (0028,0030): between rows, then between columns, mm.
    sources : tuple of (str, int or None)
        Source Image Sequence (0008,2112): SOP Instance UID and 0-based frame.
    tile : tuple of 2 int, optional
        Row and column of its first pixel in the total pixel matrix, from 0.
    """

    segment: int | None
    position: Vector | None = None
    orientation: Cosines | None = None
    spacing: tuple[float, float] | None = None
    sources: tuple[Source, ...] = ()
    tile: tuple[int, int] | None = None

    @property
    def has_geometry(self) -> bool:
        """Whether the header says where each pixel lies."""
        return self.position is not None and self.orientation is not None and self.spacing is not None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A segmentation without its pixels.

    Attributes
    ----------
    segments : tuple of Description
        By number; those that the file describes, and those that its frames name without a description. Not the
        background of a label map.
    form : str
        ``BINARY``, ``LABELMAP``, ``PROBABILITY`` or ``OCCUPANCY``.
    maximum_fraction : int, optional
        Maximum Fractional Value (0062,000E) of a fractional segmentation, 1 to 255.
    rows, columns : int
        Of each frame.
    frames : tuple of SegmentFrame
        As stored.
    frame_of_reference : str
        Frame of Reference UID (0020,0052), or empty.
    instances : frozenset of str
        SOP Instance UIDs that the file refers to as a whole, in Referenced Series Sequence (0008,1115).
    background : frozenset of int
        Pixel values of a label map that belong to no mask.
    total_matrix : tuple of 2 int, optional
        Total Pixel Matrix Rows and Columns (0048,0007), (0048,0006), of a tiled segmentation.
    step, thickness : float, optional
        Spacing Between Slices (0018,0088) and Slice Thickness (0018,0050), where all frames share one, mm.
    part : Part, optional
        The file is one of several that are one segmentation.
    """

    segments: tuple[Description, ...]
    form: str
    maximum_fraction: int | None
    rows: int
    columns: int
    frames: tuple[SegmentFrame, ...]
    frame_of_reference: str = ""
    instances: frozenset[str] = frozenset()
    background: frozenset[int] = frozenset()
    total_matrix: tuple[int, int] | None = None
    step: float | None = None
    thickness: float | None = None
    part: Part | None = None


def read_segmentation(source: str | os.PathLike[str] | BinaryIO | Dataset) -> Segmentation:
    """Read a segmentation, without its pixels.

    Parameters
    ----------
    source : path, binary file or pydicom Dataset
        The items of a data set's functional groups are emptied.

    Returns
    -------
    Segmentation

    Raises
    ------
    MaskProblem
        ``unreadable_header``, ``missing_attribute``, ``invalid_attribute`` or ``too_large``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pydicom import dcmread

            # Messages quote header values.
            logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

            is_read = hasattr(source, "keys")
            return segmentation_of(source if is_read else dcmread(source, stop_before_pixels=True, force=True))
    except MaskProblem:
        raise
    except Exception:  # the messages of pydicom quote header values
        raise MaskProblem("unreadable_header") from None


def segmentation_of(header: Any) -> Segmentation:
    """Return the segmentation that a header describes.

    Parameters
    ----------
    header : pydicom Dataset
        Each item of PerFrameFunctionalGroupsSequence is emptied once it is read: parsed, it takes 15 kB a frame.

    Returns
    -------
    Segmentation

    Raises
    ------
    MaskProblem
        ``missing_attribute``, ``invalid_attribute`` or ``too_large``.
    """
    form, maximum = _form(header)
    rows, columns = _count(header, "Rows"), _count(header, "Columns")
    count = _count(header, "NumberOfFrames", 1)
    if count > MAX_FRAMES:
        raise MaskProblem("too_large", found=count, needed=MAX_FRAMES)
    described = _segments(header)
    shared = first_of(header, "SharedFunctionalGroupsSequence")
    own = items_of(header, "PerFrameFunctionalGroupsSequence")
    full = text_of(value_of(header, "DimensionOrganizationType")) == "TILED_FULL"
    if len(own) != count and (own or not full):
        # Which groups are those of which frame is not known.
        raise MaskProblem("invalid_attribute" if own else "missing_attribute", found=len(own), needed=count)
    total = _total_matrix(header)
    reader = _FrameReader(shared, form)
    if own:
        frames = tuple(reader.frame(group) for group in own)
    else:
        frames = _implied_tiles(header, reader, count, (rows, columns), total)
    if form != "LABELMAP":
        for numbered in sorted({frame.segment for frame in frames if frame.segment is not None} - described.keys()):
            described[numbered] = Description("SEG", numbered)
        nameless = sum(frame.segment is None for frame in frames)
        if nameless:
            raise MaskProblem("missing_attribute", found=len(frames) - nameless, needed=len(frames))
    background: frozenset[int] = _background(header, described) if form == "LABELMAP" else frozenset()
    segments = tuple(described[numbered] for numbered in sorted(described) if numbered not in background)
    if len(segments) > MAX_SEGMENTS:
        raise MaskProblem("too_large", found=len(segments), needed=MAX_SEGMENTS)
    step, thickness = (only.pop() if len(only) == 1 else None for only in (reader.steps, reader.thicknesses))
    return Segmentation(
        segments=segments,
        form=form,
        maximum_fraction=maximum,
        rows=rows,
        columns=columns,
        frames=frames,
        frame_of_reference=text_of(value_of(header, "FrameOfReferenceUID")),
        instances=_instances(header),
        background=background,
        total_matrix=total,
        step=step,
        thickness=thickness,
        part=_part(header),
    )


def _count(header: Any, keyword: str, absent: int | None = None) -> int:
    """Return an attribute as a whole number of at least 1."""
    value = value_of(header, keyword)
    if value is None:
        if absent is None or keyword in header:
            raise MaskProblem("missing_attribute" if keyword not in header else "invalid_attribute")
        return absent
    whole = _whole(value)
    if whole is None or whole < 1:
        raise MaskProblem("invalid_attribute")
    return whole


def _whole(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def _form(header: Any) -> tuple[str, int | None]:
    form = text_of(value_of(header, "SegmentationType")).upper()
    if not form and text_of(value_of(header, "SOPClassUID")) == sop_classes.LABEL_MAP_SEGMENTATION:
        form = "LABELMAP"
    if form not in _FORMS:
        raise MaskProblem("invalid_attribute" if form else "missing_attribute")
    if form != "FRACTIONAL":
        return form, None
    kind = text_of(value_of(header, "SegmentationFractionalType")).upper()
    if kind not in _FRACTIONAL:
        raise MaskProblem("invalid_attribute" if kind else "missing_attribute")
    maximum = _count(header, "MaximumFractionalValue")
    if maximum > 255:
        raise MaskProblem("invalid_attribute", found=maximum, needed=255)
    return kind, maximum


def _segments(header: Any) -> dict[int, Description]:
    """Return what Segment Sequence (0062,0002) describes, by segment number; of two with one number, nothing but it."""
    items = items_of(header, "SegmentSequence")
    if len(items) > MAX_SEGMENTS:
        raise MaskProblem("too_large", found=len(items), needed=MAX_SEGMENTS)
    described: dict[int, Description] = {}
    for item in items:
        numbered = _whole(value_of(item, "SegmentNumber"))
        if numbered is None or numbered < 0:
            raise MaskProblem("invalid_attribute" if "SegmentNumber" in item else "missing_attribute")
        algorithm = _ALGORITHMS.get(text_of(value_of(item, "SegmentAlgorithmType")).upper(), "")
        codes = [code for keyword in _CODES for code in _codes(item, keyword)]
        label, text = (text_of(value_of(item, word))[:_MAX_TEXT] for word in ("SegmentLabel", "SegmentDescription"))
        found = Description("SEG", numbered, label, text, algorithm, tuple(codes))
        described[numbered] = found if described.get(numbered, found) == found else Description("SEG", numbered)
    return described


def _codes(item: Any, keyword: str) -> Iterator[Code]:
    """Yield the codes of a sequence, and after each the codes that modify it."""
    for concept in items_of(item, keyword)[:_MAX_CODES]:
        modifiers = (each for modifier in _MODIFIERS for each in items_of(concept, modifier)[:_MAX_CODES])
        yield from (code for code in map(_code, (concept, *modifiers)) if code is not None)


def _code(item: Any) -> Code | None:
    scheme = text_of(value_of(item, "CodingSchemeDesignator"))
    for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"):
        value = text_of(value_of(item, keyword))
        if value:
            return Code(scheme[:_MAX_TEXT], value[:_MAX_TEXT])
    return None


def _background(header: Any, described: Mapping[int, Description]) -> frozenset[int]:
    """Return the pixel values of a label map that are no structure.

    They are 0 and Pixel Padding Value (0028,0120), where no segment has this number, and segments that are described as
    background: by the type Background (DCM 125040) or this label; of 0, it is enough that nothing else is said.
    """
    background = {
        numbered
        for numbered, segment in described.items()
        if _BACKGROUND in segment.codes[:1]
        or segment.label.strip().casefold() == "background"
        or (numbered == 0 and not (segment.label or segment.description or segment.codes))
    }
    background |= {0} - described.keys()
    padding = _whole(value_of(header, "PixelPaddingValue"))
    return frozenset(background if padding is None or padding in described else background | {padding})


def _instances(header: Any) -> frozenset[str]:
    return frozenset(
        uid
        for series in items_of(header, "ReferencedSeriesSequence")
        for keyword in ("ReferencedInstanceSequence", "ReferencedSOPSequence")
        for instance in items_of(series, keyword)
        if (uid := text_of(value_of(instance, "ReferencedSOPInstanceUID")))
    )


def _part(header: Any) -> Part | None:
    uid = text_of(value_of(header, "ConcatenationUID"))
    counted = (_whole(value_of(header, f"InConcatenation{word}")) or 0 for word in ("Number", "TotalNumber"))
    return Part(uid, *counted) if uid else None


def _total_matrix(header: Any) -> tuple[int, int] | None:
    sizes = [_whole(value_of(header, f"TotalPixelMatrix{side}")) for side in ("Rows", "Columns")]
    return None if sizes[0] is None or sizes[1] is None or min(sizes[0], sizes[1]) < 1 else (sizes[0], sizes[1])


def _implied_tiles(
    header: Any, reader: _FrameReader, count: int, size: tuple[int, int], total: tuple[int, int] | None
) -> tuple[SegmentFrame, ...]:
    """Return the frames of a TILED_FULL segmentation, whose places and segments the header leaves implicit.

    Frames run along the rows of tiles, then down, then through focal planes, then through segments, from 1 (PS3.3
    C.7.6.17.3).
    """
    if total is None:
        raise MaskProblem("missing_attribute")
    down, across = (math.ceil(whole / part) for whole, part in zip(total, size, strict=True))
    planes = _count(header, "TotalPixelMatrixFocalPlanes", 1)
    if planes > 1 or count % (down * across):
        # Which focal plane of the image a mask belongs to is nowhere in the grid of the image.
        raise MaskProblem("invalid_attribute", found=count, needed=down * across * planes)
    frame = reader.frame(None)
    label_map = reader.form == "LABELMAP"
    return tuple(
        SegmentFrame(
            None if label_map else index // (down * across) + 1,
            sources=frame.sources,
            tile=((index % (down * across)) // across * size[0], index % across * size[1]),
        )
        for index in range(count)
    )


class _FrameReader:
    """Reads the frames of one file from their functional groups: an attribute is the frame's own, else the shared one.

    Parameters
    ----------
    shared : pydicom Dataset, optional
        The item of Shared Functional Groups Sequence (5200,9229).
    form : str
    """

    def __init__(self, shared: Any, form: str) -> None:
        self._shared, self.form = shared, form
        self._shared_items: dict[str, list[Any]] = {}
        self._shared_values: dict[tuple[str, str], Any] = {}
        self._kept: dict[Any, Any] = {}
        self.steps: set[float] = set()
        self.thicknesses: set[float] = set()

    def _shared_items_of(self, sequence: str) -> list[Any]:
        if sequence not in self._shared_items:
            self._shared_items[sequence] = [] if self._shared is None else items_of(self._shared, sequence)
        return self._shared_items[sequence]

    def _values(self, own: Any, sequence: str, *keywords: str) -> list[Any]:
        items = [] if own is None else items_of(own, sequence)[:1]
        found = [value_of(items[0], keyword) if items else None for keyword in keywords]
        for index, keyword in enumerate(keywords):
            if found[index] is None:
                if (sequence, keyword) not in self._shared_values:
                    shared = self._shared_items_of(sequence)
                    self._shared_values[sequence, keyword] = value_of(shared[0], keyword) if shared else None
                found[index] = self._shared_values[sequence, keyword]
        return found

    def _same(self, value: Any) -> Any:
        """Return an equal value that was met before: frames share most of theirs."""
        return self._kept.setdefault(value, value)

    def frame(self, own: Any) -> SegmentFrame:
        """Return a frame; its own groups are emptied."""
        (segment,) = self._values(own, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
        (position,) = self._values(own, "PlanePositionSequence", "ImagePositionPatient")
        (orientation,) = self._values(own, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing, step, thickness = self._values(
            own, "PixelMeasuresSequence", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness"
        )
        row, column = self._values(
            own,
            "PlanePositionSlideSequence",
            "RowPositionInTotalImagePixelMatrix",
            "ColumnPositionInTotalImagePixelMatrix",
        )
        tile = (_whole(row), _whole(column))
        for distance, seen in ((number(step), self.steps), (number(thickness), self.thicknesses)):
            if distance is not None and distance > 0:
                seen.add(distance)
        frame = SegmentFrame(
            None if self.form == "LABELMAP" else _segment_number(segment),
            self._same(vector(position)),
            self._same(_plane(cosines_of(orientation))),
            self._same(spacing_of(spacing)),
            self._sources(own),
            # PS3.3 C.8.12.6.1 counts from 1; an offset counts from 0.
            None if tile[0] is None or tile[1] is None else (tile[0] - 1, tile[1] - 1),
        )
        if own is not None:
            own.clear()
        return frame

    def _sources(self, own: Any) -> tuple[Source, ...]:
        derivations = [] if own is None else items_of(own, "DerivationImageSequence")
        derivations = derivations or self._shared_items_of("DerivationImageSequence")
        found: dict[Source, None] = {}
        for derivation in derivations:
            for source in items_of(derivation, "SourceImageSequence"):
                uid = text_of(value_of(source, "ReferencedSOPInstanceUID"))
                if not uid:
                    continue
                numbers = value_of(source, "ReferencedFrameNumber")
                several = numbers if hasattr(numbers, "__iter__") and not isinstance(numbers, str) else [numbers]
                for one in several:
                    whole = _whole(one)
                    found[self._same((uid, None if whole is None else whole - 1))] = None
                    if len(found) >= MAX_SOURCES:
                        return tuple(found)
        return tuple(found)


def _segment_number(value: Any) -> int | None:
    whole = _whole(value)
    if whole is not None and not 0 <= whole <= 0xFFFF:
        raise MaskProblem("invalid_attribute")
    return whole


def _plane(cosines: Cosines | None) -> Cosines | None:
    """Return cosines that are two orthogonal unit vectors, as far as their decimals allow, else None."""
    if cosines is None:
        return None
    row, column = cosines[:3], cosines[3:]
    lengths = (math.hypot(*row), math.hypot(*column))
    skew = math.fsum(a * b for a, b in zip(row, column, strict=True))
    decimals = max(len(repr(cosine).partition(".")[2]) if cosine % 1 else 0 for cosine in cosines)
    digit = 10.0**-decimals if 1 <= decimals <= 3 else 0.0
    # Three numbers that are each off by half a digit: sqrt(3) / 2 in length, twice as much in the product.
    is_unit = max(abs(length - 1) for length in lengths) <= max(_COSINE_TOLERANCE, 0.87 * digit)
    return cosines if is_unit and abs(skew) <= max(_COSINE_TOLERANCE, 1.74 * digit) else None
