"""What was drawn and is not in a mask: never taken for an absent structure, never mixed with another one."""

from __future__ import annotations

import csv
import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REASON
from dicoms import save, uid
from from_scratch import digest_from_scratch
from made_up_scans import multi_frame_scan, scan
from made_up_segmentations import LIVER, MaskFrame, as_bytes, by_hand, described
from made_up_segmentations import TUMOUR as TUMOUR_CODE
from made_up_structure_sets import MadeUpContour, MadeUpRoi, file_of, item, square, structure_set
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless
from scans_with_masks import read_mask

CONFIG = {"masks": {"names": {"liver": ["liver"], "tumour": ["tumour"]}, "expected": ["liver", "tumour"]}}
TUMOUR = square(-9, -19, -4, -14, 35)
BETWEEN = square(-9.9, -19.9, -9.5, -19.6, 35)  # no voxel centre is inside


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def built(folder: Path, images: list[Dataset], *files: Dataset | bytes, config: dict[str, Any] = CONFIG) -> Path:
    """Return the results of images and of files of masks: structure sets, or segmentations as bytes."""
    for number, image in enumerate(images):
        save(image, folder / "source" / f"{number}.dcm")
    for number, file in enumerate(files):
        data = file if isinstance(file, bytes) else file_of(file)
        (folder / "source" / f"masks {number}.dcm").write_bytes(data)
    config = {**config, "source": str(folder / "source"), "burned_in": "keep", "burned_in_reason": REASON}
    digest_from_scratch(config, folder / "results")
    return folder / "results"


def structures_of(image: Dataset, rois: list[MadeUpRoi], **attributes: Any) -> Dataset:
    return structure_set(
        rois,
        frame_of_reference=str(image.FrameOfReferenceUID),
        series=str(image.SeriesInstanceUID),
        study=str(image.StudyInstanceUID),
        PatientID=str(image.PatientID),
        **attributes,
    )


@pytest.mark.parametrize(
    ("tumour", "absent"),
    [
        (MadeUpRoi("tumour"), "tumour"),
        (MadeUpRoi("tumour", [square(-9, -19, -4, -14, 500)]), "tumour"),  # not in this part of the body
        (MadeUpRoi("tumour", [BETWEEN]), ""),
        (MadeUpRoi("tumour", [MadeUpContour(TUMOUR, kind="OPEN_PLANAR")]), ""),
        (MadeUpRoi("tumour", [MadeUpContour(TUMOUR[:1], kind="POINT")]), ""),
        (MadeUpRoi("tumour", [MadeUpContour("1\\2\\nan")]), ""),
        (MadeUpRoi("tumour", [TUMOUR], frame_of_reference="1.2.3"), ""),
        (MadeUpRoi("tumour", [TUMOUR]), ""),
    ],
)
def test_a_structure_that_was_drawn_is_not_absent(tmp_path: Path, tumour: MadeUpRoi, absent: str) -> None:
    images = scan("one")
    results = built(tmp_path, images, structures_of(images[0], [MadeUpRoi("liver", [TUMOUR]), tumour]))
    (row,) = table(results / "dataset/volumes.csv")
    assert row["masks_absent"] == absent


def test_regions_in_another_frame_of_reference_than_the_image_say_so(tmp_path: Path) -> None:
    """Its image is in the dataset: nobody should look for a folder that is missing."""
    images = scan("one")
    regions = [MadeUpRoi(name, [TUMOUR], frame_of_reference="1.2.3") for name in ("liver", "tumour")]
    results = built(tmp_path, images, structures_of(images[0], regions))
    (row,) = table(results / "private/mask_files.csv")
    assert (row["reason"], row["problem"]) == ("mask_without_image", "other_space")


