"""Segmentations of every kind through the whole workflow: each voxel as highdicom reads it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from conftest import Workflow
from made_up_scans import OBLIQUE, SAGITTAL, multi_frame_scan, scan, slide
from made_up_segmentations import as_bytes, by_highdicom, reordered
from numpy.typing import NDArray
from placed_segments import highdicom_by_frame, highdicom_by_instance
from pydicom import Dataset, dcmwrite
from pydicom.uid import RLELossless
from scans_with_masks import read_mask


def noise(seed: int, *shape: int, values: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, values, shape, dtype="u1")


@dataclass
class Case:
    """Images, and a segmentation of them whose segments have the labels ``<name> <number>``."""

    name: str
    images: Sequence[Dataset]
    segmentation: Dataset
    segments: int
    wrong: bytes = b""  # put into the header of the segmentation

    def save(self, source: Path) -> None:
        folder = source / self.name
        folder.mkdir(parents=True)
        for number, image in enumerate(self.images):
            dcmwrite(folder / f"{number}.dcm", image, enforce_file_format=True)
        data = as_bytes(self.segmentation)
        patient = data.index(b"\x10\x00\x10\x00PN")
        (folder / "seg.dcm").write_bytes(data[:patient] + self.wrong + data[patient:])

    def truth(self) -> dict[tuple[str, int], NDArray[np.uint8]]:
        """Return what highdicom reads for each frame of the images: (rows, columns, segments) by path and frame."""
        uids = [str(image.SOPInstanceUID) for image in self.images]
        if "NumberOfFrames" in self.images[0]:
            values = highdicom_by_frame(self.segmentation, uids[0], int(self.images[0].NumberOfFrames))
            return {(f"{self.name}/0.dcm", number): frame for number, frame in enumerate(values)}
        values = highdicom_by_instance(self.segmentation, uids)
        return {(f"{self.name}/{number}.dcm", 0): frame for number, frame in enumerate(values)}


def highdicom_case(
    name: str, images: Sequence[Dataset], masks: NDArray[Any], form: str = "BINARY", **more: Any
) -> Case:
    count = masks.shape[3] if masks.ndim == 4 else 1 if masks.dtype.kind == "f" else int(masks.max())
    labels = [f"{name} {number + 1}" for number in range(count)]
    order = more.pop("order", None)
    dataset = by_highdicom(images, masks, form, labels=labels, name=name, **more)
    return Case(name, images, dataset if order is None else reordered(dataset, order), count)


def rounded() -> Case:
    """Return a segmentation of an image whose positions are written with one decimal, so that its affine is fitted."""
    images = scan("rounded", np.arange(8) * 0.47, orientation=OBLIQUE, spacing=(0.3, 0.25))
    for image in images:
        image.ImagePositionPatient = [round(float(x), 1) for x in image.ImagePositionPatient]
    return highdicom_case("rounded", images, noise(9, 8, 16, 12, values=3))


def with_wrong_delimiters() -> Case:
    """Return a segmentation with a sequence whose item ends as a sequence does, which pydicom cannot read."""
    opened, closed = (struct.pack("<HHI", 0xFFFE, tag, length) for tag, length in ((0xE000, 0xFFFFFFFF), (0xE0DD, 0)))
    inside = b"\x08\x00\x55\x11UI\x06\x001.2.3\0"
    sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + opened + inside + closed + closed
    return replace(highdicom_case("delimiters", scan("delimiters"), noise(10, 5, 16, 12)), wrong=sequence)


def alternating() -> Case:
    """Return a segmentation of two acquisitions of one series whose slices alternate."""
    first = scan("first", (0, 2.5, 5, 7.5), series="split", AcquisitionNumber=1)
    second = scan("second", (1, 3.5, 6, 8.5), series="split", AcquisitionNumber=2)
    for number, image in enumerate([*first, *second]):
        image.InstanceNumber = number + 1
    return highdicom_case("split", [*first, *second], noise(7, 8, 16, 12, values=3))


def in_time() -> Case:
    """Return a segmentation that differs from time to time."""
    images = []
    for time in range(3):
        stack = scan(f"time {time}", series="in time", TemporalPositionIdentifier=time + 1, NumberOfTemporalPositions=3)
        images += stack
    for number, image in enumerate(images):
        image.InstanceNumber = number + 1
    # highdicom writes one frame a position: it gets the times one above the other, and their places afterwards.
    apart = deepcopy(images)
    for number, image in enumerate(apart):
        image.ImagePositionPatient[2] += 100 * (number // 5)
    voxels = noise(8, len(images), 16, 12)
    voxels[6] = 0
    case = highdicom_case("in time", apart, voxels)
    places = {image.SOPInstanceUID: image.ImagePositionPatient for image in images}
    for frame in case.segmentation.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        frame.PlanePositionSequence[0].ImagePositionPatient = places[source.ReferencedSOPInstanceUID]
    return replace(case, images=images)


def cases() -> list[Case]:
    from highdicom import PaletteColorLUTTransformation

    sparse = noise(2, 5, 16, 12, values=4)
    sparse[[0, 3]] = 0
    fractions = np.random.default_rng(3).random((5, 16, 12))
    fractions[1] = 0
    tiles = noise(6, 12, 8, 10, values=3)
    tiles[4] = 0
    return [
        # frames of 35 bits, which do not begin at bytes
        highdicom_case("overlap", scan("overlap", rows=7, columns=5), noise(1, 5, 7, 5, 3)),
        highdicom_case("label map", scan("label map", orientation=OBLIQUE), sparse, "LABELMAP"),
        highdicom_case(
            *("colours", scan("colours"), sparse, "LABELMAP"),
            palette_color_lut_transformation=PaletteColorLUTTransformation.from_colors(
                ["black", "red", "lime", "blue"], palette_color_lut_uid="1.2.3.4"
            ),
        ),
        highdicom_case("probability", scan("probability"), fractions, "PROBABILITY"),
        highdicom_case(
            *("occupancy", scan("occupancy", orientation=SAGITTAL), fractions, "OCCUPANCY"),
            max_fractional_value=100,
            transfer_syntax_uid=RLELossless,
        ),
        highdicom_case(
            "reversed", scan("reversed", (0, 2.5, 6)), noise(4, 3, 16, 12, values=3), order=range(5, -1, -1)
        ),
        highdicom_case("enhanced", [multi_frame_scan("enhanced", (5, 0, 7.5, 2.5))], noise(5, 4, 16, 12, values=3)),
        highdicom_case("slide", [slide("slide")], tiles),
        highdicom_case("slide of sparse tiles", [slide("sparse", organization="TILED_SPARSE")], tiles, "LABELMAP"),
        alternating(),
        in_time(),
        rounded(),
        with_wrong_delimiters(),
    ]


def test_every_voxel_is_what_highdicom_reads(workflow: Workflow) -> None:
    made = cases()
    for case in made:
        case.save(workflow.source)
    run = workflow.run()
    frames = {(row["path"], int(row["frame"])): row for row in run.table("private/frames.csv")}
    rows = {(row["array"], row["mask"]): row for row in run.table("dataset/masks.csv")}
    masks = {
        (row["array"], row["label"]): rows[row["array"], row["mask"]] for row in run.table("private/mask_names.csv")
    }
    compared = set()
    for case in made:
        truth = case.truth()
        assert any(plane.any() for plane in truth.values())
        for place, plane in truth.items():
            array, t, z = (frames[place][column] for column in ("array", "t", "z"))
            for number in range(case.segments):
                row = masks[array, f"{case.name} {number + 1}"]
                assert (row["flags"], row["outside"], row["read_back"]) == ("", "0.0", "exact"), case.name
                values = read_mask(run.results, row)
                index = [int(t)] if t and values.ndim == 4 or "slide" in case.name else []
                values = values[tuple(index + ([int(z)] if z else []))]
                np.testing.assert_array_equal(
                    values, plane[..., number], err_msg=f"{case.name} {place[1]} {number + 1}"
                )
                compared.add((array, row["mask"]))
    assert compared == set(rows)
    assert len({array for array, _ in compared}) == len(made) + 1  # the split series has two
    shapes = {row["mask"]: row["shape"] for row in rows.values() if row["shape"].count("x") == 3}
    assert list(shapes.values()) == ["3x5x16x12"]
    assert all(row["verdict"] == "pass" for row in rows.values())
    fitted = [row["array"] for row in run.table("dataset/volumes.csv") if "rounded_positions" in row["flags"]]
    assert fitted == [frames["rounded/0.dcm", 0]["array"]]


def test_a_label_map_written_as_ct_images_is_an_image(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    workflow.source.mkdir()
    slices = scan("labels", Modality="SEG", SeriesDescription="Vessels, by hand")
    for number, image in enumerate(slices):
        dcmwrite(workflow.source / f"{number}.dcm", image, enforce_file_format=True)
    run = workflow.run()
    (row,) = run.table("dataset/volumes.csv")
    assert (row["kind"], row["modality"], row["shape"], row["flags"]) == ("volume", "SEG", "5x16x12", "")
    assert {file["outcome"] for file in run.table("private/files.csv")} == {"extracted"}
    assert not run.table("dataset/masks.csv")


def test_two_series_under_one_uid_are_numbered_by_their_descriptions(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    workflow.source.mkdir()
    lactate, pyruvate = (scan("maps", SeriesDescription=f"Map of {name}") for name in ("lactate", "pyruvate"))
    for number, image in enumerate((*lactate, *pyruvate)):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.777.9.{number + 1}"
        image.PixelData = bytes([number]) + image.PixelData[1:]
        dcmwrite(workflow.source / f"{number}.dcm", image, enforce_file_format=True)
    run = workflow.run()
    (row,) = run.table("dataset/volumes.csv")
    assert (row["shape"], row["flags"]) == ("2x5x16x12", "t_order_only")
    frames = {frame["path"]: (frame["t"], frame["z"]) for frame in run.table("private/frames.csv")}
    times = [{frames[f"{half * 5 + z}.dcm"][0] for z in range(5)} for half in (0, 1)]
    assert sorted(map(str, times)) == ["{'0'}", "{'1'}"]
