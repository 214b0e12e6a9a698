"""What is drawn over backgrounds and is no text: marks of displays and scanners, and what looks like a line of text.

Images have about 0 for their darkest and 1 for their brightest pixels. Each kind of drawing is as likely as any other.
The ranges of sizes and greys were chosen by eye, from images in which an earlier detector had seen text.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # shape (rows, columns)
Generator = np.random.Generator
Point = tuple[int, int]  # column, row, as OpenCV has them

OUTSIDE = 10  # pixels that a drawing may begin outside the image, so that some are cut off
WHOLE_TURN = 360  # degrees
SUBPIXELS = 16  # of a pixel a side, when bars are drawn


def chance(random: Generator, share: float) -> bool:
    """Return True in the given share of calls."""
    return bool(random.random() < share)


def integer(random: Generator, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`, without `high`."""
    return int(random.integers(low, high))


def uniform(random: Generator, low: float, high: float) -> float:
    """Return a number from `low` to `high`."""
    return float(random.uniform(low, high))


def cloud(random: Generator, rows: int, columns: int, steepness: float) -> Image:
    """Return noise whose amplitude falls with frequency, like that of tissue and of clouds.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    rows, columns : int
        Shape of the result.
    steepness : float
        Amplitudes are proportional to frequency ** -steepness: 0 is white noise, 2 has large soft regions.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        From 0 to 1.
    """
    spectrum = np.fft.rfft2(random.standard_normal((rows, columns)))
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    frequency[0, 0] = 1
    values = np.fft.irfft2(spectrum / frequency**steepness, (rows, columns))
    values -= values.min()
    return (values / (values.max() + 1e-9)).astype(np.float32)


# ---- Marks: lines, rulers, bars, arrows


def draw_marks(random: Generator, image: Image, count: int) -> Image:
    """Draw some marks of displays and scanners into an image.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    image : ndarray of float32, shape (rows, columns)
        It is changed.
    count : int
        How many marks.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        The image that was given.
    """
    for _ in range(count):
        value = uniform(random, -0.2, 1.3)
        thickness = integer(random, 1, 4)
        mark = MARKS[integer(random, 0, len(MARKS))]
        mark(random, image, value, thickness)
    return image


def _point(random: Generator, image: Image) -> Point:
    rows, columns = image.shape
    return (integer(random, -OUTSIDE, columns + OUTSIDE), integer(random, -OUTSIDE, rows + OUTSIDE))


def _line(random: Generator, image: Image, value: float, thickness: int) -> None:
    cv2.line(image, _point(random, image), _point(random, image), value, thickness, cv2.LINE_AA)


