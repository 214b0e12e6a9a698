"""Made-up images without text: CT, MR, radiographs and ultrasound with what resembles strokes of text in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter, laplace

Floats = NDArray[np.float32]


def noise(random: np.random.Generator, shape: tuple[int, int], sigma: float = 0.0) -> Floats:
    """Return noise with standard deviation 1, smoothed with a Gaussian of `sigma` pixels."""
    step = max(1, int(sigma / 4))  # wide smoothing: on a coarser grid
    coarse = -(-shape[0] // step), -(-shape[1] // step)
    values = random.standard_normal(coarse, np.float32)
    if sigma:
        values = gaussian_filter(values, sigma / step)
    if step > 1:
        values = np.asarray(Image.fromarray(values).resize(shape[::-1], Image.Resampling.BICUBIC))
    return np.asarray(values / values.std(), np.float32)


def ellipse(shape: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float], angle: float) -> Any:
    """Return the inside of an ellipse: centre and half axes in pixels (row, column), angle in degrees."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    y, x, turn = y - centre[0], x - centre[1], np.deg2rad(angle)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return (along / max(1.0, axes[1])) ** 2 + (across / max(1.0, axes[0])) ** 2 <= 1


def lines(shape: tuple[int, int], courses: list[tuple[Any, int]]) -> NDArray[np.bool_]:
    """Return polygonal lines as a mask; of each its points, shape (n, 2) (row, column), and its width in pixels."""
    canvas = Image.new("1", shape[::-1])
    draw = ImageDraw.Draw(canvas)
    for points, width in courses:
        draw.line([(float(x), float(y)) for y, x in points], fill=1, width=width, joint="curve")
    return np.asarray(canvas).copy()


def arc(centre: tuple[float, float], axes: tuple[float, float], tilt: float, start: float, end: float) -> Any:
    """Return points of an arc: centre and half axes in pixels (row, column), angles in degrees."""
    angle, turn = np.deg2rad(np.linspace(start, end, 60)), np.deg2rad(tilt)
    x, y = axes[1] * np.cos(angle), axes[0] * np.sin(angle)
    rows, columns = np.sin(turn) * x + np.cos(turn) * y, np.cos(turn) * x - np.sin(turn) * y
    return np.stack([centre[0] + rows, centre[1] + columns], 1)


def curves(random: np.random.Generator, shape: tuple[int, int], count: int, width: int) -> NDArray[np.bool_]:
    """Return curved lines, as vessels and wires are, as a mask."""
    courses = []
    for _ in range(count):
        steps = random.normal(0, 0.25, 24).cumsum() + random.uniform(0, 2 * np.pi)
        length = random.uniform(0.003, 0.02) * min(shape)
        start = random.uniform(0.2, 0.8, 2) * shape
        points = start + np.cumsum(np.stack([np.sin(steps), np.cos(steps)], 1) * length, 0)
        courses.append((points, int(random.integers(1, width + 1))))
    return lines(shape, courses)


