"""Read masks back and give a verdict on each."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.write_masks import LABELS, digest_of_planes, foreground_step, planes_of
from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.records.check_record import MaskVerdict
from dicomzarr.records.mask_record import MaskRecord, SeriesMasks
from dicomzarr.stages.check_batch.levels import count_levels, levels_are_exact
from dicomzarr.stages.check_batch.read_back import BLOCK, FIRST_FRAMES, Watcher
from dicomzarr.system import files, shortage

log = logging.getLogger("dicomzarr")

# Flags of a mask that a person should look at: a part of the structure is not in it, or its place is uncertain.
MASK_WARNINGS = frozenset(
    (
        *("beyond_maximum", "by_frame_of_reference", "contours_between_slices", "contours_cancel"),
        *("contours_elsewhere", "contours_without_t", "duplicate_frames", "frames_elsewhere", "frames_without_t"),
        *("lossy_pixels", "no_t_reference", "nothing_left", "open_contours", "outside_image", "own_grid"),
        *("parts_missing", "points_differ", "references_differ", "slices_without_contour", "tilted_contours"),
        *("uncertain_pixels", "unreadable_contours"),
    )
)


def no_watcher(mask: str) -> None:
    """Return no watcher of a mask, for `check_masks`."""


def files_of_image(on_disk: Mapping[str, int], *, has_masks: bool) -> dict[str, int]:
    """Return the files below the folder of an image that are not those of its masks.

    Parameters
    ----------
    on_disk : mapping of str to int
        Size of each file by path.
    has_masks : bool
        Without masks, a folder of that name is no part of the dataset, so that it shows as a difference.
    """
    return {path: size for path, size in on_disk.items() if not (has_masks and path.startswith(f"{LABELS}/"))}


def check_masks(
    images: Path,
    array: str,
    masks: SeriesMasks,
    on_disk: Mapping[str, int],
    watcher: Callable[[str], Watcher | None] = no_watcher,
) -> Iterator[MaskVerdict]:
    """Yield the verdict on each mask of an image.

    Parameters
    ----------
    images : Path
        The Zarr group of all images.
    array : str
        Of the image.
    masks : SeriesMasks
        Of its series.
    on_disk : mapping of str to int
        Size of each file below the folder of the image.
    watcher : callable
        Called with the name of each mask before it is read; what it returns sees all of its planes, in array order.
    """
    of_array = masks.of_array(array)
    claimed = {path: claim.size for mask in of_array for path, claim in mask.files.items()}
    group = f"{LABELS}/zarr.json"
    others = {path: size for path, size in on_disk.items() if path.startswith(f"{LABELS}/") and path not in claimed}
    group_differs = of_array and others != {group: masks.groups[f"{array}/{group}"].size}
    for mask in of_array:
        below = {path: size for path, size in on_disk.items() if path.startswith(f"{LABELS}/{mask.mask}/")}
        exact = _is_exact(images, mask, watcher(mask.mask))
        differs = group_differs or below != {path: claim.size for path, claim in mask.files.items()}
        warned = not MASK_WARNINGS.isdisjoint(mask.flags)
        yield MaskVerdict(
            array=array,
            mask=mask.mask,
            read_back="exact" if exact else "mismatch",
            files=len(below),
            stored_bytes=sum(below.values()),
            verdict="fail" if differs or not exact else "warn" if warned else "pass",
        )


def _blocks(array: StoredArray) -> Iterator[NDArray[np.uint8]]:
    """Yield a mask in blocks of whole planes: the first by zarr-python alone, the others through zarrs, as images."""
    if len(array.shape) == 2:
        yield array[(slice(None), slice(None))]
        return
    yield array[(slice(0, FIRST_FRAMES),)]
    through_zarrs = array.through_zarrs()
    step = max(1, BLOCK // max(math.prod(array.shape[1:]), 1))
    for start in range(FIRST_FRAMES, array.shape[0], step):
        yield through_zarrs[(slice(start, start + step),)]


def _is_exact(images: Path, mask: MaskRecord, watch: Watcher | None) -> bool:
    """Return whether every plane of a mask has the digest of the plane that was placed, and index and levels fit."""
    try:
        folder = images / mask.array / LABELS / mask.mask
        array = open_array(folder / "0")
        if tuple(array.shape) != mask.shape or array.dtype != np.uint8:
            return False
        digests: list[bytes] = []
        foreground: list[NDArray[np.intp]] = []
        size = 0
        for block in _blocks(array):
            foreground.append(np.flatnonzero(block) + size)
            size += block.size
            if watch:
                watch(len(digests), block.reshape(-1, *block.shape[-2:]))
            digests += [blake3(np.ascontiguousarray(plane).data.cast("B")).digest() for plane in planes_of(block)]
        found = np.concatenate(foreground)
        index = np.asarray(open_array(folder / "foreground")[(slice(None),)]) if len(found) else found
        fits = np.array_equal(index, found[:: foreground_step(len(found))])
        exact = fits and len(found) == mask.voxels and digest_of_planes(digests) == mask.pixel_digest
        return exact and levels_are_exact(folder, mask.axes, count_levels(mask.files, f"{LABELS}/{mask.mask}/"))
    except Exception as error:  # its text may quote a path
        if isinstance(error, OSError) and files.is_disk_error(error):
            log.error("array %s: the disk cannot read a mask of it", mask.array)
            raise
        shortage.refuse(error)
        log.error("array %s: a mask cannot be read back: %s", mask.array, type(error).__name__)
        return False
