"""What the facts of a file, as the header index holds them, say of its frames."""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

from dicomzarr.dicom import sop_classes
from dicomzarr.dicom.facts import Cosines, ImageFacts, Vector
from dicomzarr.dicom.header_values import (
    cosines_of,
    date_time,
    direction_of,
    number,
    numbers,
    rescale_of,
    spacing_of,
    vector,
    window_function_of,
    windows_of,
)
from dicomzarr.dicom.plausible import is_dose, is_half_life, is_plausible
from dicomzarr.dicom.velocity import VELOCITY_DIRECTIONS, split_velocity
from dicomzarr.volumes import geometry
from dicomzarr.volumes.frame_attributes import (
    B_VECTOR,
    B_VECTOR_OF_IMAGE,
    DETECTOR_SPACING,
    DIRECTIONAL,
    Defects,
    FrameAttributes,
)
from dicomzarr.volumes.image_type import COMPONENTS, makes_projections
from dicomzarr.volumes.numbering import image_index
from dicomzarr.volumes.terms import LATERALITIES, RESCALE_TYPES, unit_of

# Cause, attribute. Each sorts frames into volumes: see `t_axis.CAUSES`.
_CAUSES: Final = (
    ("temporal_position", "TemporalPositionIdentifier"),
    ("echo_time_ms", "EchoTime"),
    ("echo_number", "EchoNumbers"),
    ("b_value", "DiffusionBValue"),
    ("inversion_time_ms", "InversionTime"),
    ("trigger_time_ms", "TriggerTime"),
    ("cardiac_phase_percent", "NominalPercentageOfCardiacPhase"),
    ("respiratory_phase_percent", "NominalPercentageOfRespiratoryPhase"),
    ("monoenergetic_kev", "MonoenergeticEnergyEquivalent"),
    ("instance_number", "InstanceNumber"),
    ("acquisition_number", "AcquisitionNumber"),
    ("series_number", "SeriesNumber"),
    ("raw_data_run", "raw_data_run"),
)
# Numbers that describe; 0 stands for unknown in headers of other modalities.
_CONSTANTS: Final = (
    ("slice_thickness_mm", "SliceThickness"),
    ("repetition_time_ms", "RepetitionTime"),
    ("magnetic_field_strength_t", "MagneticFieldStrength"),
    ("frame_duration_ms", "ActualFrameDuration"),
)
# Vectors of Nuclear Medicine: one number for each frame (PS3.3 C.8.4.8).
_VECTORS: Final = (
    ("energy_window", "EnergyWindowVector"),
    ("detector", "DetectorVector"),
    ("phase", "PhaseVector"),
    ("rotation", "RotationVector"),
    ("rr_interval", "RRIntervalVector"),
    ("time_slot", "TimeSlotVector"),
    ("angular_view", "AngularViewVector"),
    ("time_slice", "TimeSliceVector"),
)
_VELOCITIES_OF_GE: Final = frozenset({"right_left", "anterior_posterior", "superior_inferior"})
_OF_TIME: Final = frozenset({"time_slice", "time_slot"})
_TOMOGRAPHY: Final = frozenset({"RECON TOMO", "RECON GATED TOMO"})
# Defined terms of PS3.3 C.8.9.1, C.11.1 and C.7.3.1: term, attribute, values.
_TERMS: Final = (
    (
        "units",
        "Units",
        frozenset(
            (
                *("CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG"),
                *("1CM", "UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV"),
            )
        ),
    ),
    ("counts_source", "CountsSource", frozenset({"EMISSION", "TRANSMISSION"})),
    ("decay_correction", "DecayCorrection", frozenset({"NONE", "START", "ADMIN"})),
    ("suv_type", "SUVType", frozenset({"BSA", "BW", "LBM", "LBMJANMA", "IBW"})),
    ("rescale_type", "RescaleType", RESCALE_TYPES),
    ("laterality", "Laterality", LATERALITIES),
    ("laterality", "ImageLaterality", LATERALITIES),  # of the image, where the series says less
)


