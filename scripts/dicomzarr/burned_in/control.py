"""The positive control: made-up text on a made-up image, which a working detector finds where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 256  # pixels
TEXT, TOP, LEFT, SIZE = "CONTROL 0123", 24, 40, 16  # what is written, where its first row and column are, in pixels
CONTRAST = 1200  # of the text against the image, whose values reach from 0 to about 2,000


def clean() -> NDArray[np.int16]:
    """Return a made-up image without text: a bright disc in noise, shape (SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    disc = 900 / (1 + np.exp((np.hypot(rows, 1.3 * columns) - 80) / 2))
    noise = np.random.Generator(np.random.PCG64(19)).normal(0, 25, (SIDE, SIDE))
    image: NDArray[np.int16] = np.clip(disc + noise + 200, 0, 4095).astype(np.int16)
    return image


def written() -> tuple[NDArray[np.int16], tuple[int, int, int, int]]:
    """Return the made-up image with text on it, and the top, left, bottom and right of the text in pixels."""
    font = ImageFont.load_default(SIZE)
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).text((LEFT, TOP), TEXT, 255, font)
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    text = np.asarray(mask, np.float64) * (CONTRAST / 255)
    return np.clip(clean() + text, 0, 4095).astype(np.int16), (top, left, bottom, right)
