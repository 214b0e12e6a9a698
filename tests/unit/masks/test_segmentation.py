"""What the header of a segmentation says, and hostile headers."""

from __future__ import annotations

import errno
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dicoms import uid
from grids_of_scans import grid_of
from hypothesis import given
from hypothesis import strategies as st
from made_up_enhanced import item
from made_up_scans import scan, slide
from made_up_segmentations import KIDNEY, LIVER, TISSUE, MaskFrame, as_bytes, by_hand, by_highdicom, described
from placed_segments import only, placed, read
from pydicom import Dataset

from dicomzarr.masks.model import Code, Elsewhere, MaskProblem
from dicomzarr.masks.names import Vocabulary, mask_folder_names
from dicomzarr.masks.references import read_references
from dicomzarr.masks.segmentation import MAX_SEGMENTS, SegmentFrame, read_segmentation
from dicomzarr.masks.segments import masks_of_segmentation

IMAGES = scan("a")
ONES = np.ones((16, 12), "u1")


def hand(**options: Any) -> Dataset:
    frames = [MaskFrame(ONES, 1, image.ImagePositionPatient, (image.SOPInstanceUID, None)) for image in IMAGES[:2]]
    return by_hand(frames, series="a", **options)


def test_segments_and_their_codes() -> None:
    lobe = item(CodingSchemeDesignator="SCT", CodeValue="245378000", CodeMeaning="made up")
    long = item(CodingSchemeDesignator="X", LongCodeValue="a long value", CodeMeaning="made up")
    segments = [
        described(3, "Left", KIDNEY, AnatomicRegionSequence=[lobe], SegmentDescription="of Jane"),
        described(1, "right", None, SegmentedPropertyTypeCodeSequence=[long]),
    ]
    segments[0].SegmentAlgorithmType, segments[1].SegmentAlgorithmType = "SEMIAUTOMATIC", "UNHEARD OF"
    first, second = read(hand(segments=segments)).segments
    assert (first.number, first.label, first.description, first.algorithm) == (1, "right", "", "")
    assert first.codes == (Code("X", "a long value"),)
    assert (second.number, second.label, second.description, second.algorithm) == (
        3,
        "Left",
        "of Jane",
        "semi-automatic",
    )
    assert second.codes == (Code(*KIDNEY), Code("SCT", "245378000"), Code(*TISSUE))


def test_a_label_with_a_backslash_is_one_text() -> None:
    segmentation = read(hand(SegmentSequence=[described(1, "PTV\\60")]))
    assert segmentation.segments[0].label == "PTV\\60"


@pytest.mark.parametrize(("algorithm", "ours"), [("MANUAL", "manual"), ("AUTOMATIC", "automatic")])
def test_a_segmentation_of_highdicom(algorithm: str, ours: str) -> None:
    dataset = by_highdicom(IMAGES, np.ones((5, 16, 12), "u1"), algorithm=algorithm)
    segmentation = read(dataset)
    (segment,) = segmentation.segments
    assert (segment.label, segment.algorithm, segment.codes) == ("liver", ours, (Code(*LIVER), Code(*TISSUE)))
    assert (segmentation.form, segmentation.maximum_fraction) == ("BINARY", None)
    assert segmentation.frame_of_reference == IMAGES[0].FrameOfReferenceUID
    assert segmentation.instances == {image.SOPInstanceUID for image in IMAGES}
    placed_at = {frame.position: frame.sources for frame in segmentation.frames}
    assert placed_at == {tuple(i.ImagePositionPatient): ((i.SOPInstanceUID, None),) for i in IMAGES}
    assert {(frame.spacing, frame.orientation) for frame in segmentation.frames} == {((0.5, 0.75), (1, 0, 0, 0, 1, 0))}