def test_contours_on_another_series_are_not_mixed_with_those_on_this_one(tmp_path: Path) -> None:
    ct, pet = scan("one"), scan("two", series="one")
    for image in pet:
        image.SeriesInstanceUID, image.Modality = uid("series", "two"), "PT"
    on_ct = MadeUpContour(TUMOUR, images=[str(ct[2].SOPInstanceUID)])
    on_pet = MadeUpContour(TUMOUR + [1.5, 1.5, 0], images=[str(pet[2].SOPInstanceUID)])
    alone = read_of(built(tmp_path / "alone", ct, structures_of(ct[0], [MadeUpRoi("tumour", [on_ct])])))
    both = read_of(built(tmp_path / "both", ct, structures_of(ct[0], [MadeUpRoi("tumour", [on_ct, on_pet])])))
    assert both[1]["flags"] == "contours_elsewhere" and both[1]["verdict"] == "warn"
    assert alone[0].any() and np.array_equal(both[0], alone[0])


def read_of(results: Path) -> tuple[Any, dict[str, str]]:
    (row,) = table(results / "dataset/masks.csv")
    return read_mask(results, row), row


def absent(results: Path) -> list[tuple[str, str]]:
    """Return masks, and expected names that are absent, of each image."""
    rows = [row for row in table(results / "dataset/volumes.csv") if row["modality"] != "SEG"]
    return sorted((row["masks"], row["masks_absent"]) for row in rows)


def outcomes(results: Path) -> list[tuple[str, ...]]:
    """Return reason, files, masks and failed of each row of `mask_files.csv`."""
    rows = table(results / "dataset/reports/mask_files.csv")
    return [(row["reason"], row["files"], row["masks"], row["failed"]) for row in rows]


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_structure_set_that_names_no_image_lies_within_it(tmp_path: Path, is_inside: bool) -> None:
    """The headers of a multi-frame image state no position to the plan."""
    image = multi_frame_scan("one")
    contour = TUMOUR if is_inside else TUMOUR + [300, 0, 0]
    structures = structures_of(image, [MadeUpRoi("tumour", [contour])])
    references = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    references.RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.4"
    results = built(tmp_path, [image], structures)
    assert absent(results) == ([("tumour", "liver")] if is_inside else [("", "")])
    assert outcomes(results) == [("", "1", "1", "0") if is_inside else ("mask_without_image", "1", "0", "0")]


def two_series() -> tuple[list[Dataset], list[Dataset]]:
    """Return the images of two series of a study, in one frame of reference."""
    ct, pet = scan("one"), scan("two", series="one")
    for image in pet:
        image.SeriesInstanceUID, image.Modality = uid("series", "two"), "PT"
    return ct, pet


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_segment_that_was_drawn_on_another_series_is_not_absent(tmp_path: Path, is_delivered: bool) -> None:
    ct, pet = two_series()
    frames = [
        MaskFrame(np.ones((16, 12), "u1"), number, image.ImagePositionPatient, (image.SOPInstanceUID, None))
        for number, image in ((1, ct[1]), (2, pet[2]))
    ]
    dataset = by_hand(frames, segments=[described(1), described(2, "tumour", TUMOUR_CODE)], series="one")
    reference = deepcopy(dataset.ReferencedSeriesSequence[0])
    reference.SeriesInstanceUID = pet[0].SeriesInstanceUID
    dataset.ReferencedSeriesSequence.append(reference)
    results = built(tmp_path, [*ct, *(pet if is_delivered else [])], as_bytes(dataset))
    assert absent(results) == ([("liver", ""), ("tumour", "")] if is_delivered else [("liver", "")])
    assert outcomes(results) == [("", "1", "2", "0") if is_delivered else ("", "1", "1", "1")]


@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_region_that_was_drawn_on_another_series_has_not_failed(tmp_path: Path, is_delivered: bool) -> None:
    ct, pet = two_series()
    rois = [
        MadeUpRoi("liver", [MadeUpContour(TUMOUR, images=[str(ct[2].SOPInstanceUID)])]),
        MadeUpRoi("tumour", [MadeUpContour(TUMOUR, images=[str(pet[2].SOPInstanceUID)])]),
    ]
    structures = structures_of(ct[0], rois)
    references = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    references.RTReferencedSeriesSequence.append(item(SeriesInstanceUID=str(pet[0].SeriesInstanceUID)))
    results = built(tmp_path, [*ct, *(pet if is_delivered else [])], structures)
    assert absent(results) == ([("liver", ""), ("tumour", "")] if is_delivered else [("liver", "")])
    assert outcomes(results) == [("", "1", "2", "0") if is_delivered else ("", "1", "1", "1")]


