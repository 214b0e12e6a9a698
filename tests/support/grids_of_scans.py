"""The grid of a made-up image, from its files by other means than the workflow's: sorted by highdicom's depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from dicomzarr.masks.grid import ImageGrid


def _grid(
    planes: Sequence[tuple[Sequence[float], str, int]],
    orientation: Sequence[float],
    spacing: Sequence[float],
    size: tuple[int, int],
    **more: Any,
) -> ImageGrid:
    orientation = np.asarray(orientation, float)
    normal = np.cross(orientation[:3], orientation[3:])
    planes = sorted(planes, key=lambda plane: float(np.dot(normal, np.asarray(plane[0], float))))
    return ImageGrid(
        axes="zyx",
        shape=(len(planes), *size),
        origins=np.array([plane[0] for plane in planes], float),
        across=tuple(orientation[:3] * float(spacing[1])),
        down=tuple(orientation[3:] * float(spacing[0])),
        frames={(uid, number): (None, z) for z, (_, uid, number) in enumerate(planes)},
        spacing_mm={"y": float(spacing[0]), "x": float(spacing[1])},
        **more,
    )


def grid_of(images: Sequence[Dataset], array: str = "series/volume", **more: Any) -> ImageGrid:
    """Return the grid of a stack of single-frame files, sorted along the normal."""
    first = images[0]
    more = {"frame_of_reference": str(first.get("FrameOfReferenceUID", "")), "array": array, **more}
    planes = [(image.ImagePositionPatient, str(image.SOPInstanceUID), 0) for image in images]
    return _grid(planes, first.ImageOrientationPatient, first.PixelSpacing, (first.Rows, first.Columns), **more)


def grid_of_multi_frame(image: Dataset, array: str = "series/volume") -> ImageGrid:
    """Return the grid of a multi-frame file with one frame at each position."""
    shared = image.SharedFunctionalGroupsSequence[0]
    planes = [
        (group.PlanePositionSequence[0].ImagePositionPatient, str(image.SOPInstanceUID), number)
        for number, group in enumerate(image.PerFrameFunctionalGroupsSequence)
    ]
    return _grid(
        planes,
        shared.PlaneOrientationSequence[0].ImageOrientationPatient,
        shared.PixelMeasuresSequence[0].PixelSpacing,
        (image.Rows, image.Columns),
        array=array,
        frame_of_reference=str(image.FrameOfReferenceUID),
    )


def grid_in_time(images: Sequence[Sequence[Dataset]]) -> ImageGrid:
    """Return the grid tzyx of stacks of single-frame files, one for each t, that lie at the same places."""
    still = grid_of(images[0])
    depths = {
        tuple(map(float, image.ImagePositionPatient)): still.frames[image.SOPInstanceUID, 0] for image in images[0]
    }
    frames = {
        (str(image.SOPInstanceUID), 0): (t, depths[tuple(map(float, image.ImagePositionPatient))][1])
        for t, stack in enumerate(images)
        for image in stack
    }
    return ImageGrid(
        "series/volume",
        "tzyx",
        (len(images), *still.shape),
        still.spacing_mm,
        still.frame_of_reference,
        still.origins,
        still.across,
        still.down,
        frames,
    )


def grid_of_slide(image: Dataset) -> ImageGrid:
    """Return the grid of a slide whose frames run along the rows of tiles."""
    across = -(-image.TotalPixelMatrixColumns // image.Columns)
    count = int(image.NumberOfFrames)
    return ImageGrid(
        "series/volume",
        "tcyx",
        (count, 3, image.Rows, image.Columns),
        {"y": 0.01, "x": 0.01},
        str(image.FrameOfReferenceUID),
        frames={(str(image.SOPInstanceUID), t): (t, None) for t in range(count)},
        tile_offsets=tuple((t // across * image.Rows, t % across * image.Columns) for t in range(count)),
    )
