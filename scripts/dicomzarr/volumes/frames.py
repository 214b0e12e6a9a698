"""List the frames of one file with their position, time and other attributes that sort them into volumes.

The header index suffices for single-frame files. Multi-frame files with functional groups, and whole slide images, need
the header itself (`needs_header`): PS3.3 C.7.6.16 puts position, time and value of each frame there.
A malformed value counts as unknown; nothing here raises because of a header's value, or quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import Cosines, ImageFacts, Vector
from dicomzarr.dicom.header_values import (
    cosines_of,
    date_time,
    first_of,
    items_of,
    number,
    numbers,
    rescale_of,
    spacing_of,
    text_of,
    value_of,
    vector,
    windows_of,
)
from dicomzarr.volumes import geometry
from dicomzarr.volumes.image_type import kind_of_image
from dicomzarr.volumes.implausible import without_implausible
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.mosaic import read_mosaic

if TYPE_CHECKING:
    from pydicom import Dataset


class Format(Protocol):
    """Properties of the array that a file's frames become."""

    @property
    def rows(self) -> int:
        """Rows of a frame."""

    @property
    def columns(self) -> int:
        """Columns of a frame."""

    @property
    def samples(self) -> int:
        """Samples of a pixel, 1 or 3."""

    @property
    def dtype(self) -> str:
        """NumPy dtype of the array, little-endian."""

    @property
    def photometric(self) -> str:
        """Photometric interpretation of the array."""

    @property
    def bits_stored(self) -> int:
        """Bits Stored (0028,0101)."""

    @property
    def frames(self) -> int:
        """Number of frames."""


def needs_header(facts: ImageFacts) -> bool:
    """Return whether `frames_of` needs the header itself, because the facts in the index do not suffice.

    Parameters
    ----------
    facts : ImageFacts
        What the index holds of the header.

    Returns
    -------
    bool
        True for functional groups, for tiled images and for mosaics.
    """
    is_tiled = facts.get("SOPClassUID") in sop_classes.TILED
    return bool(facts.get("has_functional_groups")) or is_tiled or _is_mosaic(facts)


def _is_mosaic(facts: ImageFacts) -> bool:
    return kind_of_image(_image_type(facts), facts.get("SOPClassUID", "")).mosaic


def _image_type(facts: ImageFacts) -> tuple[str, ...]:
    return tuple(map(str, facts.get("ImageType", ())))


def frames_of(source: int, content: str, facts: ImageFacts, fmt: Format, header: Dataset | None = None) -> list[Frame]:
    """Return the frames of one file, in stored order.

    Parameters
    ----------
    source : int
        Index of the file in the series' list of files.
    content : str
        BLAKE3 of the file, hex.
    facts : ImageFacts
        What the index holds of the header.
    fmt : Format
        Properties of the array that the frames become, and the number of frames.
    header : pydicom Dataset, optional
        The header without pixel data; read for functional groups and slide coordinates. Each item of
        PerFrameFunctionalGroupsSequence is emptied once it is read: parsed, it takes 15 kB a frame.

    Returns
    -------
    list of Frame
        One per frame. Either all frames have a position or none has.
    """
    count = fmt.frames
    flags: set[str] = set()
    shared = _causes_of_file(facts)
    places: list[_FrameAttributes]
    if header is not None and count >= 1 and items_of(header, "PerFrameFunctionalGroupsSequence"):
        places = _from_functional_groups(header, count, flags)
    elif header is not None and facts.get("SOPClassUID") in sop_classes.TILED:
        places = [_FrameAttributes(None, first_of(header, "SharedFunctionalGroupsSequence")) for _ in range(count)]
        _place_full_tiles(header, places)
    else:
        places = [_FrameAttributes() for _ in range(count)]
        _from_facts(facts, places, flags)
    spacing = spacing_of(facts.get("PixelSpacing"))
    if spacing is None and not any(p.spacing for p in places):
        at_detector = facts.get("ImagerPixelSpacing") or facts.get("NominalScannedPixelSpacing")
        flags |= {"detector_spacing"} if at_detector else set()
    if any(p.orientation is not None and not geometry.is_plane(p.orientation) for p in places):
        flags.add("invalid_orientation")
        for place in places:
            place.position = place.orientation = None
    if count > 1 and 0 < sum(p.position is not None for p in places) < count:
        flags.add("partial_geometry")
        for place in places:
            place.position = None
    image_type = _image_type(facts)
    fixed_rescale = rescale_of(facts.get("RescaleSlope"), facts.get("RescaleIntercept"))
    fixed_window = windows_of(facts.get("WindowCenter"), facts.get("WindowWidth"))
    mosaic = read_mosaic(header, facts, fmt.rows, fmt.columns) if header is not None and _is_mosaic(facts) else None
    frames = [
        Frame(
            source=source,
            number=number,
            frames_in_file=count,
            content=content,
            sop_instance_uid=facts.get("SOPInstanceUID", ""),
            sop_class_uid=facts.get("SOPClassUID", ""),
            modality=facts.get("Modality", ""),
            image_type=place.image_type or image_type,
            rows=fmt.rows,
            columns=fmt.columns,
            samples=fmt.samples,
            dtype=fmt.dtype,
            photometric=fmt.photometric,
            bits_stored=fmt.bits_stored,
            position=place.position,
            orientation=place.orientation,
            pixel_spacing=place.spacing or spacing,
            causes={**shared, **place.causes},
            rescale=place.rescale or fixed_rescale,
            window=place.window or fixed_window,
            mosaic=mosaic,
            flags=tuple(sorted(flags)),
        )
        for number, place in enumerate(places)
    ]
    return list(map(without_implausible, frames))