def ct(random: np.random.Generator, side: int = 512) -> NDArray[np.int16]:
    """Return an axial slice of a body in HU: fat, muscle, air, ribs, a vertebra, vessels, the table."""
    shape = (side, side)
    image = np.full(shape, -1000, np.float32)
    centre = tuple(side * random.uniform(0.46, 0.54, 2))
    axes = side * random.uniform(0.24, 0.34), side * random.uniform(0.32, 0.44)
    image[ellipse(shape, centre, axes, 0)] = -100
    inner = ellipse(shape, centre, (axes[0] * 0.9, axes[1] * 0.92), 0)
    image[inner] = 45
    image[inner] += (25 * noise(random, shape, side / 20))[inner]
    for sign in (-1, 1):
        if random.random() < 0.6:  # lungs; otherwise bowel with gas
            lung = ellipse(shape, (centre[0], centre[1] + sign * axes[1] * 0.45), (axes[0] * 0.65, axes[1] * 0.3), 0)
            image[lung] = -860
            vessels = curves(random, shape, 40, 3) & lung
            image[vessels] = random.uniform(-200, 50)
    for _ in range(random.integers(0, 6)):
        place = centre[0] + random.normal(0, axes[0] / 4), centre[1] + random.normal(0, axes[1] / 3)
        image[ellipse(shape, place, tuple(side * random.uniform(0.01, 0.04, 2)), 0)] = -900
    bone = np.zeros(shape, bool)
    for angle in np.arange(0, 360, random.uniform(18, 34)):  # ribs, cut obliquely
        turn = np.deg2rad(angle)
        place = centre[0] + 0.86 * axes[0] * np.sin(turn), centre[1] + 0.88 * axes[1] * np.cos(turn)
        bone |= ellipse(shape, place, (side * 0.008, side * random.uniform(0.015, 0.04)), angle + 90)
    spine = centre[0] + 0.62 * axes[0], centre[1]
    bone |= ellipse(shape, spine, (side * 0.05, side * 0.06), 0)
    bone |= ellipse(shape, (spine[0] + side * 0.07, spine[1]), (side * 0.05, side * 0.012), 0)
    marrow = binary_erosion(bone, np.ones((5, 5)))
    image[bone] = random.uniform(700, 1200)
    image[marrow] = (250 + 130 * noise(random, shape, 1.2))[marrow]  # trabecular texture
    image[ellipse(shape, (spine[0] + side * 0.035, spine[1]), (side * 0.018, side * 0.02), 0)] = 30
    table = side * random.uniform(0.86, 0.93)
    image[lines(shape, [(arc((table - side, side / 2), (side, side), 0, 72, 108), 2)])] = -300
    if random.random() < 0.2:  # a catheter or electrodes
        image[curves(random, shape, 2, 3)] = 2500
    image = gaussian_filter(image, random.uniform(0.5, 0.9))
    image += random.uniform(8, 40) * noise(random, shape, random.uniform(0, 1.0))
    if random.random() < 0.5:  # padding outside of the field of view
        image[~ellipse(shape, (side / 2, side / 2), (side / 2, side / 2), 0)] = (
            -2000 if random.random() < 0.5 else -1024
        )
    return image.clip(-2000, 3071).round().astype(np.int16)


