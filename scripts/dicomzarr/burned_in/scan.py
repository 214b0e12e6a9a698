"""Look for text in the pixels of frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dicomzarr.burned_in.control import clean, written
from dicomzarr.burned_in.networks import CELL, STEP, WEIGHTS, Grey, Name, probabilities

# Everything a verdict depends on besides the pixels; a new value means that images are looked at again.
DETECTOR = f"3-{WEIGHTS['first'][:8]}-{WEIGHTS['second'][:8]}"
THRESHOLDS: dict[str, int | float] = {
    "first": 0.25,  # probability from which the first network hands a place on
    "second": 0.75,  # mean of what the second network answers for a place as it is and doubled, from which it is text
    "stripes": 0.85,  # share of a place that one row times one column explains, from which it is stripes
}
SMALLEST = 8  # pixels: nothing legible fits into a frame with a side below this
# Pixels of the shorter side of a frame from which it is looked at in half, a quarter, an eighth of its size, too. The
# networks know letters of 8 to 44 pixels, and are surest of those in the middle.
HALVED_FROM = (200, 1600, 3200)
TILE, MARGIN = 1024, 96  # pixels: of a large frame, how much is looked at in one go, and how far one looks around it
MARGIN_DOUBLED = 48  # pixels around a place that is looked at doubled: as many as MARGIN when they are doubled
WIDTH = 0.6  # of a character, as a share of its height


class Box(NamedTuple):
    """Where text was found in a frame, in pixels: rows from `top` to `bottom`, columns from `left` to `right`."""

    top: int
    left: int
    bottom: int
    right: int
    by: str  # "network", or "still": in what does not move


def look(frame: NDArray[Any], *, allow_short: int = 2) -> tuple[Box, ...]:
    """Return the boxes of text in a frame of stored values.

    Parameters
    ----------
    frame : ndarray, shape (rows, columns) or (rows, columns, samples)
        Stored values; of a palette image also the colours, in a call of their own.
    allow_short : int
        Texts of this many characters or fewer are no finding. Two is what the networks have learned; another number
        compares length and height of a text, so that it holds about.

    Returns
    -------
    tuple of Box
        From top to bottom. Empty if nothing was found.
    """
    return _look(frame, allow_short, "network")


class Still:
    """What does not move in the frames of one file: the smallest and the largest value of each pixel."""

    def __init__(self) -> None:
        self.frames = 0
        self._low: NDArray[Any] | None = None
        self._high: NDArray[Any] | None = None

    def add(self, frame: NDArray[Any]) -> None:
        """Add a frame; all frames of a file have one shape."""
        self.frames += 1
        self._low = frame.copy() if self._low is None else np.minimum(self._low, frame)
        self._high = frame.copy() if self._high is None else np.maximum(self._high, frame)

    def look(self, *, allow_short: int = 2) -> tuple[Box, ...]:
        """Return the boxes of text in what does not move; none for a single frame."""
        if self.frames < 2 or self._low is None or self._high is None:
            return ()
        return tuple(sorted({*_look(self._low, allow_short, "still"), *_look(self._high, allow_short, "still")}))


def _look(frame: NDArray[Any], allow_short: int, by: str) -> tuple[Box, ...]:
    found: list[Box] = []
    for grey in _greys(frame):
        rows, columns = grey.shape
        if min(rows, columns) < SMALLEST:
            continue
        for halvings in range(1 + sum(min(rows, columns) >= least for least in HALVED_FROM)):
            grey = _halved(grey) if halvings else grey
            factor = 2**halvings
            for top, left, bottom, right in _texts(grey, allow_short):
                edges = (top * factor, left * factor, min(bottom * factor, rows), min(right * factor, columns))
                found.append(Box(*edges, by))
    return tuple(sorted({box for box in found if not any(_inside(box, other) for other in found)}))


def _inside(box: Box, other: Box) -> bool:
    """Return whether another box holds all of a box."""
    return box != other and other[0] <= box[0] and other[1] <= box[1] and other[2] >= box[2] and other[3] >= box[3]


def _greys(frame: NDArray[Any]) -> Iterator[Grey]:
    """Yield a frame in grey; of colours the brightest sample and the luma, since each hides some pairs of colours."""
    if frame.ndim == 2 or frame.shape[2] == 1:
        yield _scaled(frame.reshape(frame.shape[:2]))
        return
    colours = frame[..., :3]
    yield _scaled(colours.max(axis=2))
    if colours.shape[2] == 3 and (colours != colours[..., :1]).any():
        yield _scaled(colours.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))


def _scaled(frame: NDArray[Any]) -> Grey:
    """Return stored values so that nearly all of them are between 0 and 1, and none below -0.5 or above 2."""
    values = frame.astype(np.float32)
    if frame.dtype.kind == "f":
        values[np.isnan(values)] = 0
        np.clip(values, -1e37, 1e37, out=values)  # differences of these are still finite
    step = max(1, math.isqrt(values.size) // 160)
    low, high = (float(value) for value in np.percentile(values[::step, ::step], (0.5, 99.8)))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(values.shape, np.float32)
    values -= np.float32(low)
    values *= np.float32(1 / (high - low))
    return np.clip(values, -0.5, 2, out=values)


def _halved(grey: Grey) -> Grey:
    """Return the means of blocks of 2 by 2 pixels."""
    rows, columns = (side // 2 * 2 for side in grey.shape)
    pairs = grey[:rows:2] + grey[1:rows:2]
    return (pairs[:, :columns:2] + pairs[:, 1:columns:2]) * np.float32(0.25)


Edges = tuple[int, int, int, int]  # top, left, bottom, right


def _texts(grey: Grey, allow_short: int) -> Iterator[Edges]:
    """Yield the edges, in pixels, of the texts in a grey image, tile by tile."""
    rows, columns = grey.shape
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            up, before = max(0, top - MARGIN), max(0, left - MARGIN)
            tile = grey[up : top + TILE + MARGIN, before : left + TILE + MARGIN]
            for edges in _texts_of(tile, allow_short):
                yield edges[0] + up, edges[1] + before, edges[2] + up, edges[3] + before


def _texts_of(tile: Grey, allow_short: int) -> Iterator[Edges]:
    """Yield the edges of the texts in a tile: where the first network sees something, the second one decides.

    The second network looks at every place twice: as it is, and doubled. Text is text in both sizes; what resembles it
    in one of them seldom does in the other. So the mean of both answers must reach the threshold.
    """
    seen = _lines("first", tile, allow_short) >= THRESHOLDS["first"]
    once, mean = np.zeros(seen.shape, np.float32), np.zeros(seen.shape, np.float32)
    for pixels, cells in _windows(seen, MARGIN):
        np.maximum(once[cells], _lines("second", tile[pixels], allow_short), out=once[cells])
    # The others cannot reach the threshold, whatever the second look answers.
    for pixels, cells in _windows(once >= 2 * THRESHOLDS["second"] - 1, MARGIN_DOUBLED):
        twice = _quartered(_lines("second", _doubled(tile[pixels]), allow_short), once[cells].shape)
        np.maximum(mean[cells], (once[cells] + twice) / 2, out=mean[cells])
    for top, left, bottom, right in _regions(mean >= THRESHOLDS["second"]):
        sides = sorted((bottom - top, right - left))
        long_enough = allow_short == 2 or not allow_short or sides[1] > allow_short * WIDTH * sides[0]
        around = slice(max(0, top - 1) * CELL, (bottom + 1) * CELL), slice(max(0, left - 1) * CELL, (right + 1) * CELL)
        if long_enough and not _is_striped(tile[around]):
            yield (top * CELL, left * CELL, min(bottom * CELL, tile.shape[0]), min(right * CELL, tile.shape[1]))


def _is_striped(place: Grey) -> bool:
    """Return whether stripes are all there is in a place, as in phantoms for resolution.

    Stripes that are equally long are one row of values times one column; letters are a sum of several such products.
    What each row, and each column, has in common is taken off first: it may be the edge of something brighter, beside
    which the letters of a faint text would hardly count.
    """
    values = place.astype(np.float64)
    values -= values.mean(axis=0)
    values -= values.mean(axis=1, keepdims=True)
    values = values if values.shape[0] <= values.shape[1] else values.T
    squares = np.linalg.eigvalsh(values @ values.T)  # in ascending order; of singular values
    return bool(squares[-1] >= THRESHOLDS["stripes"] * squares.sum())


Window = tuple[tuple[slice, slice], tuple[slice, slice]]  # of pixels, and of the same cells


def _windows(cells: NDArray[np.bool_], margin: int) -> Iterator[Window]:
    """Yield what lies around cells that are set: around each group, or around all if that is not twice as much.

    Where a window ends the network sees an edge, and noise at an edge resembles text more often: so rather one window.
    """
    groups = [_around(group, margin, cells.shape) for group in _regions(cells)]
    if len(groups) > 1:
        edges = np.array(groups)
        all_of_them = (*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0))
        if 2 * sum(map(_area, groups)) >= _area(all_of_them):
            groups = [all_of_them]
    for top, left, bottom, right in groups:
        pixels = slice(top * CELL, bottom * CELL), slice(left * CELL, right * CELL)
        yield pixels, (slice(top, bottom), slice(left, right))


def _around(cells: Edges, margin: int, shape: tuple[int, ...]) -> Edges:
    """Return edges, in cells, with a margin of pixels; the first ones are at multiples of STEP pixels."""
    top, left = (max(0, edge * CELL - margin) // STEP * STEP // CELL for edge in cells[:2])
    bottom, right = (min(edge + margin // CELL, end) for edge, end in zip(cells[2:], shape, strict=True))
    return top, left, bottom, right


def _area(edges: Edges) -> int:
    top, left, bottom, right = edges
    return int((bottom - top) * (right - left))


def _doubled(grey: Grey) -> Grey:
    """Return an image with twice as many rows and columns, interpolated linearly."""
    for _ in range(2):
        edge = np.concatenate([grey[:1], grey, grey[-1:]])
        doubled = np.empty((2 * grey.shape[0], grey.shape[1]), np.float32)
        doubled[::2] = np.float32(0.75) * grey + np.float32(0.25) * edge[:-2]
        doubled[1::2] = np.float32(0.75) * grey + np.float32(0.25) * edge[2:]
        grey = doubled.T
    return grey


def _quartered(cells: Grey, shape: tuple[int, ...]) -> Grey:
    """Return the largest of each 2 by 2 cells, in an array of a shape that has half as many, rounded up."""
    rows, columns = shape
    padded = np.pad(cells, ((0, 2 * rows - cells.shape[0]), (0, 2 * columns - cells.shape[1])), mode="edge")
    largest: Grey = padded.reshape(rows, 2, columns, 2).max(axis=(1, 3))
    return largest


def _lines(name: Name, image: Grey, allow_short: int) -> Grey:
    """Return for each cell how probable it is, to a network, that a line of text goes through it.

    A line of three characters fills three cells in a row or column: the mean of the best such three counts. Of shorter
    texts, if they are asked for, two cells do.
    """
    channel, run = (1, 3) if allow_short >= 2 else (0, 2)
    text = probabilities(name, image)[channel]
    best: Grey = np.zeros_like(text)
    for along, marked in ((text, best), (text.T, best.T)):
        if along.shape[1] < run:
            continue
        ends = [slice(start, along.shape[1] - run + 1 + start) for start in range(run)]
        runs = np.add.reduce([along[:, end] for end in ends]) / run
        for end in ends:
            np.maximum(marked[:, end], runs, out=marked[:, end])
    return best


def _regions(cells: NDArray[np.bool_]) -> Iterator[Edges]:
    """Yield the edges of each group of cells that touch, corners included."""
    left_over = {(int(row), int(column)) for row, column in np.argwhere(cells)}
    while left_over:
        todo = [left_over.pop()]
        rows, columns = [todo[0][0]], [todo[0][1]]
        while todo:
            row, column = todo.pop()
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left_over:
                    left_over.remove(near)
                    todo.append(near)
                    rows.append(near[0])
                    columns.append(near[1])
        yield min(rows), min(columns), max(rows) + 1, max(columns) + 1


def control() -> bool:
    """Return whether made-up text is found at its place, and nothing in the same image without text."""
    image, (top, left, bottom, right) = written()
    found = look(image)
    there = any(box.top < bottom and box.bottom > top and box.left < right and box.right > left for box in found)
    return there and not look(clean())