class _FrameAttributes:
    """Attributes of one frame: from its own functional groups, else from the shared ones."""

    def __init__(self, own: Any = None, shared: Any = None) -> None:
        self.position: Vector | None = None
        self.orientation: Cosines | None = None
        self.spacing: tuple[float, float] | None = None
        self.causes: dict[str, float] = {}
        self.rescale: tuple[float, float] | None = None
        self.window: tuple[tuple[float, float], ...] = ()
        self.image_type: tuple[str, ...] = ()
        self.stack = ""
        groups = [group for group in (own, shared) if group is not None]
        if not groups:
            return
        get = _Groups(groups)
        self.position = vector(get("PlanePositionSequence", "ImagePositionPatient"))
        self.orientation = cosines_of(get("PlaneOrientationSequence", "ImageOrientationPatient"))
        self.spacing = spacing_of(get("PixelMeasuresSequence", "PixelSpacing"))
        self.rescale = rescale_of(
            get("PixelValueTransformationSequence", "RescaleSlope"),
            get("PixelValueTransformationSequence", "RescaleIntercept"),
        )
        self.window = windows_of(get("FrameVOILUTSequence", "WindowCenter"), get("FrameVOILUTSequence", "WindowWidth"))
        self.image_type = _frame_type(groups)
        for key, sequence, keyword in _NUMBERS:
            self._put(key, number(get(sequence, keyword)))
        content = "FrameContentSequence"
        self._put("acquisition_time_s", date_time(get(content, "FrameAcquisitionDateTime")))
        self._put("reference_time_s", date_time(get(content, "FrameReferenceDateTime")))
        self.stack = text_of(get(content, "StackID"))
        for index, value in enumerate(numbers(get(content, "DimensionIndexValues")) or ()):
            if index < DIMENSIONS:
                self._put(f"dimension_{index + 1}", value)
        self._diffusion(get)
        self._tile(get)

    def _put(self, key: str, value: float | None) -> None:
        if value is not None:
            self.causes[key] = value

    def _diffusion(self, get: _Groups) -> None:
        item = get.item("MRDiffusionSequence")
        gradient = first_of(item, "DiffusionGradientDirectionSequence") if item is not None else None
        direction = vector(value_of(gradient, "DiffusionGradientOrientation")) if gradient is not None else None
        # A frame without a direction (b = 0) has the null vector, so that b and direction span the grid together.
        if item is not None and ("b_value" in self.causes or direction):
            self.causes.update(zip(B_VECTOR, direction or (0.0, 0.0, 0.0), strict=True))

    def _tile(self, get: _Groups) -> None:
        row = number(get("PlanePositionSlideSequence", "RowPositionInTotalImagePixelMatrix"))
        column = number(get("PlanePositionSlideSequence", "ColumnPositionInTotalImagePixelMatrix"))
        if row is not None and column is not None:
            # PS3.3 C.8.12.6.1 counts from 1; an offset counts from 0.
            self.causes.update(row_offset=row - 1, column_offset=column - 1)


B_VECTOR: Final = ("b_vector_x", "b_vector_y", "b_vector_z")
DIMENSIONS: Final = 9

