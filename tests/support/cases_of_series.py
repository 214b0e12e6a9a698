"""Made-up cases of series: order, positions, echoes, duplicates, identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from case_writer import (
    Made,
    case,
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


def _stack(made: Made, positions: Sequence[Any], each: Callable[[int], Mapping[str, Any]] | None = None) -> None:
    """Add slices at these z, or these positions, under names that say nothing of the order."""
    for rank, index in enumerate(_shuffled(len(positions))):
        where = positions[index]
        where = where if isinstance(where, (list, tuple)) else [-10.0, -20.0, where]
        one, voxels = slice_of(made.name, index, ImagePositionPatient=list(where), **(each(index) if each else {}))
        made.put(f"{rank:02d}-{index}.dcm", one, voxels)


def _at(made: Made, places: Mapping[int, tuple[int | None, int | None]]) -> None:
    names = {int(name.split("-")[1].split(".")[0]): name for name in made.files}
    made.places = {(names[index], 0): place for index, place in places.items()}


def _regular() -> None:
    made = case("plain stack", axes="zyx", facts={"kind": "volume", "positions_mm": None})
    made.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(made, [0, 2.5, 5, 7.5, 10])
    _at(made, {i: (None, i) for i in range(5)})

    made = case("gantry tilt", axes="zyx", flags={"gantry_tilt"})
    made.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 1, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(made, [[-10, -20 + i, 2.5 * i] for i in range(4)])
    _at(made, {i: (None, i) for i in range(4)})

    made = case("gap", flags={"gap"}, axes="zyx")
    made.facts = {"positions_mm": [0.0, 2.5, 7.5], "missing_slices": 1, "affine_lps": None}
    _stack(made, [0, 2.5, 7.5])
    _at(made, {0: (None, 0), 1: (None, 1), 2: (None, 2)})

    made = case("uneven spacing", flags={"uneven_spacing"}, axes="zyx")
    made.facts = {"positions_mm": [0.0, 2.5, 6.0], "missing_slices": None, "affine_lps": None}
    _stack(made, [0, 2.5, 6.0])

    made = case("one bad slice", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    _stack(made, [0, 2.5, 5, 7.5, 10])
    bad = next(name for name in made.files if name.endswith("-2.dcm"))
    made.files[bad] = made.files[bad][:-10]
    del made.voxels[bad]
    made.aside[bad] = "truncated_pixel_data"
    made.places = {(n, 0): (None, z) for z, i in enumerate((0, 1, 3, 4)) for n in made.files if n.endswith(f"-{i}.dcm")}

    made = case("one stream broken", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    for index in range(4):
        one, voxels = slice_of(made.name, index)
        packed = rle(voxels[0]) if index != 1 else b"\5" + rle(voxels[0])[1:]
        one = dataset_of(made.name, voxels, f"{DICOM}.5", index=index, fragments=[packed])
        made.put(f"{index}.dcm", one, voxels if index != 1 else None)
    made.aside["1.dcm"] = "decode_error"

    made = case("orientations without image type", arrays=3)
    turned = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])
    for index, cosines in enumerate(turned):
        one, voxels = slice_of(made.name, index, ImageOrientationPatient=list(cosines), ImageType=None)
        made.put(f"{index}.dcm", one, voxels)

    made = case("mixed matrix, type and kind", arrays=4)
    for index in range(2):
        made.put(f"a{index}.dcm", *slice_of(made.name, index))
    made.put("localizer.dcm", *slice_of(made.name, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    wide = np.zeros((6, 9), "<i2") + 3
    made.put("wide.dcm", dataset_of(made.name, [wide], index=3), [wide])
    other = np.zeros((6, 5), "<u2") + 3
    made.put("unsigned.dcm", dataset_of(made.name, [other], index=4), [other])

    made = case("series over folders", axes="zyx")
    for index in range(3):
        made.put(f"{'abc'[index]}/{index}.dcm", *slice_of(made.name, index))

    made = case("pet with a slope a file", axes="zyx")
    made.facts["rescale"] = [[1.5, 0.0], [2.5, 0.0], [3.5, 0.0]]
    _stack(made, [0, 2.5, 5], lambda i: {"Modality": "PT", "RescaleSlope": 1.5 + i, "RescaleIntercept": 0})

    made = case("projections", arrays=2)
    for index in range(2):
        more = {"Modality": "DX", "PixelSpacing": None, "ImagerPixelSpacing": [0.1, 0.1]}
        made.put(f"{index}.dcm", *slice_of(made.name, index, **more))
    made.flags = {"detector_spacing"}


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
        made = case(f"t is {name}", axes="tzyx", facts={"t_axis": {"means": [means], "values": stated}})
        same = {"Modality": "MR", "InstanceNumber": None, "ImageType": None}
        # positions 0, 0, 2.5, 2.5 ...: t alternates
        _stack(made, [i // 2 * 2.5 for i in range(6)], lambda i, v=values, s=same: {**s, **v[i % 2]})
        _at(made, {i: (i % 2, i // 2) for i in range(6)})

    made = case("echo by time", axes="tzyx")
    made.facts["t_axis"] = {"means": ["temporal_position", "echo_time_ms"], "values": [[1, 3], [1, 6], [2, 3], [2, 6]]}
    grid = [{"TemporalPositionIdentifier": t, "EchoTime": e} for t in (1, 2) for e in (3, 6)]
    _stack(made, [i // 4 * 2.5 for i in range(8)], lambda i: {"Modality": "MR", **grid[i % 4]})
    _at(made, {i: (i % 4, i // 4) for i in range(8)})

    directions: list[dict[str, Any]] = [
        {"DiffusionBValue": 0.0},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
    ]
    made = case("gradient directions", axes="tzyx")
    made.facts["t_axis"] = {
        "means": ["b_value", "b_vector_x", "b_vector_y", "b_vector_z"],
        "values": [[0, 0, 0, 0], [700, 0, 1, 0], [700, 1, 0, 0]],
    }
    _stack(made, [i // 3 * 2.5 for i in range(6)], lambda i: {"Modality": "MR", **directions[i % 3]})

    for maker, group, element, creator, offset in (
        ("GE MEDICAL SYSTEMS", 0x43, 0x39, "GEMS_PARM_01", 10**9),
        ("SIEMENS", 0x19, 0x0C, "SIEMENS MR HEADER", 0),
    ):
        made = case(f"private b-value of {maker}", axes="tzyx")
        made.facts["t_axis"] = {"means": ["b_value"], "values": [0, 1000]}
        for index in range(4):
            more = {"Modality": "MR", "Manufacturer": maker, "InstanceNumber": None}
            one, voxels = slice_of(made.name, index, ImagePositionPatient=[0, 0, index // 2 * 2.5], **more)
            value: Any = index % 2 * 1000
            value = [value + offset, 8, 0, 0] if offset else value
            one.private_block(group, creator, create=True).add_new(element, "IS", value)
            made.put(f"{index}.dcm", one, voxels)

    made = case("a grid with a hole", arrays=2, flags={"incomplete_grid"}, axes="zyx")
    _stack(
        made,
        [0, 0, 2.5, 2.5, 5],
        lambda i: {"Modality": "MR", "InstanceNumber": None, "EchoTime": 4.0 + i % 2},
    )
    made = case("nothing tells apart", arrays=4, flags={"ambiguous_stack"}, axes="yx")
    _stack(made, [0, 0, 2.5, 2.5], lambda i: {"InstanceNumber": None})
    made = case("nothing tells apart at one position", flags={"ambiguous_stack"}, axes="tyx")
    _stack(made, [0, 0, 0], lambda i: {"InstanceNumber": None})
    made.facts = {"t_axis": {"means": ["unexplained"], "values": [0, 1, 2]}}


def _identity() -> None:
    def pair(made: Made, first: Mapping[str, Any], second: Mapping[str, Any], same_pixels: bool = True) -> None:
        one, voxels = slice_of(made.name, 0, **first)
        other, differs = slice_of(made.name, 0 if same_pixels else 1, **second)
        made.put("a.dcm", one, voxels)
        made.put("b.dcm", other, voxels if same_pixels else differs)

    instance = {"SOPInstanceUID": uid("the same")}
    made = case("same instance, same pixels", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {"ImageComments": "sent again"})
    made = case("same instance over two series", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {"SeriesInstanceUID": uid("another series")})
    made = case("same instance, other pixels", arrays=0)
    pair(made, instance, instance, same_pixels=False)
    made.aside = dict.fromkeys(made.voxels, "conflicting_instance")
    made.voxels = {}
    made = case("a copy that is cut off")
    pair(made, {}, {})
    made.files["b.dcm"] = made.files["b.dcm"][:-4]
    del made.voxels["b.dcm"]
    made.aside = {"b.dcm": "truncated_pixel_data"}
    made = case("equal pixels under two instances", axes="tyx", flags={"ambiguous_stack"})
    pair(made, {}, {"SOPInstanceUID": uid("another instance")})
    made = case("no instance, equal bytes", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {})
    for name in made.files:
        made.files[name] = _without_instance(slice_of(made.name, 0)[0])
    made = case("no instance, other bytes", axes="zyx")
    pair(made, {}, {}, same_pixels=False)
    for index, name in enumerate(made.files):
        made.files[name] = _without_instance(slice_of(made.name, index)[0])
    made = case("two patients, one series", arrays=2, flags={"shared_series_uid"})
    pair(made, {}, {"PatientID": "somebody else"}, same_pixels=False)
    made = case("no series", arrays=2, flags={"no_series_uid"})
    pair(made, {"SeriesInstanceUID": None}, {"SeriesInstanceUID": None}, same_pixels=False)
    made = case("no patient", flags={"unknown_subject"}, axes="zyx")
    pair(made, {"PatientID": None}, {"PatientID": None}, same_pixels=False)


def _without_instance(one: Dataset) -> bytes:
    """Return a file without SOP Instance UID, which pydicom would not write."""
    data = written(one)
    return data.replace(b"\x08\0\x18\0UI", b"\x08\0\x19\0UI")


def add() -> None:
    _regular()
    _several_at_a_position()
    _identity()
