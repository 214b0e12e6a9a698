"""Which image of a series each region of a structure set belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.structure_set import Contour, Roi, StructureSet


def regions_by_grid(structures: StructureSet, grids: Sequence[ImageGrid]) -> Iterator[tuple[Roi, ImageGrid | str]]:
    """Yield each region with its image, or with the code of a problem; a region with contours on two images twice.

    Contours belong to the image that holds the frame they refer to. Those that refer to no frame of these images belong
    to the image of the other contours, or to the only image with a position in space.

    Parameters
    ----------
    structures : StructureSet
    grids : sequence of ImageGrid
        The images of a series.

    Yields
    ------
    roi : Roi
        With the contours of that image alone.
    grid : ImageGrid or str
        ``ambiguous_volume`` if several images may be meant, ``no_position`` if none has a position in space.
    """
    located = [grid for grid in grids if grid.origins is not None]
    by_frame = {frame: grid.array for grid in located for frame in grid.frames}
    by_instance: dict[str, set[str]] = {}
    for (uid, _), array in by_frame.items():
        by_instance.setdefault(uid, set()).add(array)
    for roi in structures.rois:
        parts: dict[str, list[Contour]] = {}
        unassigned: list[Contour] = []
        for contour in roi.contours:
            named = set[str]()
            for uid, number in contour.images:
                named |= by_instance.get(uid, set()) if number is None else {by_frame.get((uid, number), "")} - {""}
            if len(named) == 1:
                parts.setdefault(named.pop(), []).append(contour)
            else:
                unassigned.append(contour)
        if unassigned or not roi.contours:
            only = next(iter(parts), None) if len(parts) == 1 else located[0].array if len(located) == 1 else None
            if only is None:
                yield roi, "ambiguous_volume" if located else "no_position"
                if not parts:
                    continue
            else:
                parts.setdefault(only, []).extend(unassigned)
        for grid in located:
            if grid.array in parts:
                yield dataclasses.replace(roi, contours=tuple(parts[grid.array])), grid
