"""Made-up cases of series with images of several quantities, sides of the body or energies at the same places."""

from __future__ import annotations

from typing import Any

from case_writer import AXIAL, STORAGE, add_case, item_of, many_of, slice_of

_PLACES = 4
PLANE = {
    "PlaneOrientationSequence": item_of(ImageOrientationPatient=AXIAL),
    "PixelMeasuresSequence": item_of(PixelSpacing=[0.5, 0.75], SliceThickness=2),
}


def _single_frames() -> None:
    """Of each pair the images are in turn, and acquired one after the other."""
    energies = [
        {"MultienergyCTCharacteristicsSequence": [item_of(MonoenergeticEnergyEquivalent=k)]} for k in (40.0, 70.0)
    ]
    pairs: dict[str, tuple[dict[str, Any], ...]] = {
        "HU and MGML": ({"RescaleType": "HU"}, {"RescaleType": "MGML"}),
        "energies and atomic numbers": (
            {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]},
            {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]},
        ),
        "PET with and without correction": (
            {"Modality": "PT", "SOPClassUID": STORAGE + "128", "CorrectedImage": ["DECY", "ATTN"]},
            {"Modality": "PT", "SOPClassUID": STORAGE + "128", "CorrectedImage": ["DECY"]},
        ),
        "MR with and without transfer": (
            {"Modality": "MR", "SequenceVariant": ["SP", "MTC"]},
            {"Modality": "MR", "SequenceVariant": ["SP"]},
        ),
        "two sides": ({"ImageLaterality": "L"}, {"ImageLaterality": "R"}),
    }
    for name, pair in pairs.items():
        case = add_case(f"{name}", axes="zyx", arrays=2)
        for index in range(2 * _PLACES):
            z, which = divmod(index, 2)
            place = {"ImagePositionPatient": [-10, -20, 2.5 * z], "InstanceNumber": index + 1}
            times = {"AcquisitionDate": "20240101", "AcquisitionTime": f"10{which:02}00"}
            case.put(f"{index}.dcm", *slice_of(case.name, index, **{**place, **times, **pair[which]}))
            case.places[f"{index}.dcm", 0] = (None, z)
    case = add_case("two energies in a sequence", axes="tzyx")
    case.facts = {"t_axis": {"means": ["monoenergetic_kev"], "values": [40.0, 70.0]}}
    for index in range(2 * _PLACES):
        z, which = divmod(index, 2)
        place = {"ImagePositionPatient": [-10, -20, 2.5 * z], "InstanceNumber": index + 1}
        case.put(f"{index}.dcm", *slice_of(case.name, index, **place, **energies[which]))
        case.places[f"{index}.dcm", 0] = (which, z)


def _multi_frame() -> None:
    pairs = {
        "FrameAnatomySequence": ({"FrameLaterality": "L"}, {"FrameLaterality": "R"}),
        "MRModifierSequence": ({"MagnetizationTransfer": "NONE"}, {"MagnetizationTransfer": "ON_RESONANCE"}),
        "PixelValueTransformationSequence": ({"RescaleType": "HU"}, {"RescaleType": "Z_EFF"}),
    }
    for sequence, pair in pairs.items():
        case = add_case(f"frames of two kinds, {sequence[:20]}", axes="zyx", arrays=2)
        groups = []
        for n in range(2 * _PLACES):
            values = pair[n % 2] | ({"RescaleSlope": 1, "RescaleIntercept": 0} if "RescaleType" in pair[0] else {})
            clock = item_of(FrameAcquisitionDateTime=f"2024010110{n % 2:02}00")
            where = item_of(ImagePositionPatient=[-10, -20, 3.0 * (n // 2)])
            groups.append(
                item_of(PlanePositionSequence=where, FrameContentSequence=clock, **{sequence: item_of(**values)})
            )
        case.put("one.dcm", *many_of(case.name, "4.1", groups, item_of(**PLANE), Modality="MR"))
        case.places = {("one.dcm", n): (None, n // 2) for n in range(2 * _PLACES)}
    case = add_case("frames of two energies", axes="tzyx")
    case.facts = {"t_axis": {"means": ["monoenergetic_kev"], "values": [40.0, 70.0]}}
    groups = [
        item_of(
            PlanePositionSequence=item_of(ImagePositionPatient=[-10, -20, 3.0 * (n // 2)]),
            MultienergyCTCharacteristicsSequence=item_of(MonoenergeticEnergyEquivalent=(40.0, 70.0)[n % 2]),
        )
        for n in range(2 * _PLACES)
    ]
    case.put("one.dcm", *many_of(case.name, "2.1", groups, item_of(**PLANE)))
    case.places = {("one.dcm", n): (n % 2, n // 2) for n in range(2 * _PLACES)}


def add() -> None:
    _single_frames()
    _multi_frame()
