"""List the frames of one file with their position, time and other attributes that sort them into volumes.

The header index suffices for most files (`file_facts`). Files with functional groups (`functional_groups`), whole slide
images and mosaics need the header itself (`needs_header`): PS3.3 C.7.6.16 puts position, time and value of each frame
there.
A malformed value counts as unknown; nothing here raises because of a header's value, or quotes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.header_values import items_of, number, text_of, value_of
from dicomzarr.volumes import geometry
from dicomzarr.volumes.acquisition import FACTS
from dicomzarr.volumes.file_facts import add_frame_times, of_all_frames, place_frames, place_from_file
from dicomzarr.volumes.frame_attributes import DETECTOR_SPACING, Defects, FrameAttributes
from dicomzarr.volumes.functional_groups import places_from_groups
from dicomzarr.volumes.image_type import COMPONENTS, MOSAICS, kind_of_image
from dicomzarr.volumes.implausible import without_implausible
from dicomzarr.volumes.model import IN_VOLUME, Frame
from dicomzarr.volumes.mosaic import place_of_first_tile, read_mosaic

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


def frames_of(
    source: int,
    content: str,
    facts: ImageFacts,
    fmt: Format,
    header: Dataset | None = None,
    frame_items: list[Any] | None = None,
) -> list[Frame]:
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
    frame_items : list, optional
        The items of that sequence, where they were read without pydicom (`headers/frame_items.py`); the header then
        lacks it.

    Returns
    -------
    list of Frame
        One per frame. Either all frames have a position or none has.
    """
    count = fmt.frames
    defects = Defects()
    of_file = of_all_frames(facts, defects)
    concatenation = _concatenation(header, count)
    places = _places(facts, count, header, defects, frame_items, concatenation)
    image_type = _image_type(facts)
    mosaic = None
    if header is not None and count == 1 and _is_mosaic(facts):
        mosaic = read_mosaic(header, facts, fmt.rows, fmt.columns)
    if mosaic and header is not None and places[0].position is None:
        places[0].position, places[0].orientation = place_of_first_tile(header, facts, mosaic)
    _check_places(places, defects)
    if facts.get("has_functional_groups") and concatenation.offset >= 0 and all(p.position is None for p in places):
        add_frame_times(facts, places, concatenation.offset)
    flags, unreadable = _flags(facts, of_file, places, defects), tuple(sorted(defects.unreadable))
    coil, setting = _coil(facts), _setting(facts)
    frames = []
    for index, place in enumerate(places):
        type_of_frame = _of_multi_frame(place.image_type or image_type) if count > 1 else place.image_type or image_type
        frame = Frame(
            source=source,
            number=index,
            frames_in_file=count,
            content=content,
            sop_instance_uid=facts.get("SOPInstanceUID", ""),
            sop_class_uid=facts.get("SOPClassUID", ""),
            modality=facts.get("Modality", ""),
            image_type=type_of_frame,
            rows=fmt.rows,
            columns=fmt.columns,
            samples=fmt.samples,
            dtype=fmt.dtype,
            photometric=fmt.photometric,
            bits_stored=fmt.bits_stored,
            position=place.position,
            orientation=place.orientation,
            pixel_spacing=place.spacing or of_file.spacing,
            causes={**of_file.causes, **place.causes, **concatenation.causes},
            terms=_terms(of_file, place, type_of_frame, facts),
            constants={**of_file.constants, **place.constants},
            coil=coil,
            setting=setting,
            kernel=place.kernel or of_file.kernel,
            tables=place.tables,
            frame_of_reference=facts.get("FrameOfReferenceUID", ""),
            concatenation=concatenation.uid,
            concatenation_offset=concatenation.offset,
            stack=place.stack,
            slide_depth=place.slide_depth,
            optical_path=place.optical_path,
            spacing_source=place.spacing_source or of_file.spacing_source,
            real_world=place.real_world or of_file.real_world,
            rescale=place.rescale or of_file.rescale,
            window=place.window or of_file.window,
            window_function=(place if place.window else of_file).window_function,
            mosaic=mosaic,
            flags=flags,
            unreadable_numbers=unreadable,
            names_head=place.names_head,
        )
        frames.append(without_implausible(frame))
    return frames