def mr(random: np.random.Generator, side: int = 0) -> NDArray[np.uint16]:
    """Return a slice of a head: scalp, skull, folds of a brain, ventricles, uneven coil, noise, ghosts."""
    side = side or int(random.choice([256, 320, 384, 512]))
    shape = (side, side)
    image = np.zeros(shape, np.float32)
    centre = (side * random.uniform(0.47, 0.53), side * random.uniform(0.47, 0.53))
    axes = side * random.uniform(0.34, 0.42), side * random.uniform(0.28, 0.34)
    angle = random.uniform(-10, 10)
    grey, white, liquid, fat = random.permutation([0.35, 0.55, 0.9, 0.75])
    image[ellipse(shape, centre, axes, angle)] = fat
    image[ellipse(shape, centre, (axes[0] * 0.93, axes[1] * 0.92), angle)] = 0.05
    brain = ellipse(shape, centre, (axes[0] * 0.87, axes[1] * 0.85), angle)
    folds = noise(random, shape, side / 70)
    image[brain] = np.where(np.abs(folds) < 0.5, grey, white)[brain]
    image[brain & (np.abs(folds) < 0.08)] = liquid
    core = ellipse(shape, centre, (axes[0] * 0.5, axes[1] * 0.5), angle)
    image[core] = white
    for sign in (-1, 1):
        place = centre[0], centre[1] + sign * axes[1] * 0.12
        image[ellipse(shape, place, (axes[0] * 0.25, axes[1] * 0.06), angle + 8 * sign)] = liquid
    image[curves(random, shape, 12, 2) & brain] = random.choice([0.0, 1.0])  # vessels
    image = gaussian_filter(image, random.uniform(0.4, 0.9))
    coil = noise(random, shape, side / 5)
    image *= 1 + 0.25 * coil
    if random.random() < 0.3:
        image += 0.06 * np.roll(image, side // 3, 0)  # ghosts along the phase
    level = random.uniform(0.01, 0.05)
    image = np.hypot(image + level * noise(random, shape), level * noise(random, shape))
    return (image * random.uniform(400, 2500)).clip(0, 65535).round().astype(np.uint16)


def cr(random: np.random.Generator, rows: int = 0, columns: int = 0) -> NDArray[np.uint16]:
    """Return a radiograph of a chest of 12 bits: ribs, clavicles, spine, collimation, wires, marks of the detector."""
    rows, columns = rows or int(random.integers(800, 1300)), columns or int(random.integers(700, 1100))
    shape = (rows, columns)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    y, x = y / rows, x / columns
    image = 1.1 - 0.5 * np.exp(-(((x - 0.5) / 0.28) ** 2)) + 0.08 * noise(random, shape, rows / 12)
    for sign in (-1, 1):
        lung = np.exp(-((((x - 0.5 - sign * 0.2) / 0.14) ** 2 + ((y - 0.45) / 0.3) ** 2) ** 2))
        image -= 0.45 * lung
    strokes = np.zeros(shape, np.float32)
    for number in range(9):  # ribs: pairs of arcs with bright rims
        for sign in (-1, 1):
            middle = rows * (0.22 + 0.07 * number), columns * (0.5 + sign * 0.2)
            size = rows * random.uniform(0.09, 0.13), columns * 0.22
            course = arc(middle, size, sign * random.uniform(8, 20), 190, 350)
            band = lines(shape, [(course, max(2, rows // 60))]).astype(np.float32)
            strokes += 0.10 * band + 0.08 * np.abs(laplace(band)).clip(0, 1)
    for number in range(12):  # vertebrae
        top = round(rows * (0.1 + 0.07 * number))
        left, bottom, right = round(columns * 0.46), top + round(rows * 0.055), round(columns * 0.54)
        rim = max(1, rows // 300)
        strokes[top:bottom, left:right] = 0.22
        strokes[top + rim : bottom - rim, left + rim : right - rim] = 0.12
    image += gaussian_filter(strokes, rows / 500)
    grain = noise(random, shape, 1.5) * noise(random, shape, 6.0)
    image += 0.02 * grain * (strokes > 0.05)  # trabecular texture
    if random.random() < 0.4:
        image[curves(random, shape, int(random.integers(1, 6)), 4)] = 1.6  # wires, lines, clips
    image += random.uniform(0.01, 0.03) * noise(random, shape, random.uniform(0, 0.8)) * np.sqrt(np.abs(image))
    values = 4095 * (image - image.min()) / np.ptp(image)
    if random.random() < 0.6:  # collimation
        edge = (random.uniform(0.02, 0.09, 4) * [rows, rows, columns, columns]).round().astype(int)
        outside = np.ones(shape, bool)
        outside[edge[0] : rows - edge[1], edge[2] : columns - edge[3]] = False
        values[outside] = random.uniform(0, 60)
    if random.random() < 0.5:
        values = 4095 - values  # MONOCHROME1
    return values.clip(0, 4095).round().astype(np.uint16)


def us(random: np.random.Generator, rows: int = 600, columns: int = 800) -> NDArray[np.uint8]:
    """Return a sector of ultrasound: speckle, layers, cysts, shadows; ticks of depth and a grey bar without numbers."""
    shape = (rows, columns)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    top = rows * random.uniform(-0.15, 0.02)
    radius, angle = np.hypot(y - top, x - columns / 2), np.arctan2(x - columns / 2, y - top)
    half = random.uniform(0.5, 0.8)
    cone = (np.abs(angle) < half) & (radius < rows * 0.93) & (radius > rows * random.uniform(0.08, 0.18))
    speckle = np.hypot(gaussian_filter(noise(random, shape), (1.1, 2.2)), noise(random, shape, 1.4) * 0.3)
    depth = radius / rows
    level = 0.55 - 0.4 * depth + 0.15 * noise(random, shape, rows / 25)
    level += 0.3 * (np.sin(depth * random.uniform(20, 60)) > 0.93)  # layers
    for _ in range(random.integers(1, 5)):
        place = rows * random.uniform(0.3, 0.8), columns * random.uniform(0.35, 0.65)
        level[ellipse(shape, place, tuple(rows * random.uniform(0.02, 0.12, 2)), random.uniform(0, 90))] *= 0.1
    image = (level.clip(0, 1) * speckle * 1.6).clip(0, 1) * cone
    if random.random() < 0.7:
        step = int(random.integers(20, 60))
        column = columns - int(random.integers(20, 60))
        for number, row in enumerate(range(30, rows - 20, step)):
            image[row, column : column + (10 if number % 5 == 0 else 5)] = 0.8
    if random.random() < 0.7:
        height, left = int(rows * random.uniform(0.2, 0.4)), int(random.integers(8, 30))
        image[40 : 40 + height, left : left + 12] = np.linspace(1, 0, height, dtype=np.float32)[:, None]
    return (image * 255).round().astype(np.uint8)


MADE_UP: dict[str, Callable[[np.random.Generator], NDArray[Any]]] = {"CT": ct, "MR": mr, "CR": cr, "US": us}


def phantom(modality: str, seed: int, number: int) -> NDArray[Any]:
    """Return image `number` of a modality: equal for equal arguments."""
    kind = list(MADE_UP).index(modality)
    return MADE_UP[modality](np.random.default_rng([seed, kind, number]))
