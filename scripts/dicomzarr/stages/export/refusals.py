"""Why arrays are not exported: an array that a format cannot hold without loss is refused."""

from __future__ import annotations

REFUSALS = {
    "float_values": "PNG holds whole numbers; the array has float values",
    "more_than_16_bits": "PNG holds 16 bits; the array has more, by Bits Stored (0028,0101) or by its values",
    "no_regular_geometry": "NIfTI needs one affine; slices are single, uneven, with gaps, or without positions",
    "rescale_per_frame": "NIfTI holds one slope and intercept; the frames of the array have several",
    "modality_lut": "NIfTI holds a slope and an intercept; the array has a Modality LUT (0028,3000)",
    "colour_over_8_bits": "NIfTI holds colours of 8 bits; the array has more",
    "axis_too_long": "NIfTI holds axes of up to 32,767 indices; the array has a longer one",
}


class Refused(Exception):
    """An array that a format cannot hold; `code` is a key of `REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