def of_all_frames(facts: ImageFacts, defects: Defects) -> FrameAttributes:
    """Return the attributes that all frames of a file share, unless their functional groups say otherwise.

    Parameters
    ----------
    facts : ImageFacts
    defects : Defects
        Gets the flags.

    Returns
    -------
    FrameAttributes
        Without position and orientation.
    """
    values: Any = {keyword: facts[keyword] for keyword in _OF_SERIES if keyword in facts}  # type: ignore[literal-required]
    try:
        shared = _of_encoded(marshal.dumps(values, 2))
    except ValueError:  # a value of pydicom, not of the index
        shared = _of_series(values)
    defects.flags.update(flag for name, flag in _NUMBER_FLAGS if facts.get(name))
    if (facts.get("RescaleSlope") is None) != (facts.get("RescaleIntercept") is None):
        defects.flags.add("rescale_incomplete")
    defects.unreadable.update(facts.get("unreadable_numbers", ()))
    return FrameAttributes(
        spacing=shared.spacing,
        spacing_source=shared.spacing_source,
        causes=_causes(facts),
        terms=shared.terms,
        constants=shared.constants,
        kernel=shared.kernel,
        rescale=rescale_of(facts.get("RescaleSlope"), facts.get("RescaleIntercept")),
        real_world=shared.real_world,
        window=windows_of(facts.get("WindowCenter"), facts.get("WindowWidth")),
        window_function=window_function_of(facts.get("VOILUTFunction")),
    )


_NUMBER_FLAGS: Final = (
    ("unreadable_numbers", "unreadable_number"),
    ("nonstandard_numbers", "nonstandard_number"),
    ("implausible_numbers", "implausible_number"),
)
# What `_of_series` asks for. Most files of a series agree in all of it, so it is interpreted once for them.
_OF_SERIES: Final = (
    *(keyword for _, keyword in _CONSTANTS),
    *(keyword for _, keyword, _ in _TERMS),
    *("SpacingBetweenSlices", "Modality", "KVP", "radionuclide", "ComplexImageComponent", "ConvolutionKernel"),
    *(
        "CorrectedImage",
        "SequenceVariant",
        "velocity_encoding",
        "quantity_of_ge",
        "real_world",
        "PixelSpacing",
        "ImagerPixelSpacing",
        "EstimatedRadiographicMagnificationFactor",
    ),
    *("PixelSpacingCalibrationType", "SOPClassUID"),
)


@lru_cache(maxsize=64)
def _of_encoded(values: bytes) -> FrameAttributes:
    """Return `_of_series` of encoded facts: unlike equal facts, equal bytes cannot be 0.0 and -0.0, or 1 and True."""
    return _of_series(marshal.loads(values))


def _of_series(facts: ImageFacts) -> FrameAttributes:
    """Return the attributes that files of a series seldom differ in; callers do not change it."""
    shared = FrameAttributes()
    shared.constants = _constants(facts)
    shared.terms = _terms(facts)
    shared.kernel = facts.get("ConvolutionKernel", "")
    mapping = numbers(facts.get("real_world", [])[:2])
    shared.real_world = (mapping[0], mapping[1]) if mapping and len(mapping) == 2 else None
    shared.spacing = spacing_of(facts.get("PixelSpacing"))
    shared.spacing_source = "PixelSpacing" if shared.spacing else ""
    at_detector = spacing_of(facts.get("ImagerPixelSpacing"))
    if at_detector:
        shared.constants.update(zip(DETECTOR_SPACING, at_detector, strict=True))
        is_calibrated = bool(facts.get("PixelSpacingCalibrationType"))
        is_projection = makes_projections(facts.get("Modality", ""), facts.get("SOPClassUID", ""))
        if is_projection and _is_same(shared.spacing, at_detector) and not is_calibrated:
            shared.spacing, shared.spacing_source = None, ""  # not corrected for magnification (PS3.3 10.7.1.1)
    magnification = number(facts.get("EstimatedRadiographicMagnificationFactor"))
    if shared.spacing is None and at_detector and magnification is not None and magnification >= 1:
        shared.spacing = (at_detector[0] / magnification, at_detector[1] / magnification)
        shared.spacing_source = "ImagerPixelSpacing/EstimatedRadiographicMagnificationFactor"
    return shared


