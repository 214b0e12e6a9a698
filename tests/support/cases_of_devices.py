"""Made-up cases of what some devices alone write: ultrasound volumes, velocities in names, units of values."""

from __future__ import annotations

from typing import Any

from case_writer import AXIAL, add_case, item_of, many_of, slice_of
from pydicom.dataset import Dataset

_US = "6.2"
SHARED: dict[str, Any] = {
    "PlaneOrientationVolumeSequence": item_of(ImageOrientationVolume=AXIAL),
    "PixelMeasuresSequence": item_of(PixelSpacing=[0.5, 0.75]),
}


def _plane(z: float, **more: Any) -> Dataset:
    return item_of(PlanePositionVolumeSequence=item_of(ImagePositionVolume=[-1.0, -2.0, z]), **more)


def _ultrasound() -> None:
    """Places are those in the volume (PS3.3 C.8.24.2): distances are known, and no place in the patient."""
    no_place = dict.fromkeys(("affine_lps", "origin_lps", "orientation_lps", "positions_lps"))
    flags = {"volume_coordinates"}
    case = add_case("a volume of ultrasound", axes="zyx", flags=flags, facts={**no_place, "positions_mm": None})
    case.facts["acquisition"] = {"data_type": "TISSUE_INTENSITY"}
    intensity = item_of(DataType="TISSUE_INTENSITY", AliasedDataType="NO")
    groups = [_plane(0.25 * ((n * 3) % 5)) for n in range(5)]
    case.put(
        "one.dcm", *many_of(case.name, _US, groups, item_of(**SHARED, ImageDataTypeSequence=intensity), Modality="US")
    )
    case.places = {("one.dcm", n): (None, (n * 3) % 5) for n in range(5)}

    case = add_case("an uneven volume of ultrasound", axes="zyx", flags={*flags, "uneven_spacing"}, facts={**no_place})
    case.facts["positions_mm"] = [0.0, 1.0, 2.7, 9.1]
    groups = [_plane(z) for z in case.facts["positions_mm"]]
    case.put("one.dcm", *many_of(case.name, _US, groups, item_of(**SHARED), Modality="US"))
    case.places = {("one.dcm", n): (None, n) for n in range(4)}

    # Intensity and velocity of the same places, of two times: two arrays with the axes t and z.
    case = add_case("times and data types of ultrasound", axes="tzyx", arrays=2, flags=flags)
    case.facts = {**no_place, "t_axis": {"means": ["temporal_offset_s"], "values": [0.0, 0.04]}}
    kinds = [item_of(DataType=word) for word in ("TISSUE_INTENSITY", "FLOW_VELOCITY")]
    groups = [
        _plane(
            0.5 * (n // 4),
            ImageDataTypeSequence=kinds[n % 2],
            TemporalPositionSequence=item_of(TemporalPositionTimeOffset=0.04 * (n // 2 % 2)),
        )
        for n in range(12)
    ]
    case.put("one.dcm", *many_of(case.name, _US, groups, item_of(**SHARED), Modality="US"))
    case.places = {("one.dcm", n): (n // 2 % 2, n // 4) for n in range(12)}

    case = add_case("unknown data types of ultrasound", axes="zyx", arrays=3, flags=flags, facts={**no_place})
    words = ("TISSUE_INTENSITY", "ONE_THING", "ANOTHER")
    groups = [_plane(0.5 * (n // 3), ImageDataTypeSequence=item_of(DataType=words[n % 3])) for n in range(9)]
    case.put("one.dcm", *many_of(case.name, _US, groups, item_of(**SHARED), Modality="US"))
    case.places = {("one.dcm", n): (None, n // 3) for n in range(9)}


def _flow() -> None:
    """Phases of 4D flow in one series: three directions at two times and two places, in turn."""
    for name, words in (("known", ("in", "rl", "ap")), ("unknown", ("in", "xy", "yx"))):
        case = add_case(f"velocities of {name} directions", axes="tzyx", arrays=3)
        case.facts["t_axis"] = {"means": ["trigger_time_ms"], "values": [20.0, 60.0]}
        for index in range(12):
            which, t, z = index % 3, index // 3 % 2, index // 6
            attributes: dict[str, Any] = {
                "Modality": "MR",
                "ImageType": ["ORIGINAL", "PRIMARY", "P"],
                "SequenceName": f"*fl3d1_v150{words[which]}",
                "TriggerTime": 20 + 40 * t,
                "ImagePositionPatient": [-10.0, -20.0, 2.5 * z],
                "InstanceNumber": index + 1,
            }
            case.put(f"{index}.dcm", *slice_of(case.name, index, **attributes))
            case.places[f"{index}.dcm", 0] = (t, z)
    case = add_case("two velocities of one direction", axes="tzyx")
    case.facts = {"t_axis": {"means": ["velocity_max_cm_s"], "values": [80.0, 150.0]}}
    for index in range(6):
        t, z = index % 2, index // 2
        attributes = {"Modality": "MR", "SequenceName": f"fl3d1_v{(80, 150)[t]}rl", "InstanceNumber": index + 1}
        case.put(
            f"{index}.dcm", *slice_of(case.name, index, **attributes, ImagePositionPatient=[-10.0, -20.0, 2.5 * z])
        )
        case.places[f"{index}.dcm", 0] = (t, z)
    case = add_case("magnitude and velocity", axes="zyx", arrays=2)
    for index in range(6):
        which, z = index % 2, index // 2
        attributes = {"Modality": "MR", "SequenceName": ("*fl3d1", "*fl3d1_v150in")[which], "InstanceNumber": index + 1}
        case.put(
            f"{index}.dcm", *slice_of(case.name, index, **attributes, ImagePositionPatient=[-10.0, -20.0, 2.5 * z])
        )
        case.places[f"{index}.dcm", 0] = (None, z)

    case = add_case("private velocities of two directions", axes="zyx", arrays=2)
    for index in range(6):
        which, z = index % 2, index // 2
        attributes = {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "P"], "InstanceNumber": index + 1}
        dataset, voxels = slice_of(case.name, index, **attributes, ImagePositionPatient=[-10.0, -20.0, 2.5 * z])
        block = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x1A, "FL", [150.0 * (1 - which), 0.0, 150.0 * which])
        case.put(f"{index}.dcm", dataset, voxels)
        case.places[f"{index}.dcm", 0] = (None, z)
    # The same in a legacy converted file, whose frames keep the names of their sequences.
    case = add_case("converted velocities of three directions", axes="zyx", arrays=3)
    groups = [
        item_of(
            PlanePositionSequence=item_of(ImagePositionPatient=[-10.0, -20.0, 3.0 * (n // 3)]),
            UnassignedPerFrameConvertedAttributesSequence=item_of(
                SequenceName=f"fl3d1_v150{('in', 'rl', 'xy')[n % 3]}"
            ),
        )
        for n in range(9)
    ]
    shared = item_of(
        PlaneOrientationSequence=item_of(ImageOrientationPatient=AXIAL),
        PixelMeasuresSequence=item_of(PixelSpacing=[0.5, 0.75], SliceThickness=2),
    )
    case.put("one.dcm", *many_of(case.name, "4.4", groups, shared, Modality="MR"))
    case.places = {("one.dcm", n): (None, n // 3) for n in range(9)}


def _units() -> None:
    """Two mappings of the same numbers and other units, in turn; the second pair is of units that nobody knows."""
    for name, units in (("known", ("Bq/ml", "g/ml{SUVbw}")), ("unknown", ("x/ml", "y/ml"))):
        case = add_case(f"real world values of {name} units", axes="zyx", arrays=2)
        for index in range(8):
            z, which = divmod(index, 2)
            mapping = item_of(
                RealWorldValueSlope=2.0,
                RealWorldValueIntercept=0.0,
                MeasurementUnitsCodeSequence=item_of(
                    CodeValue=units[which], CodingSchemeDesignator="UCUM", CodeMeaning="a unit"
                ),
            )
            place = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "InstanceNumber": index + 1}
            dataset, voxels = slice_of(case.name, index, **place, RealWorldValueMappingSequence=[mapping])
            case.put(f"{index}.dcm", dataset, voxels)
            case.places[f"{index}.dcm", 0] = (None, z)


def _depths() -> None:
    """Slices in turn of two photometric interpretations, or of two Bits Stored."""
    case = add_case("grey of both directions", axes="zyx", arrays=2)
    for index in range(8):
        z, which = divmod(index, 2)
        place = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "InstanceNumber": index + 1}
        photometric = f"MONOCHROME{which + 1}"
        case.put(f"{index}.dcm", *slice_of(case.name, index, **place, PhotometricInterpretation=photometric))
        case.places[f"{index}.dcm", 0] = (None, z)
    for name, bits, flags in (("two", (13, 16), {"bits_stored_differs"}), ("one", (13, 13), set[str]())):
        case = add_case(f"{name} Bits Stored", axes="zyx", flags=flags, facts={"bits_stored": max(bits)})
        for z in range(4):
            place = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "InstanceNumber": z + 1}
            case.put(f"{z}.dcm", *slice_of(case.name, z, **place, BitsStored=bits[z % 2]))
            case.places[f"{z}.dcm", 0] = (None, z)


def add() -> None:
    _depths()
    _units()
    _ultrasound()
    _flow()
