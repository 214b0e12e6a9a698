"""What can be said of a volume's geometry and order, in one table: code -> meaning."""

from __future__ import annotations

from typing import Final

FLAGS: Final[dict[str, str]] = {
    "ambiguous_stack": "several frames lie at one position and nothing in the header tells them apart",
    "dose_offsets_mismatch": "Grid Frame Offset Vector (3004,000C) does not fit the frames; they have no depth",
    "detector_spacing": "only the spacing at the detector is known, so no spacing in the patient is stated",
    "functional_groups_mismatch": "the number of per-frame functional groups differs from the number of frames",
    "gantry_tilt": "slices are shifted within their plane in proportion to depth: the affine is sheared",
    "gap": "slices are missing between the first and the last; positions are kept, nothing is filled in",
    "incomplete_grid": "one part of a series over time (or echo, b-value ...) in which other parts lack slices",
    "invalid_orientation": "Image Orientation (Patient) (0020,0037) is no pair of orthogonal unit vectors; not used",
    "mosaic": "the slices of a volume are tiles of one stored image, kept as stored",
    "partial_geometry": "some frames of the file have a position and others have none; none is used",
    "t_order_only": "the order along t rests on a counter alone, and says nothing of what changes from frame to frame",
    "uneven_spacing": "the distances between slices have no common step; positions are kept",
    "unplaced_tiles": "frames of a whole slide image without a stated place in it; stored order is kept",
}
