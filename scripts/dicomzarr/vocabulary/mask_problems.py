"""Why a mask file, or a mask of it, was not placed: codes in the column `problem` of `private/mask_files.csv`."""

from __future__ import annotations

MASK_PROBLEMS = {
    "missing_attribute": "an attribute without which a mask cannot be read is missing",
    "invalid_attribute": "such an attribute has a value that it cannot have",
    "unreadable_header": "the file cannot be parsed",
    "too_large": "more contours, points or voxels than the limits allow",
    "no_position": "neither the frames nor the image say where they lie",
    "no_image": "no frame or contour belongs to this image",
    "other_space": "the regions lie in another frame of reference than the image that the file names",
    "ambiguous_volume": "several arrays of the image's series fit, and the file names none of them",
}
