"""Hostile segmentations and structure sets: the run ends, the image and the good masks are whole, nothing is silent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from canaries import leaks
from conftest import Workflow
from forks import Forks
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, polygon, square, structure_set
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ImplicitVRLittleEndian
from scans_with_masks import ScanWithMasks, read_mask

Z = 32.5  # mm, of slice 1


def on_scan(made: ScanWithMasks, name: str, rois: list[MadeUpRoi]) -> Dataset:
    first = made.slices[0]
    return structure_set(
        rois,
        frame_of_reference=str(first.FrameOfReferenceUID),
        series=str(first.SeriesInstanceUID),
        study=str(first.StudyInstanceUID),
        name=name,
        PatientID=str(first.PatientID),
    )


def many_points(made: ScanWithMasks) -> bytes:
    return file_of(
        on_scan(made, "corners", [MadeUpRoi("corners", [polygon((-6, -16), 3, Z, 200_000)])]),
        syntax=ImplicitVRLittleEndian,
    )


def a_saw(made: ScanWithMasks) -> bytes:
    """Return a contour whose every row is crossed by each of 200,000 teeth."""
    x = np.linspace(-9.5, -2, 400_001)
    y = np.where(np.arange(400_001) % 2, -19.5, -13.0)
    points = np.column_stack([x, y, np.full(len(x), Z)])
    return file_of(on_scan(made, "saw", [MadeUpRoi("saw", [points])]), syntax=ImplicitVRLittleEndian)


def no_numbers(made: ScanWithMasks) -> bytes:
    texts = ["nan\\nan\\nan\\1\\2\\3", "inf\\1\\2", "1\\2", "Qzxwvkcanary\\1\\2", "1e400\\1\\2\\3\\4\\5", "\\\\\\"]
    return file_of(on_scan(made, "nan", [MadeUpRoi("nan", [MadeUpContour(text) for text in texts])]))


def crossing_itself(made: ScanWithMasks) -> bytes:
    star = np.array([[-9, -19, Z], [-3, -13, Z], [-3, -19, Z], [-9, -13, Z], [-9, -19, Z]], float)
    return file_of(on_scan(made, "star", [MadeUpRoi("star", [star])]))


def far_away(made: ScanWithMasks) -> bytes:
    return file_of(on_scan(made, "far", [MadeUpRoi("far", [square(-1e30, -1e30, 1e30, 1e30, Z)])]))


def many_contours(made: ScanWithMasks) -> bytes:
    contours = [square(-9, -19, -4, -14, Z + 0.0001 * (n % 7)) for n in range(5000)]
    return file_of(on_scan(made, "many", [MadeUpRoi("many", contours)]))


def numbers_of_nothing(made: ScanWithMasks) -> bytes:
    dataset = on_scan(made, "nothing", [MadeUpRoi("a", [square(-9, -19, -4, -14, Z)], number=7)])
    dataset.ROIContourSequence[0].ReferencedROINumber = -(2**31)
    return file_of(dataset)


def referring_to_itself(made: ScanWithMasks) -> bytes:
    dataset = on_scan(made, "itself", [MadeUpRoi("a", [square(-9, -19, -4, -14, Z)])])
    series = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    series.SeriesInstanceUID = dataset.SeriesInstanceUID
    series.ContourImageSequence = Items([Dataset()])
    series.ContourImageSequence[0].ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = Items(series.ContourImageSequence)
    return file_of(dataset)


def cut_off(made: ScanWithMasks) -> bytes:
    return made.structures()[:-300]


def segmentation(made: ScanWithMasks, change: Callable[[Dataset], None], name: str) -> bytes:
    dataset = dcmread(io.BytesIO(made.segmentation()))
    dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID[:50]}.{len(name)}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID[:50]}.{len(name)}"
    change(dataset)
    stream = io.BytesIO()
    dcmwrite(stream, dataset)
    return stream.getvalue()


def frames_of_no_segment(made: ScanWithMasks) -> bytes:
    def change(dataset: Dataset) -> None:
        for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 60_000 + number

    return segmentation(made, change, "frames_of_no_segment")


def positions_beyond(made: ScanWithMasks) -> bytes:
    def change(dataset: Dataset) -> None:
        for group in dataset.PerFrameFunctionalGroupsSequence:
            group.PlanePositionSequence[0].ImagePositionPatient = ["1e300", "-1e300", "0"]

    return segmentation(made, change, "positions_beyond_")


def without_groups(made: ScanWithMasks) -> bytes:
    def change(dataset: Dataset) -> None:
        del dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence

    return segmentation(made, change, "without_groups")


HOSTILE = (
    many_points, a_saw, no_numbers, crossing_itself, far_away, many_contours, numbers_of_nothing,
    referring_to_itself, cut_off, frames_of_no_segment, positions_beyond, without_groups,
)  # fmt: skip


@pytest.fixture
def flow(tmp_path: Path, warm: Forks | None) -> Workflow:
    return Workflow(tmp_path, {"limits": {"seconds": 5}}, {"DICOMZARR_KEY": "k" * 32}, forks=warm)


def test_hostile_mask_files_harm_nothing_else(flow: Workflow) -> None:
    made = ScanWithMasks("one")
    made.save(flow.source)
    for hostile in HOSTILE:
        (flow.source / hostile.__name__).write_bytes(hostile(made))
    run = flow.run()
    masks = {row["mask"]: row for row in run.table("dataset/masks.csv")}
    livers = [read_mask(run.results, row) for row in masks.values() if row["name"] == "liver"]
    assert sum(np.array_equal(liver, made.liver) for liver in livers) == 2  # also of frames that name other segments
    assert {row["read_back"] for row in masks.values()} == {"exact"}
    texts = {row["label"]: masks[row["mask"]] for row in run.table("private/mask_names.csv")}
    assert np.array_equal(read_mask(run.results, texts[made.roi]), made.kidney)
    (image,) = [row for row in run.table("dataset/volumes.csv") if row["modality"] == "CT"]
    assert (image["frames"], set(image["flags"].split())) == ("5", set())
    files = {row["path"]: row for row in run.table("private/mask_files.csv")}
    assert {*files} == {"seg.dcm", "rt.dcm", *(hostile.__name__ for hostile in HOSTILE)}
    for path, row in files.items():
        stated = row["reason"] or row["problem"] or int(row["masks"])
        assert stated, path
    assert run.outcome()["cut_off"] == ("quarantined", "truncated_header")
    assert files["cut_off"]["reason"] == "mask_unreadable"
    if not int(files["a_saw"]["masks"] or 0):  # a fast machine fills it within the limit
        assert run.outcome()["a_saw"] == ("skipped", "mask_unreadable")
        assert files["a_saw"]["problem"] in ("timeout", "too_large")
    # A polygon of 200,000 corners is a disc of 3 mm: its area in voxels of 0.375 square millimetres, within one row.
    disc = int(texts["corners"]["voxels"])
    assert abs(disc - np.pi * 9 / 0.375) < 2 * np.pi * 3 / 0.5
    # The star of two triangles, even-odd: half of a square of 6 mm.
    assert abs(int(texts["star"]["voxels"]) - 18 / 0.375) < 16
    for unreadable in ("far", "nan"):
        assert texts[unreadable]["flags"].split() == ["empty_mask", "nothing_left", "unreadable_contours"]
    assert not leaks([flow.results, flow.folder / ".snakemake"], flow.results / "private")
    assert flow.run().nothing_to_do