def test_regions_of_one_series_are_not_drawn_on_another_that_is_listed(tmp_path: Path) -> None:
    """Both series have the same grid in one frame of reference; no contour refers to the second."""
    ct, pet = two_series()
    rois = [MadeUpRoi("liver", [MadeUpContour(TUMOUR, images=[str(ct[2].SOPInstanceUID)])]), MadeUpRoi("tumour")]
    structures = structures_of(ct[0], rois)
    (space,) = structures.ReferencedFrameOfReferenceSequence
    space.RTReferencedStudySequence[0].RTReferencedSeriesSequence = [
        item(
            SeriesInstanceUID=str(images[0].SeriesInstanceUID),
            ContourImageSequence=[item(ReferencedSOPInstanceUID=str(image.SOPInstanceUID)) for image in images],
        )
        for images in (ct, pet)
    ]
    results = built(tmp_path, [*ct, *pet], structures)
    (row,) = [row for row in table(results / "dataset/volumes.csv") if row["modality"] == "PT"]
    assert (row["masks"], row["masks_absent"]) == ("", "")
    assert absent(results) == [("", ""), ("liver tumour", "tumour")]
    assert outcomes(results) == [("", "1", "2", "0")]


def test_a_segment_of_which_nothing_is_said_may_be_any(tmp_path: Path) -> None:
    images = scan("one")
    frames = [
        MaskFrame(np.ones((16, 12), "u1"), number, images[0].ImagePositionPatient, (images[0].SOPInstanceUID, None))
        for number in (1, 2)
    ]
    known, unknown = (by_hand(frames, segments=[described(1)][:n], series="one") for n in (1, 0))
    known.SegmentSequence.append(described(2, "of a sort", None))
    assert absent(built(tmp_path / "known", images, as_bytes(known))) == [("liver unnamed_1", "tumour")]
    assert absent(built(tmp_path / "unknown", images, as_bytes(unknown))) == [("unnamed_1 unnamed_2", "")]


@pytest.mark.parametrize("is_proven", [True, False])
def test_frames_that_may_be_padded_to_bytes_are_read_right_or_flagged(tmp_path: Path, is_proven: bool) -> None:
    images = scan("one", rows=13, columns=9)
    pixels = np.random.default_rng(6).integers(0, 2, (2, 5, 13, 9), "u1")
    pixels[-1, -1, -3:] = is_proven  # what shows where the last frame ends
    frames = [
        MaskFrame(pixels[number, z], number + 1, image.ImagePositionPatient, (image.SOPInstanceUID, None))
        for number in (0, 1)
        for z, image in enumerate(images)
    ]
    dataset = by_hand(frames, segments=[described(1), described(2, "tumour", TUMOUR_CODE)], series="one")
    padded = b"".join(np.packbits(frame.pixels, bitorder="little").tobytes() for frame in frames)
    dataset.PixelData = padded + bytes(len(padded) % 2)
    results = built(tmp_path, images, as_bytes(dataset))
    masks = table(results / "dataset/masks.csv")
    flags, verdict = ("", "pass") if is_proven else ("uncertain_pixels", "warn")
    assert [(row["mask"], row["flags"], row["verdict"]) for row in masks] == [
        ("liver", flags, verdict),
        ("tumour", flags, verdict),
    ]
    assert all(np.array_equal(read_mask(results, row), of) == is_proven for row, of in zip(masks, pixels, strict=True))
    flags_of_frames = "padded_frames" if is_proven else "surplus_bytes uncertain_frames"
    assert [row["flags"] for row in table(results / "dataset/volumes.csv") if row["modality"] == "SEG"] == [
        flags_of_frames
    ]


@pytest.mark.parametrize("is_blank", [False, True])
@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
def test_masks_of_pixel_data_with_more_frames_than_groups_are_flagged(
    tmp_path: Path, form: str, is_blank: bool
) -> None:
    """A program left the groups of an empty frame out, and not its pixels: each frame is that of another slice."""
    images = scan("one")
    pixels = np.random.default_rng(8).integers(0, 2, (5, 16, 12), "u1")
    pixels[0] = 0
    if is_blank:
        pixels[-1] = 0
    number = None if form == "LABELMAP" else 1
    frames = [
        MaskFrame(plane, number, image.ImagePositionPatient, (image.SOPInstanceUID, None))
        for plane, image in zip(pixels, images, strict=True)
    ]
    dataset = by_hand(frames, form, segments=[described(1)], series="one")
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[1:]
    dataset.NumberOfFrames = 4
    (row,) = table(built(tmp_path, images, as_bytes(dataset)) / "dataset/masks.csv")
    assert (row["flags"], row["verdict"]) == ("uncertain_pixels", "warn")