def _ellipse(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw an ellipse or an arc of one, filled or not."""
    rows, columns = image.shape
    axes = (integer(random, 2, columns // 3), integer(random, 2, rows // 3))
    angle = uniform(random, 0, 180)
    end = WHOLE_TURN if chance(random, 0.6) else uniform(random, 20, 330)
    filled = cv2.FILLED if chance(random, 0.4) else thickness
    cv2.ellipse(image, _point(random, image), axes, angle, 0, end, value, filled, cv2.LINE_AA)


def _rectangle(random: Generator, image: Image, value: float, thickness: int) -> None:
    column, row = _point(random, image)
    corner = (column + integer(random, 3, 80), row + integer(random, 3, 80))
    cv2.rectangle(image, (column, row), corner, value, cv2.FILLED if chance(random, 0.4) else thickness)


def _ruler(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw the ticks of a ruler, of which each fifth may be longer, and perhaps its line."""
    column, row = _point(random, image)
    spacing, ticks, length = uniform(random, 3, 14), integer(random, 4, 20), integer(random, 2, 9)
    upright = chance(random, 0.6)
    for tick in range(ticks):
        reach = length * 2 if tick % 5 == 0 and length < 6 else length
        along = int(tick * spacing)
        if upright:
            cv2.line(image, (column, row + along), (column + reach, row + along), value, 1)
        else:
            cv2.line(image, (column + along, row), (column + along, row + reach), value, 1)
    if chance(random, 0.7):
        along = int((ticks - 1) * spacing)
        end = (column, row + along) if upright else (column + along, row)
        cv2.line(image, (column, row), end, value, 1)


def _arrow(random: Generator, image: Image, value: float, thickness: int) -> None:
    start, end = _point(random, image), _point(random, image)
    cv2.arrowedLine(image, start, end, value, thickness, cv2.LINE_AA, 0, 0.1)


def _cross(random: Generator, image: Image, value: float, thickness: int) -> None:
    column, row = _point(random, image)
    arm = integer(random, 2, 9)
    cv2.line(image, (column - arm, row), (column + arm, row), value, 1)
    cv2.line(image, (column, row - arm), (column, row + arm), value, 1)


def _bar_of_greys(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw the bar of grey values that stands beside an image, in few steps or many."""
    left, top = (max(0, place) for place in _point(random, image))
    height, width, steps = integer(random, 20, 140), integer(random, 4, 14), integer(random, 3, 60)
    greys = np.repeat(np.linspace(0, 1, steps), max(1, height // steps))
    place = image[top : top + len(greys), left : left + width]
    place[:] = greys[: place.shape[0], None]


def _dashes(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw dots and dashes in a row or column."""
    column, row = _point(random, image)
    spacing, radius = integer(random, 3, 12), integer(random, 1, 3)
    upright = chance(random, 0.5)
    for number in range(integer(random, 3, 30)):
        along = number * spacing
        at = (column, row + along) if upright else (column + along, row)
        if chance(random, 0.5):
            cv2.circle(image, at, radius, value, cv2.FILLED)
        else:
            half = spacing // 2
            cv2.line(image, at, (at[0], at[1] + half) if upright else (at[0] + half, at[1]), value, 1)


def _curve(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw a curve that wanders across the image, like an ECG or a catheter."""
    rows, columns = image.shape
    points = 60
    across = uniform(random, 0, columns) + columns * 0.5 * np.cumsum(random.normal(0, 0.05, points))
    down = uniform(random, 0, rows) + rows * np.linspace(0, 1, points) * uniform(random, -1, 1)
    line = np.stack([across, down], 1).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(image, [line], False, value, thickness, cv2.LINE_AA)


def _blobs(random: Generator, image: Image, value: float, thickness: int) -> None:
    """Draw small blobs, scattered or in a row."""
    column, row = _point(random, image)
    in_a_row = chance(random, 0.4)
    for number in range(integer(random, 2, 14)):
        if in_a_row:
            at = (column + number * integer(random, 5, 12), row)
        else:
            at = (column + integer(random, -40, 40), row + integer(random, -40, 40))
        axes = (integer(random, 1, 6), integer(random, 1, 6))
        cv2.ellipse(image, at, axes, uniform(random, 0, 180), 0, WHOLE_TURN, value, cv2.FILLED, cv2.LINE_AA)


MARKS: tuple[Callable[[Generator, Image, float, int], None], ...] = (
    _line,
    _ellipse,
    _rectangle,
    _ruler,
    _arrow,
    _cross,
    _bar_of_greys,
    _dashes,
    _curve,
    _blobs,
)

# ---- Decoys: what looks like a line of text


def add_decoy(random: Generator, image: Image) -> Image:
    """Return an image with something of phantoms or anatomy that looks like lines of text.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    image : ndarray of float32, shape (rows, columns)
        It is not changed.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        With rows of beads, noise without signal, a beaded line, a textured band, a row of blocks, wrapped phase,
        streaks of speckle, implants, a column of vertebrae, layers of speckle, or bars of a phantom.
    """
    decoy = DECOYS[integer(random, 0, len(DECOYS))]
    return decoy(random, image).astype(np.float32)


def _places(image: Image) -> tuple[Image, Image]:
    """Return the row and the column of each pixel."""
    row, column = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    return row, column


def _rows_of_beads(random: Generator, image: Image) -> Image:
    """Add rows of blobs of one size, somewhat bent: beads, rods of phantoms, coils."""
    rows, columns = image.shape
    layer = np.zeros_like(image)
    in_each, lines = integer(random, 3, 16), integer(random, 1, 5)
    width, height = uniform(random, 1.5, 12), uniform(random, 1.5, 12)  # half axes, in pixels
    across, down = width * uniform(random, 1.8, 3.2), height * uniform(random, 2.0, 3.5)
    left, top = uniform(random, 0, columns), uniform(random, 0, rows)
    value, bend = uniform(random, 0.4, 1.3), uniform(random, -0.02, 0.02)
    for line in range(lines):
        for number in range(in_each):
            column = int(left + number * across + random.normal(0, 0.6))
            row = int(top + line * down + bend * (number * across) ** 2 + random.normal(0, 0.6))
            axes = [max(1, int(half * uniform(random, 0.75, 1.1))) for half in (width, height)]
            if not chance(random, 0.93):  # a gap, as between words
                continue
            grey = value * uniform(random, 0.6, 1.1)
            if chance(random, 0.75):
                angle = float(random.normal(0, 9))
                cv2.ellipse(layer, (column, row), axes, angle, 0, WHOLE_TURN, grey, cv2.FILLED, cv2.LINE_AA)
            else:
                corners = (column - axes[0], row - axes[1]), (column + axes[0], row + axes[1])
                cv2.rectangle(layer, *corners, grey, cv2.FILLED)
    if chance(random, 0.6):
        layer = cv2.GaussianBlur(layer, (0, 0), uniform(random, 0.5, 2))
    if chance(random, 0.5):
        layer *= cloud(random, rows, columns, 0.6) * 0.8 + 0.4
    if chance(random, 0.5) and rows == columns:
        layer = layer.T
    return np.maximum(image, layer) if chance(random, 0.6) else image + layer


def _noise_without_signal(random: Generator, image: Image) -> Image:
    """Put noise outside a disc or inside it: phase images and maps have it where there is no signal."""
    rows, columns = image.shape
    row, column = _places(image)
    away = np.hypot((row - uniform(random, 0, rows)) * uniform(random, 0.6, 1.5), column - uniform(random, 0, columns))
    outside = away + 20 * cloud(random, rows, columns, 1.6) > uniform(random, 20, 130)
    grain = integer(random, 1, 4)  # pixels a side
    noise = random.random((rows // grain + 1, columns // grain + 1)).astype(np.float32)
    if chance(random, 0.3):
        noise = (noise > 0.5).astype(np.float32)
    smooth = cv2.INTER_NEAREST if chance(random, 0.7) else cv2.INTER_LINEAR
    noise = cv2.resize(noise, None, fx=grain, fy=grain, interpolation=smooth)[:rows, :columns]
    return np.where(outside ^ chance(random, 0.3), noise * uniform(random, 0.4, 1.1), image)


def _beaded_line(random: Generator, image: Image) -> Image:
    """Add a thin line whose brightness rises and falls along it, like a vessel or a ghost."""
    row, column = _places(image)
    middle, thickness = uniform(random, 0, image.shape[0]), uniform(random, 0.6, 3)
    period, phase = uniform(random, 3, 22), uniform(random, 0, 6)
    across = np.exp(-(((row - middle - uniform(random, -0.1, 0.1) * column) / thickness) ** 2))
    along = 0.5 + 0.5 * np.cos(column * 2 * np.pi / period + phase) * uniform(random, 0.2, 1)
    line = across * along * uniform(random, 0.3, 1.3)
    return image + (line.T if chance(random, 0.5) else line)


def _textured_band(random: Generator, image: Image) -> Image:
    """Put a bent band with texture into an image: scalp, muscle, spine."""
    rows, columns = image.shape
    row, column = _places(image)
    middle, from_centre = rows / 2 + uniform(random, -60, 60), column - columns / 2
    across = row - middle - uniform(random, -0.8, 0.8) * from_centre - uniform(random, -0.006, 0.006) * from_centre**2
    band = np.exp(-((across / uniform(random, 3, 24)) ** 4))
    texture = standardised(cloud(random, rows, columns, uniform(random, 0.7, 1.5)))
    if chance(random, 0.5):
        texture = np.exp(-np.abs(texture) * uniform(random, 1, 8))
    else:
        texture = np.clip(0.5 + 0.4 * texture, 0, 1)
    band = band.T if chance(random, 0.5) else band
    return image * (1 - band) + band * texture * uniform(random, 0.4, 1.2)


def _row_of_blocks(random: Generator, image: Image) -> Image:
    """Add a column or row of soft blocks: vertebrae, teeth, ribs."""
    rows, columns = image.shape
    layer = np.zeros_like(image)
    blocks, spacing = integer(random, 3, 14), uniform(random, 6, 30)
    left, top = uniform(random, 0, columns), uniform(random, -20, rows * 0.6)
    width = spacing * uniform(random, 0.5, 2)
    for number in range(blocks):
        at = (int(left + 10 * np.sin(number / 5)), int(top + number * spacing))
        axes = (max(1, int(width / 2)), max(1, int(spacing * uniform(random, 0.28, 0.45))))
        angle, grey = float(random.normal(0, 6)), uniform(random, 0.3, 1)
        cv2.ellipse(layer, at, axes, angle, 0, WHOLE_TURN, grey, cv2.FILLED, cv2.LINE_AA)
    layer = cv2.GaussianBlur(layer, (0, 0), uniform(random, 0.5, 3))
    layer = layer.T if chance(random, 0.5) else layer
    return image + layer * uniform(random, 0.3, 1)


def _wrapped_phase(random: Generator, image: Image) -> Image:
    """Return wrapped phase, everywhere or in a part of the image."""
    rows, columns = image.shape
    row, column = _places(image)
    bowl = 0.3 * random.random() * ((row - rows / 2) ** 2 + (column - columns / 2) ** 2) / 2000
    phase = cloud(random, rows, columns, uniform(random, 1.6, 2.4)) * uniform(random, 1, 9) + bowl
    wrapped = (phase % 1).astype(np.float32)
    if chance(random, 0.5):
        return wrapped * uniform(random, 0.5, 1)
    return np.where(cloud(random, rows, columns, 2) > 0.5, wrapped, image)


def _streaks_of_speckle(random: Generator, image: Image) -> Image:
    """Put streaks of speckle into a sector that widens downwards, as of ultrasound, and darken what is outside."""
    rows, columns = image.shape
    row, column = _places(image)
    along, across = uniform(random, 1.5, 7), uniform(random, 0.5, 1.6)  # of the blur, in pixels
    noise = random.standard_normal(image.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=along, sigmaY=across)
    noise = noise / (noise.std() + 1e-6)
    speckle = np.abs(noise) ** uniform(random, 1, 2.5) * uniform(random, 0.15, 0.6)
    speckle = np.clip(speckle * (cloud(random, rows, columns, 1.5) + 0.2), 0, 1.3).astype(np.float32)
    if chance(random, 0.4):
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), uniform(random, -40, 40), 1.3)
        speckle = cv2.warpAffine(speckle, turn, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    from_axis, from_tip = np.abs(column - uniform(random, 0, columns)), row + uniform(random, 0, rows)
    return np.where(from_axis < from_tip * uniform(random, 0.2, 1.2), speckle, image * 0.3)


def _implants(random: Generator, image: Image) -> Image:
    """Put bright pieces of one shape into rows and columns: screws, cages, wires of a sternum."""
    rows, columns = image.shape
    layer = np.zeros_like(image)
    down, across = integer(random, 2, 7), integer(random, 1, 4)  # how many pieces
    spacing = np.array([uniform(random, 12, 34), uniform(random, 9, 24)])  # of columns, of rows
    start = np.array([uniform(random, 0, columns), uniform(random, 0, rows)])
    value = uniform(random, 0.6, 1.4)
    corners = random.uniform(-1, 1, (integer(random, 4, 9), 2)) * spacing * 0.4
    filled = chance(random, 0.6)
    for line in range(down):
        for number in range(across):
            at = start + spacing * (number, line) + random.normal(0, 1, 2)
            piece = (corners * uniform(random, 0.85, 1.15) + at).astype(np.int32).reshape(-1, 1, 2)
            if filled:
                cv2.fillPoly(layer, [piece], value)
            else:
                closed, thickness = chance(random, 0.5), integer(random, 1, 3)
                cv2.polylines(layer, [piece], closed, value, thickness, cv2.LINE_AA)
    layer = cv2.GaussianBlur(layer, (0, 0), uniform(random, 0.5, 2.5))
    return np.maximum(image, layer.T if chance(random, 0.4) else layer)


def _column_of_vertebrae(random: Generator, image: Image) -> Image:
    """Add a column of large blocks with bright rims and spots, over a soft band: a spine, as radiographs show it."""
    rows, columns = image.shape
    row, column = _places(image)
    width, height = uniform(random, 14, 80), uniform(random, 8, 46)
    spacing = height * uniform(random, 1.1, 1.45)
    left, bend = uniform(random, 0, columns), uniform(random, -0.003, 0.003)
    layer = np.zeros_like(image)
    rim, spots = uniform(random, 0.2, 1), chance(random, 0.6)
    top = uniform(random, -spacing, 0)
    while top < rows:
        middle = left + bend * (top - rows / 2) ** 2 + random.normal(0, 0.5)
        half = (width / 2 * uniform(random, 0.93, 1.07), height / 2)
        at = (int(middle - half[0]), int(top)), (int(middle + half[0]), int(top + 2 * half[1]))
        cv2.rectangle(layer, *at, uniform(random, 0.35, 0.6), cv2.FILLED)
        cv2.rectangle(layer, *at, rim, integer(random, 1, 3))
        if spots:
            size = (max(1, int(width * 0.09)), max(1, int(height * 0.16)))
            for side in (-0.3, 0.3):
                spot = (int(middle + side * width), int(top + half[1] * 0.8))
                cv2.ellipse(
                    layer, spot, size, 0, 0, WHOLE_TURN, rim, integer(random, 1, 3) if chance(random, 0.5) else -1
                )
        top += spacing
    layer = cv2.GaussianBlur(layer, (0, 0), uniform(random, 0.6, 4))
    band = np.exp(-(((column - left) / (width * uniform(random, 0.6, 1.2))) ** 4)) * uniform(random, 0, 0.4)
    grain = 1 + uniform(random, 0, 0.25) * random.standard_normal(image.shape).astype(np.float32)
    added = (layer * uniform(random, 0.1, 0.7) + band) * grain
    return image * uniform(random, 0.3, 1) + (added.T if chance(random, 0.2) and rows == columns else added)


def _layers_of_speckle(random: Generator, image: Image) -> Image:
    """Return layers of speckle along arcs around a point above the image, as a curved or flat probe shows them."""
    rows, columns = image.shape
    row, column = _places(image)
    tip = -(uniform(random, 0, 3) ** 3) * rows, uniform(random, 0, columns)  # far above, arcs are nearly straight
    depth = np.hypot(row - tip[0], column - tip[1])
    angle = np.arctan2(column - tip[1], row - tip[0]) * (rows / 2 - tip[0])
    fine, wide = uniform(random, 0.6, 1.8), uniform(random, 1.2, 7)  # of speckle along the beam, and across it
    drawn = (rows + columns, rows + columns)
    real, imaginary = (
        cv2.GaussianBlur(random.standard_normal(drawn).astype(np.float32), (0, 0), sigmaX=wide, sigmaY=fine)
        for _ in range(2)
    )
    speckle = np.hypot(real, imaginary)
    speckle /= speckle.mean() + 1e-6
    layers = cloud(random, drawn[0], 8, uniform(random, 0.5, 1.3)).mean(axis=1)
    layers = np.clip(standardised(layers) * uniform(random, 0.3, 1) + 0.6, 0.02, 3)[:, None]
    soft = cloud(random, *drawn, uniform(random, 1.2, 2))
    polar = (speckle * (layers if chance(random, 0.7) else 1) * (0.3 + soft)).astype(np.float32)
    at = (angle - angle.min()).astype(np.float32), (depth - depth.min()).astype(np.float32)
    seen = cv2.remap(polar, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if chance(random, 0.6):  # devices show the logarithm
        seen = np.log1p(seen * uniform(random, 1, 20))
    return seen / (np.percentile(seen, 99) + 1e-6) * uniform(random, 0.4, 1)


def _bars_of_a_phantom(random: Generator, image: Image) -> Image:
    """Add groups of bars of one length side by side, each group finer than the one before: a phantom for resolution."""
    rows, columns = image.shape
    layer = np.zeros_like(image)
    width, finer = uniform(random, 1.6, 7), uniform(random, 0.75, 1)  # of a bar, in pixels
    length, gap = width * uniform(random, 2, 9), uniform(random, 0.7, 1.6)
    left, top = uniform(random, -20, columns * 0.7), uniform(random, 0, rows * 0.9)
    grey, is_sheared = uniform(random, 0.3, 1.2), chance(random, 0.3)
    shear = uniform(random, -0.3, 0.3) if is_sheared else 0
    begin, in_each, in_line = left, integer(random, 3, 9), integer(random, 1, 6)
    for _ in range(integer(random, 1, 4)):
        for _ in range(in_line):
            bars = in_each if chance(random, 0.7) else integer(random, 2, 9)
            for _ in range(bars):
                corners = [(left, top), (left + width, top), (left + width + shear * length, top + length)]
                corners.append((left + shear * length, top + length))
                piece = (np.array(corners) * SUBPIXELS).astype(np.int32).reshape(-1, 1, 2)
                value = grey * uniform(random, 0.85, 1.1)
                cv2.fillPoly(layer, [piece], value, cv2.LINE_AA, shift=SUBPIXELS.bit_length() - 1)
                left += width * (1 + gap)
            left += width * uniform(random, 0.5, 4)
            width = max(0.8, width * finer)
        left, top = begin, top + length * uniform(random, 1.1, 2.5)
    if chance(random, 0.8):
        layer = cv2.GaussianBlur(layer, (0, 0), uniform(random, 0.3, 1.6))
    layer = layer.T if chance(random, 0.5) and rows == columns else layer
    if chance(random, 0.4):  # dark bars in what is bright around them
        return np.maximum(image * 0.5, uniform(random, 0.5, 1)) * (1 - np.clip(layer, 0, 1))
    return np.maximum(image, layer) if chance(random, 0.6) else image + layer


def standardised(values: Image) -> Image:
    """Return values with mean 0 and standard deviation 1."""
    return (values - values.mean()) / (values.std() + 1e-6)


DECOYS: tuple[Callable[[Generator, Image], Image], ...] = (
    _rows_of_beads,
    _noise_without_signal,
    _beaded_line,
    _textured_band,
    _row_of_blocks,
    _wrapped_phase,
    _streaks_of_speckle,
    _implants,
    _column_of_vertebrae,
    _layers_of_speckle,
    _bars_of_a_phantom,
)
