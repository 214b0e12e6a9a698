"""Made-up backgrounds: noise, ridges, stripes, mosaics, phantoms, grids, maps of labels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from benchmarks.text_network.drawings import (
    Generator,
    Image,
    chance,
    cloud,
    draw_marks,
    integer,
    standardised,
    uniform,
)

BLURRED = 0.4  # share of made-up backgrounds that are blurred, since few images have sharp pixels


def made_up(random: Generator, side: int) -> Image:
    """Return a made-up background without text.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    side : int
        Rows and columns.

    Returns
    -------
    ndarray of float32, shape (side, side)
        About 0 for the darkest and 1 for the brightest pixels.
    """
    kind = KINDS[integer(random, 0, len(KINDS))]
    image = kind(random, side)
    if chance(random, BLURRED):
        image = cv2.GaussianBlur(image, (0, 0), uniform(random, 0.4, 2.5))
    return (image * uniform(random, 0.4, 1) + uniform(random, 0, 0.3)).astype(np.float32)


def _clouds(random: Generator, side: int) -> Image:
    return cloud(random, side, side, uniform(random, 0.3, 2.2)) * np.float32(uniform(random, 0.3, 1))


def _ridges(random: Generator, side: int) -> Image:
    """Return bright lines where a cloud crosses its mean: trabeculae, vessels."""
    values = standardised(cloud(random, side, side, uniform(random, 0.9, 1.6)))
    return np.exp(-np.abs(values) * uniform(random, 2, 14)).astype(np.float32)


def _stripes(random: Generator, side: int) -> Image:
    """Return straight or wavy stripes: ribs, moire, gratings."""
    row, column = np.mgrid[:side, :side].astype(np.float32)
    angle = uniform(random, 0, np.pi)
    across = column * np.cos(angle) + row * np.sin(angle)
    across += 20 * cloud(random, side, side, 2) * uniform(random, 0, 2)
    stripes = 0.5 + 0.5 * np.sin(across * 2 * np.pi / uniform(random, 2.2, 50))
    if chance(random, 0.5):
        stripes = stripes > uniform(random, 0.2, 0.8)
    return stripes.astype(np.float32) * np.float32(uniform(random, 0.2, 1))


def _squares(random: Generator, side: int) -> Image:
    """Return squares of random grey, or black and white: mosaics, test patterns."""
    square = integer(random, 2, 24)  # pixels a side
    greys = random.random((side // square + 1, side // square + 1)).astype(np.float32)
    if chance(random, 0.5):
        greys = (greys > uniform(random, 0.3, 0.8)).astype(np.float32)
    large = cv2.resize(greys, None, fx=square, fy=square, interpolation=cv2.INTER_NEAREST)
    return large[:side, :side].copy()


def _one_grey(random: Generator, side: int) -> Image:
    return np.full((side, side), uniform(random, 0, 1), np.float32)


def _phantom(random: Generator, side: int) -> Image:
    """Return marks on a dark ground."""
    dark = np.full((side, side), uniform(random, 0, 0.3), np.float32)
    return draw_marks(random, dark, integer(random, 2, 12))


def _line_pairs(random: Generator, side: int) -> Image:
    """Return groups of parallel bars, as on phantoms for resolution."""
    image = np.full((side, side), uniform(random, 0, 0.6), np.float32)
    for _ in range(integer(random, 1, 9)):
        column, row = integer(random, 0, side), integer(random, 0, side)
        spacing, length = integer(random, 2, 9), integer(random, 6, 60)
        value, stacked = uniform(random, 0, 1.2), chance(random, 0.5)
        for bar in range(integer(random, 3, 10)):
            along = bar * spacing
            start = (column, row + along) if stacked else (column + along, row)
            end = (start[0] + length, start[1]) if stacked else (start[0], start[1] + length)
            cv2.line(image, start, end, value, max(1, spacing // 2))
    return image


def _labels(random: Generator, side: int) -> Image:
    """Return a cloud in a few steps: masks, maps of labels."""
    values = cloud(random, side, side, uniform(random, 0.8, 2))
    steps = np.sort(random.uniform(0, 1, integer(random, 1, 6)))
    labels = np.digitize(values, steps).astype(np.float32)
    return labels / np.float32(max(labels.max(), 1))


KINDS: tuple[Callable[[Generator, int], Image], ...] = (
    _clouds,
    _clouds,
    _clouds,  # three times as often as any other, since most tissue is like this
    _ridges,
    _stripes,
    _squares,
    _one_grey,
    _phantom,
    _line_pairs,
    _labels,
)
