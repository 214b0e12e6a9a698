"""Draw made-up text on images with a known size, contrast, script, rotation, polarity and place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from benchmarks.text_in_pixels.fonts import SCRIPTS, Font, fonts_of, made_up_text
from benchmarks.text_in_pixels.images import Picture
from numpy.typing import NDArray

SIZES = (8, 10, 12, 16, 24, 36)  # font size in pixels; capitals are about 0.7 as high
CONTRASTS = (30, 50, 75, 100)  # percent of the range of the image, text included
ROTATIONS = (0, 90, 270)  # degrees
POLARITIES = ("light on dark", "inverted", "light on light")
PLACES = ("corner", "over anatomy")
MOST = 0.9  # of the range, where the text is drawn over what is not dark
TRIES = 60


@dataclass(frozen=True, slots=True)
class Factors:
    """What a sample is made of; `text` is made up."""

    size: int
    contrast: int
    script: str
    rotation: int
    polarity: str
    place: str
    kind: str
    source: str
    font: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame with text, and where: rows from `top` to `bottom`, columns from `left` to `right`."""

    frame: NDArray[Any]
    box: tuple[int, int, int, int]
    factors: Factors


def level_of_text(under: float, contrast: float, lighter: bool) -> float:
    """Return the value of text whose distance from `under` is `contrast` of the range that results.

    The image has the range from 0 to 1. Text beyond it makes the range larger, and its contrast a smaller part of it.
    """
    if not lighter:
        return 1 - level_of_text(1 - under, contrast, True)
    level = under + contrast
    if level <= 1:
        return level
    contrast = min(contrast, MOST)
    return max(1.0, under / (1 - contrast))


def stored(values: NDArray[np.float64], picture: NDArray[Any]) -> NDArray[Any]:
    """Return values, of which 0 and 1 are the lowest and highest of a picture, as stored values of its type."""
    low, high = float(picture.min()), float(picture.max())
    limits = np.iinfo(picture.dtype) if picture.dtype.kind in "iu" else np.finfo(picture.dtype)
    scaled = low + values * (high - low)
    least, most = float(scaled.min()), float(scaled.max())
    if least < float(limits.min) or most > float(limits.max):  # no room beyond the range: everything is compressed
        scaled = low + (scaled - least) * ((high - low) / (most - least))
    return (scaled.round() if picture.dtype.kind in "iu" else scaled).astype(picture.dtype)


def _corner(shape: Sequence[int], size: Sequence[int], random: np.random.Generator) -> tuple[int, int]:
    margin = int(random.integers(2, 9))
    rows, columns = shape[0] - size[0], shape[1] - size[1]
    return (
        min(margin, rows) if random.random() < 0.5 else max(0, rows - margin),
        min(margin, columns) if random.random() < 0.5 else max(0, columns - margin),
    )


def place_text(
    picture: NDArray[Any],
    mask: NDArray[np.float32],
    contrast: float,
    polarity: str,
    place: str,
    random: np.random.Generator,
) -> tuple[NDArray[Any], tuple[int, int, int, int]] | None:
    """Return a frame with text and the box of the text; None if there is no such place in the picture.

    Parameters
    ----------
    picture : ndarray
        Stored values, shape (rows, columns) or (rows, columns, 3).
    mask : ndarray of float32
        How much of each pixel the text covers, in [0, 1].
    contrast : float
        Distance of the text from the median under it, as a part of the range of the frame that results.
    polarity : str
        `inverted` turns the whole frame over after the text is drawn; `light on light` needs a background above half
        of the range.
    place : str
        `over anatomy` needs a background whose upper half is above a tenth of the range.
    """
    if mask.shape[0] > picture.shape[0] - 2 or mask.shape[1] > picture.shape[1] - 2 or not mask.size:
        return None
    low, high = float(picture.min()), float(picture.max())
    values = (picture.astype(np.float64) - low) / (high - low)
    best: tuple[float, int, int, float] | None = None
    for _ in range(TRIES):
        if place == "corner":
            top, left = _corner(picture.shape, mask.shape, random)
        else:
            top = int(random.integers(0, picture.shape[0] - mask.shape[0]))
            left = int(random.integers(0, picture.shape[1] - mask.shape[1]))
        patch = values[top : top + mask.shape[0], left : left + mask.shape[1]]
        under = float(np.median(patch))
        if place == "over anatomy" and under < 0.1:
            continue
        level = level_of_text(under, contrast, True)
        span = max(1.0, level)
        reached = (level - under) / span
        if polarity == "light on light" and under / span < 0.5:
            continue
        missing = contrast - reached + 0.1 * (span - 1)  # rather a place where the range stays as it is
        if best is None or missing < best[0]:
            best = missing, top, left, level
        if missing <= 1e-6:
            break
    if best is None or best[0] > 0.5:
        return None
    _, top, left, level = best
    inside = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
    covered = mask[..., None] if values.ndim == 3 else mask
    values[inside] = values[inside] * (1 - covered) + level * covered
    if polarity == "inverted":
        values = values.max() - values
    return stored(values, picture), (top, left, top + mask.shape[0], left + mask.shape[1])


def scripts() -> list[str]:
    """Return the scripts that this machine has a font for."""
    return [script for script in SCRIPTS if fonts_of(script)]


def drawn(
    script: str, size: int, rotation: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], Font, str] | None:
    """Return a made-up text in a font of the machine as a mask, the font, and the text."""
    fonts = [font for font in fonts_of(script) if not font.sizes or size in font.sizes]
    font = fonts[random.integers(len(fonts))]
    text = made_up_text(script, random)
    mask = font.draw(text, size, bool(random.random() < 0.7))
    if not mask.size:
        return None
    return np.ascontiguousarray(np.rot90(mask, rotation // 90)), font, text


def sample(
    pictures: dict[str, list[Picture]], size: int, contrast: int, number: int, seed: int, known: Sequence[str]
) -> Sample | None:
    """Return sample `number` of a cell: equal for equal arguments on one machine.

    Scripts take turns; all else is drawn by lot. None if no picture in twenty has such a place.
    """
    random = np.random.default_rng([seed, size, contrast, number])
    turn = number + SIZES.index(size) + CONTRASTS.index(contrast)
    script, kinds = known[turn % len(known)], list(pictures)
    for _ in range(20):
        kind = kinds[random.integers(len(kinds))]
        picture = pictures[kind][random.integers(len(pictures[kind]))]
        rotation = int(random.choice(ROTATIONS, p=(0.5, 0.25, 0.25)))
        weights = (0.5, 0.25, 0.25) if contrast <= 50 else (0.67, 0.33, 0)
        polarity, place = str(random.choice(POLARITIES, p=weights)), str(random.choice(PLACES))
        made = drawn(script, size, rotation, random)
        if made is None:
            continue
        mask, font, text = made
        found = place_text(picture.frame, mask, contrast / 100, polarity, place, random)
        if found is not None:
            names = (script, rotation, polarity, place, picture.kind, picture.source, font.name, text)
            return Sample(*found, Factors(size, contrast, *names))
    return None


def samples(pictures: Sequence[Picture], per_cell: int, seed: int) -> Iterator[Sample]:
    """Yield `per_cell` samples of each size and contrast; the first of each cell first."""
    kinds: dict[str, list[Picture]] = {}
    for picture in pictures:
        if picture.carries_text:
            kinds.setdefault("real" if picture.source == "real" else picture.kind, []).append(picture)
    known = scripts()
    for number in range(per_cell):
        for size in SIZES:
            for contrast in CONTRASTS:
                made = sample(kinds, size, contrast, number, seed, known)
                if made is not None:
                    yield made
