"""Picture of a frame with boxes around the text in its pixels, for whoever decides about the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 512  # pixels of the longer side
QUALITY = 85  # of JPEG
_PIXELS = 1 << 22  # of a frame that are converted at a time


def picture(frame: NDArray[Any], boxes: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """Return a frame in 8 bits, at most `SIZE` pixels a side, with its boxes in red.

    Parameters
    ----------
    frame : ndarray
        Stored values or colours, shape (rows, columns) or (rows, columns, samples). The smallest finite value is black,
        the largest one white; NaN is black.
    boxes : sequence of tuple
        Top, left, bottom and right, in pixels of the frame.
    """
    image = _eight_bits(frame).convert("RGB")
    scale = min(1.0, SIZE / max(image.size))
    image = image.resize([max(1, round(side * scale)) for side in image.size])
    draw = ImageDraw.Draw(image)
    for top, left, bottom, right in boxes:
        corners = (left * scale - 2, top * scale - 2, right * scale + 1, bottom * scale + 1)
        if corners[0] <= corners[2] and corners[1] <= corners[3]:
            draw.rectangle(corners, outline=(255, 0, 0))
    return image


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size beside each other.

    Parameters
    ----------
    pictures : sequence of Image
        At least one.
    """
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * len(pictures), height))
    for number, image in enumerate(pictures):
        sheet.paste(image, (number * width, 0))
    return sheet


def _eight_bits(frame: NDArray[Any]) -> Image.Image:
    """Return a frame as a grey or RGB image; of two samples the first, of more than three the first three."""
    if frame.ndim == 3:
        frame = frame[..., :3] if frame.shape[-1] >= 3 else frame[..., 0]
    step = max(1, _PIXELS // max(1, frame[0].size))
    blocks = [slice(start, start + step) for start in range(0, len(frame), step)]
    ranges = [_range(frame[rows]) for rows in blocks]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    half = high / 2 - low / 2  # of the range: that of two large numbers is no number
    shown = np.zeros(frame.shape, np.uint8)
    if np.isfinite(half) and half > 0:
        for rows in blocks:
            values = np.clip(np.nan_to_num(frame[rows].astype(np.float64), nan=low), low, high)
            shown[rows] = np.clip((values / 2 - low / 2) / half * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(shown)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and largest finite value; infinity and its negative if there is none."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (np.inf, -np.inf)
