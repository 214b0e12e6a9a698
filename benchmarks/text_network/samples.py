"""Samples to train on: a background, made-up text over it, and what a network shall answer.

Every random choice comes from one generator, so that one seed gives the same samples in the same order, on machines
with the same fonts and packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from benchmarks.text_network.backgrounds import Frames, read_frames
from benchmarks.text_network.drawings import Generator, Image, add_decoy, chance, draw_marks, integer, uniform
from benchmarks.text_network.labels import SIDE, Labels, Place, can_be_seen
from benchmarks.text_network.made_up import made_up
from benchmarks.text_network.texts import Text, fonts, made_texts
from numpy.typing import NDArray

Sample = tuple[Image, NDArray[np.float32], NDArray[np.float32]]  # image, labels, weights

TEXTS = 24_000  # made-up texts that samples choose from: drawing one takes longer than the rest of a sample
BATCH = 16  # samples that the network sees at once

# ---- Backgrounds: shares of them, chosen on samples that were looked at
MADE_UP = 0.36  # not an image of a package
MOSAIC = 0.2  # of the others: tiles of several images, as scanners make them, and as overviews have them
WHOLE = 0.3  # of single images: reduced so much that all of it is seen, as in a thumbnail
TURNED = 0.4  # of those that are not reduced much: turned by any angle, and stretched
MOST_REDUCED, MOST_ENLARGED = 0.6, 2.6  # of images of which a part is seen; below the first, by mean of areas
DARKEST, BRIGHTEST = -0.5, 2.0  # as dicomzarr.burned_in.scan cuts off its images

# ---- Texts
CLEAN, FEW = 0.4, 0.5  # shares of samples without text and with one to three; the others have a block of lines
LINES = 6  # of a block
QUARTER_TURNS = (0, 0, 0, 0, 0, 1, 3, 2)  # of texts; lines that go up or down stand beside some images
MIRRORED = 0.02
ATTEMPTS = 8  # to find a free place
APART = 8  # pixels between texts, but not between lines of a block
AT_AN_EDGE = 0.25  # share of texts that may lie within 4 pixels of an edge
LEAST_HEIGHT = 5  # pixels of a text cut off: less is no text
CONTRASTS = ((0.22, 0.5), (0.3, 0.8), (0.5, 1.3))  # each as likely; of the brightness of an image
BRIGHTER = 0.72  # share of texts that are brighter than their background
ON_A_BOX, OUTLINED, ADDED = 0.17, 0.1, 0.18  # shares; the others replace what is below
VALUES = (-0.3, 1.35)  # of text: where one would lie outside, it gets the other sign


def batches(seed: int, packages: Path) -> Iterator[Sample]:
    """Yield batches of samples without end.

    Parameters
    ----------
    seed : int
        One seed gives the same batches in the same order.
    packages : Path
        The folder that fetch.sh filled.

    Yields
    ------
    tuple of ndarray of float32
        Images of shape (BATCH, 1, SIDE, SIDE), then labels and weights of shape (BATCH, 2, CELLS, CELLS).
    """
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    frames = read_frames(packages)
    texts = list(made_texts(random, fonts(), TEXTS))
    while True:
        yield batch(random, frames, texts, BATCH)


def batch(random: Generator, frames: Frames, texts: Sequence[Text], count: int) -> Sample:
    """Return some samples as one array each of images, labels and weights.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    frames : sequence of ndarray
        Images of packages, as `backgrounds.read_frames` returns them.
    texts : sequence of Text
        What may be written.
    count : int
        How many samples.

    Returns
    -------
    tuple of ndarray of float32
        Images of shape (count, 1, SIDE, SIDE), then labels and weights of shape (count, 2, CELLS, CELLS).
    """
    samples = [sample(random, frames, texts) for _ in range(count)]
    images, labels, weights = (np.stack(parts).astype(np.float32) for parts in zip(*samples, strict=True))
    return images, labels, weights


def sample(random: Generator, frames: Frames, texts: Sequence[Text]) -> Sample:
    """Return one sample.

    Parameters
    ----------
    random, frames, texts
        As of `batch`.

    Returns
    -------
    tuple of ndarray
        An image of shape (1, SIDE, SIDE), then labels and weights of shape (2, CELLS, CELLS).
    """
    image, labels = background(random, frames), Labels()
    painted = write(random, image, labels, texts)
    image = _stored(random, image)
    for mask, place in painted:
        if not can_be_seen(image, mask, place):
            labels.leave_out(place)
    return np.clip(image, DARKEST, BRIGHTEST)[None], labels.text, labels.weight


def _stored(random: Generator, image: Image) -> Image:
    """Return an image after what may happen to image and text together: blur, JPEG, clipping, noise."""
    if chance(random, 0.15):
        image = cv2.GaussianBlur(image, (0, 0), uniform(random, 0.3, 0.8))
    if chance(random, 0.12):
        bytes_of_pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", bytes_of_pixels, [cv2.IMWRITE_JPEG_QUALITY, integer(random, 35, 92)])
        image = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    if chance(random, 0.25):
        image = np.clip(image, 0, 1)
    if chance(random, 0.2):
        image = image + _noise(random, image) * uniform(random, 0.003, 0.05)
    return image


def _noise(random: Generator, image: Image) -> Image:
    return random.standard_normal(image.shape).astype(np.float32)


# ---- Backgrounds


def background(random: Generator, frames: Frames) -> Image:
    """Return a background without text, of a package or made up, and changed in many ways.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    frames : sequence of ndarray
        As of `batch`.

    Returns
    -------
    ndarray of float32, shape (SIDE, SIDE)
        About 0 for the darkest and 1 for the brightest pixels.
    """
    if chance(random, MADE_UP):
        image = made_up(random, SIDE)
    else:
        image = _mosaic(random, frames) if chance(random, MOSAIC) else _single(random, frames)
        image = _filled_up(random, image)[:SIDE, :SIDE]
    image = np.rot90(image, integer(random, 0, 4))
    if chance(random, 0.5):
        image = image[:, ::-1]
    return _changed(random, np.ascontiguousarray(image, np.float32))


def _changed(random: Generator, image: Image) -> Image:
    """Return a background with other greys, noise, decoys and marks."""
    if chance(random, 0.5):
        image = np.clip(image, 0, BRIGHTEST) ** uniform(random, 0.5, 1.8)
    if chance(random, 0.5):
        image = image * uniform(random, 0.3, 1.2) + uniform(random, -0.1, 0.4)
    if chance(random, 0.12):
        image = 1 - image
    if chance(random, 0.35):
        image = image + _noise(random, image) * float(np.exp(random.uniform(np.log(0.004), np.log(0.12))))
    if chance(random, 0.08):  # speckle
        speckle = np.hypot(_noise(random, image), _noise(random, image))
        image = image * cv2.GaussianBlur(speckle, (0, 0), uniform(random, 0.5, 1.5))
    if chance(random, 0.22):
        image = add_decoy(random, np.ascontiguousarray(image, np.float32))
    image = np.ascontiguousarray(image, np.float32)
    if chance(random, 0.3):
        draw_marks(random, image, integer(random, 1, 6))
    return image


def _single(random: Generator, frames: Frames) -> Image:
    """Return a part of one image, enlarged or reduced; where the image ends, the result is smaller than a sample."""
    frame = frames[integer(random, 0, len(frames))]
    rows, columns = frame.shape
    if chance(random, WHOLE):
        scale = uniform(random, 24, 190) / max(rows, columns)
    else:
        scale = float(np.exp(random.uniform(np.log(MOST_REDUCED), np.log(MOST_ENLARGED))))
    if chance(random, TURNED) and scale > MOST_REDUCED:
        return _turned(random, frame, scale)
    needed = int(np.ceil(SIDE / scale)) + 1
    top, left = (integer(random, 0, max(1, side - needed)) for side in (rows, columns))
    part = frame[top : top + needed, left : left + needed].astype(np.float32)
    smooth = cv2.INTER_AREA
    if scale >= MOST_REDUCED:
        smooth = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST)[integer(random, 0, 4)]
    return cv2.resize(part, [max(8, int(side * scale)) for side in part.shape[::-1]], interpolation=smooth)


def _turned(random: Generator, frame: NDArray[np.float16], scale: float) -> Image:
    """Return an image turned by any angle around a point of its middle, stretched along its rows."""
    rows, columns = frame.shape
    angle, stretch = np.deg2rad(uniform(random, -180, 180)), uniform(random, 0.75, 1.33)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turn[0] *= stretch
    centre = np.array([uniform(random, 0.2, 0.8) * columns, uniform(random, 0.2, 0.8) * rows])
    matrix = np.column_stack([turn, SIDE / 2 - turn @ centre])
    pixels = frame.astype(np.float32)
    return cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _mosaic(random: Generator, frames: Frames) -> Image:
    """Return tiles of one size, of images that stand near each other in the list, as slices of a volume do."""
    side, first = integer(random, 20, 90), integer(random, 0, len(frames))
    tiles = SIDE // side + 1
    rows = []
    for _ in range(tiles):
        near = [int(np.clip(first + integer(random, -6, 7), 0, len(frames) - 1)) for _ in range(tiles)]
        rows.append(np.hstack([_tile(frames[number], side) for number in near]))
    return np.vstack(rows)


def _tile(frame: NDArray[np.float16], side: int) -> Image:
    """Return a whole image as a square of some pixels, on the grey of its corner."""
    scale = side / max(frame.shape)
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = [max(1, int(pixels * scale)) for pixels in frame.shape[::-1]]
    reduced = cv2.resize(frame.astype(np.float32), size, interpolation=smooth)
    tile = np.full((side, side), reduced[0, 0], np.float32)
    top, left = (side - reduced.shape[0]) // 2, (side - reduced.shape[1]) // 2
    tile[top : top + reduced.shape[0], left : left + reduced.shape[1]] = reduced
    return tile


def _filled_up(random: Generator, image: Image) -> Image:
    """Return an image of at least SIDE pixels each way: on the grey of its corner, or on black."""
    rows, columns = image.shape
    if min(rows, columns) >= SIDE:
        return image
    grey = float(image[0, 0]) if chance(random, 0.5) else 0.0
    filled = np.full((max(SIDE, rows), max(SIDE, columns)), grey, np.float32)
    top, left = integer(random, 0, filled.shape[0] - rows + 1), integer(random, 0, filled.shape[1] - columns + 1)
    filled[top : top + rows, left : left + columns] = image
    return filled


# ---- Texts


def write(
    random: Generator, image: Image, labels: Labels, texts: Sequence[Text]
) -> list[tuple[NDArray[np.uint8], Place]]:
    """Paint no, some or a block of texts on an image, and label them.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    image : ndarray of float32, shape (SIDE, SIDE)
        It is changed.
    labels : Labels
        They are changed.
    texts : sequence of Text
        What may be written.

    Returns
    -------
    list of tuple of ndarray of uint8 and Place
        The masks of the texts, as far as they are inside the image, and where they are.
    """
    kind = random.random()
    block = kind >= CLEAN + FEW
    count = 0 if kind < CLEAN else LINES if block else integer(random, 1, 4)
    used = np.zeros(image.shape, np.bool_)
    painted: list[tuple[NDArray[np.uint8], Place]] = []
    above: Place | None = None
    for _ in range(count):
        text = texts[integer(random, 0, len(texts))]
        mask = np.rot90(text.mask, QUARTER_TURNS[integer(random, 0, len(QUARTER_TURNS))])
        mask = np.ascontiguousarray(mask[:, ::-1] if chance(random, MIRRORED) else mask)
        place = _free_place(random, used, mask.shape, above, block)
        if place is None:
            continue
        used[place.top : place.bottom, place.left : place.right] = True
        above = place
        inside = mask[: SIDE - place.top, : SIDE - place.left]
        if min(inside.shape) < LEAST_HEIGHT:
            continue
        place = Place(place.top, place.left, place.top + inside.shape[0], place.left + inside.shape[1])
        paint(random, image, inside, place)
        labels.mark(place, text.characters * inside.size / mask.size)
        painted.append((inside, place))
    return painted


def _free_place(
    random: Generator, used: NDArray[np.bool_], shape: tuple[int, ...], above: Place | None, block: bool
) -> Place | None:
    """Return a place for a text, which may reach over the lower and right edge, or None if none was found.

    Lines of a block stand below each other, with 2 to 7 pixels between them.
    """
    height, width = shape
    at_an_edge = chance(random, AT_AN_EDGE)
    for _ in range(ATTEMPTS):
        top = _start(random, height, at_an_edge, least_inside=0.4)
        left = _start(random, width, at_an_edge, least_inside=0.3)
        if block and above is not None:
            top, left = above.bottom + integer(random, 2, 8), above.left
        if max(top, left) + LEAST_HEIGHT > SIDE:
            continue
        around = used[max(0, top - APART) : top + height + APART, max(0, left - APART) : left + width + APART]
        if not around.any() or (block and not used[top : top + height, left : left + width].any()):
            return Place(top, left, top + height, left + width)
    return None


def _start(random: Generator, length: int, at_an_edge: bool, least_inside: float) -> int:
    """Return the first row or column of a text of some pixels, of which at least a share is inside."""
    inside = min(length, SIDE)
    if at_an_edge and chance(random, 0.6):
        return integer(random, 0, 4) if chance(random, 0.5) else max(0, SIDE - inside - integer(random, 0, 4))
    return integer(random, 0, max(1, SIDE - int(inside * uniform(random, least_inside, 1))))


def paint(random: Generator, image: Image, mask: NDArray[np.uint8], place: Place) -> None:
    """Paint a text: on a box of its own, with an outline, added to what is there, or over it.

    Parameters
    ----------
    random : numpy.random.Generator
        Where every choice comes from.
    image : ndarray of float32, shape (SIDE, SIDE)
        It is changed.
    mask : ndarray of uint8, shape (rows, columns)
        255 where the text covers a pixel.
    place : Place
        Where, of the shape of the mask.
    """
    below = image[place.top : place.bottom, place.left : place.right]
    cover = mask.astype(np.float32) / 255
    contrast = uniform(random, *CONTRASTS[integer(random, 0, len(CONTRASTS))])
    ground = float(np.mean(below)) if chance(random, 0.7) else float(np.median(below))
    value = ground + contrast if chance(random, BRIGHTER) else ground - contrast
    if value > VALUES[1]:
        value = ground - contrast
    if value < VALUES[0]:
        value = ground + contrast
    kind = random.random()
    if kind < ON_A_BOX:
        margin = integer(random, 1, 7)
        box = uniform(random, 0, 0.3) if chance(random, 0.75) else uniform(random, 0.5, 1)
        rows = slice(max(0, place.top - margin), place.bottom + margin)
        image[rows, max(0, place.left - margin) : place.right + margin] = box
        value = box + contrast if box < 0.5 else box - contrast
    elif kind < ON_A_BOX + OUTLINED:
        outline = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.float32) / 255
        opposite = float(np.clip(value - np.sign(value - ground), -0.1, 1.1))
        below[:] = below * (1 - outline) + opposite * outline
    elif kind < ON_A_BOX + OUTLINED + ADDED:
        below += (value - ground) * cover
        return
    below[:] = below * (1 - cover) + value * cover