def _flags(
    facts: ImageFacts, of_file: FrameAttributes, places: list[FrameAttributes], defects: Defects
) -> tuple[str, ...]:
    """Return the flags of the frames of a file: its defects, and what its positions and its spacing are."""
    flags = set(defects.flags)
    if of_file.spacing is None and not any(p.spacing for p in places):
        at_detector = facts.get("ImagerPixelSpacing") or facts.get("NominalScannedPixelSpacing")
        if at_detector or any(DETECTOR_SPACING[0] in p.constants for p in places):
            flags.add("detector_spacing")
    if any(place.in_volume and place.position is not None for place in places):
        flags.add(IN_VOLUME)
    if defects.unreadable:
        flags.add("unreadable_number")
    if not defects.unreadable.isdisjoint({"RescaleSlope", "RescaleIntercept"}):
        flags.add("rescale_incomplete")  # also where both are: the header states a rescale
    return tuple(sorted(flags))


def _coil(facts: ImageFacts) -> str:
    """Return the names of the receive coil of an MR image; empty for other images, and without a name."""
    if sop_classes.modality_of(facts.get("Modality"), facts.get("SOPClassUID")) != "MR":
        return ""
    return "\n".join((facts.get("ReceiveCoilName", ""), facts.get("coil_string", ""))).strip("\n")


def _setting(facts: ImageFacts) -> str:
    """Return what the header says of filter, contrast agent, sequence and series: words of which nothing else is known.

    Series Description (0008,103E) is the same in all images of a series (PS3.3 C.7.3.1), unless it was several.
    """
    filter_and_agent = facts.get("FilterType", ""), facts.get("ContrastBolusAgent", "")
    sequence = facts.get("ScanningSequence", ""), facts.get("ScanOptions", ""), *facts.get("SequenceVariant", ())
    return "\n".join((facts.get("SeriesDescription", ""), *filter_and_agent, *sequence))


def _places(
    facts: ImageFacts,
    count: int,
    header: Dataset | None,
    defects: Defects,
    frame_items: list[Any] | None,
    concatenation: _Concatenation,
) -> list[FrameAttributes]:
    """Return the attributes of each frame, from its functional groups or from the file itself."""
    has_groups = bool(frame_items) or (
        header is not None
        and any(items_of(header, f"{which}FunctionalGroupsSequence") for which in ("PerFrame", "Shared"))
    )
    is_tiled = facts.get("SOPClassUID") in sop_classes.TILED
    if header is None or count < 1 or not (has_groups or is_tiled):
        places = [FrameAttributes() for _ in range(count)]
        place_frames(facts, places, defects)
        return places
    places = places_from_groups(header, count, defects, frame_items)
    if "functional_groups_mismatch" not in defects.flags:
        _place_full_tiles(header, places, concatenation)
    if not is_tiled:
        place_from_file(facts, places)
    return places


def _check_places(places: list[FrameAttributes], defects: Defects) -> None:
    """Leave no frame with a position where an orientation is no plane, or where other frames have none."""
    if any(p.orientation is not None and not geometry.is_plane(p.orientation) for p in places):
        defects.flags.add("invalid_orientation")
        for place in places:
            place.position = place.orientation = None
    placed = sum(p.position is not None for p in places)
    turned = sum(p.orientation is not None for p in places)
    if 0 < placed < len(places) or (placed and 0 < turned < len(places)):
        defects.flags.add("partial_geometry")
        for place in places:
            place.position = None
    if _share_a_position(places):
        defects.flags.add("shared_position")
        for place in places:
            place.position = None


def _share_a_position(places: list[FrameAttributes]) -> bool:
    """Return whether frames at several places of a stack, and with the same facts, have one position.

    Some writers state the position of the first frame as that of all. In-Stack Position Number (0020,9057) counts the
    places of a stack (PS3.3 C.7.6.16.2.2.4); frames of one place have one number, whatever their times.
    """
    if len(places) < 2 or any("in_stack_position" not in place.causes for place in places):
        return False
    if len({(place.position, place.orientation) for place in places}) > 1 or places[0].position is None:
        return False
    facts = [tuple(place.causes.get(key) for fact in FACTS for key in fact.keys) for place in places]
    at = {(fact, place.stack, place.causes["in_stack_position"]) for fact, place in zip(facts, places, strict=True)}
    return len(at) > len({(fact, stack) for fact, stack, _ in at})