@pytest.mark.parametrize("missing", [None, 1, 2, 3])
@pytest.mark.parametrize("total", [None, 3])
def test_masks_of_a_concatenation_that_lacks_a_part_are_flagged(
    tmp_path: Path, missing: int | None, total: int | None
) -> None:
    images = scan("one", depths=(0.0, 2.5, 5.0, 7.5, 10.0, 12.5))
    pixels = np.random.default_rng(9).integers(0, 2, (6, 16, 12), "u1")
    parts = []
    for part in sorted({1, 2, 3} - {missing}):
        frames = [
            MaskFrame(pixels[z], None, images[z].ImagePositionPatient, (images[z].SOPInstanceUID, None))
            for z in (2 * part - 2, 2 * part - 1)
        ]
        dataset = by_hand(
            frames,
            "LABELMAP",
            segments=[described(1)],
            series="one",
            name=f"part {part}",
            ConcatenationUID="1.2.3",
            InConcatenationNumber=part,
            **({} if total is None else {"InConcatenationTotalNumber": total}),
        )
        parts.append(as_bytes(dataset))
    rows = table(built(tmp_path, images, *parts) / "dataset/masks.csv")
    is_known = missing is not None and (total is not None or missing < 3)
    assert {(row["flags"], row["verdict"]) for row in rows} == {("parts_missing", "warn") if is_known else ("", "pass")}
    assert sum(int(row["voxels"]) for row in rows) == sum(
        int(pixels[z].sum()) for z in range(6) if z // 2 + 1 != missing
    )


@pytest.mark.parametrize("is_lossy", [True, False])
def test_masks_that_were_compressed_with_loss_say_so(tmp_path: Path, is_lossy: bool) -> None:
    """Lossy Image Compression of a segmentation is copied from its images, and says nothing of its own pixels."""
    images = scan("one")
    pixels = np.random.default_rng(7).integers(0, 256, (5, 16, 12), "u1")
    frames = [
        MaskFrame(plane, 1, image.ImagePositionPatient, (image.SOPInstanceUID, None))
        for plane, image in zip(pixels, images, strict=True)
    ]
    dataset = by_hand(frames, "PROBABILITY", segments=[described(1)], series="one", LossyImageCompression="01")
    if is_lossy:
        streams = [io.BytesIO() for _ in pixels]
        for stream, plane in zip(streams, pixels, strict=True):
            Image.fromarray(plane).save(stream, "JPEG", quality=70)
        dataset.PixelData = encapsulate([stream.getvalue() for stream in streams])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    else:
        dataset.compress(RLELossless, pixels)
    (row,) = table(built(tmp_path, images, as_bytes(dataset)) / "dataset/masks.csv")
    assert (row["flags"], row["verdict"]) == (("lossy_pixels", "warn") if is_lossy else ("", "pass"))


def test_equal_voxels_of_other_structures_are_in_conflict(tmp_path: Path) -> None:
    images = scan("one")
    frames = [MaskFrame(np.ones((16, 12), "u1"), 1, images[0].ImagePositionPatient, (images[0].SOPInstanceUID, None))]
    liver, again, tumour = (
        as_bytes(by_hand(frames, segments=[described(1, label, kind)], series="one", InstanceNumber=number))
        for number, (label, kind) in enumerate([("liver", LIVER), ("liver", LIVER), ("tumour", TUMOUR_CODE)])
    )
    assert outcomes(built(tmp_path / "equal", images, liver, again)) == [
        *[("duplicate", "1", "0", "0"), ("", "1", "1", "0")]
    ]
    results = built(tmp_path / "other", images, liver, again, tumour, liver)
    assert outcomes(results) == [("conflicting_instance", "4", "0", "0")] and absent(results) == [("", "")]


