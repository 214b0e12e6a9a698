"""Which image of a series a frame belongs to, and which t of it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grids_of_scans import grid_in_time, grid_of
from made_up_scans import CORONAL, scan
from made_up_segmentations import MaskFrame, by_hand, by_highdicom, described
from placed_segments import highdicom_by_instance, noise, only, placed
from pydicom import Dataset

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import MaskProblem


def at(image: Dataset, pixels: np.ndarray[Any, Any], *, named: bool = True, segment: int = 1) -> MaskFrame:
    """Return a frame on an image, with or without a reference to it."""
    source = (str(image.SOPInstanceUID), None) if named else None
    return MaskFrame(pixels, segment, image.ImagePositionPatient, source)


# ---------------------------------------------------------------------------------------------------- several volumes


def split() -> tuple[list[Dataset], list[Dataset], list[ImageGrid]]:
    """Return two acquisitions of one series whose slices alternate: 2.5 mm, the second one 1 mm further."""
    first = scan("one", (0, 2.5, 5, 7.5), series="a")
    second = scan("two", (1, 3.5, 6, 8.5), series="a")
    return first, second, [grid_of(first, "s/one"), grid_of(second, "s/two")]


@pytest.mark.parametrize("named", [True, False], ids=["by reference", "by position"])
def test_each_volume_of_a_split_series_gets_its_own_frames(named: bool) -> None:
    first, second, grids = split()
    voxels = noise(1, 8, 16, 12)
    images = [image for pair in zip(first, second, strict=True) for image in pair]
    dataset = by_hand([at(image, voxels[n], named=named) for n, image in enumerate(images)], series="a")
    masks = placed(dataset, *grids)
    assert [(array, mask.flags) for array, mask in masks] == [("s/one", ()), ("s/two", ())]
    np.testing.assert_array_equal(masks[0][1].values, voxels[::2])
    np.testing.assert_array_equal(masks[1][1].values, voxels[1::2])


def test_a_segmentation_of_one_volume_of_a_split_series_is_what_highdicom_reads() -> None:
    first, second, grids = split()
    voxels = noise(2, 4, 16, 12, values=3)
    dataset = by_highdicom(second, voxels)
    masks = placed(dataset, *grids)
    expected = highdicom_by_instance(dataset, [image.SOPInstanceUID for image in second])
    assert [array for array, _ in masks] == ["s/two", "s/two"]
    for number, (_, mask) in enumerate(masks):
        np.testing.assert_array_equal(mask.values, expected[..., number])


def test_two_orientations_of_one_series() -> None:
    flat = scan("one", series="a")
    steep = scan("two", orientation=CORONAL, series="a")
    voxels = noise(3, 2, 16, 12)
    frames = [at(flat[1], voxels[0], named=False), at(steep[2], voxels[1], named=False)]
    frames[1].orientation = CORONAL
    masks = dict(placed(by_hand(frames, series="a"), grid_of(flat, "s/one"), grid_of(steep, "s/two")))
    np.testing.assert_array_equal(masks["s/one"].values[1], voxels[0])
    z = grid_of(steep).frames[steep[2].SOPInstanceUID, 0][1]
    np.testing.assert_array_equal(masks["s/two"].values[z], voxels[1])
    assert all(mask.values.sum() == voxels[n].sum() for n, mask in enumerate(masks.values()))


def test_two_volumes_at_one_place_need_a_reference() -> None:
    first, second = scan("one", series="a"), scan("two", series="a")
    grids = grid_of(first, "s/one"), grid_of(second, "s/two")
    voxels = noise(4, 16, 12)
    with pytest.raises(MaskProblem, match="ambiguous_volume"):
        placed(by_hand([at(second[1], voxels, named=False)], series="a"), *grids)
    ((array, mask),) = placed(by_hand([at(second[1], voxels)], series="a"), *grids)
    np.testing.assert_array_equal(mask.values[1], voxels)
    assert array == "s/two"
    # A frame that refers to nothing follows those of its stack that do.
    frames = [at(second[1], voxels), at(second[3], voxels, named=False)]
    ((array, mask),) = placed(by_hand(frames, series="a"), *grids)
    assert array == "s/two" and mask.values[3].sum() == voxels.sum()


def test_a_frame_that_refers_to_both_volumes_is_on_both() -> None:
    first, second = scan("one", series="a"), scan("two", series="a")
    frame = at(first[1], noise(5, 16, 12))
    dataset = by_hand([frame], series="a")
    (derivation,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    other = deepcopy(derivation.SourceImageSequence[0])
    other.ReferencedSOPInstanceUID = second[1].SOPInstanceUID
    derivation.SourceImageSequence.append(other)
    masks = placed(dataset, grid_of(first, "s/one"), grid_of(second, "s/two"))
    assert [array for array, _ in masks] == ["s/one", "s/two"]
    for _, mask in masks:
        np.testing.assert_array_equal(mask.values[1], frame.pixels)


def test_of_two_referenced_volumes_the_one_on_which_a_frame_lies() -> None:
    first, second, grids = split()
    dataset = by_hand([at(first[1], noise(5, 16, 12))], series="a")
    (derivation,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    derivation.SourceImageSequence.append(deepcopy(derivation.SourceImageSequence[0]))
    derivation.SourceImageSequence[1].ReferencedSOPInstanceUID = second[1].SOPInstanceUID
    assert [array for array, _ in placed(dataset, *grids)] == ["s/one"]


def test_a_reference_of_the_file_as_a_whole() -> None:
    first, second = scan("one", series="a"), scan("two", series="a")
    dataset = by_hand([at(first[1], noise(5, 16, 12), named=False)], series="a")
    instance = Dataset()
    instance.ReferencedSOPInstanceUID = second[3].SOPInstanceUID
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [instance]
    masks = placed(dataset, grid_of(first, "s/one"), grid_of(second, "s/two"))
    assert [array for array, _ in masks] == ["s/two"]


def test_a_segment_of_the_other_volume_has_no_mask() -> None:
    first, second, grids = split()
    frames = [at(first[0], noise(5, 16, 12), segment=1), at(second[0], noise(6, 16, 12), segment=2)]
    masks = placed(by_hand(frames, segments=[described(n) for n in (1, 2, 3)], series="a"), *grids)
    assert [(array, mask.description.number, mask.flags) for array, mask in masks] == [
        ("s/one", 1, ()),
        ("s/one", 3, ("empty_mask",)),
        ("s/two", 2, ()),
        ("s/two", 3, ("empty_mask",)),
    ]


def test_a_lacking_slice_belongs_to_the_volume_whose_lattice_it_fits() -> None:
    first, second, _ = split()
    voxels = noise(6, 8, 16, 12)
    images = [image for pair in zip(first, second, strict=True) for image in pair]
    dataset = by_hand([at(image, voxels[n]) for n, image in enumerate(images)], series="a")
    grids = [grid_of([first[n] for n in (0, 2, 3)], "s/one"), grid_of(second, "s/two")]
    masks = dict(placed(dataset, *grids))
    np.testing.assert_array_equal(masks["s/one"].values, voxels[[0, 4, 6]])
    np.testing.assert_array_equal(masks["s/two"].values, voxels[1::2])
    assert masks["s/one"].flags == ("outside_image",) and masks["s/two"].flags == ()


def test_the_slice_that_the_dataset_lacks_counts_as_outside_of_its_own_volume() -> None:
    first, second, _ = split()
    voxels = noise(6, 4, 16, 12)
    dataset = by_hand([at(image, voxels[n]) for n, image in enumerate(first)], series="a")
    kept = [first[0], first[2], first[3]]
    ((array, mask),) = placed(dataset, grid_of(kept, "s/one"), grid_of(second, "s/two"))
    assert array == "s/one" and mask.flags == ("outside_image",)
    np.testing.assert_array_equal(mask.values, voxels[[0, 2, 3]])


def test_another_frame_of_reference_needs_a_reference() -> None:
    images = scan("a")
    voxels = noise(7, 16, 12)
    elsewhere = {"FrameOfReferenceUID": "1.2.3", "series": "a"}
    with pytest.raises(MaskProblem, match="no_image"):
        placed(by_hand([at(images[1], voxels, named=False)], **elsewhere), grid_of(images))
    mask = only(by_hand([at(images[1], voxels)], **elsewhere), grid_of(images))
    np.testing.assert_array_equal(mask.values[1], voxels)
    moved = at(images[1], voxels)
    moved.position = (0, 0, 1000)
    mask = only(by_hand([moved], **elsewhere), grid_of(images))
    np.testing.assert_array_equal(mask.values[1], voxels)


def test_by_frame_of_reference_all_frames_must_lie_on_the_image() -> None:
    images = scan("a")
    voxels = noise(8, 2, 16, 12)
    frames = [at(images[n], voxels[n], named=False) for n in (0, 1)]
    mask = only(by_hand(frames, series="a"), grid_of(images), by_frame_of_reference=True)
    assert mask.flags == ("by_frame_of_reference",)
    np.testing.assert_array_equal(mask.values[:2], voxels)
    frames[1].position = (-10, -20, 300)
    with pytest.raises(MaskProblem, match="no_image"):
        placed(by_hand(frames, series="a"), grid_of(images), by_frame_of_reference=True)
    nameless = replace(grid_of(images), frame_of_reference="")
    with pytest.raises(MaskProblem, match="no_image"):
        placed(by_hand(frames[:1], series="a"), nameless, by_frame_of_reference=True)


# -------------------------------------------------------------------------------------------------------------- time


def times() -> list[list[Dataset]]:
    """Return three stacks of one place, one for each t."""
    return [scan(f"time {t}", series="a") for t in range(3)]


def test_a_mask_that_differs_along_t_has_the_axis() -> None:
    stacks = times()
    voxels = noise(9, 3, 5, 16, 12)
    voxels[1, 2] = 0
    frames = [at(stacks[t][z], voxels[t, z]) for z in range(5) for t in range(3) if (t, z) != (1, 2)]
    mask = only(by_hand(frames, series="a"), grid_in_time(stacks))
    assert mask.axes == "tzyx" and mask.flags == ()
    np.testing.assert_array_equal(mask.values, voxels)


def test_a_mask_of_one_t_or_of_none_or_of_all_has_no_t() -> None:
    stacks = times()
    grid = grid_in_time(stacks)
    voxels = noise(10, 5, 16, 12)
    for named, flags, counts in (
        (True, ("one_t",), {"frames": 5, "t": 2}),
        (False, ("no_t_reference",), {"frames": 5}),
    ):
        frames = [at(image, voxels[z], named=named) for z, image in enumerate(stacks[2])]
        mask = only(by_hand(frames, series="a"), grid)
        assert (mask.axes, mask.flags, mask.counts) == ("zyx", flags, counts)
        np.testing.assert_array_equal(mask.values, voxels)
    dataset = by_hand([at(image, voxels[z]) for z, image in enumerate(stacks[0])], series="a")
    for z, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        (derivation,) = frame.DerivationImageSequence
        for t in (1, 2):
            other = deepcopy(derivation.SourceImageSequence[0])
            other.ReferencedSOPInstanceUID = stacks[t][z].SOPInstanceUID
            derivation.SourceImageSequence.append(other)
    mask = only(dataset, grid)
    assert (mask.axes, mask.flags) == ("zyx", ())
    # One slice for one t, the others for all.
    dataset.PerFrameFunctionalGroupsSequence[2].DerivationImageSequence[0].SourceImageSequence[1:] = []
    mask = only(dataset, grid)
    assert (mask.axes, mask.flags) == ("tzyx", ())
    expected = np.stack([voxels] * 3)
    expected[1:, 2] = 0
    np.testing.assert_array_equal(mask.values, expected)


def test_a_frame_without_a_reference_is_not_spread_to_other_times() -> None:
    stacks = times()
    voxels = noise(10, 3, 16, 12)
    frames = [at(stacks[0][1], voxels[0]), at(stacks[2][1], voxels[1]), at(stacks[1][2], voxels[2], named=False)]
    mask = only(by_hand(frames, series="a"), grid_in_time(stacks))
    assert (mask.axes, mask.flags) == ("tzyx", ("frames_without_t",))
    assert mask.counts == {"frames": 2, "frames_without_t": 1}
    np.testing.assert_array_equal(mask.values[[0, 2], 1], voxels[:2])
    assert mask.values.sum() == voxels[:2].sum()
    mask = only(by_hand(frames[1:], series="a"), grid_in_time(stacks))
    assert (mask.axes, mask.flags, mask.counts) == ("zyx", ("no_t_reference", "one_t"), {"frames": 2, "t": 2})


def test_frames_of_a_cine_without_positions() -> None:
    images = scan("a")
    grid = ImageGrid(
        "s/v", "tyx", (5, 16, 12), frames={(str(i.SOPInstanceUID), 0): (t, None) for t, i in enumerate(images)}
    )
    voxels = noise(11, 16, 12)
    frame = MaskFrame(voxels, source=(str(images[3].SOPInstanceUID), None))
    mask = only(by_hand([frame], orientation=None, spacing=None, series="a"), grid)
    assert mask.axes == "tyx" and mask.flags == ()
    np.testing.assert_array_equal(mask.values[3], voxels)
    assert mask.values.sum() == voxels.sum()


def test_an_image_of_one_slice_has_masks_of_its_axes() -> None:
    images = scan("a", (0.0,))
    whole = grid_of(images)
    grid = replace(whole, axes="yx", shape=(16, 12), frames=dict.fromkeys(whole.frames, (None, None)))
    voxels = noise(12, 16, 12)
    mask = only(by_hand([at(images[0], voxels, named=False)], series="a"), grid)
    assert mask.axes == "yx"
    np.testing.assert_array_equal(mask.values, voxels)
    # A file that refers to the one image as a whole needs no positions.
    dataset = by_hand([MaskFrame(voxels)], orientation=None, spacing=None, series="a")
    instance = Dataset()
    instance.ReferencedSOPInstanceUID = images[0].SOPInstanceUID
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [instance]
    np.testing.assert_array_equal(only(dataset, grid).values, voxels)


def test_an_own_grid_may_have_t() -> None:
    stacks = times()
    voxels = noise(13, 2, 3, 4, 5)
    frames = [
        MaskFrame(voxels[t, z], 1, (0, 0, 30.0 + z), (str(stacks[2 * t][z].SOPInstanceUID), None))
        for t in (0, 1)
        for z in range(3)
    ]
    mask = only(by_hand(frames, spacing=(3, 3), series="a"), grid_in_time(stacks))
    assert mask.axes == "tzyx" and mask.values.shape == (3, 3, 4, 5) and "own_grid" in mask.flags
    np.testing.assert_array_equal(mask.values[[0, 2]], voxels)
    assert not mask.values[1].any()