def _is_same(spacing: tuple[float, float] | None, at_detector: tuple[float, float]) -> bool:
    return spacing is not None and all(
        abs(found - other) <= 1e-4 * other for found, other in zip(spacing, at_detector, strict=True)
    )


def _causes(facts: ImageFacts) -> dict[str, float]:
    """Return the attributes that all frames of a file share, by the names of `CAUSES`."""
    causes = {}
    for cause, keyword in _CAUSES:
        attribute = facts.get(keyword)
        value = None if attribute is None else number(attribute)
        if value is not None:
            causes[cause] = value
    energy = facts.get("energy")
    if energy and is_plausible("MonoenergeticEnergyEquivalent", energy):
        causes.setdefault("monoenergetic_kev", energy)
    modality = sop_classes.modality_of(facts.get("Modality"), facts.get("SOPClassUID"))
    if modality == "MR" and "velocity_encoding" in facts:
        causes["velocity_max_cm_s"] = split_velocity(facts["velocity_encoding"])[0]
    # A flip angle or a tube voltage is one for an acquisition; a repetition time follows the heart beat.
    if modality == "MR" and facts.get("FlipAngle") is not None:
        causes["flip_angle_deg"] = facts["FlipAngle"]
    if modality == "CT" and facts.get("KVP"):
        causes["kvp"] = facts["KVP"]
    # Acquisition DateTime is that of the whole acquisition in some series, and cut to its date in others.
    acquisition_time = date_time(facts.get("AcquisitionDate"), facts.get("AcquisitionTime"))
    if acquisition_time is None or not facts.get("AcquisitionDate"):
        whole = date_time(facts.get("AcquisitionDateTime"))
        acquisition_time = acquisition_time if whole is None else whole
    content_time = date_time(facts.get("ContentDate"), facts.get("ContentTime"))
    if acquisition_time is not None:
        causes["acquisition_time_s"] = acquisition_time
    if content_time is not None:
        causes["content_time_s"] = content_time
    if "ImageIndex" in facts:
        kind = "".join(facts.get("SeriesType", [])[:1])
        causes |= image_index(facts["ImageIndex"], kind, facts.get("NumberOfSlices"), facts.get("NumberOfTimeSlots"))
    milliseconds = number(facts.get("FrameReferenceTime"))
    if milliseconds is not None:
        causes["frame_reference_time_s"] = milliseconds / 1000
    direction = None
    if facts.get("DiffusionDirectionality") not in ("NONE", "ISOTROPIC"):
        direction = direction_of(facts.get("DiffusionGradientOrientation"))
    of_image = direction_of(facts.get("direction_of_image"))
    if of_image and not direction and "b_value" in causes:
        causes.update(zip(B_VECTOR_OF_IMAGE, of_image, strict=True))
    elif direction or ("b_value" in causes and not _has_unknown_direction(facts, causes["b_value"])):
        # As in functional groups: an image without a direction (b = 0) has the null vector.
        causes.update(zip(B_VECTOR, direction or (0.0, 0.0, 0.0), strict=True))
    return causes


def _has_unknown_direction(facts: ImageFacts, b_value: float) -> bool:
    return facts.get("DiffusionDirectionality") in DIRECTIONAL and b_value > 0


