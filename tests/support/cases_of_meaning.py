"""Made-up cases of headers that differ in what pixels mean: clocks, twins, tables of values, parts of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from case_writer import AXIAL, STORAGE, FlowCase, add_case, dataset_of, item_of, many_of, single, slice_of
from dicoms import uid
from made_up_pixels import picture
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence


def _times(case: FlowCase, times: int, each: Callable[[int], Mapping[str, Any]]) -> None:
    """Add two slices at each of several times, whose Instance Numbers follow the times."""
    for index in range(2 * times):
        t, z = divmod(index, 2)
        place = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "InstanceNumber": index + 1}
        dataset, voxels = slice_of(case.name, index, Modality="MR", ImageType=None, **place, **each(t))
        case.put(f"{(index * 5) % (2 * times)}-{index}.dcm", dataset, voxels)
        case.places[f"{(index * 5) % (2 * times)}-{index}.dcm", 0] = (t, z)


def _clocks() -> None:
    clock = {"t_axis": {"means": ["acquisition_time_s"], "values": [0.0, 20.0, 40.0, 60.0]}}
    stamps = ("235930", "235950", "000010", "000030.00")
    for name, date in (("without dates", None), ("of one date", "20200101")):
        case = add_case(f"times across midnight {name}", axes="tzyx", facts=clock)
        _times(case, 4, lambda t, date=date: {"AcquisitionDate": date, "AcquisitionTime": stamps[t]})
    case = add_case("times beside a date alone", axes="tzyx", facts=clock)
    _times(
        case,
        4,
        lambda t: {"AcquisitionDateTime": "20210315", "AcquisitionTime": f"10{20 * t // 60:02}{20 * t % 60:02}"},
    )
    # The difference of a time with a date and one without is a date: it is no value, and no order either.
    facts = {"t_axis": {"means": ["instance_number"], "values": [0.0, 1.0, 2.0]}}
    for name, dates in (("lack", (None, None, "20210315")), ("are made up", ("19000101", "19000101", "20210315"))):
        case = add_case(f"some dates {name}", axes="tzyx", flags={"t_order_only"}, facts=facts)
        _times(case, 3, lambda t, dates=dates: {"AcquisitionDate": dates[t], "AcquisitionTime": f"10000{2 - t}"})
    # Phases of a gated scan: which comes first in time changes with the position of the table.
    for name, label in (("a counter", {"AcquisitionNumber": True}), ("the order of images alone", {})):
        case = add_case(f"gated phases of {name}", axes="tzyx", flags={"t_order_only"})
        for index in range(8):
            t, z = divmod(index, 4)
            seconds = 2 * z + (t if z % 2 else 1 - t)
            attributes = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "AcquisitionTime": f"1000{seconds:02}"}
            attributes |= {"AcquisitionDate": "20240101", "InstanceNumber": index + 1}
            dataset, voxels = slice_of(case.name, index, **attributes, **dict.fromkeys(label, t + 1))
            case.put(f"{(index * 3) % 8}-{index}.dcm", dataset, voxels)
            case.places[f"{(index * 3) % 8}-{index}.dcm", 0] = (t, z)
    # Times of reconstruction order what was acquired at once, and do not say what differs.
    case = add_case("reconstructions of one acquisition", axes="tzyx", flags={"t_order_only"})
    case.facts = {"t_axis": {"means": ["content_time_s"], "values": [0.0, 60.0]}}
    once = {"AcquisitionDate": "20240101", "AcquisitionTime": "101500", "ContentDate": "20240101"}
    _times(case, 2, lambda t: {**once, "ContentTime": f"11{t:02}00"})
    case = add_case("maps of two image types", axes="zyx", arrays=2)
    for index in range(6):
        t, z = divmod(index, 3)
        attributes = {
            "ImagePositionPatient": [-10.0, -20.0, 2.5 * z],
            "ImageType": ["DERIVED", "PRIMARY", ("KTRANS", "VE")[t]],
        }
        attributes |= {**once, "ContentTime": f"11{t:02}00", "Modality": "MR"}
        case.put(f"{index}.dcm", *slice_of(case.name, index, **attributes))
    case = add_case("a capture without a date beside a dynamic", arrays=2)
    for index in range(6):
        t, z = divmod(index, 2)
        place = {"ImagePositionPatient": [-10.0, -20.0, 2.5 * z], "AcquisitionDate": "20240101", "Modality": "MR"}
        case.put(f"{index}.dcm", *slice_of(case.name, index, **place, AcquisitionTime=f"10{t:02}00"))
    capture = [np.zeros((8, 9), "<u2") + 5]
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    sop = {"SOPClassUID": STORAGE + "7", "Modality": "OT", "ImageType": ["DERIVED", "SECONDARY"]}
    case.put(
        "capture.dcm", dataset_of(case.name, capture, index=9, AcquisitionTime="100500", **nowhere, **sop), capture
    )
    case = add_case("slices of a c-arm", axes="zyx")
    for index in range(4):
        case.put(f"{index}.dcm", *slice_of(case.name, index, Modality="XA", ImagePositionPatient=[0, 0, 0.5 * index]))
    vector = {"FrameTimeVector": [0, 100, 50], "FrameTime": 33.3, "FrameIncrementPointer": 0x00181065}
    cine = [picture(8, rows=8, columns=6) // (n + 1) for n in range(3)]
    facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.1, 0.15]}}
    us = {"Modality": "US", "SOPClassUID": STORAGE + "3.1", "PixelSpacing": None}
    single("cine of a time vector beside a frame time", cine, axes="tyx", facts=facts, **vector, **us)


def _twins() -> None:
    """Files with one SOP Instance UID and equal pixels whose headers contradict each other."""
    contradictions: dict[str, dict[str, Any]] = {
        "rescale intercept": {"RescaleIntercept": 0},
        "pixel spacing": {"PixelSpacing": [0.6, 0.75]},
        "position": {"ImagePositionPatient": [-10, -20, 4]},
        "orientation": {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0]},
        "echo time": {"EchoTime": 9.5},
    }
    base = {"Modality": "MR", "RescaleIntercept": -1024, "RescaleSlope": 1, "EchoTime": 4.5}
    for name, other in contradictions.items():
        case = add_case(f"same instance, another {name}", flags={"incomplete"}, axes="zyx")
        for index in range(3):
            place = {"ImagePositionPatient": [-10, -20, 2.5 * index]}
            dataset, voxels = slice_of(case.name, index, **base, **place)
            is_twin = index == 2
            case.put(f"{index}.dcm", dataset, None if is_twin else voxels)
        twin, _ = slice_of(case.name, 2, **{**base, "ImagePositionPatient": [-10, -20, 5], **other})
        case.put("twin.dcm", twin, None)
        case.not_extracted = dict.fromkeys(("2.dcm", "twin.dcm"), "conflicting_instance")
    # What one of them does not say is no contradiction: the fuller header counts.
    case = add_case("same instance, less in one header", axes="zyx", facts={"rescale": [1.0, -1024.0]})
    for index in range(4):
        place = {"ImagePositionPatient": [-10, -20, 2.5 * index]}
        dataset, voxels = slice_of(case.name, index, **base, **place)
        case.put(f"full{index}.dcm", dataset, voxels)
        poor = {**base, "RescaleIntercept": None, "RescaleSlope": None, "EchoTime": None, **place}
        case.put(f"poor{index}.dcm", slice_of(case.name, index, **poor)[0], None)
        case.not_extracted[f"poor{index}.dcm"] = "duplicate"

    # Copies that say the same with other digits, less, or other words: one of them stays as a whole.
    alike: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "fewer digits": ({"PixelSpacing": [0.488281, 0.75]}, {"PixelSpacing": [0.488, 0.75], "EchoTime": 4.5}),
        "rounded times": ({"EchoTime": 4.46}, {"EchoTime": 4.5}),
        "another kernel": ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B30s"}),
        "another image type": ({"ImageType": ["ORIGINAL", "PRIMARY"]}, {"ImageType": ["DERIVED", "PRIMARY"]}),
        "another window": ({"WindowCenter": 40, "WindowWidth": 400}, {"WindowCenter": 50, "WindowWidth": 350}),
        "another thickness": ({"SliceThickness": 3}, {"SliceThickness": 5}),
        "a direction in one alone": (
            {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
            {"DiffusionBValue": 700.0},
        ),
    }
    for name, (first, second) in alike.items():
        case = add_case(f"two copies of {name}", axes="zyx")
        for index in range(8):
            place = {"ImagePositionPatient": [-10.755859, -20, 2.5 * index], "Modality": "MR"}
            for copy, attributes in (("a", first), ("b", second)):
                rounded = (
                    {"ImagePositionPatient": [-10.76, -20, 2.5 * index]}
                    if (name, copy) == ("fewer digits", "b")
                    else {}
                )
                dataset, voxels = slice_of(case.name, index, **{**place, **attributes, **rounded})
                case.put(f"{copy}{index}.dcm", dataset, voxels)
        case.one_of = ("a", "b")


def _tables() -> None:
    indices = [np.arange(30, dtype="u1").reshape(6, 5) % 4]
    for shared in (True, False):
        word = "the same for all" if shared else "of their own"
        case = add_case(f"slices with palettes {word}", arrays=1 if shared else 3, axes="zyx" if shared else "yx")
        for index in range(3):
            table = np.array([0, 100, 200, 300], "<u2") + (0 if shared else index)
            tables: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
            for colour in ("Red", "Green", "Blue"):
                tables[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
                tables[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
            place = {"ImagePositionPatient": [0, 0, 2.5 * index], "ImageOrientationPatient": AXIAL}
            frame = [(indices[0] + index) % 4]
            case.put(f"{index}.dcm", dataset_of(case.name, frame, index=index, Modality="MR", **place, **tables), frame)
    case = add_case("grey slices with palettes of their own", axes="zyx", facts={"palette": None})
    for index in range(3):
        tables = {}
        for colour in ("Red", "Green", "Blue"):
            tables[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 4000 + index, 16]
            tables[f"{colour}PaletteColorLookupTableData"] = bytes(8)
        place = {"ImagePositionPatient": [0, 0, 2.5 * index], "ImageOrientationPatient": AXIAL}
        frame = [indices[0] + index]
        case.put(f"{index}.dcm", dataset_of(case.name, frame, index=index, Modality="MR", **place, **tables), frame)
    dose = {"SOPClassUID": STORAGE + "481.2", "Modality": "RTDOSE", "DoseUnits": "GY"}
    planes = [np.random.default_rng(n).integers(0, 2**31, (6, 5), dtype="<u4") for n in range(3)]
    for name, scalings, arrays in (("one scaling", [0.001] * 3, 1), ("their own scaling", [0.001, 0.002, 0.003], 3)):
        case = add_case(f"dose planes of {name}", arrays=arrays, axes="zyx" if arrays == 1 else "yx")
        if arrays == 1:
            case.facts = {"dose_grid_scaling": 0.001, "dose_units": "GY"}
        for index, scaling in enumerate(scalings):
            place = {"ImagePositionPatient": [0, 0, 2.5 * index], "ImageOrientationPatient": AXIAL}
            attributes = {**dose, **place, "DoseGridScaling": scaling}
            dataset = dataset_of(case.name, [planes[index]], index=index, **attributes)
            case.put(f"{index}.dcm", dataset, [planes[index]])
    grid = {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": AXIAL, "GridFrameOffsetVector": [0, 3, 6]}
    single(
        "dose without a scaling",
        planes,
        axes="zyx",
        flags={"dose_scaling_missing"},
        facts={"kind": "dose", "dose_grid_scaling": None, "dose_units": None},
        **dose,
        **grid,
    )
    case = add_case("slices with a padding of their own", axes="zyx", flags={"padding_differs"})
    case.facts = {"padding_value": None}
    for index in range(3):
        place = {"ImagePositionPatient": [-10, -20, 2.5 * index], "PixelPaddingValue": -2000 - index}
        case.put(f"{index}.dcm", *slice_of(case.name, index, **place))


def _spacing() -> None:
    """Pixel Spacing that repeats the spacing at the detector is not corrected for magnification (PS3.3 10.7.1.1)."""
    at_detector = {
        "SOPClassUID": STORAGE + "1.1",
        "Modality": "DX",
        "PixelSpacing": [0.15, 0.15],
        "ImagerPixelSpacing": [0.15, 0.15],
    }
    corrected = {"EstimatedRadiographicMagnificationFactor": 1.5}
    for name, more, flags, scale in (
        ("uncorrected", {}, {"detector_spacing"}, None),
        ("of a known magnification", corrected, set(), "ImagerPixelSpacing/EstimatedRadiographicMagnificationFactor"),
        ("calibrated", {"PixelSpacing": [0.1, 0.1]}, set(), "PixelSpacing"),
        ("calibrated to the same", {"PixelSpacingCalibrationType": "FIDUCIAL"}, set(), "PixelSpacing"),
    ):
        case = add_case(f"spacing at the detector, {name}", axes="yx", flags=flags, facts={"spacing_source": scale})
        case.put("one.dcm", *slice_of(case.name, 0, **{**at_detector, **more}))


def _multi_frame() -> None:
    plane = {
        "PlaneOrientationSequence": item_of(ImageOrientationPatient=AXIAL),
        "PixelMeasuresSequence": item_of(PixelSpacing=[0.5, 0.75], SliceThickness=2),
    }

    def where(z: float) -> Dataset:
        return item_of(ImagePositionPatient=[-10, -20, z])

    # Echoes that alternate along z: their times are where a conversion put what it could not assign.
    case = add_case("legacy converted echoes", axes="zyx", arrays=2)
    groups = [
        item_of(
            PlanePositionSequence=where(3.0 * n),
            UnassignedPerFrameConvertedAttributesSequence=item_of(EchoTime=10 + 70 * (n % 2), AcquisitionTime="101010"),
        )
        for n in range(8)
    ]
    case.put("one.dcm", *many_of(case.name, "4.4", groups, item_of(**plane), Modality="MR"))
    case.places = {("one.dcm", n): (None, n // 2) for n in range(8)}
    case = add_case("legacy converted echoes at one place", axes="tzyx")
    case.facts = {"t_axis": {"means": ["echo_time_ms"], "values": [10, 80]}}
    case.facts["acquisition"] = {"inversion_time_ms": 150.0, "repetition_time_ms": 500.0, "slice_thickness_mm": 2.0}
    groups = [
        item_of(
            PlanePositionSequence=where(3.0 * (n // 2)),
            UnassignedPerFrameConvertedAttributesSequence=item_of(EchoTime=10 + 70 * (n % 2)),
        )
        for n in range(8)
    ]
    shared = item_of(
        **plane, UnassignedSharedConvertedAttributesSequence=item_of(InversionTime=150, RepetitionTime=500)
    )
    case.put("one.dcm", *many_of(case.name, "4.4", groups, shared, Modality="MR"))
    case.places = {("one.dcm", n): (n % 2, n // 2) for n in range(8)}

    # A b-value with a direction that is not stated has no null vector.
    case = add_case("diffusion of unknown directions", axes="tzyx", flags={"t_order_only"})
    case.facts = {"t_axis": {"means": ["dimension_2"], "values": [1, 2]}}
    case.facts["acquisition"] = {"b_value": 900.0, "slice_thickness_mm": 2.0}
    groups = [
        item_of(
            PlanePositionSequence=where(3.0 * (n // 2)),
            FrameContentSequence=item_of(DimensionIndexValues=[n // 2 + 1, n % 2 + 1]),
            MRDiffusionSequence=item_of(DiffusionBValue=900.0, DiffusionDirectionality="BMATRIX"),
        )
        for n in range(6)
    ]
    case.put("one.dcm", *many_of(case.name, "4.1", groups, item_of(**plane), Modality="MR"))

    for name, parts, flags in (
        ("whole", (1, 2, 3), set()),
        ("without its last part", (1, 2), {"incomplete_concatenation"}),
    ):
        case = add_case(f"concatenation {name}", axes="zyx", flags=flags)
        for part in parts:
            groups = [item_of(PlanePositionSequence=where(3.0 * (4 * part + n))) for n in range(4)]
            more = {"ConcatenationUID": uid(case.name), "InConcatenationNumber": part, "InConcatenationTotalNumber": 3}
            more |= {"ConcatenationFrameOffsetNumber": 4 * (part - 1), "SOPInstanceUID": uid(case.name, part)}
            case.put(f"{part}.dcm", *many_of(case.name, "2.1", groups, item_of(**plane), **more))
    # What a number means keeps frames apart: the quantity of a map, label and control of a labelled image.
    case = add_case("maps of two quantities", axes="zyx", arrays=2)
    groups = []
    for n in range(6):
        unit = item_of(CodeValue=("/min", "1")[n % 2], CodingSchemeDesignator="UCUM", CodeMeaning="x")
        mapping = item_of(MeasurementUnitsCodeSequence=unit, RealWorldValueSlope=1.0, RealWorldValueIntercept=0.0)
        groups.append(item_of(PlanePositionSequence=where(3.0 * (n // 2)), RealWorldValueMappingSequence=mapping))
    case.put("one.dcm", *many_of(case.name, "4.1", groups, item_of(**plane), Modality="MR"))
    case.places = {("one.dcm", n): (None, n // 2) for n in range(6)}
    case = add_case("label and control", axes="zyx", arrays=2)
    groups = [
        item_of(
            PlanePositionSequence=where(3.0 * (n // 2)),
            MRArterialSpinLabelingSequence=item_of(ASLContext=("LABEL", "CONTROL")[n % 2]),
        )
        for n in range(6)
    ]
    case.put("one.dcm", *many_of(case.name, "4.1", groups, item_of(**plane), Modality="MR"))
    case.places = {("one.dcm", n): (None, n // 2) for n in range(6)}

    case = add_case("an orientation in the first item alone", axes="tyx", flags={"partial_geometry", "t_order_only"})
    case.facts = {"origin_lps": None, "t_axis": {"means": ["frame"], "values": [0.0, 1.0, 2.0]}}
    groups = [item_of(PlanePositionSequence=where(3.0 * n)) for n in range(3)]
    groups[0].PlaneOrientationSequence = DicomSequence([plane["PlaneOrientationSequence"]])
    shared = item_of(PixelMeasuresSequence=plane["PixelMeasuresSequence"])
    case.put("one.dcm", *many_of(case.name, "4.1", groups, shared, Modality="MR"))
    case = add_case("concatenation of a cine", axes="tyx")
    case.facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.05, 0.1, 0.15]}}
    for part in (1, 2):
        more = {"ConcatenationUID": uid(case.name), "InConcatenationNumber": part, "InConcatenationTotalNumber": 2}
        more |= {"ConcatenationFrameOffsetNumber": 2 * (part - 1), "SOPInstanceUID": uid(case.name, part)}
        groups = [item_of(FrameContentSequence=item_of(FrameAcquisitionNumber=n + 1)) for n in range(2)]
        case.put(f"{part}.dcm", *many_of(case.name, "12.1.1", groups, item_of(), Modality="XA", FrameTime=50, **more))
    case = add_case("frames of known times without positions", axes="tyx")
    case.facts = {"t_axis": {"means": ["acquisition_time_s"], "values": [0.0, 1.5, 4.0]}}
    stamps = ("20240101235959", "20240102000000.5", "20240102000003")
    groups = [item_of(FrameContentSequence=item_of(FrameAcquisitionDateTime=stamp)) for stamp in stamps]
    case.put("one.dcm", *many_of(case.name, "4.1", groups, item_of(), Modality="MR"))


def _slides() -> None:
    slide = {"Modality": "SM", "SOPClassUID": STORAGE + "77.1.6", "PixelSpacing": None, "TotalPixelMatrixRows": 4}
    slide |= {"TotalPixelMatrixColumns": 8}
    tiles = [picture(8, rows=4, columns=4) // (n + 1) for n in range(8)]
    rows = [[0, 4 * (n % 2), n // 2 % 2, n // 4] for n in range(8)]
    case = add_case("sparse tiles of planes and paths", axes="tyx")
    means = ["row_offset", "column_offset", "focal_plane", "optical_path"]
    case.facts = {"kind": "tiles", "t_axis": {"means": means, "values": rows}}
    dataset = dataset_of(case.name, tiles, DimensionOrganizationType="TILED_SPARSE", **slide)
    groups = []
    for _, column, plane, path in rows:
        place = item_of(ColumnPositionInTotalImagePixelMatrix=column + 1, RowPositionInTotalImagePixelMatrix=1)
        place.ZOffsetInSlideCoordinateSystem = 0.001 * (plane + 2)
        identifier = item_of(OpticalPathIdentifier="AB"[path])
        groups.append(item_of(PlanePositionSlideSequence=place, OpticalPathIdentificationSequence=identifier))
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    case.put("one.dcm", dataset, tiles)
    case = add_case("tiles of paths in parts", axes="tyx")
    values = [[0, 4 * (n % 2), n // 2] for n in range(4)]
    case.facts = {"t_axis": {"means": ["row_offset", "column_offset", "optical_path"], "values": values}}
    for part in (1, 2):
        frames = [picture(8, rows=4, columns=4) // (n + 3 * part) for n in range(2)]
        more = {"ConcatenationUID": uid(case.name), "InConcatenationNumber": part, "InConcatenationTotalNumber": 2}
        more |= {"ConcatenationFrameOffsetNumber": 2 * (part - 1), "SOPInstanceUID": uid(case.name, part)}
        dataset = dataset_of(case.name, frames, DimensionOrganizationType="TILED_FULL", **slide, **more)
        case.put(f"{part}.dcm", dataset, frames)


def add() -> None:
    _clocks()
    _twins()
    _tables()
    _spacing()
    _multi_frame()
    _slides()
