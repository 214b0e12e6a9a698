"""The picture of an array: collected while the array and its masks are read back, drawn when that is done."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from dicomzarr.arrays.write_masks import LABELS
from dicomzarr.records.check_record import PictureRow
from dicomzarr.records.mask_record import MaskRecord
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.stages.check_batch.drawing import MOST_MASKS, Outline, colour_of, draw, facts_of
from dicomzarr.stages.check_batch.histogram import histogram
from dicomzarr.stages.check_batch.planes import ImagePlanes, MaskPlanes, cut, drawable
from dicomzarr.stages.check_batch.read_back import ReadBack, Watcher
from dicomzarr.system import files, shortage
from dicomzarr.vocabulary.pictures import CANNOT, DIFFERS, NO_PLANE

log = logging.getLogger("dicomzarr")


class Picture:
    """Collects the planes of an array and of its masks, and draws them.

    Parameters
    ----------
    images : Path
        The Zarr group of all images.
    volume : VolumeRecord
    masks : sequence of MaskRecord
        Of this image.
    """

    def __init__(self, images: Path, volume: VolumeRecord, masks: Sequence[MaskRecord]) -> None:
        self._folder, self._volume = images / volume.array, volume
        fitting = drawable(masks, volume.axes, volume.shape)
        self._cut = cut(volume.axes, volume.shape, fitting[0] if fitting else None)
        self._image = ImagePlanes(self._cut, volume.dtype)
        self._drawable = {mask.mask: mask for mask in fitting}
        self._masks: dict[str, MaskPlanes] = {}

    @property
    def watcher(self) -> Watcher:
        """Sees the frames of the array."""
        return self._image.add

    def mask_watcher(self, name: str) -> Watcher | None:
        """Return what sees the planes of a mask; None if it is not drawn. An image may have a hundred masks."""
        self._masks = {other: planes for other, planes in self._masks.items() if planes.any()}
        is_first = name in self._drawable and name == next(iter(self._drawable))
        if name not in self._drawable or (len(self._masks) >= MOST_MASKS and not is_first):
            return None
        self._masks[name] = MaskPlanes(self._cut, self._drawable[name])
        return self._masks[name].add

    def finish(self, found: ReadBack, exact_masks: Collection[str]) -> tuple[PictureRow, dict[str, bytes]]:
        """Return the row of the array, and the bytes of its pictures by file name: none if there is a trouble.

        Parameters
        ----------
        found : ReadBack
            The result of reading the array back; one that is not exact is not drawn.
        exact_masks : collection of str
            Masks that were read back exactly; the others are not drawn.
        """
        array = self._volume.array
        if not self._cut.planes:
            return PictureRow(array, trouble=NO_PLANE), {}
        if not found.exact:
            return PictureRow(array, trouble=DIFFERS), {}
        try:
            facts = facts_of(self._folder)
            outlines = [
                Outline(name, colour_of(self._folder / LABELS / name), planes.values)
                for name in self._drawable
                if name in exact_masks and (planes := self._masks.get(name))
            ]
            drawing = draw(self._volume, facts, self._image, outlines)
        except Exception as error:  # its text may quote a path
            if isinstance(error, OSError) and files.is_disk_error(error):
                raise
            shortage.refuse(error)
            log.warning("array %s: no picture: %s", array, type(error).__name__)
            return PictureRow(array, trouble=CANNOT), {}
        has_range = drawing.shown not in ("colour", "palette") and not math.isnan(found.low)
        row = PictureRow(
            array=array,
            planes=self._cut.words(),
            boxes=drawing.boxes,
            shown=drawing.shown,
            histogram=histogram(self._image.sample, found.low, found.high) if has_range else "",
            outlines=drawing.outlines,
        )
        name = array.rpartition("/")[2]
        return row, {f"{name}.jpg": drawing.planes, f"{name}.thumb.jpg": drawing.thumb}