def _constants(facts: ImageFacts) -> dict[str, float]:
    constants = {}
    for name, keyword in _CONSTANTS:
        attribute = facts.get(keyword)
        value = None if attribute is None else number(attribute)
        if value is not None and value > 0:
            constants[name] = value
    between = number(facts.get("SpacingBetweenSlices"))
    if between:
        constants["spacing_between_slices_mm"] = between
    modality = sop_classes.modality_of(facts.get("Modality"), facts.get("SOPClassUID"))
    if modality != "CT" and (kilovolts := number(facts.get("KVP"))):
        constants["kvp"] = kilovolts
    radionuclide = facts.get("radionuclide")
    if radionuclide:
        half_life, dose = number(radionuclide.get("half_life")), number(radionuclide.get("dose"))
        if half_life is not None and is_half_life(half_life):
            constants["half_life_s"] = half_life
        # Bq in PET (PS3.3 C.8.9.2), MBq in NM (C.8.4.10); a number that fits only the other unit is left out.
        in_becquerel = None if dose is None else dose * (1e6 if modality == "NM" else 1.0)
        if in_becquerel is not None and is_dose(in_becquerel):
            constants["dose_bq"] = in_becquerel
    return constants


def _terms(facts: ImageFacts) -> dict[str, str]:
    terms = {}
    for term, keyword, values in _TERMS:
        value = str(facts.get(keyword, ""))
        if value in values:
            terms[term] = value
    if unit := unit_of("".join(map(str, facts.get("real_world", [])[2:]))):
        terms["real_world_units"] = unit
    modality = sop_classes.modality_of(facts.get("Modality"), facts.get("SOPClassUID"))
    corrections = facts.get("CorrectedImage", ())
    if corrections and modality in ("PT", "NM"):
        terms["attenuation_correction"] = "YES" if "ATTN" in corrections else "NO"
    if modality == "MR" and "velocity_encoding" in facts:
        terms["velocity_component"] = VELOCITY_DIRECTIONS.get(split_velocity(facts["velocity_encoding"])[1], "other")
    if quantity := facts.get("quantity_of_ge"):
        terms["velocity_component" if quantity in _VELOCITIES_OF_GE else "image_component"] = quantity
    if "MTC" in facts.get("SequenceVariant", ()):
        terms["magnetization_transfer"] = "ON"
    component = facts.get("ComplexImageComponent", "").lower()
    if component in COMPONENTS:
        terms["complex_component"] = component
    return terms


# ---------------------------------------------------------------------------------------------------------- positions


def place_frames(facts: ImageFacts, places: list[FrameAttributes], defects: Defects) -> None:
    """Set position, orientation and time of frames without functional groups from the attributes of the file itself.

    Parameters
    ----------
    facts : ImageFacts
    places : list of FrameAttributes
        One per frame; changed in place.
    defects : Defects
        Gets the flags.
    """
    position = vector(facts.get("ImagePositionPatient"))
    orientation = cosines_of(facts.get("ImageOrientationPatient"))
    if facts.get("Modality") == "NM" or facts.get("SOPClassUID") == sop_classes.NUCLEAR_MEDICINE:
        _place_nuclear(facts, places, position, orientation)
        if any(place.position for place in places):
            return
    if len(places) == 1:
        places[0].position, places[0].orientation = position, orientation
        return
    if _varying(places) <= _OF_TIME:  # detectors or angles do not follow each other in time
        add_frame_times(facts, places)
    if facts.get("SOPClassUID") == sop_classes.RT_DOSE or facts.get("Modality") == "RTDOSE":
        positions = dose_positions(position, orientation, numbers(facts.get("GridFrameOffsetVector")), len(places))
        if positions is None:
            defects.flags.add("dose_offsets_mismatch")
            return
        for place, plane_position in zip(places, positions, strict=True):
            place.position, place.orientation = plane_position, orientation


def _varying(places: Sequence[FrameAttributes]) -> set[str]:
    """Return the names of the vectors whose numbers differ between the frames of a file."""
    return {key for key in places[0].causes if len({place.causes.get(key) for place in places}) > 1}