@pytest.mark.parametrize("carrier", ["SegmentedPropertyTypeModifierCodeSequence", "AnatomicRegionModifierSequence"])
def test_a_code_for_the_side_follows_what_it_modifies(carrier: str) -> None:
    masks = np.stack([np.ones((5, 16, 12), bool)] * 3, axis=-1)
    dataset = by_highdicom(IMAGES, masks)
    kidney = dataset.SegmentSequence[2]
    left = item(CodingSchemeDesignator="SCT", CodeValue="7771000", CodeMeaning="Left")
    concept = kidney.SegmentedPropertyTypeCodeSequence[0]
    if carrier == "AnatomicRegionModifierSequence":
        concept = item(CodingSchemeDesignator="SCT", CodeValue="818983003", CodeMeaning="Abdomen")
        kidney.AnatomicRegionSequence = [concept]
    setattr(concept, carrier, [left])
    liver, _, kidney_of = read(dataset).segments
    region = (Code("SCT", "818983003"),) if carrier == "AnatomicRegionModifierSequence" else ()
    assert kidney_of.codes == (Code(*KIDNEY), *region, Code("SCT", "7771000"), Code(*TISSUE))
    assert [name for _, name in mask_folder_names([liver, kidney_of], Vocabulary())] == ["liver", "left_kidney"]


def test_frames_of_a_multi_frame_image_count_from_zero() -> None:
    segmentation = read(by_hand([MaskFrame(ONES, 1, (0, 0, 0), ("1.2.3", 4), tile=(1, 11))]))
    assert segmentation.frames == (
        SegmentFrame(1, (0, 0, 0), (1, 0, 0, 0, 1, 0), (0.5, 0.75), (("1.2.3", 3),), (0, 10)),
    )


def test_implied_tiles() -> None:
    options: dict[str, Any] = {"tile_pixel_array": True, "dimension_organization_type": "TILED_FULL"}
    voxels = np.random.default_rng(1).integers(0, 3, (1, 20, 35), dtype="u1")
    image = slide("s", 3, 4)
    image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = 20, 35
    segmentation = read(by_highdicom([image], voxels, omit_empty_frames=False, **options))
    assert segmentation.total_matrix == (20, 35)
    expected = [(segment, (row, column)) for segment in (1, 2) for row in (0, 8, 16) for column in (0, 10, 20, 30)]
    assert [(frame.segment, frame.tile) for frame in segmentation.frames] == expected


def test_a_label_map_has_no_mask_of_its_background() -> None:
    labels = np.zeros((16, 12), "u1")
    labels[:4], labels[4:6], labels[6:9], labels[9:] = 1, 2, 5, 255
    segments = [described(0, "background"), described(1, "background", ("DCM", "125040"))]
    segments += [described(2), described(3), described(5)]
    frame = MaskFrame(labels, None, IMAGES[0].ImagePositionPatient)
    dataset = by_hand([frame], "LABELMAP", segments=segments, series="a", PixelPaddingValue=255)
    masks = [mask for _, mask in placed(dataset, grid_of(IMAGES))]
    assert [mask.description.number for mask in masks] == [2, 3, 5]
    assert [int(mask.values.sum()) for mask in masks] == [24, 0, 36]
    assert [mask.flags for mask in masks] == [(), ("empty_mask",), ()]
    del dataset.SegmentSequence[4]  # number 5 may be the structure of number 3
    assert [mask.description.number for _, mask in placed(dataset, grid_of(IMAGES))] == [2, 5]


@pytest.mark.parametrize(
    ("label", "kind", "padding", "numbers"),
    [
        ("liver", LIVER, None, [0, 1]),
        ("liver", LIVER, 0, [0, 1]),  # a description says more than the number of pixels that are no part of an image
        ("", LIVER, None, [0, 1]),
        ("liver", None, None, [0, 1]),
        ("", None, None, [1]),
        ("Background ", LIVER, None, [1]),
        ("outside", ("DCM", "125040"), 0, [1]),
    ],
)
def test_a_structure_may_have_the_number_0_in_a_label_map(
    label: str, kind: tuple[str, str] | None, padding: int | None, numbers: list[int]
) -> None:
    """Segment Number (0062,0004) of a label map counts from 0, and 0 is only as a rule the background."""
    labels = np.arange(16 * 12, dtype="u1").reshape(16, 12) % 2
    segments = [described(0, label, kind), described(1)]
    frame = MaskFrame(labels, None, IMAGES[0].ImagePositionPatient)
    more = {} if padding is None else {"PixelPaddingValue": padding}
    dataset = by_hand([frame], "LABELMAP", segments=segments, series="a", **more)
    masks = [mask for _, mask in placed(dataset, grid_of(IMAGES))]
    assert [mask.description.number for mask in masks] == numbers
    for mask in masks:
        np.testing.assert_array_equal(mask.values[0], labels == mask.description.number)


