"""Masks of contours that a test gives as arrays of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from made_up_grids import grid_of

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.grid import ImageGrid
from dicomzarr.masks.model import Description, PlacedMask
from dicomzarr.masks.structure_set import Contour, Roi

PLANAR = "CLOSED_PLANAR"


def roi(*contours: Any, unreadable: int = 0, kind: Any = PLANAR) -> Roi:
    """Return a region of contours, which may be arrays of points."""
    made = tuple(c if isinstance(c, Contour) else Contour(np.asarray(c, float), kind) for c in contours)
    return Roi(Description("RTSTRUCT", 1), made, unreadable=unreadable)


def mask(*contours: Any, grid: ImageGrid | None = None, **more: Any) -> PlacedMask:
    return mask_of_contours(roi(*contours, **more), grid or grid_of())
