"""What the networks shall answer for a sample, and which answers count."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 192  # pixels of a sample: room for a name of 24 pixels height, and small enough for many samples a second
CELL = 4  # pixels a side of what one number of the answer stands for; as in dicomzarr.burned_in.networks
CELLS = SIDE // CELL
ANY, LONG = 0, 1  # channels: text of any length; text of three characters and more

SHORT = 2.0  # characters up to which a text is no finding in channel LONG
SURELY_LONG = 2.6  # characters from which it is one; between the two, as of a text cut off, channel LONG does not count
THIN = 16  # pixels: around lower texts one cell does not count, around others two

LEAST_CONTRAST = 0.08  # of the brightness of an image: text with less cannot be seen
LEAST_CONTRAST_TO_NOISE = 0.4  # contrast as a share of the standard deviation around it: with less neither
INK, PAPER = 150, 40  # of 255: masks have text for sure above the one, and none below the other
LEAST_PIXELS = 4  # of text and of its surroundings, to compare them


class Place(NamedTuple):
    """A rectangle in pixels: rows from `top` to `bottom`, columns from `left` to `right`."""

    top: int
    left: int
    bottom: int
    right: int


class Labels:
    """The answers for one sample and their weights in the loss.

    Attributes
    ----------
    text : ndarray of float32, shape (2, CELLS, CELLS)
        1 where a cell has text, by channel: `ANY`, `LONG`.
    weight : ndarray of float32, shape (2, CELLS, CELLS)
        1 where the answer for a cell counts; 0 where either answer is right.
    """

    def __init__(self) -> None:
        self.text = np.zeros((2, CELLS, CELLS), np.float32)
        self.weight = np.ones_like(self.text)

    def mark(self, place: Place, characters: float) -> None:
        """Note that there is text.

        Around it some cells do not count: where a text ends matters to nobody.

        Parameters
        ----------
        place : Place
            Of the part of the text that is in the sample.
        characters : float
            Its length; of a text cut off, the share that is left.
        """
        height, width = place.bottom - place.top, place.right - place.left
        around = 1 if min(height, width) < THIN else 2
        rows = slice(max(0, place.top // CELL - around), math.ceil(place.bottom / CELL) + around)
        columns = slice(max(0, place.left // CELL - around), math.ceil(place.right / CELL) + around)
        self.weight[:, rows, columns] = 0
        cells = self._cells(place)
        self.text[ANY][cells] = self.weight[ANY][cells] = 1
        if characters >= SURELY_LONG or characters <= SHORT:
            self.text[LONG][cells] = characters >= SURELY_LONG
            self.weight[LONG][cells] = 1

    def leave_out(self, place: Place) -> None:
        """Note that the answer for a text does not count.

        Parameters
        ----------
        place : Place
            As it was given to `mark`.
        """
        self.weight[(slice(None), *self._cells(place))] = 0

    @staticmethod
    def _cells(place: Place) -> tuple[slice, slice]:
        """Return the cells of a text: those it enters by more than a pixel, at least one each way."""
        top, left = (place.top + 1) // CELL, (place.left + 1) // CELL
        bottom, right = math.ceil((place.bottom - 1) / CELL), math.ceil((place.right - 1) / CELL)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def can_be_seen(image: NDArray[np.float32], mask: NDArray[np.uint8], place: Place) -> bool:
    """Return whether text can be distinguished from what is around it.

    Parameters
    ----------
    image : ndarray of float32, shape (SIDE, SIDE)
        The sample as it is handed to a network.
    mask : ndarray of uint8, shape (rows, columns)
        The text that was painted, 255 where it covers a pixel.
    place : Place
        Where, of the shape of the mask.

    Returns
    -------
    bool
        Also True of masks that are too small to compare.
    """
    pixels = image[place.top : place.bottom, place.left : place.right]
    ink, paper = pixels[mask > INK], pixels[mask < PAPER]
    if min(ink.size, paper.size) < LEAST_PIXELS:
        return True
    contrast = abs(float(ink.mean() - paper.mean()))
    noise = math.sqrt(float(ink.var() + paper.var()) / 2)
    return contrast >= LEAST_CONTRAST and contrast >= LEAST_CONTRAST_TO_NOISE * noise