def test_labels_of_16_bits() -> None:
    labels = np.random.default_rng(1).choice([0, 7, 263, 40000], (16, 12)).astype("<u2")
    dataset = by_hand([MaskFrame(labels, None, IMAGES[0].ImagePositionPatient)], "LABELMAP", series="a", segments=[])
    masks = masks_of_segmentation(read(dataset), [grid_of(IMAGES)], lambda _: labels)
    for number, (_, mask) in zip((7, 263, 40000), masks, strict=True):
        assert mask.description.number == number
        np.testing.assert_array_equal(mask.values[0], labels == number)


def test_a_label_map_of_noise_is_refused_at_its_first_frame() -> None:
    frames = [MaskFrame(np.zeros((128, 128), "u1"), None, image.ImagePositionPatient) for image in IMAGES]
    labels = np.arange(128 * 128, dtype="u2").reshape(128, 128)
    calls: list[int] = []

    def read_frame(index: int) -> Any:
        calls.append(index)
        return labels

    dataset = by_hand(frames, "LABELMAP", series="a", segments=[])
    with pytest.raises(MaskProblem, match="too_large"):
        next(masks_of_segmentation(read(dataset), [grid_of(IMAGES)], read_frame))
    assert calls == [0]


def test_frames_of_a_label_map_are_decoded_once() -> None:
    labels = np.random.default_rng(1).integers(0, 104, (5, 16, 12), dtype="u1")
    frames = [MaskFrame(labels[z], None, image.ImagePositionPatient) for z, image in enumerate(IMAGES)]
    dataset = by_hand(frames, "LABELMAP", series="a", segments=[])
    calls: list[int] = []

    def read_frame(index: int) -> Any:
        calls.append(index)
        return labels[index]

    masks = list(masks_of_segmentation(read(dataset), [grid_of(IMAGES)], read_frame))
    assert len(masks) == 103 and sorted(calls) == [0, 1, 2, 3, 4]
    total = sum(mask.values.astype(int) * mask.description.number for _, mask in masks)
    np.testing.assert_array_equal(total, labels)


# ------------------------------------------------------------------------------------------------------------ defects


def without(keyword: str) -> Callable[[], Dataset]:
    return lambda: hand(**{keyword: None})


def with_(**changes: Any) -> Callable[[], Dataset]:
    return lambda: hand(**changes)


def no_segment_number() -> Dataset:
    return by_hand([MaskFrame(ONES, None, (0, 0, 0))])


