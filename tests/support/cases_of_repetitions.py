"""Made-up cases of several images at each place: coils, times of PET, motion correction, doses of beams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case_writer import AXIAL, STORAGE, FlowCase, add_case, dataset_of, item_of, slice_of
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

TIMES, SLICES = 3, 4


def _grid(case: FlowCase, at: Callable[[int, int], dict[str, Any]], prepare: Any = None) -> None:
    """Add `TIMES` images at each of `SLICES` places; nothing distinguishes them but what `at(t, z)` says."""
    for t in range(TIMES):
        for z in range(SLICES):
            index = t * SLICES + z
            attributes = {"InstanceNumber": z + 1, "ImagePositionPatient": [-10, -20, 2.5 * z], **at(t, z)}
            dataset, voxels = slice_of(case.name, index, **attributes)
            if prepare:
                prepare(dataset, t)
            name = f"{(index * 7 + 3) % 13:02d}-{t}-{z}.dcm"
            case.put(name, dataset, voxels)
            case.places[name, 0] = (t, z)


def _coils() -> None:
    def put_coil_string(dataset: Dataset, t: int) -> None:
        dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", f"H{t + 8}")

    case = add_case("coils by name", axes="tzyx", facts={"t_axis": {"means": ["receive_coil"], "values": [0, 1, 2]}})
    _grid(case, lambda t, z: {"Modality": "MR", "ReceiveCoilName": f"Channel {t + 9}"})
    case = add_case("coils by string", axes="tzyx", facts=dict(case.facts))
    same = {"Modality": "MR", "Manufacturer": "SIEMENS", "ReceiveCoilName": "32Ch_Head"}
    _grid(case, lambda t, z: same, put_coil_string)


def _runs() -> None:
    """Echoes of GE whose Instance Numbers start again, with one Echo Time and Echo Number for all."""

    def put_run(dataset: Dataset, t: int) -> None:
        dataset.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0xA2, "SL", 1500 + 2 * t)

    case = add_case("runs of ge", axes="tzyx", flags={"t_order_only"})
    case.facts = {"t_axis": {"means": ["raw_data_run"], "values": [0, 1, 2]}}
    same = {"Modality": "MR", "Manufacturer": "GE MEDICAL SYSTEMS", "EchoTime": 13, "EchoNumbers": 1}
    _grid(case, lambda t, z: same, put_run)


def _settings() -> None:
    """Two scans between each other, and at the same places; nothing but the filter says which image is of which."""
    case = add_case("scans between each other by filter", arrays=2, axes="zyx")
    other = add_case("images of one place by filter", axes="tzyx", flags={"t_order_only"})
    other.facts = {"t_axis": {"means": ["setting"], "values": [0, 1]}}
    for index in range(2 * SLICES):
        z, scan = divmod(index, 2)
        attributes = {"Modality": "CT", "InstanceNumber": index + 1, "FilterType": "AB"[scan]}
        place = [-10, -20, 1.25 * index]
        case.put(f"{index}.dcm", *slice_of(case.name, index, ImagePositionPatient=place, **attributes))
        case.places[f"{index}.dcm", 0] = (None, z)
        attributes["InstanceNumber"] += 1 - 2 * scan if z % 2 else 0
        place = [-10, -20, 2.5 * z]
        other.put(f"{index}.dcm", *slice_of(other.name, index, ImagePositionPatient=place, **attributes))
        other.places[f"{index}.dcm", 0] = (scan, z)


def _quantities() -> None:
    """Field maps and flow of GE: nothing but private elements says which image shows what."""
    kinds = {"field map of ge": ("B0map", (0, 2)), "flow of ge": ("fastcine", (2, 3, 4, 5)), "ge": ("epi", (0, 0))}
    for name, (sequence, numbers) in kinds.items():
        alike = len(set(numbers)) == 1
        case = add_case(f"quantities: {name}", arrays=1 if alike else len(numbers), axes="tzyx" if alike else "zyx")
        case.flags = {"t_order_only"} if alike else set()
        for t, number in enumerate(numbers):
            for z in range(SLICES):
                index = t * SLICES + z
                attributes = {
                    "Modality": "MR",
                    "InstanceNumber": index + 1,
                    "ImagePositionPatient": [-10, -20, 2.5 * z],
                }
                dataset, voxels = slice_of(case.name, index, Manufacturer="GE MEDICAL SYSTEMS", **attributes)
                dataset.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x9C, "LO", sequence)
                block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
                block.add_new(0x2F, "SS", 0)
                block.add_new(0x30, "SS", number)
                case.put(f"{index}.dcm", dataset, voxels)
                case.places[f"{index}.dcm", 0] = (t if alike else None, z)


def _diffusion() -> None:
    """Directions and trace of GE without elements for directions: they are no null vectors, and the trace has one."""
    case = add_case("directions and trace of ge", axes="tzyx", flags={"t_order_only"})
    none, null = [None, None, None], [0, 0, 0]
    rows = [[0, *null, 0], [800, *none, 1], [800, *none, 2], [800, *null, 3]]
    means = ["b_value", "b_vector_x", "b_vector_y", "b_vector_z", "instance_number"]
    case.facts = {"t_axis": {"means": means, "values": rows}}
    for t, (b_value, kind) in enumerate(((0, 14), (800, 3), (800, 4), (800, 15))):
        for z in range(SLICES):
            place, name = [-10, -20, 2.5 * z], f"{t}-{z}.dcm"
            more = {"Manufacturer": "GE MEDICAL SYSTEMS", "Modality": "MR", "InstanceNumber": z * 4 + t + 1}
            dataset, voxels = slice_of(case.name, t * SLICES + z, ImagePositionPatient=place, **more)
            block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
            block.add_new(0x30, "SS", kind)
            block.add_new(0x39, "IS", [b_value, 8, 0, 0])
            case.put(name, dataset, voxels)
            case.places[name, 0] = (t, z)


def _pet() -> None:
    pet = {"Modality": "PT", "SOPClassUID": STORAGE + "128", "InstanceNumber": None, "NumberOfSlices": SLICES}
    for kind, means in (("DYNAMIC", "time_slice_index"), ("GATED", "time_slot_index")):
        case = add_case(f"{kind.lower()} pet by image index", axes="tzyx")
        case.facts = {"t_axis": {"means": [means], "values": [1, 2, 3]}}
        more = {**pet, "SeriesType": [kind, "IMAGE"], "NumberOfTimeSlots": TIMES if kind == "GATED" else None}
        _grid(case, lambda t, z, more=more: {**more, "ImageIndex": t * SLICES + z + 1})  # type: ignore[misc]


def _motion_correction() -> None:
    words = ["ORIGINAL", "PRIMARY", "M", "ND"]
    case = add_case("before and after motion correction", arrays=2, axes="tzyx")
    case.facts = {"t_axis": {"means": ["acquisition_time_s"], "values": [0, 2, 4]}}
    for corrected in (False, True):
        for t in range(TIMES):
            for z in range(SLICES):
                number = (2 * t + corrected) * SLICES + z
                attributes: dict[str, Any] = {
                    "Modality": "MR",
                    "InstanceNumber": number + 1,
                    "ImagePositionPatient": [-10, -20, 2.5 * z],
                    "AcquisitionDate": "20240101",
                    "AcquisitionTime": f"10150{2 * t}",
                    "ImageType": [*words, "MOCO"] if corrected else words,
                }
                name = f"{'moco' if corrected else 'raw'}-{t}-{z}.dcm"
                case.put(name, *slice_of(case.name, number, **attributes))
                case.places[name, 0] = (t, z)


def _doses() -> None:
    case = add_case("dose planes of two beams", arrays=2, axes="zyx")
    case.facts = {"kind": "dose", "dose_grid_scaling": 0.001, "dose_units": "GY"}
    for beam in (1, 2):
        fraction = item_of(ReferencedFractionGroupNumber=1, ReferencedBeamSequence=item_of(ReferencedBeamNumber=beam))
        plan = item_of(ReferencedSOPInstanceUID="1.2.3", ReferencedFractionGroupSequence=fraction)
        for z in range(3):
            plane = np.random.default_rng([beam, z]).integers(0, 2**31, (6, 5), dtype="<u4")
            dataset = dataset_of(
                case.name,
                [plane],
                index=beam * 10 + z,
                SOPClassUID=STORAGE + "481.2",
                Modality="RTDOSE",
                DoseUnits="GY",
                DoseType="PHYSICAL",
                DoseSummationType="BEAM",
                DoseGridScaling=0.001,
                ImagePositionPatient=[0, 0, 2.5 * z],
                ImageOrientationPatient=AXIAL,
                ReferencedRTPlanSequence=Sequence([plan]),
            )
            case.put(f"{beam}-{z}.dcm", dataset, [plane])
            case.places[f"{beam}-{z}.dcm", 0] = (None, z)


def _tomography() -> None:
    case = add_case("gated tomography without vectors", axes="tyx", flags={"t_order_only"})
    case.facts = {"t_axis": {"means": ["frame"], "values": [0, 1, 2, 3]}, "affine_lps": None}
    gated = {"Modality": "NM", "SOPClassUID": STORAGE + "20", "NumberOfSlices": 2, "NumberOfTimeSlots": 2}
    frames = [np.arange(30, dtype="<u2").reshape(6, 5) + n for n in range(4)]
    kind = ["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"]
    case.put("one.dcm", dataset_of(case.name, frames, ImageType=kind, **gated), frames)

    case = add_case("tomography without a distance", axes="tyx", flags={"unplaced_slices"})
    case.facts = {"t_axis": {"means": ["slice_number"], "values": [0, 1, 2]}, "affine_lps": None}
    frames = [np.random.default_rng([9, z]).integers(0, 4000, (6, 5), dtype="<u2") for z in range(3)]
    detector = item_of(ImagePositionPatient=[0, 0, 100], ImageOrientationPatient=AXIAL)
    dataset = dataset_of(
        case.name,
        frames,
        Modality="NM",
        SOPClassUID=STORAGE + "20",
        ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        NumberOfSlices=3,
        SliceVector=[1, 2, 3],
        PixelSpacing=[4.4, 4.4],
        DetectorInformationSequence=Sequence([detector]),
    )
    case.put("t.dcm", dataset, frames)


def add() -> None:
    _coils()
    _runs()
    _settings()
    _quantities()
    _diffusion()
    _pet()
    _motion_correction()
    _doses()
    _tomography()
