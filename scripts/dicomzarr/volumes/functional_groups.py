"""Read the attributes of frames from functional groups: per frame, shared, or both (PS3.3 C.7.6.16).

An attribute is looked up in the frame's own item first, then in the shared item of the same functional group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from dicomzarr.dicom.header_values import (
    cosines_of,
    date_time,
    direction_of,
    first_of,
    items_of,
    number,
    numbers,
    spacing_of,
    text_of,
    value_of,
    vector,
    window_function_of,
    windows_of,
)
from dicomzarr.dicom.velocity import VELOCITY_DIRECTIONS, split_velocity, velocity_encoding
from dicomzarr.volumes.frame_attributes import (
    B_VECTOR,
    DETECTOR_SPACING,
    DIMENSIONS,
    DIRECTIONAL,
    VELOCITY,
    Defects,
    FrameAttributes,
)
from dicomzarr.volumes.group_items import Groups, SharedGroups
from dicomzarr.volumes.image_type import COMPONENTS
from dicomzarr.volumes.private_elements import private_value
from dicomzarr.volumes.terms import (
    ASL_CONTEXTS,
    DATA_TYPES,
    LATERALITIES,
    MAGNETIZATION_TRANSFERS,
    RESCALE_TYPES,
    unit_of,
)

if TYPE_CHECKING:
    from pydicom import Dataset

# Cause, functional group, attribute (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3, C.8.20).
_CAUSES: Final = (
    ("temporal_position", "FrameContentSequence", "TemporalPositionIndex"),
    ("frame_acquisition_number", "FrameContentSequence", "FrameAcquisitionNumber"),
    ("in_stack_position", "FrameContentSequence", "InStackPositionNumber"),
    ("temporal_offset_s", "TemporalPositionSequence", "TemporalPositionTimeOffset"),
    ("echo_time_ms", "MREchoSequence", "EffectiveEchoTime"),
    ("b_value", "MRDiffusionSequence", "DiffusionBValue"),
    ("inversion_time_ms", "MRModifierSequence", "InversionTimes"),
    ("flip_angle_deg", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
    ("velocity_max_cm_s", "MRVelocityEncodingSequence", "VelocityEncodingMaximumValue"),
    ("trigger_time_ms", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("cardiac_phase_percent", "CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    ("respiratory_phase_percent", "RespiratorySynchronizationSequence", "NominalPercentageOfRespiratoryPhase"),
    ("kvp", "CTXRayDetailsSequence", "KVP"),
    ("monoenergetic_kev", "MultienergyCTCharacteristicsSequence", "MonoenergeticEnergyEquivalent"),
    ("segment_number", "SegmentIdentificationSequence", "ReferencedSegmentNumber"),
)
_CONSTANTS: Final = (
    ("slice_thickness_mm", "PixelMeasuresSequence", "SliceThickness"),
    ("spacing_between_slices_mm", "PixelMeasuresSequence", "SpacingBetweenSlices"),
    ("repetition_time_ms", "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    ("frame_duration_ms", "FrameContentSequence", "FrameAcquisitionDuration"),
)
# Term, functional group, attribute, values.
_TERMS: Final = (
    ("asl_context", "MRArterialSpinLabelingSequence", "ASLContext", ASL_CONTEXTS),
    ("laterality", "FrameAnatomySequence", "FrameLaterality", LATERALITIES),
    ("magnetization_transfer", "MRModifierSequence", "MagnetizationTransfer", MAGNETIZATION_TRANSFERS),
    ("rescale_type", "PixelValueTransformationSequence", "RescaleType", RESCALE_TYPES),
    ("data_type", "ImageDataTypeSequence", "DataType", DATA_TYPES),
)
# What a conversion of single images could not assign to a functional group (PS3.3 C.7.6.16.2.25), by its own keywords:
# of each frame, and of all.
_UNASSIGNED: Final = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")
_CONVERTED_CAUSES: Final = (
    ("temporal_position", "TemporalPositionIdentifier"),
    ("frame_acquisition_number", "AcquisitionNumber"),
    ("echo_time_ms", "EchoTime"),
    ("echo_number", "EchoNumbers"),
    ("b_value", "DiffusionBValue"),
    ("inversion_time_ms", "InversionTime"),
    ("flip_angle_deg", "FlipAngle"),
    ("trigger_time_ms", "TriggerTime"),
    ("kvp", "KVP"),
)
_CONVERTED_CONSTANTS: Final = (("slice_thickness_mm", "SliceThickness"), ("repetition_time_ms", "RepetitionTime"))
_FRAME_TYPES: Final = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XAXRFFrameCharacteristicsSequence",
    "XRay3DFrameTypeSequence",
    "ParametricMapFrameTypeSequence",
    "USImageDescriptionSequence",
)
# What `_place` reads besides; a test compares it with what is asked for.
_SEQUENCES: Final = frozenset(
    {
        "AnatomicRegionSequence",
        "CTReconstructionSequence",
        "ConceptCodeSequence",
        "ConceptNameCodeSequence",
        "DiffusionGradientDirectionSequence",
        "FrameContentSequence",
        "FramePixelDataPropertiesSequence",
        "FrameVOILUTSequence",
        "MRDiffusionSequence",
        "MRImageFrameTypeSequence",
        "MRVelocityEncodingSequence",
        "MeasurementUnitsCodeSequence",
        "OpticalPathIdentificationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "PlaneOrientationSequence",
        "PlaneOrientationVolumeSequence",
        "PlanePositionSequence",
        "PlanePositionSlideSequence",
        "PlanePositionVolumeSequence",
        "QuantityDefinitionSequence",
        "RealWorldValueMappingSequence",
    }
)
_ATTRIBUTES: Final = frozenset(
    {
        "AcquisitionDate",
        "AcquisitionTime",
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "ColumnPositionInTotalImagePixelMatrix",
        "ComplexImageComponent",
        "ConvolutionKernel",
        "DiffusionBValue",
        "DiffusionDirectionality",
        "DiffusionGradientOrientation",
        "DimensionIndexValues",
        "FrameAcquisitionDateTime",
        "FrameReferenceDateTime",
        "FrameType",
        "ImageOrientationPatient",
        "ImageOrientationVolume",
        "ImagePositionPatient",
        "ImagePositionVolume",
        "ImagerPixelSpacing",
        "OpticalPathIdentifier",
        "PixelSpacing",
        "RealWorldValueIntercept",
        "RealWorldValueSlope",
        "RescaleIntercept",
        "RescaleSlope",
        "RowPositionInTotalImagePixelMatrix",
        "SequenceName",
        "StackID",
        "VOILUTFunction",
        "VelocityEncodingDirection",
        "WindowCenter",
        "WindowWidth",
        "ZOffsetInSlideCoordinateSystem",
    }
)
PHILIPS: Final = "Philips Imaging DD 001"  # private creator of b-values: without it no private element is read
_GRADIENT: Final = "DiffusionGradientOrientation"
_NO_DIRECTION: Final = frozenset({"NONE", "ISOTROPIC"})


def sequences_read() -> frozenset[str]:
    """Return the keywords of all sequences that are read of the item of a frame.

    Returns
    -------
    frozenset of str
    """
    tables = {sequence for _, sequence, *_ in _CAUSES + _CONSTANTS + _TERMS}
    return frozenset(tables | set(_FRAME_TYPES) | set(_UNASSIGNED) | _SEQUENCES)


def attributes_read() -> frozenset[str]:
    """Return the keywords of all attributes that are read of the item of a frame.

    Returns
    -------
    frozenset of str
    """
    converted = {keyword for _, keyword in _CONVERTED_CAUSES + _CONVERTED_CONSTANTS}
    return frozenset({keyword for _, _, keyword, *_ in _CAUSES + _CONSTANTS + _TERMS} | converted | _ATTRIBUTES)


def places_from_groups(
    header: Dataset, count: int, defects: Defects, frame_items: list[Any] | None
) -> list[FrameAttributes]:
    """Return the attributes of each frame of a file with functional groups.

    Parameters
    ----------
    header : pydicom Dataset
        Each item of PerFrameFunctionalGroupsSequence is emptied once it is read: parsed, it takes 15 kB a frame.
    count : int
        Number of frames.
    defects : Defects
        Gets the flags; `functional_groups_mismatch` where there is not one item per frame: no frame has a position.
    frame_items : list or None
        The items of PerFrameFunctionalGroupsSequence, where they were read without pydicom.

    Returns
    -------
    list of FrameAttributes
        One per frame.
    """
    own = items_of(header, "PerFrameFunctionalGroupsSequence") if frame_items is None else frame_items
    shared = SharedGroups(first_of(header, "SharedFunctionalGroupsSequence"))
    if len(own) != count:
        if own:
            defects.flags.add("functional_groups_mismatch")
        places = [_place(Groups(None, shared, defects), None) for _ in range(count)]
        for place in places:
            place.position = None if own else place.position
        return places
    places = []
    for group in own:
        places.append(_place(Groups(group, shared, defects), group))
        group.clear()
    return places


def _place(groups: Groups, own: Any) -> FrameAttributes:
    """Return the attributes of a frame; `own` is its item of PerFrameFunctionalGroupsSequence, if it has one."""
    place = FrameAttributes()
    _plane(groups, place)
    _values(groups, place)
    _kind(groups, place)
    _numbers(groups, place)
    _converted(groups, place)
    place.names_head = groups.names_head()
    place.stack = text_of(groups.value("FrameContentSequence", "StackID"))
    for index, value in enumerate(numbers(groups.value("FrameContentSequence", "DimensionIndexValues")) or ()):
        if index < DIMENSIONS:
            place.causes[f"dimension_{index + 1}"] = value
    _diffusion(groups, own, place)
    velocity = direction_of(groups.values("MRVelocityEncodingSequence", "VelocityEncodingDirection"))
    if velocity:
        place.causes.update(zip(VELOCITY, velocity, strict=True))
    _tile(groups, place)
    return place


def _plane(groups: Groups, place: FrameAttributes) -> None:
    """Read where the frame lies, and the spacing of its pixels."""
    place.position = vector(groups.values("PlanePositionSequence", "ImagePositionPatient"))
    place.orientation = cosines_of(groups.values("PlaneOrientationSequence", "ImageOrientationPatient"))
    if place.position is None and place.orientation is None:  # of ultrasound, PS3.3 C.8.24.2, C.7.6.16.2.21
        place.position = vector(groups.values("PlanePositionVolumeSequence", "ImagePositionVolume"))
        place.orientation = cosines_of(groups.values("PlaneOrientationVolumeSequence", "ImageOrientationVolume"))
        place.in_volume = place.position is not None or place.orientation is not None
    place.spacing = spacing_of(groups.values("PixelMeasuresSequence", "PixelSpacing"))
    place.spacing_source = "PixelSpacing" if place.spacing else ""
    at_detector = spacing_of(groups.values("FramePixelDataPropertiesSequence", "ImagerPixelSpacing"))
    if at_detector:  # of X-ray projections, PS3.3 C.8.19.6.4
        place.constants.update(zip(DETECTOR_SPACING, at_detector, strict=True))


def _values(groups: Groups, place: FrameAttributes) -> None:
    """Read what stored values mean: rescale, window, and the mapping to real world values with unit and quantity."""
    transformation = "PixelValueTransformationSequence"
    slope, intercept = (groups.number(transformation, word) for word in ("RescaleSlope", "RescaleIntercept"))
    place.rescale = None if slope is None or intercept is None else (slope, intercept)
    if (slope is None) != (intercept is None):
        groups.flag("rescale_incomplete")
    voi = "FrameVOILUTSequence"
    place.window = windows_of(groups.values(voi, "WindowCenter"), groups.values(voi, "WindowWidth"))
    place.window_function = window_function_of(text_of(groups.value(voi, "VOILUTFunction")))
    place.real_world = _real_world(groups)
    if place.real_world and (unit := _unit(groups)):
        place.terms["real_world_units"] = unit
    if quantity := _quantity(groups):
        place.tables["quantity"] = quantity


def _kind(groups: Groups, place: FrameAttributes) -> None:
    """Read what kind of image the frame is: its type, its kernel, and terms from closed vocabularies."""
    place.image_type = next(_frame_types(groups), ())
    place.kernel = _joined(groups.value("CTReconstructionSequence", "ConvolutionKernel"))
    component = text_of(groups.value("MRImageFrameTypeSequence", "ComplexImageComponent")).lower()
    if component in COMPONENTS:
        place.terms["complex_component"] = component
    for term, sequence, keyword, values in _TERMS:
        word = text_of(groups.value(sequence, keyword))
        if word in values:
            place.terms[term] = word
        elif word and values is DATA_TYPES:
            place.tables[term] = word  # a word that nobody knows keeps frames apart, and is not stated


def _numbers(groups: Groups, place: FrameAttributes) -> None:
    """Read the numbers and times of the acquisition."""
    for table, into in ((_CAUSES, place.causes), (_CONSTANTS, place.constants)):
        for key, sequence, keyword in table:
            value = groups.number(sequence, keyword)
            if value is not None:
                into[key] = value
    for key, keyword in (
        ("acquisition_time_s", "FrameAcquisitionDateTime"),
        ("reference_time_s", "FrameReferenceDateTime"),
    ):
        seconds = date_time(groups.value("FrameContentSequence", keyword))
        if seconds is not None:
            place.causes[key] = seconds


def _tile(groups: Groups, place: FrameAttributes) -> None:
    """Read where a tile lies on its slide."""
    slide = "PlanePositionSlideSequence"
    row = groups.number(slide, "RowPositionInTotalImagePixelMatrix")
    column = groups.number(slide, "ColumnPositionInTotalImagePixelMatrix")
    if row is not None and column is not None:
        # PS3.3 C.8.12.6.1 counts from 1; an offset counts from 0.
        place.causes.update(row_offset=row - 1, column_offset=column - 1)
        place.slide_depth = groups.number(slide, "ZOffsetInSlideCoordinateSystem")
        place.optical_path = text_of(groups.value("OpticalPathIdentificationSequence", "OpticalPathIdentifier"))


def _converted(groups: Groups, place: FrameAttributes) -> None:
    """Read what a Legacy Converted image keeps outside of the functional groups; those count where both have it."""
    for sequence in _UNASSIGNED:
        if not groups.items(sequence):
            continue
        for table, into in ((_CONVERTED_CAUSES, place.causes), (_CONVERTED_CONSTANTS, place.constants)):
            for key, keyword in table:
                value = groups.number(sequence, keyword) if key not in into else None
                if value is not None:
                    into[key] = value
        if encoding := velocity_encoding(text_of(groups.value(sequence, "SequenceName"))):
            velocity, direction = split_velocity(encoding)
            place.causes.setdefault("velocity_max_cm_s", velocity)
            place.terms["velocity_component"] = VELOCITY_DIRECTIONS.get(direction, "other")
            if direction not in VELOCITY_DIRECTIONS:
                place.tables["velocity_component"] = direction
        if "acquisition_time_s" not in place.causes and (clock := groups.value(sequence, "AcquisitionTime")):
            seconds = date_time(groups.value(sequence, "AcquisitionDate"), clock)
            if seconds is not None:
                place.causes["acquisition_time_s"] = seconds


def _diffusion(groups: Groups, own: Any, place: FrameAttributes) -> None:
    items = groups.items("MRDiffusionSequence")
    directionality = text_of(groups.value("MRDiffusionSequence", "DiffusionDirectionality"))
    direction = None
    if directionality not in _NO_DIRECTION:
        gradients = (first_of(item, "DiffusionGradientDirectionSequence") for item in items)
        gradient = next((gradient for gradient in gradients if gradient is not None), None)
        if gradient is not None:
            direction = direction_of(groups.plausible(value_of(gradient, _GRADIENT), _GRADIENT))
    if "b_value" not in place.causes and own is not None:
        b_value, direction_of_maker = _philips(groups, own)
        if b_value is not None:
            place.causes["b_value"] = b_value
            direction = direction or direction_of_maker
    # A frame without a direction (b = 0) has the null vector, so that b and direction span the grid together.
    is_unknown = directionality in DIRECTIONAL and not direction and place.causes.get("b_value", 0) > 0
    if not is_unknown and ("b_value" in place.causes or (items and direction)):
        place.causes.update(zip(B_VECTOR, direction or (0.0, 0.0, 0.0), strict=True))


def _philips(groups: Groups, own: Any) -> tuple[float | None, Any]:
    """Return b-value and direction from private elements of Philips, in the group itself or one level below."""
    if not hasattr(own, "items"):  # read without pydicom
        own = own.parsed()
        if own is None:
            return None, None
    for item in _with_private(own):
        b_value = groups.number_of(private_value(item, 0x2001, 0x03, PHILIPS), "DiffusionBValue")
        if b_value is None:
            continue
        parts = [private_value(item, 0x2005, element, "Philips MR Imaging DD 001") for element in (0xB0, 0xB1, 0xB2)]
        isotropic = text_of(private_value(item, 0x2001, 0x04, PHILIPS)) == "I"
        return b_value, None if isotropic or not b_value or None in parts else direction_of(parts)
    return None, None


def _with_private(own: Any) -> Iterator[Any]:
    """Yield a functional group if it has private elements, and the first item of each of its private sequences."""
    if not any(int(tag) >> 16 & 1 for tag in own.keys()):  # noqa: SIM118 - iteration over a data set converts its values
        return
    yield own
    for tag in list(own.keys()):
        if int(tag) >> 16 & 1:
            try:
                value = own[tag].value
                if own[tag].VR == "SQ" and len(value):
                    yield value[0]
            except MemoryError:  # the value is not unknown
                raise
            except Exception:  # what pydicom cannot read counts as absent
                continue


def _real_world(groups: Groups) -> tuple[float, float] | None:
    """Return the one real world value mapping of a frame; None where there are several, or a table."""
    sequence = "RealWorldValueMappingSequence"
    mappings = groups.all_items(sequence)
    pairs = {
        (number(value_of(item, "RealWorldValueSlope")), number(value_of(item, "RealWorldValueIntercept")))
        for item in mappings
    }
    slope, intercept = pairs.pop() if len(pairs) == 1 else (None, None)
    return None if slope is None or intercept is None else (slope, intercept)


def _unit(groups: Groups) -> str:
    """Return the unit that all real world value mappings of a frame have, if it is one of a fixed list."""
    sequences = groups.all_items("RealWorldValueMappingSequence")
    codes = [first_of(item, "MeasurementUnitsCodeSequence") for item in sequences]
    found = {
        ""
        if code is None
        else ":".join(text_of(value_of(code, word)) for word in ("CodingSchemeDesignator", "CodeValue"))
        for code in codes
    }
    return unit_of(found.pop()) if len(found) == 1 else ""


def _quantity(groups: Groups) -> str:
    """Return codes of the quantity of a frame and its unit (PS3.3 C.7.6.16.2.11): they keep frames apart."""
    words = []
    for item in groups.all_items("RealWorldValueMappingSequence"):
        unit = first_of(item, "MeasurementUnitsCodeSequence")
        words.append(text_of(value_of(unit, "CodeValue")) if unit is not None else "")
        for definition in items_of(item, "QuantityDefinitionSequence"):
            for sequence in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
                code = first_of(definition, sequence)
                words.append(text_of(value_of(code, "CodeValue")) if code is not None else "")
    return "|".join(words) if any(words) else ""


def _joined(value: Any) -> str:
    if value is None or isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return text_of(value)
    return "\\".join(map(text_of, value))


def _frame_types(groups: Groups) -> Iterator[tuple[str, ...]]:
    """Yield Frame Type (0008,9007) of each functional group that has it, the frame's own first."""
    for own_only in (True, False):
        for sequence in _FRAME_TYPES:
            items = [groups.own_item(sequence)] if own_only else groups.items(sequence)
            for item in items:
                value = None if item is None else value_of(item, "FrameType")
                if value is not None and not isinstance(value, (str, bytes)):
                    yield tuple(str(part) for part in value)