DEFECTS: dict[str, tuple[str, Callable[[], Dataset]]] = {
    "no rows": ("missing_attribute", without("Rows")),
    "no columns": ("missing_attribute", without("Columns")),
    "no type": ("missing_attribute", without("SegmentationType")),
    "another type": ("invalid_attribute", with_(SegmentationType="SURFACE")),
    "no fractional type": ("missing_attribute", with_(form="OCCUPANCY", SegmentationFractionalType=None)),
    "another fractional type": ("invalid_attribute", with_(form="OCCUPANCY", SegmentationFractionalType="X")),
    "no maximum": ("missing_attribute", with_(form="OCCUPANCY", MaximumFractionalValue=None)),
    "a maximum of 16 bits": ("invalid_attribute", with_(form="OCCUPANCY", maximum=256)),
    "a maximum of zero": ("invalid_attribute", with_(form="OCCUPANCY", maximum=0)),
    "no rows but zero": ("invalid_attribute", with_(Rows=0)),
    "too many frames": ("invalid_attribute", with_(NumberOfFrames=3)),
    "too few frames": ("invalid_attribute", with_(NumberOfFrames=1)),
    "no frame": ("invalid_attribute", with_(NumberOfFrames=0)),
    "no number of frames": ("invalid_attribute", without("NumberOfFrames")),
    "billions of frames": ("too_large", with_(NumberOfFrames=2_000_000_000)),
    "no groups": ("missing_attribute", without("PerFrameFunctionalGroupsSequence")),
    "no segment number": ("missing_attribute", no_segment_number),
    "a segment without a number": ("missing_attribute", with_(segments=[item(SegmentLabel="liver")])),
    "too many segments": ("too_large", with_(segments=[item(SegmentNumber=n) for n in range(MAX_SEGMENTS + 1)])),
    "implied tiles without a matrix": (
        "missing_attribute",
        with_(PerFrameFunctionalGroupsSequence=None, DimensionOrganizationType="TILED_FULL"),
    ),
    "implied tiles that do not fit": (
        "invalid_attribute",
        with_(
            PerFrameFunctionalGroupsSequence=None,
            DimensionOrganizationType="TILED_FULL",
            TotalPixelMatrixRows=48,
            TotalPixelMatrixColumns=12,
        ),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_have_a_code(name: str) -> None:
    code, make = DEFECTS[name]
    with pytest.raises(MaskProblem) as problem:
        read(make())
    assert problem.value.code == code


def test_what_may_be_missing() -> None:
    for keyword in ("SegmentSequence", "FrameOfReferenceUID", "ReferencedSeriesSequence", "SOPInstanceUID"):
        dataset = hand()
        delattr(dataset, keyword)
        mask = only(dataset, grid_of(IMAGES))
        assert mask.description.number == 1 and mask.values.sum() == 2 * 16 * 12
    dataset = hand(SharedFunctionalGroupsSequence=None)  # then the referenced images tell
    assert only(dataset, grid_of(IMAGES)).values.sum() == 2 * 16 * 12


@pytest.mark.parametrize("numbers", [[math.nan] * 3, [math.inf, 0, 0], [1e300, 0, 0], [0, 0]], ids=str)
def test_positions_that_are_no_position_count_as_absent(numbers: list[float]) -> None:
    frame = MaskFrame(ONES, 1, numbers, (IMAGES[1].SOPInstanceUID, None))
    dataset = by_hand([frame], series="a")
    assert read(dataset).frames[0].position is None
    np.testing.assert_array_equal(only(dataset, grid_of(IMAGES)).values[1], ONES)


@pytest.mark.parametrize("cosines", [[0] * 6, [1, 0, 0, 1, 0, 0], [math.nan] * 6, [2, 0, 0, 0, 1, 0]], ids=str)
def test_orientations_that_are_no_plane_count_as_absent(cosines: list[float]) -> None:
    assert read(hand(orientation=cosines)).frames[0].orientation is None


def test_a_segmentation_that_refers_to_itself_has_no_image() -> None:
    dataset = by_hand([MaskFrame(ONES, 1, (0, 0, 900))], FrameOfReferenceUID="1.2.3")
    source = item(SourceImageSequence=[item(ReferencedSOPInstanceUID=dataset.SOPInstanceUID)])
    dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence = [source]
    with pytest.raises(MaskProblem, match="no_image"):
        placed(dataset, grid_of(IMAGES))


def test_far_planes_do_not_fill_the_memory() -> None:
    frames = [MaskFrame(ONES, 1, (0, 0, z)) for z in (0, 0.01, 999_999.0)]
    mask = only(by_hand(frames, spacing=(2, 2), series="a"), grid_of(IMAGES))
    assert mask.values.shape == (3, 16, 12) and mask.own_affine_lps is None and "own_grid" in mask.flags


@pytest.mark.parametrize("spacing", [(1e-300, 1e-300), (1e-9, 1e4), (9999.0, 1e-5)])
def test_odd_spacings_are_another_grid(spacing: tuple[float, float]) -> None:
    frame = MaskFrame(ONES, 1, (9.9e5, -9.9e5, 9.9e5))
    assert "own_grid" in only(by_hand([frame], spacing=spacing, series="a"), grid_of(IMAGES)).flags


@pytest.mark.parametrize("pixels", [np.ones((16, 11), "u1"), np.ones((16, 12, 3), "u1"), np.ones((16, 12), "f4")])
def test_frames_of_another_shape_or_type_are_refused(pixels: Any) -> None:
    for form in ("BINARY", "LABELMAP", "OCCUPANCY"):
        frame = MaskFrame(ONES, None if form == "LABELMAP" else 1, IMAGES[0].ImagePositionPatient)
        segmentation = read(by_hand([frame], form, series="a"))
        with pytest.raises(MaskProblem, match="invalid_attribute"):
            list(masks_of_segmentation(segmentation, [grid_of(IMAGES)], lambda _: pixels))


def test_fractions_above_255_are_refused() -> None:
    segmentation = read(by_hand([MaskFrame(ONES, 1, IMAGES[0].ImagePositionPatient)], "OCCUPANCY", series="a"))
    with pytest.raises(MaskProblem, match=r"invalid_attribute \(found 300, needed 255\)"):
        list(masks_of_segmentation(segmentation, [grid_of(IMAGES)], lambda _: np.full((16, 12), 300, "u2")))


def test_nested_sequences_are_refused() -> None:
    data = as_bytes(hand())
    # A sequence and an item, each of undefined length.
    opened = b"\x08\x00\x12\x21SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = data.index(b"\x08\x00\x60\x00CS")
    broken = data[:at] + opened * 5000 + data[at:]
    with pytest.raises(MaskProblem, match="unreadable_header"):
        read_segmentation(io.BytesIO(broken))


WHOLE = as_bytes(hand())


@given(st.integers(0, len(WHOLE)))
def test_a_file_that_ends_anywhere(length: int) -> None:
    try:
        segmentation = read_segmentation(io.BytesIO(WHOLE[:length]))
    except MaskProblem:
        return
    assert len(segmentation.frames) == 2


@given(st.lists(st.tuples(st.integers(132, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_raise_nothing_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for where, value in changes:
        data[where] = value
    try:
        segmentation = read_segmentation(io.BytesIO(bytes(data)))
        pixels = np.ones((segmentation.rows, segmentation.columns), "u1")
        for found in masks_of_segmentation(segmentation, [grid_of(IMAGES)], lambda _: pixels):
            if not isinstance(found, Elsewhere):
                assert found[1].values.dtype == np.uint8 and 0 <= found[1].outside <= 1
    except MaskProblem as problem:
        assert problem.code


@given(st.binary(max_size=400))
def test_bytes_that_are_no_file(data: bytes) -> None:
    with pytest.raises(MaskProblem):
        read_segmentation(io.BytesIO(data))


class _Failing(io.BytesIO):
    """A file whose disk fails behind the first 200 bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 200:
            raise OSError(errno.EIO, "the disk fails")
        return super().read(size)


def test_all_images_are_noted_where_no_series_is_named() -> None:
    """A structure set or a segmentation may refer to one series first and to another one behind it."""
    pixels = np.zeros((4, 5), "u1")
    uids = [uid("referenced", number) for number in range(100)]
    frames = [MaskFrame(pixels, position=(0, 0, n), source=(name, None)) for n, name in enumerate(uids)]
    for named, most in ((True, 16), (False, 100)):
        dataset = by_hand(frames, **({} if named else {"ReferencedSeriesSequence": None}))
        found = read_references(io.BytesIO(as_bytes(dataset)), dataset.SOPClassUID)
        assert found["instances"] == uids[:most]


def test_source_images_that_all_frames_share_are_noted() -> None:
    dataset = by_hand([MaskFrame(np.zeros((4, 5), "u1"), position=(0, 0, 0), source=(uid("shared"), None))])
    (frame,), (shared,) = dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence
    shared.DerivationImageSequence = frame.DerivationImageSequence
    del frame.DerivationImageSequence
    assert read_references(io.BytesIO(as_bytes(dataset)), dataset.SOPClassUID)["instances"] == [uid("shared")]


def test_a_failing_disk_is_not_taken_for_a_file_without_references() -> None:
    kind = "1.2.840.10008.5.1.4.1.1.66.4"
    assert read_references(io.BytesIO(WHOLE), kind)["instances"] == [image.SOPInstanceUID for image in IMAGES[:2]]
    with pytest.raises(OSError, match="the disk fails"):
        read_references(_Failing(WHOLE), kind)