def place_from_file(facts: ImageFacts, places: list[FrameAttributes]) -> None:
    """Give frames with functional groups what only the file itself says of the plane.

    Parameters
    ----------
    facts : ImageFacts
    places : list of FrameAttributes
        One per frame; changed in place. A position of the file is that of a single frame only.
    """
    orientation = cosines_of(facts.get("ImageOrientationPatient"))
    if len(places) == 1 and places[0].position is None:
        places[0].position = vector(facts.get("ImagePositionPatient"))
    for place in places:
        if place.orientation is None and place.position is not None:
            place.orientation = orientation


def _place_nuclear(
    facts: ImageFacts, places: list[FrameAttributes], position: Vector | None, orientation: Cosines | None
) -> None:
    """Place the slices of reconstructed tomography, and give each frame its numbers of the vectors.

    Slices lie along the normal of the first, at multiples of Spacing Between Slices (0018,0088), whose sign counts.

    References
    ----------
    DICOM PS3.3 C.8.4.8, C.8.4.11, C.8.4.15.
    """
    count = len(places)
    for cause, keyword in _VECTORS:
        vector_of_frames = numbers(facts.get(keyword))
        if vector_of_frames is not None and len(vector_of_frames) == count:
            for place, value in zip(places, vector_of_frames, strict=True):
                place.causes[cause] = value
    slices = numbers(facts.get("SliceVector"))
    is_tomography = bool(_TOMOGRAPHY & {str(value) for value in facts.get("ImageType", ())})
    if slices is None and is_tomography and facts.get("NumberOfSlices", count) == count:
        slices = tuple(float(number) for number in range(1, count + 1))
    if slices is None or len(slices) != count:
        return
    if min(slices) == 0:  # the standard counts from 1, some writers from 0
        slices = tuple(value + 1 for value in slices)
    detector = facts.get("detector")
    first = vector(detector.get("position")) if detector else position
    cosines = cosines_of(detector.get("orientation")) if detector else orientation
    between = number(facts.get("SpacingBetweenSlices"))
    if count == 1:
        between = between or 0.0
    if first is None or cosines is None or between is None or (count > 1 and not between):
        for place, value in zip(places, slices, strict=True):
            place.causes["slice_number"] = value
        return
    normal = geometry.slice_normal(cosines) if geometry.is_plane(cosines) else (0.0, 0.0, 0.0)
    for place, value in zip(places, slices, strict=True):
        step = (value - 1) * between
        place.position = (first[0] + step * normal[0], first[1] + step * normal[1], first[2] + step * normal[2])
        place.orientation = cosines


def add_frame_times(facts: ImageFacts, places: list[FrameAttributes], before: int = 0) -> None:
    """Give each frame of a cine its time from the first one, s, if it is known (PS3.3 C.7.6.5).

    A vector that does not fit the frames says that Frame Time is not that of each, unless its steps are the same.

    Parameters
    ----------
    facts : ImageFacts
    places : list of FrameAttributes
        One per frame; changed in place.
    before : int
        Frames of the image that are in other files: parts of a concatenation.
    """
    times: list[float] = []
    frame_time = number(facts.get("FrameTime"))
    steps = numbers(facts.get("FrameTimeVector"))
    if steps and len(steps) == len(places) > 1 and steps[0] == 0 and min(steps[1:]) > 0 and not before:
        # Where both are there, the vector is believed: it has a step for each frame.
        times = [round(seconds / 1000, 9) for seconds in accumulate(steps)]
    elif frame_time is not None and frame_time > 0 and not _contradict(frame_time, steps or ()):
        times = [round((before + index) * frame_time / 1000, 9) for index in range(len(places))]
    for place, seconds in zip(places, times, strict=False):
        place.causes["frame_time_s"] = seconds


def _contradict(frame_time: float, steps: Sequence[float]) -> bool:
    """Return whether a Frame Time Vector (0018,1065) that does not fit the frames has other steps than Frame Time."""
    return any(step > 0 and abs(step - frame_time) > 0.01 * frame_time for step in steps)


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