# Cause, functional group, attribute (PS3.3 C.7.6.16.2, C.8.13.5, C.8.20).
_NUMBERS: Final = (
    ("temporal_position", "FrameContentSequence", "TemporalPositionIndex"),
    ("echo_time_ms", "MREchoSequence", "EffectiveEchoTime"),
    ("b_value", "MRDiffusionSequence", "DiffusionBValue"),
    ("inversion_time_ms", "MRModifierSequence", "InversionTimes"),
    ("trigger_time_ms", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("segment_number", "SegmentIdentificationSequence", "ReferencedSegmentNumber"),
)
_FRAME_TYPES: Final = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XAXRFFrameCharacteristicsSequence",
    "ParametricMapFrameTypeSequence",
)


class _Groups:
    """Functional groups of a frame: its own first, then the shared ones."""

    def __init__(self, groups: Sequence[Any]) -> None:
        self._groups = groups

    def item(self, sequence: str) -> Any:
        """Return the first item of a functional group, or None."""
        for group in self._groups:
            first_item = first_of(group, sequence)
            if first_item is not None:
                return first_item
        return None

    def __call__(self, sequence: str, keyword: str) -> Any:
        """Return the value of an attribute in a functional group, or None."""
        item = self.item(sequence)
        return None if item is None else value_of(item, keyword)


def _from_functional_groups(header: Dataset, count: int, flags: set[str]) -> list[_FrameAttributes]:
    """Read the functional groups of each frame; where there is not one item per frame, no frame has a position."""
    own = items_of(header, "PerFrameFunctionalGroupsSequence")
    shared = first_of(header, "SharedFunctionalGroupsSequence")
    if len(own) != count:
        flags.add("functional_groups_mismatch")
        place = _FrameAttributes(None, shared)
        place.position = None
        return [place] * count
    places = []
    for group in own:
        places.append(_FrameAttributes(group, shared))
        group.clear()
    stacks = sorted({place.stack for place in places})
    if len(stacks) > 1:
        for place in places:
            place.causes["stack"] = float(stacks.index(place.stack))
    if text_of(value_of(header, "DimensionOrganizationType")) == "TILED_FULL":
        _place_full_tiles(header, places)
    return places


