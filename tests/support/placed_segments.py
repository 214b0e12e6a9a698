"""Place made-up segmentations on made-up grids, and read them with highdicom."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from made_up_segmentations import as_bytes, stored_frames
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import Elsewhere, PlacedMask
from dicomzarr.masks.segmentation import Segmentation, read_segmentation
from dicomzarr.masks.segments import masks_of_segmentation


def noise(seed: int, *shape: int, values: int = 2) -> NDArray[np.uint8]:
    """Return voxels of random values."""
    return np.random.default_rng(seed).integers(0, values, shape, dtype="u1")


def in_order(images: Sequence[Dataset]) -> list[Dataset]:
    """Return slices along their normal, by highdicom."""
    from highdicom import spatial

    return spatial.sort_datasets(images)[::-1]  # its planes run against the normal of rows and columns


def read(dataset: Dataset) -> Segmentation:
    """Return the segmentation of a made-up file, through its bytes."""
    return read_segmentation(io.BytesIO(as_bytes(dataset)))


def placed(dataset: Dataset, *grids: ImageGrid, **options: Any) -> list[tuple[str, PlacedMask]]:
    """Return the array and the mask, for all masks of a segmentation."""
    pixels = stored_frames(dataset)
    masks = masks_of_segmentation(read(dataset), grids, lambda index: pixels[index], **options)
    return [(found[0].array, found[1]) for found in masks if not isinstance(found, Elsewhere)]


def only(dataset: Dataset, *grids: ImageGrid, **options: Any) -> PlacedMask:
    """Return the one mask of a segmentation."""
    ((_, mask),) = placed(dataset, *grids, **options)
    return mask


def highdicom_by_instance(dataset: Dataset, uids: Sequence[str]) -> NDArray[np.uint8]:
    """Return what highdicom reads for these single-frame images: (images, rows, columns, segments)."""
    import highdicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = highdicom.seg.Segmentation.from_dataset(dcmread(io.BytesIO(as_bytes(dataset))))
        values = segmentation.get_pixels_by_source_instance(
            list(uids), assert_missing_frames_are_empty=True, rescale_fractional=False, ignore_spatial_locations=True
        )
    return np.asarray(values)


def highdicom_by_frame(dataset: Dataset, uid: str, count: int) -> NDArray[np.uint8]:
    """Return what highdicom reads for the frames of a multi-frame image: (frames, rows, columns, segments)."""
    import highdicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = highdicom.seg.Segmentation.from_dataset(dcmread(io.BytesIO(as_bytes(dataset))))
        values = segmentation.get_pixels_by_source_frame(
            uid,
            list(range(1, count + 1)),
            assert_missing_frames_are_empty=True,
            rescale_fractional=False,
            ignore_spatial_locations=True,
        )
    return np.asarray(values)


def highdicom_volume(dataset: Dataset) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return highdicom's volume of a segmentation, (planes, rows, columns, segments), and its affine from (k, j, i)."""
    import highdicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = highdicom.seg.Segmentation.from_dataset(dcmread(io.BytesIO(as_bytes(dataset))))
        volume = segmentation.get_volume(rescale_fractional=False)
    return np.asarray(volume.array), np.asarray(volume.affine)
