"""Why arrays are not exported: an array that a format cannot hold without loss is refused."""

from __future__ import annotations

REFUSALS = {
    "float_values": "PNG holds whole numbers; the array has float values",
    "more_than_16_bits": "PNG holds 16 bits; the array has more, by Bits Stored (0028,0101) or by its values",
    "no_regular_geometry": "NIfTI needs one affine; slices are single, uneven, with gaps, or without positions",
    "tiles_uncertain": "a mosaic has values behind its last slice, or a mask of the whole image: slices might be lost",
    "rescale_per_frame": "NIfTI holds one slope and intercept; the frames of the array have several",
    "rescale_incomplete": "some frames lack a usable Rescale Slope or Intercept: their values have no unit",
    "slope_not_held": "a slope of 0 means none in NIfTI, whose slope and intercept have 32 bits; the array has others",
    "modality_lut": "NIfTI holds a slope and an intercept; the array has a Modality LUT (0028,3000)",
    "colour_over_8_bits": "NIfTI holds colours of 8 bits; the array has more",
    "axis_too_long": "NIfTI holds axes of up to 32,767 indices; the array has a longer one",
    "axes_not_zyx": "a case of nnU-Net has the axes z, y and x; the array has others: t, colour, or a single slice",
    "sheared": "the axes of the affine are not orthogonal (gantry tilt), which ITK, nnU-Net's reader, cannot hold",
    "nan_values": "nnU-Net refuses images with NaN or infinite values; the array has some",
    "mask_missing": "the image has masks, but not one that is a label, nor is it listed in `masks_absent`",
    "mask_lost": "a label was drawn on the image, but nothing of it is left (`nothing_left`, `point_contours`)",
    "mask_on_own_grid": "a mask that is a label lies on a grid of its own, and nothing is resampled here",
    "masks_overlap": "masks of two labels share voxels; `overlaps: regions` or `overlaps: nested` keeps them",
    "other_modality": "left out: the array has another modality than `nnunet.modality`",
    "other_split": "left out: the split has a name that means neither training, validation nor test",
    "no_masks": "left out: no mask refers to the image, so that nobody is known to have looked for any",
}


class Refused(Exception):
    """An array that a format cannot hold; `code` is a key of `REFUSALS`."""

    outcome = "refused"

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LeftOut(Refused):
    """An array that the configuration does not ask for."""

    outcome = "left_out"