def _of_multi_frame(image_type: tuple[str, ...]) -> tuple[str, ...]:
    """Return Image Type without the words for a mosaic: its slices have become frames, and some writers leave them."""
    return tuple(word for word in image_type if word.strip().upper() not in MOSAICS)


def _terms(
    of_file: FrameAttributes, place: FrameAttributes, image_type: tuple[str, ...], facts: ImageFacts
) -> dict[str, str]:
    """Return the facts from closed vocabularies; Image Type says what no attribute of its own does."""
    terms = {**of_file.terms, **place.terms}
    if place.real_world and "real_world_units" not in place.terms:
        terms.pop("real_world_units", None)  # that of the file is the unit of another mapping
    kind = kind_of_image(image_type, facts.get("SOPClassUID", ""))
    if kind.part in COMPONENTS and terms.get("complex_component", "mixed") == "mixed":
        terms["complex_component"] = kind.part
    if kind.contrast:
        terms["image_component"] = kind.contrast.lower()
    return terms


@dataclass(frozen=True, slots=True)
class _Concatenation:
    """The larger image of which a file is a part (PS3.3 C.7.6.16.1): its UID, and the frames before this part."""

    uid: str
    offset: int
    causes: dict[str, float]

    @property
    def is_last(self) -> bool:
        """Whether no frames follow: the file is the last part, or the whole image."""
        return self.causes.get("in_concatenation_number") == self.causes.get("in_concatenation_total_number")


def _concatenation(header: Dataset | None, count: int) -> _Concatenation:
    """Return the place of a file in a concatenation; the offset is -1 where only the number of the part is known.

    Concatenation Frame Offset Number (0020,9228) is required. Where it is missing, the parts before a part that is not
    the last are taken to be as long as it is.
    """
    uid = text_of(value_of(header, "ConcatenationUID")) if header is not None else ""
    if header is None or not uid:
        return _Concatenation("", 0, {})
    offset, part, total = (
        number(value_of(header, keyword))
        for keyword in ("ConcatenationFrameOffsetNumber", "InConcatenationNumber", "InConcatenationTotalNumber")
    )
    numbers = {"in_concatenation_number": part, "in_concatenation_total_number": total}
    causes = {name: value for name, value in numbers.items() if value is not None}
    if offset is None and part is not None and (part == 1 or (total is not None and part < total)):
        offset = (part - 1) * count
    return _Concatenation(uid, -1 if offset is None or offset < 0 else int(offset), causes)


def _place_full_tiles(header: Dataset, places: list[FrameAttributes], concatenation: _Concatenation) -> None:
    """Give the frames of a TILED_FULL image their offsets, which the header leaves implicit.

    Frames run along the rows of tiles, then down, then through focal planes, then through optical paths (PS3.3
    C.7.6.17.3), of a concatenation from part to part. If their number does not fit exactly, no tile gets an offset.
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
    first = concatenation.offset
    if planes < 1 or first < 0 or (concatenation.is_last and (first + len(places)) % (down * across * planes)):
        return
    # A part does not say how many paths there are: that of its tiles is stated, and left out where all have one.
    has_paths = bool(concatenation.uid) or len(places) > down * across * planes
    for index, place in enumerate(places, first):
        tile, rest = index % (down * across), index // (down * across)
        place.causes["row_offset"] = (tile // across) * (size[0] or 1)
        place.causes["column_offset"] = (tile % across) * (size[1] or 1)
        if planes > 1:
            place.causes["focal_plane"] = float(rest % planes)
        if has_paths:
            # Segments take the place of optical paths, numbered from 1 (PS3.3 C.8.20.2).
            segments = sop_classes.is_segmentation(*(text_of(value_of(header, n)) for n in ("Modality", "SOPClassUID")))
            place.causes["segment_number" if segments else "optical_path"] = float(rest // planes + segments)