def test_a_copy_of_a_file_that_was_not_placed_is_no_duplicate(tmp_path: Path) -> None:
    images = scan("one")
    broken = file_of(structures_of(images[0], [MadeUpRoi("liver", [TUMOUR])], StructureSetROISequence=None))
    assert outcomes(built(tmp_path, images, broken, broken)) == [("mask_unreadable", "2", "0", "0")]


@pytest.mark.parametrize("kind", ["SEG", "RTSTRUCT"])
def test_a_file_that_is_cut_may_have_been_of_any_name_on_images_of_its_study(tmp_path: Path, kind: str) -> None:
    """Images of another study are not concerned, even of that patient."""
    ct, other = scan("one"), scan("two", PatientID="patient-one")
    livers = [structures_of(images[0], [MadeUpRoi("liver", [TUMOUR])]) for images in (ct, other)]
    if kind == "SEG":
        frames = [MaskFrame(np.ones((16, 12), "u1"), 1, ct[0].ImagePositionPatient, (ct[0].SOPInstanceUID, None))]
        whole = as_bytes(by_hand(frames, segments=[described(1, "tumour", TUMOUR_CODE)], series="one"))
    else:
        whole = file_of(structures_of(ct[0], [MadeUpRoi("tumour", [TUMOUR])], SOPInstanceUID="1.2.3"))
    placed = sorted(absent(built(tmp_path / "whole", [*ct, *other], *livers, whole)))
    assert placed == [("liver", "tumour"), ("liver tumour", "")]
    series = whole.index(b"\x20\0\x0e\0UI", whole.index(b"\x10\0\x20\0LO"))
    for end in (series, series + 30, (series + len(whole)) // 2, len(whole) - 10):
        results = built(tmp_path / str(end), [*ct, *other], *livers, whole[:end])
        assert absent(results) == [("liver", ""), ("liver", "tumour")]
        reason = "mask_without_image" if end == series and kind == "RTSTRUCT" else "mask_unreadable"
        assert (reason, "1", "0", "0") in outcomes(results)
    results = built(tmp_path / "nobody's", [*ct, *other], *livers, whole[: whole.index(b"\x10\0\x10\0PN")])
    assert absent(results) == [("liver", "tumour")] * 2  # whose it was nobody knows: it is counted
    assert [row[1:] for row in outcomes(results) if row[0]] == [("1", "0", "0")]


def test_a_file_that_may_lie_on_either_of_two_series_may_be_of_any_name_on_both(tmp_path: Path) -> None:
    ct, pet = two_series()
    for image in pet:
        image.FrameOfReferenceUID = ct[0].FrameOfReferenceUID
    livers = [structures_of(images[0], [MadeUpRoi("liver", [TUMOUR])]) for images in (ct, pet)]
    livers[1].SOPInstanceUID = "1.2.3"
    assert absent(built(tmp_path / "without", [*ct, *pet], *livers)) == [("liver", "tumour")] * 2
    tumour = structures_of(ct[0], [MadeUpRoi("tumour", [TUMOUR])], SOPInstanceUID="1.2.4")
    references = tumour.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    references.RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.4"
    results = built(tmp_path / "with", [*ct, *pet], *livers, tumour)
    assert ("mask_ambiguous", "1", "0", "0") in outcomes(results)
    assert absent(results) == [("liver", "")] * 2


@pytest.mark.parametrize(
    ("drawn", "expected", "is_absent"),
    [
        ("left_kidney", "kidney", False),
        ("kidney", "left_kidney", False),
        ("left_kidney", "right_kidney", True),
        ("left_kidney", "left_lung", True),
    ],
)
def test_a_structure_of_one_side_is_not_absent_without_a_side(
    tmp_path: Path, drawn: str, expected: str, is_absent: bool
) -> None:
    images = scan("one")
    names = {name: [f"^{name}$"] for name in (drawn, expected)}
    config = {"masks": {"names": names, "expected": [expected]}}
    results = built(tmp_path, images, structures_of(images[0], [MadeUpRoi(drawn, [TUMOUR])]), config=config)
    assert absent(results) == [(drawn, expected if is_absent else "")]