def _place_full_tiles(header: Dataset, places: list[_FrameAttributes]) -> None:
    """Give the frames of a TILED_FULL image their offsets, which the header leaves implicit.

    Frames run along the rows of tiles, then down, then through focal planes, then through optical paths (PS3.3
    C.7.6.17.3). If their number does not fit exactly, no tile gets an offset.
    """
    if text_of(value_of(header, "DimensionOrganizationType")) != "TILED_FULL":
        return
    if any("row_offset" in place.causes for place in places):
        return
    total = [number(value_of(header, k)) for k in ("TotalPixelMatrixRows", "TotalPixelMatrixColumns")]
    size = [number(value_of(header, k)) for k in ("Rows", "Columns")]
    if not all(n is not None and n >= 1 for n in (*total, *size)):
        return
    down, across = (math.ceil((t or 1) / (s or 1)) for t, s in zip(total, size, strict=True))
    planes = int(number(value_of(header, "TotalPixelMatrixFocalPlanes")) or 1)
    if planes < 1 or len(places) % (down * across * planes):
        return
    paths = len(places) // (down * across * planes)
    for index, place in enumerate(places):
        tile, rest = index % (down * across), index // (down * across)
        place.causes["row_offset"] = (tile // across) * (size[0] or 1)
        place.causes["column_offset"] = (tile % across) * (size[1] or 1)
        if planes > 1:
            place.causes["focal_plane"] = float(rest % planes)
        if paths > 1:
            # Segments take the place of optical paths, numbered from 1 (PS3.3 C.8.20.2).
            segments = text_of(value_of(header, "Modality")) == "SEG"
            place.causes["segment_number" if segments else "optical_path"] = float(rest // planes + segments)


def _from_facts(facts: ImageFacts, places: list[_FrameAttributes], flags: set[str]) -> None:
    """Set position, orientation and time of frames from the attributes of the file itself."""
    position = vector(facts.get("ImagePositionPatient"))
    orientation = cosines_of(facts.get("ImageOrientationPatient"))
    if len(places) == 1:
        places[0].position, places[0].orientation = position, orientation
        return
    for place, seconds in zip(places, _frame_times(facts, len(places)), strict=False):
        place.causes["frame_time_s"] = seconds
    if facts.get("SOPClassUID") == sop_classes.RT_DOSE or facts.get("Modality") == "RTDOSE":
        positions = dose_positions(position, orientation, numbers(facts.get("GridFrameOffsetVector")), len(places))
        if positions is None:
            flags.add("dose_offsets_mismatch")
            return
        for place, plane_position in zip(places, positions, strict=True):
            place.position, place.orientation = plane_position, orientation


def _frame_times(facts: ImageFacts, count: int) -> list[float]:
    """Return the time of each frame of a cine from the first one, s; an empty list if unknown (PS3.3 C.7.6.5)."""
    frame_time = number(facts.get("FrameTime"))
    if frame_time is not None and frame_time > 0:
        return [round(index * frame_time / 1000, 9) for index in range(count)]
    steps = numbers(facts.get("FrameTimeVector"))
    if steps is None or len(steps) != count or steps[0] != 0 or min(steps[1:]) <= 0:
        return []
    return [round(seconds / 1000, 9) for seconds in accumulate(steps)]


def dose_positions(
    position: Vector | None, orientation: Cosines | None, offsets: Sequence[float] | None, count: int
) -> list[Vector] | None:
    """Return the position of each dose plane.

    Grid Frame Offset Vector (3004,000C) holds either distances from the first plane along the normal, beginning with 0,
    or z coordinates, beginning with that of Image Position (Patient), for transverse planes alone.

    Parameters
    ----------
    position : tuple of 3 float, optional
        Image Position (Patient) (0020,0032), mm, LPS.
    orientation : tuple of 6 float, optional
        Image Orientation (Patient) (0020,0037): row cosines, then column cosines; no unit.
    offsets : sequence of float, optional
        Grid Frame Offset Vector (3004,000C), mm.
    count : int
        Number of planes.

    Returns
    -------
    list of tuple of 3 float, or None
        Centre of the first voxel of each plane, mm, LPS; None where the header does not give it.

    References
    ----------
    DICOM PS3.3 C.8.8.3.2.
    """
    if position is None or orientation is None or offsets is None or len(offsets) != count:
        return None
    if not geometry.is_plane(orientation):
        return None
    normal = geometry.slice_normal(orientation)
    if abs(offsets[0]) <= geometry.SAME_POSITION_MM:
        return [
            (position[0] + normal[0] * step, position[1] + normal[1] * step, position[2] + normal[2] * step)
            for step in offsets
        ]
    transverse = abs(abs(normal[2]) - 1) <= geometry.COSINE_TOLERANCE
    if transverse and abs(offsets[0] - position[2]) <= 0.01:
        return [(position[0], position[1], z) for z in offsets]
    return None


_FILE_NUMBERS: Final = (
    ("temporal_position", "TemporalPositionIdentifier"),
    ("echo_time_ms", "EchoTime"),
    ("echo_number", "EchoNumbers"),
    ("b_value", "DiffusionBValue"),
    ("inversion_time_ms", "InversionTime"),
    ("trigger_time_ms", "TriggerTime"),
    ("instance_number", "InstanceNumber"),
    ("acquisition_number", "AcquisitionNumber"),
    ("series_number", "SeriesNumber"),
)


def _causes_of_file(facts: ImageFacts) -> dict[str, float]:
    """Return the attributes that all frames of a file share, by the names of `CAUSES`."""
    causes = {}
    for cause, keyword in _FILE_NUMBERS:
        attribute = facts.get(keyword)
        value = None if attribute is None else number(attribute)
        if value is not None:
            causes[cause] = value
    acquisition_time = date_time(facts.get("AcquisitionDateTime"))
    if acquisition_time is None:
        acquisition_time = date_time(facts.get("AcquisitionDate"), facts.get("AcquisitionTime"))
    content_time = date_time(facts.get("ContentDate"), facts.get("ContentTime"))
    if acquisition_time is not None:
        causes["acquisition_time_s"] = acquisition_time
    if content_time is not None:
        causes["content_time_s"] = content_time
    milliseconds = number(facts.get("FrameReferenceTime"))
    if milliseconds is not None:
        causes["frame_reference_time_s"] = milliseconds / 1000
    direction = vector(facts.get("DiffusionGradientOrientation"))
    if direction or "b_value" in causes:
        # As in functional groups: an image without a direction (b = 0) has the null vector.
        causes.update(zip(B_VECTOR, direction or (0.0, 0.0, 0.0), strict=True))
    return causes


def _frame_type(groups: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return Frame Type (0008,9007) of the functional group that holds it."""
    return next(_frame_types(groups), ())


def _frame_types(groups: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for group in groups:
        for sequence in _FRAME_TYPES:
            item = first_of(group, sequence)
            value = None if item is None else value_of(item, "FrameType")
            if value is not None and not isinstance(value, (str, bytes)):
                yield tuple(str(part) for part in value)
