"""Made-up CT slices with and without text in their pixels, and detectors for copies of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from dicoms import ct_slice, save
from PIL import Image, ImageDraw, ImageFont

SIZE = 256  # rows and columns
BRIGHT = 3000  # of text
TEXT = "MADEUP NAME 1950"
# Values that the detector of `value_detector` finds, or at which it fails.
FOUND, RAISES, DIES = 2999, 2998, 2997


def body(index: int, seed: int = 0) -> np.ndarray:
    """Return a smooth ellipse with noise, as a CT shows it; shape (256, 256), int16."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = ((rows - 128) / 100) ** 2 + ((columns - 128) / 80) ** 2
    smooth = 400 / (1 + np.exp(20 * (inside - 1))) + 60 * np.cos(rows / 40 + index) * (inside < 1)
    noise = np.random.default_rng([seed, index]).normal(0, 12, (SIZE, SIZE))
    return np.asarray(np.round(smooth + noise), np.int16)


def with_text(pixels: np.ndarray, text: str = TEXT, size: int = 24) -> np.ndarray:
    """Return a copy of a frame with text in its upper left corner, at full contrast."""
    layer = Image.new("L", pixels.shape[::-1])
    ImageDraw.Draw(layer).text((8, 10), text, fill=255, font=ImageFont.load_default(size))
    written = pixels.copy()
    written[np.asarray(layer) > 127] = BRIGHT
    return written


def save_scan(folder: Path, series: str, slices: int = 3, text: tuple[int, ...] = (), **attributes: Any) -> list[Path]:
    """Write a series; the slices `text` have text in their pixels."""
    seed = sum(series.encode())
    frames = [with_text(body(index, seed)) if index in text else body(index, seed) for index in range(slices)]
    return [
        save(ct_slice(series, index, pixels=pixels, **attributes), folder / f"{index}.dcm")
        for index, pixels in enumerate(frames)
    ]


def with_value(pixels: np.ndarray, value: int) -> np.ndarray:
    """Return a copy of a frame with a value in a few pixels."""
    changed = pixels.copy()
    changed[20:24, 30:40] = value
    return changed


def value_detector(version: str = "1", *, top: int = 20, finds: int = FOUND, control: str = "True") -> str:
    """Return the source of a detector for a copy of the project: text is where a frame has the value `finds`.

    Parameters
    ----------
    version : str
    top : int
        Where it says that text is.
    finds : int
    control : str
        Body of its control, an expression.
    """
    return f'''"""A detector for tests."""
import os
import signal
from typing import Any, NamedTuple

DETECTOR = "{version}"
THRESHOLDS: dict[str, int | float] = {{"value": {finds}}}


class Box(NamedTuple):
    top: int
    left: int
    bottom: int
    right: int
    by: str


def look(frame: Any, *, allow_short: int = 2) -> tuple[Box, ...]:
    if (frame == {RAISES}).any():
        raise ValueError("MADEUP NAME")
    if (frame == {DIES}).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return (Box({top}, 30, 24, 40, "network"),) if (frame == {finds}).any() else ()


class Still:
    def __init__(self) -> None:
        self.frames = 0

    def add(self, frame: Any) -> None:
        self.frames += 1

    def look(self, *, allow_short: int = 2) -> tuple[Box, ...]:
        return ()


def control() -> bool:
    return {control}
'''
