"""Made-up cases of multi-frame objects, segmentations and mosaics, and of objects without an image."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from case_writer import (
    AXIAL,
    STORAGE,
    Array,
    add_case,
    dataset_of,
    item_of,
    single,
    slice_of,
    written,
)
from dicoms import uid
from made_up_pixels import picture
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence


def _enhanced(
    name: str, suffix: str, groups: Sequence[Dataset], shared: Dataset | None = None, **attributes: Any
) -> tuple[Dataset, list[Array]]:
    """Return a file with one frame for each functional group, and its voxels."""
    seed = list(name.encode())
    frames = [np.random.default_rng([i, *seed]).integers(0, 4000, (6, 5)).astype("<u2") for i in range(len(groups))]
    base = {"PixelSpacing": None, "RescaleSlope": None, "RescaleIntercept": None, "InstanceNumber": 1}
    dataset = dataset_of(name, frames, **base | {"BitsStored": 12, "SOPClassUID": STORAGE + suffix} | attributes)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared or item_of(**_PLANE)])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    return dataset, frames


_PLANE = {
    "PlaneOrientationSequence": item_of(ImageOrientationPatient=AXIAL),
    "PixelMeasuresSequence": item_of(PixelSpacing=[0.5, 0.75], SliceThickness=2),
}


def _where(z: float) -> Dataset:
    return item_of(ImagePositionPatient=[-10, -20, z])


def _multi_frame() -> None:
    # Stored echo by echo, from the top down: the dataset runs upwards.
    order = [(z, t) for t in range(2) for z in (2, 1, 0)]
    groups = [
        item_of(
            PlanePositionSequence=_where(3.0 * z),
            MREchoSequence=item_of(EffectiveEchoTime=5.0 + 10 * t),
            PixelValueTransformationSequence=item_of(
                RescaleSlope=1 + z + 10 * t, RescaleIntercept=-z, RescaleType="US"
            ),
            FrameVOILUTSequence=item_of(WindowCenter=100 + z, WindowWidth=50),
            FrameContentSequence=item_of(DimensionIndexValues=[z + 1, t + 1]),
        )
        for z, t in order
    ]
    case = add_case("enhanced mr of echoes", axes="tzyx")
    case.put("one.dcm", *_enhanced(case.name, "4.1", groups, Modality="MR"))
    case.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
    case.facts = {
        "t_axis": {"means": ["echo_time_ms"], "values": [5, 15]},
        "rescale": [[1 + z + 10 * t, -z] for t in range(2) for z in range(3)],
        "window": [[100 + z, 50] for t in range(2) for z in range(3)],
        "affine_lps": [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 3, 0], [0, 0, 0, 1]],
        "kind": "volume",
    }
    by_cause: dict[str, tuple[str, Callable[[int], dict[str, Any]], list[Any]]] = {
        "temporal": (
            "temporal_position",
            lambda t: {"FrameContentSequence": item_of(TemporalPositionIndex=t + 1)},
            [1, 2],
        ),
        "b-value": ("b_value", lambda t: {"MRDiffusionSequence": item_of(DiffusionBValue=500.0 * t)}, [0, 500]),
        "trigger": (
            "trigger_time_ms",
            lambda t: {"CardiacSynchronizationSequence": item_of(NominalCardiacTriggerDelayTime=30.0 * t)},
            [0, 30],
        ),
    }
    for cause, (means, sequences, values) in by_cause.items():
        case = add_case(f"enhanced mr of {cause}", axes="tzyx")
        groups = [item_of(PlanePositionSequence=_where(3.0 * z), **sequences(t)) for z, t in order]
        case.put("one.dcm", *_enhanced(case.name, "4.1", groups, Modality="MR"))
        case.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
        case.facts = {"t_axis": {"means": [means], "values": values}}

    case = add_case("enhanced mr of dimension indices alone", axes="tzyx", flags={"t_order_only"})
    groups = [
        item_of(
            PlanePositionSequence=_where(3.0 * z), FrameContentSequence=item_of(DimensionIndexValues=[1, z + 1, t + 1])
        )
        for z, t in order
    ]
    case.put("one.dcm", *_enhanced(case.name, "4.1", groups, Modality="MR"))
    case.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
    case.facts = {"t_axis": {"means": ["dimension_3"], "values": [1, 2]}}

    xa = {"Modality": "XA", "FrameTime": 66.7, "PositionerPrimaryAngle": 10}
    facts: dict[str, Any] = {"kind": "cine", "affine_lps": None}
    facts["t_axis"] = {"means": ["frame_time_s"], "values": [0.0, 0.0667, 0.1334]}
    case = add_case("enhanced xa", axes="tyx", facts=facts)
    groups = [item_of(FrameContentSequence=item_of(FrameAcquisitionNumber=n)) for n in range(3)]
    case.put("one.dcm", *_enhanced(case.name, "12.1.1", groups, item_of(), **xa))

    for suffix, name, modality in (("2.1", "enhanced ct", "CT"), ("130", "enhanced pet", "PT")):
        content = [item_of(PlanePositionSequence=_where(-2.0 * n)) for n in range(4)]
        for n, group in enumerate(content):
            group.FrameContentSequence = DicomSequence(
                [item_of(DimensionIndexValues=[1, 4 - n], StackID="1", InStackPositionNumber=4 - n)]
            )
        case = add_case(name, axes="zyx")
        case.put("one.dcm", *_enhanced(name, suffix, content, Modality=modality))
        case.places = {("one.dcm", n): (None, 3 - n) for n in range(4)}
    for name, gap, arrays in (("two stacks", 0.7, 2), ("two packages", 0.0, 1)):
        case = add_case(f"enhanced ct of {name}", axes="zyx", arrays=arrays)
        groups = [
            item_of(
                PlanePositionSequence=_where(2.0 * n + gap * (n // 3)),
                FrameContentSequence=item_of(StackID="AB"[n // 3]),
            )
            for n in range(6)
        ]
        case.put("one.dcm", *_enhanced(case.name, "2.1", groups))
    # Without preamble, and with the letters of the prefix at byte 128, within Image Type.
    case = add_case("letters of the prefix", axes="zyx", flags={"assumed_transfer_syntax"})
    groups = [item_of(PlanePositionSequence=_where(2.0 * n)) for n in range(3)]
    words = ["ORIGINAL", "PRIMARY", *"ABCDEFG", "X" * 16, "X" * 16, "X" * 16, "X" * 15, "X" * 12, "X" * 8, "DICM"]
    dataset, frames = _enhanced(case.name, "4.1", groups, Modality="MR", ImageType=words)
    data = written(dataset)
    data = data[data.index(b"\x08\0\x08\0CS") :]
    assert data[128:132] == b"DICM"
    case.put("one.dcm", data, frames)
    case = add_case("enhanced mr without positions", axes="tyx", facts={"affine_lps": None, "origin_lps": None})
    case.flags = {"t_order_only"}
    groups = [item_of(FrameContentSequence=item_of(FrameAcquisitionNumber=n)) for n in range(3)]
    case.put("one.dcm", *_enhanced(case.name, "4.1", groups, item_of(), Modality="MR"))
    case = add_case("fewer groups than frames", axes="tyx", flags={"functional_groups_mismatch", "t_order_only"})
    groups = [item_of(PlanePositionSequence=_where(n)) for n in range(3)]
    dataset, frames = _enhanced(case.name, "2.1", groups)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups[:2])
    case.put("one.dcm", dataset, frames)

    case = add_case("parametric map", axes="zyx", facts={"kind": "parametric_map"})
    groups = [item_of(PlanePositionSequence=_where(2.0 * n)) for n in range(3)]
    dataset, _ = _enhanced(case.name, "30", groups, Modality="MR")
    floats = [np.random.default_rng(n).normal(size=(6, 5)).astype("<f4") for n in range(3)]
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.BitsAllocated = 32
    dataset.add_new(0x7FE00008, "OF", b"".join(f.tobytes() for f in floats))
    case.put("one.dcm", dataset, floats)

    dose = [np.random.default_rng(n).integers(0, 2**32, (6, 5), dtype="<u4") for n in range(3)]
    for name, offsets in (("dose by distance", [0, 3, 6]), ("dose by coordinate", [-50, -47, -44])):
        case = add_case(name, axes="zyx", facts={"kind": "dose", "dose_grid_scaling": 0.001, "dose_units": "GY"})
        case.facts["affine_lps"] = [[0.75, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 3, -50], [0, 0, 0, 1]]
        attributes = {
            "SOPClassUID": STORAGE + "481.2",
            "Modality": "RTDOSE",
            "DoseUnits": "GY",
            "DoseGridScaling": 0.001,
        }
        attributes |= {
            "ImagePositionPatient": [1, 2, -50],
            "ImageOrientationPatient": AXIAL,
            "GridFrameOffsetVector": offsets,
        }
        case.put("one.dcm", dataset_of(name, dose, **attributes), dose)
        case.places = {("one.dcm", n): (None, n) for n in range(3)}
    case = add_case("dose of other offsets", axes="tyx", flags={"dose_offsets_mismatch"}, facts={"kind": "dose"})
    attributes["GridFrameOffsetVector"] = [0, 3]
    case.put("one.dcm", dataset_of(case.name, dose, **attributes), dose)

    cine = [picture(8, colour=True, rows=8, columns=6) // (n + 1) for n in range(3)]
    us = {"Modality": "US", "SOPClassUID": STORAGE + "3.1", "PixelSpacing": None}
    facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.04, 0.08]}}
    single("cine", cine, axes="tcyx", facts=facts, FrameTime=40, **us)
    facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.04, 0.1]}}
    single("cine of a time vector", cine, axes="tcyx", facts=facts, FrameTimeVector=[0, 40, 60], **us)

    tiles = [picture(8, colour=True, rows=4, columns=4) // (n + 1) for n in range(6)]
    slide = {"Modality": "SM", "SOPClassUID": STORAGE + "77.1.6", "PixelSpacing": None}
    slide |= {"TotalPixelMatrixRows": 8, "TotalPixelMatrixColumns": 11, "DimensionOrganizationType": "TILED_FULL"}
    offsets = [[row, column] for row in (0, 4) for column in (0, 4, 8)]
    facts = {"kind": "tiles", "t_axis": {"means": ["row_offset", "column_offset"], "values": offsets}}
    single("slide tiles", tiles, axes="tcyx", facts=facts, **slide)


def _segmentation() -> None:
    """Add a segmentation by highdicom with an odd number of pixels: its mask must be extracted exactly."""
    import highdicom
    from pydicom.sr.codedict import codes

    source = []
    for index in range(4):
        dataset = slice_of("segmentation", index, ImagePositionPatient=[0, 0, 2.0 * index])[0]
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(dataset, keyword, "")
        dataset.ReferringPhysicianName = dataset.SeriesNumber = None
        dataset.FrameOfReferenceUID, dataset.SliceThickness = uid("frame of reference"), 2
        source.append(dataset)
    mask = np.random.default_rng(5).integers(0, 3, (4, 6, 5), dtype="u1")
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Bone,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in (1, 2)
    ]
    equipment = {"series_number": 1, "instance_number": 1, "manufacturer": "a", "manufacturer_model_name": "b"}
    dataset = highdicom.seg.Segmentation(
        source,
        mask,
        highdicom.seg.SegmentationTypeValues.BINARY,
        described,
        series_instance_uid=uid("series of a segmentation"),
        sop_instance_uid=uid("segmentation"),
        software_versions="c",
        device_serial_number="d",
        **equipment,
    )
    values, frames = [], []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        z = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        values.append([number, z])
        frames.append((mask[round(z / 2)] == number).astype("u1"))
    facts = {"kind": "segmentation", "bits_allocated": 1}
    facts["t_axis"] = {"means": ["segment_number", "position_mm"], "values": values}
    case = add_case("segmentation of highdicom", axes="tyx", facts=facts)
    case.put("one.dcm", written(dataset), frames)
    case.places = {("one.dcm", n): (n, None) for n in range(len(frames))}


def csa_header(**elements: Sequence[str]) -> bytes:
    """Return a Siemens CSA header of version 2."""
    data = b"SV10\4\3\2\1" + struct.pack("<2I", len(elements), 77)
    for name, values in elements.items():
        data += name.encode().ljust(64, b"\0") + struct.pack("<I4s3I", len(values), b"FD\0\0", 3, 6, 77)
        for value in [*values, *[""] * (6 - len(values))]:  # padded with empty items
            text = value.encode() + b"\0" if value else b""
            data += struct.pack("<4I", 77, len(text), 77, 77) + text + b"\0" * (-len(text) % 4)
    return data


def _mosaics() -> None:
    sheet = np.random.default_rng(9).integers(0, 4000, (12, 24)).astype("<u2")
    base = {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], "BitsStored": 12}
    base |= {"SpacingBetweenSlices": 2.5, "ImagePositionPatient": [-9.0, -3.0, 7.0]}

    def mosaic(name: str, facts: Any, fill: Callable[[Dataset], None], maker: str = "SIEMENS") -> None:
        case = add_case(
            name, axes="yx", flags={"mosaic"}, facts={"kind": "mosaic", "mosaic": facts, "origin_lps": None}
        )
        dataset = dataset_of(name, [sheet], Manufacturer=maker, **base)
        fill(dataset)
        case.put("one.dcm", dataset, [sheet])

    def csa(dataset: Dataset) -> None:
        data = csa_header(Ignored=["a name"], NumberOfImagesInMosaic=["7"], SliceNormalVector=["0", "0", "-1"])
        dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", data)

    # three tiles of 4 x 8 across: the first lies half of (24 - 8) * 0.75 and half of (12 - 4) * 0.5 further
    grid = {"across": 3, "down": 3, "rows": 4, "columns": 8, "spacing_mm": 2.5, "first_position_lps": [-3.0, -1.0, 7.0]}
    mosaic("mosaic by csa header", grid | {"tiles": 7, "step_lps": [0.0, 0.0, -2.5]}, csa)

    def number(dataset: Dataset) -> None:
        dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 9)

    mosaic("mosaic by number", grid | {"tiles": 9}, number)
    matrix = {
        "across": 3,
        "down": 3,
        "rows": 4,
        "columns": 8,
        "spacing_mm": 2.5,
        "first_position_lps": [-3.0, -1.0, 7.0],
    }
    mosaic("mosaic by matrix", matrix, lambda dataset: dataset.add_new(0x0051100B, "LO", "4p*8"))
    # in implicit VR, pydicom gives the bytes of a private element whose creator was removed
    mosaic("mosaic by bytes of the matrix", matrix, lambda dataset: dataset.add_new(0x0051100B, "UN", b"4*8 "))
    mosaic("mosaic of no known tiles", True, lambda dataset: dataset.add_new(0x0051100B, "LO", "5*8"))
    mosaic("mosaic of another maker", True, lambda dataset: dataset.add_new(0x0051100B, "LO", "4*8"), maker="Somebody")

    def uih(dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "VFRAME"]
        block = dataset.private_block(0x65, "Image Private Header", create=True)
        block.add_new(0x50, "DS", "3")
        block.add_new(0x51, "SQ", DicomSequence([item_of(ImagePositionPatient=[1, 2, z]) for z in (3, 5.5, 8)]))

    places = [[1.0, 2.0, 3.0], [1.0, 2.0, 5.5], [1.0, 2.0, 8.0]]
    plain = {"across": 2, "down": 2, "rows": 6, "columns": 12, "tiles": 3, "spacing_mm": 2.5}
    mosaic("mosaic of uih", plain | {"positions_lps": places}, uih, maker="UIH")


def _no_images() -> None:
    case = add_case("no images", arrays=0)
    kinds = {
        "structured_report": "88.33",
        "rt_object": "481.5",
        "encapsulated_document": "104.1",
        "waveform": "9.1.1",
        "presentation_state": "11.1",
    }
    pixels = ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    for kind, suffix in kinds.items():
        dataset = slice_of(kind, 0, SOPClassUID=STORAGE + suffix, **dict.fromkeys(pixels))[0]
        case.put(f"{kind}.dcm", dataset, None)
        case.not_extracted[f"{kind}.dcm"] = kind


def add() -> None:
    _multi_frame()
    _segmentation()
    _mosaics()
    _no_images()
