"""Made-up cases of series: order, positions, echoes, duplicates, identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from case_writer import (
    STORAGE,
    FlowCase,
    add_case,
    dataset_of,
    slice_of,
    written,
)
from dicoms import uid
from made_up_pixels import DICOM
from pydicom.dataset import Dataset
from reference_cases import rle


def _shuffled(count: int) -> list[int]:
    return sorted(range(count), key=lambda i: (i * 7 + 3) % 11)


def _stack(case: FlowCase, positions: Sequence[Any], each: Callable[[int], Mapping[str, Any]] | None = None) -> None:
    """Add slices at these z, or these positions; their names do not follow the order of positions."""
    for rank, index in enumerate(_shuffled(len(positions))):
        position = positions[index]
        position = position if isinstance(position, (list, tuple)) else [-10.0, -20.0, position]
        dataset, voxels = slice_of(
            case.name, index, ImagePositionPatient=list(position), **(each(index) if each else {})
        )
        case.put(f"{rank:02d}-{index}.dcm", dataset, voxels)


def _at(case: FlowCase, places: Mapping[int, tuple[int | None, int | None]]) -> None:
    names = {int(name.split("-")[1].split(".")[0]): name for name in case.files}
    case.places = {(names[index], 0): place for index, place in places.items()}


def _regular() -> None:
    case = add_case("plain stack", axes="zyx", facts={"kind": "volume", "positions_mm": None})
    case.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(case, [0, 2.5, 5, 7.5, 10])
    _at(case, {i: (None, i) for i in range(5)})

    case = add_case("gantry tilt", axes="zyx", flags={"gantry_tilt"})
    case.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 1, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(case, [[-10, -20 + i, 2.5 * i] for i in range(4)])
    _at(case, {i: (None, i) for i in range(4)})

    case = add_case("gap", flags={"gap"}, axes="zyx")
    case.facts = {"positions_mm": [0.0, 2.5, 7.5], "missing_slices": 1, "affine_lps": None}
    _stack(case, [0, 2.5, 7.5])
    _at(case, {0: (None, 0), 1: (None, 1), 2: (None, 2)})

    case = add_case("uneven spacing", flags={"uneven_spacing"}, axes="zyx")
    case.facts = {"positions_mm": [0.0, 2.5, 6.0], "missing_slices": None, "affine_lps": None}
    _stack(case, [0, 2.5, 6.0])

    case = add_case("one bad slice", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    _stack(case, [0, 2.5, 5, 7.5, 10])
    bad = next(name for name in case.files if name.endswith("-2.dcm"))
    case.files[bad] = case.files[bad][:-10]
    del case.voxels[bad]
    case.not_extracted[bad] = "truncated_pixel_data"
    case.places = {(n, 0): (None, z) for z, i in enumerate((0, 1, 3, 4)) for n in case.files if n.endswith(f"-{i}.dcm")}

    case = add_case("one stream broken", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    for index in range(4):
        dataset, voxels = slice_of(case.name, index)
        packed = rle(voxels[0]) if index != 1 else b"\5" + rle(voxels[0])[1:]
        dataset = dataset_of(case.name, voxels, f"{DICOM}.5", index=index, fragments=[packed])
        case.put(f"{index}.dcm", dataset, voxels if index != 1 else None)
    case.not_extracted["1.dcm"] = "decode_error"

    case = add_case("orientations without image type", arrays=3)
    turned = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])
    for index, cosines in enumerate(turned):
        dataset, voxels = slice_of(case.name, index, ImageOrientationPatient=list(cosines), ImageType=None)
        case.put(f"{index}.dcm", dataset, voxels)

    case = add_case("mixed matrix, type and kind", arrays=4, flags={"stack_divided"})
    for index in range(2):
        case.put(f"a{index}.dcm", *slice_of(case.name, index))
    case.put("localizer.dcm", *slice_of(case.name, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    wide = np.zeros((6, 9), "<i2") + 3
    case.put("wide.dcm", dataset_of(case.name, [wide], index=3), [wide])
    unsigned = np.zeros((6, 5), "<u2") + 3
    case.put("unsigned.dcm", dataset_of(case.name, [unsigned], index=4), [unsigned])

    case = add_case("slices of 8 and of 16 bits", arrays=2, flags={"stack_divided", "gap"})
    for index, bits in enumerate((8, 8, 12, 12, 12, 12, 8)):
        kind = "u1" if bits == 8 else "<u2"
        voxels = np.random.default_rng(index).integers(0, 1 << bits, (6, 5)).astype(kind)
        place = {"ImagePositionPatient": [0, 0, 2.0 * index], "PixelSpacing": [0.5, 0.75], "BitsStored": bits}
        case.put(f"{index}.dcm", dataset_of(case.name, [voxels], index=index, **place), [voxels])

    case = add_case("slices with and without a sign", axes="zyx", arrays=2, flags={"stack_divided"})
    for index in range(6):
        voxels = np.full((6, 5), 3 + index, "<i2" if index % 2 else "<u2")
        place = {"ImagePositionPatient": [0, 0, 2.0 * index]}
        case.put(f"{index}.dcm", dataset_of(case.name, [voxels], index=index, **place), [voxels])

    case = add_case("a doubled slice among slices of one second", arrays=2, flags={"contested_place"})
    for number, index in enumerate((*range(9), 4)):
        clock = {"ContentDate": "20240101", "ContentTime": f"10101{number // 3}", "InstanceNumber": number + 1}
        place = {"ImagePositionPatient": [0, 0, 2.0 * index]}
        case.put(f"{number}.dcm", *slice_of(case.name, number, **place, **clock))
        case.places[f"{number}.dcm", 0] = (None, index if number < 9 else None)

    case = add_case("series over folders", axes="zyx")
    for index in range(3):
        case.put(f"{'abc'[index]}/{index}.dcm", *slice_of(case.name, index))

    case = add_case("pet with a slope a file", axes="zyx")
    case.facts["rescale"] = [[1.5, 0.0], [2.5, 0.0], [3.5, 0.0]]
    _stack(case, [0, 2.5, 5], lambda i: {"Modality": "PT", "RescaleSlope": 1.5 + i, "RescaleIntercept": 0})

    case = add_case("projections", arrays=2)
    for index in range(2):
        attributes = {"Modality": "DX", "PixelSpacing": None, "ImagerPixelSpacing": [0.1, 0.1]}
        attributes["SOPClassUID"] = STORAGE + "1.1"
        case.put(f"{index}.dcm", *slice_of(case.name, index, **attributes))
    case.flags = {"detector_spacing"}


def _several_at_a_position() -> None:
    causes: dict[str, tuple[str, list[dict[str, Any]], list[float]]] = {
        "time": ("temporal_position", [{"TemporalPositionIdentifier": n} for n in (1, 2)], [1, 2]),
        "echo": ("echo_time_ms", [{"EchoTime": n} for n in (4.5, 9.5)], [4.5, 9.5]),
        "b-value": ("b_value", [{"DiffusionBValue": n} for n in (0.0, 800.0)], [0, 800]),
        "inversion": ("inversion_time_ms", [{"InversionTime": n} for n in (50, 900)], [50, 900]),
        "phase": ("trigger_time_ms", [{"TriggerTime": n} for n in (0, 40)], [0, 40]),
        "pet frame": ("frame_reference_time_s", [{"FrameReferenceTime": n} for n in (500, 9500)], [0.5, 9.5]),
        "acquisition": (
            "acquisition_time_s",
            [{"AcquisitionDate": "20240101", "AcquisitionTime": n} for n in ("101500", "101530.5")],
            [0, 30.5],
        ),
    }
    for name, (means, values, stated) in causes.items():
        case = add_case(f"t is {name}", axes="tzyx", facts={"t_axis": {"means": [means], "values": stated}})
        same = {"Modality": "MR", "InstanceNumber": None, "ImageType": None}
        # positions 0, 0, 2.5, 2.5 ...: t alternates
        _stack(case, [i // 2 * 2.5 for i in range(6)], lambda i, v=values, s=same: {**s, **v[i % 2]})
        _at(case, {i: (i % 2, i // 2) for i in range(6)})

    case = add_case("echo by time", axes="tzyx")
    case.facts["t_axis"] = {"means": ["temporal_position", "echo_time_ms"], "values": [[1, 3], [1, 6], [2, 3], [2, 6]]}
    grid = [{"TemporalPositionIdentifier": t, "EchoTime": e} for t in (1, 2) for e in (3, 6)]
    _stack(case, [i // 4 * 2.5 for i in range(8)], lambda i: {"Modality": "MR", **grid[i % 4]})
    _at(case, {i: (i % 4, i // 4) for i in range(8)})

    directions: list[dict[str, Any]] = [
        {"DiffusionBValue": 0.0},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
    ]
    case = add_case("gradient directions", axes="tzyx")
    case.facts["t_axis"] = {
        "means": ["b_value", "b_vector_x", "b_vector_y", "b_vector_z"],
        "values": [[0, 0, 0, 0], [700, 0, 1, 0], [700, 1, 0, 0]],
    }
    _stack(case, [i // 3 * 2.5 for i in range(6)], lambda i: {"Modality": "MR", **directions[i % 3]})

    for maker, group, element, creator, offset in (
        ("GE MEDICAL SYSTEMS", 0x43, 0x39, "GEMS_PARM_01", 10**9),
        ("SIEMENS", 0x19, 0x0C, "SIEMENS MR HEADER", 0),
    ):
        case = add_case(f"private b-value of {maker}", axes="tzyx")
        case.facts["t_axis"] = {"means": ["b_value"], "values": [0, 1000]}
        for index in range(4):
            attributes = {"Modality": "MR", "Manufacturer": maker, "InstanceNumber": None}
            dataset, voxels = slice_of(case.name, index, ImagePositionPatient=[0, 0, index // 2 * 2.5], **attributes)
            value: Any = index % 2 * 1000
            value = [value + offset, 8, 0, 0] if offset else value
            dataset.private_block(group, creator, create=True).add_new(element, "IS", value)
            case.put(f"{index}.dcm", dataset, voxels)

    case = add_case("a grid with a hole", arrays=2, flags={"incomplete_grid"}, axes="zyx")
    _stack(
        case,
        [0, 0, 2.5, 2.5, 5],
        lambda i: {"Modality": "MR", "InstanceNumber": None, "EchoTime": 4.0 + i % 2},
    )
    case = add_case("no distinguishing attribute", arrays=4, flags={"ambiguous_stack"}, axes="yx")
    _stack(case, [0, 0, 2.5, 2.5], lambda i: {"InstanceNumber": None})
    case = add_case("no distinguishing attribute at one position", flags={"ambiguous_stack"}, axes="tyx")
    _stack(case, [0, 0, 0], lambda i: {"InstanceNumber": None})
    case.facts = {"t_axis": {"means": ["unexplained"], "values": [0, 1, 2]}}


def _identity() -> None:
    def pair(case: FlowCase, first: Mapping[str, Any], second: Mapping[str, Any], same_pixels: bool = True) -> None:
        dataset, voxels = slice_of(case.name, 0, **first)
        other_dataset, other_voxels = slice_of(case.name, 0 if same_pixels else 1, **second)
        case.put("a.dcm", dataset, voxels)
        case.put("b.dcm", other_dataset, voxels if same_pixels else other_voxels)

    instance = {"SOPInstanceUID": uid("the same")}
    case = add_case("same instance, same pixels", copies={"a.dcm", "b.dcm"})
    pair(case, {}, {"ImageComments": "sent again"})
    case = add_case("same instance over two series", copies={"a.dcm", "b.dcm"})
    pair(case, {}, {"SeriesInstanceUID": uid("another series")})
    case = add_case("same instance, other pixels", arrays=0)
    pair(case, instance, instance, same_pixels=False)
    case.not_extracted = dict.fromkeys(case.voxels, "conflicting_instance")
    case.voxels = {}
    case = add_case("a copy that is cut off")
    pair(case, {}, {})
    case.files["b.dcm"] = case.files["b.dcm"][:-4]
    del case.voxels["b.dcm"]
    case.not_extracted = {"b.dcm": "truncated_pixel_data"}
    case = add_case("equal pixels under two instances", copies={"a.dcm", "b.dcm"})
    pair(case, {}, {"SOPInstanceUID": uid("another instance")})
    case = add_case("equal pixels under two instances at two times", axes="tyx", facts={"kind": "frames"})
    pair(case, {"AcquisitionTime": "101500"}, {"SOPInstanceUID": uid("a later instance"), "AcquisitionTime": "101530"})
    case = add_case("no instance, equal bytes", copies={"a.dcm", "b.dcm"})
    pair(case, {}, {})
    for name in case.files:
        case.files[name] = _without_instance(slice_of(case.name, 0)[0])
    case = add_case("no instance, other bytes", axes="zyx")
    pair(case, {}, {}, same_pixels=False)
    for index, name in enumerate(case.files):
        case.files[name] = _without_instance(slice_of(case.name, index)[0])
    case = add_case("two patients, one series", arrays=2, flags={"shared_series_uid", "shared_study_uid"})
    pair(case, {}, {"PatientID": "somebody else"}, same_pixels=False)
    case = add_case("no series", arrays=2, flags={"no_series_uid"})
    pair(case, {"SeriesInstanceUID": None}, {"SeriesInstanceUID": None}, same_pixels=False)
    case = add_case("no patient", flags={"unknown_subject"}, axes="zyx")
    pair(case, {"PatientID": None}, {"PatientID": None}, same_pixels=False)


def _without_instance(dataset: Dataset) -> bytes:
    """Return a file without SOP Instance UID, which pydicom would not write."""
    data = written(dataset)
    return data.replace(b"\x08\0\x18\0UI", b"\x08\0\x19\0UI")


def add() -> None:
    _regular()
    _several_at_a_position()
    _identity()
