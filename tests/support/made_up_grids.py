"""Made-up grids of images, for masks to be placed on."""

from __future__ import annotations

from typing import Any

import numpy as np

from dicomzarr.masks.grid import ImageGrid


def grid_of(
    slices: int = 5,
    rows: int = 20,
    columns: int = 24,
    *,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    axes: str = "zyx",
    times: int = 1,
    depths: Any = None,
    **more: Any,
) -> ImageGrid:
    """Return an axial grid, mm LPS; `spacing` is along z, y and x, `depths` are positions of slices on z."""
    z = np.arange(slices) * spacing[0] if depths is None else np.asarray(depths, float)
    origins = np.column_stack([np.full(len(z), origin[0]), np.full(len(z), origin[1]), origin[2] + z])
    sizes = {"t": times, "z": len(z), "y": rows, "x": columns, "c": 3}
    values: dict[str, Any] = {
        "array": "0123456789abcdef/01234567",
        "axes": axes,
        "shape": tuple(sizes[axis] for axis in axes),
        "spacing_mm": {"z": spacing[0], "y": spacing[1], "x": spacing[2]} if depths is None else {},
        "origins": origins,
        "across": (spacing[2], 0.0, 0.0),
        "down": (0.0, spacing[1], 0.0),
    }
    return ImageGrid(**(values | more))
