"""The attribute `omero` of an image: how a viewer shows it first, in stored values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomzarr.volumes.model import Place, Volume

SAMPLED_FRAMES, SAMPLED_EDGE = 64, 64  # at most so many frames, and rows and columns of each, are in the sample
SHARES = (0.5, 99.5)  # per cent of the sample that lie below the start and the end of a window that no header gives
LONG = 10**7  # numbers of eight digits are rounded, so that none reads as a date or an id: docs/decisions/0063
CHANNELS = (("R", "FF0000"), ("G", "00FF00"), ("B", "0000FF"))


class SeenValues:
    """The range of the values of an array, and a sample of them, gathered while its frames are written.

    Parameters
    ----------
    frames : int
        How many the array has: of many, each k-th is in the sample.

    Attributes
    ----------
    low, high : float
        Smallest and largest finite value; infinite before the first.
    """

    def __init__(self, frames: int) -> None:
        self.low, self.high = math.inf, -math.inf
        self._every = max(1, -(-frames // SAMPLED_FRAMES))
        self._count = 0
        self._sample: list[NDArray[Any]] = []

    def of(self, frames: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield frames as they are, and gather their values; colours are left out.

        Parameters
        ----------
        frames : iterable of ndarray, shape (rows, columns) or (rows, columns, 3)

        Yields
        ------
        ndarray
        """
        for frame in frames:
            if frame.ndim == 2:
                self._add(frame)
            yield frame

    def _add(self, frame: NDArray[Any]) -> None:
        if self._count % self._every == 0:
            rows, columns = (-(-size // SAMPLED_EDGE) for size in frame.shape)
            self._sample.append(frame[::rows, ::columns].ravel())
        self._count += 1
        low, high = frame.min(), frame.max()
        if frame.dtype.kind == "f" and not (np.isfinite(low) and np.isfinite(high)):
            finite = frame[np.isfinite(frame)]
            if not finite.size:
                return
            low, high = finite.min(), finite.max()
        self.low, self.high = min(self.low, low.item()), max(self.high, high.item())

    def window(self, padding: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return a window without the few darkest and brightest values.

        Parameters
        ----------
        padding : tuple of float, optional
            Smallest and largest value of voxels that are no part of the image (PS3.3 C.7.5.1.1.2): left out.

        Returns
        -------
        tuple of float, or None
            Two stored values, the first below the second; None if there are none.
        """
        sample: NDArray[Any] = np.concatenate([np.zeros(0), *self._sample])
        sample = sample[np.isfinite(sample)]
        if padding:
            sample = sample[(sample < padding[0]) | (sample > padding[1])]
        if sample.size:
            start = float(np.percentile(sample, SHARES[0], method="lower"))
            end = float(np.percentile(sample, SHARES[1], method="higher"))
            if start < end:
                return start, end
        return (self.low, self.high) if self.low < self.high else None


def omero(volume: Volume, pixel_facts: Mapping[str, Any], seen: SeenValues | None = None) -> dict[str, Any]:
    """Return the attribute `omero` of an image.

    Parameters
    ----------
    volume : Volume
    pixel_facts : mapping
        See `ome_metadata.facts`.
    seen : SeenValues, optional
        The values of the array; without them the range of Bits Stored (0028,0101) stands for theirs.

    Returns
    -------
    dict
        JSON values. A window is in stored values: that of the header for the frame that is shown first, turned back
        through its rescale, if it shows anything of the values; else their range but for a few outliers. In that of an
        array of one value alone this is grey; 0 is black, and the largest of its type white.

    References
    ----------
    OME-Zarr 0.5, `omero` (transitional).
    """
    frame = middle(volume).frame
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    view = {f"default{axis.upper()}": shape[axis] // 2 if axis in shape else 0 for axis in "zt"}
    full = _range_of_type(frame.dtype, int(pixel_facts.get("bits_stored", frame.bits_stored)))
    if "c" in volume.axes:
        window = _window(*full, *full)
        channels = [_channel(name, color, window) for name, color in CHANNELS]
        return {"channels": channels, "rdefs": {"model": "color", **view}}
    least, largest = full if seen is None or seen.low > seen.high else (seen.low, seen.high)
    slope, intercept = frame.rescale or (1.0, 0.0)
    wanted = None
    if frame.window and "modality_lut" not in pixel_facts:
        wanted = stored_window(*frame.window[0], slope, intercept, frame.window_function or "LINEAR")
    if wanted and seen is not None and not (seen.low < wanted[1] and wanted[0] < seen.high):
        wanted = None  # the image would be all black or all white
    if wanted is None and seen is not None:
        wanted = seen.window(_padding(pixel_facts))
        if wanted is None and least == largest:
            wanted = _around(least, frame.dtype)
    start, end = wanted or (least, largest)
    inverted = (pixel_facts.get("photometric") == "MONOCHROME1") != (slope < 0)
    window = _window(min(least, start), max(largest, end), start, end)
    channel = _channel(str(pixel_facts.get("modality") or volume.kind), "FFFFFF", window, inverted=inverted)
    return {"channels": [channel], "rdefs": {"model": "greyscale", **view}}


def middle(volume: Volume) -> Place:
    """Return the frame in the middle of an array, along `t` and along `z`.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    Place
    """
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    slices = shape.get("z", 1)
    return volume.places[(shape.get("t", 1) // 2) * slices + slices // 2]


def stored_window(
    center: float, width: float, slope: float, intercept: float, function: str = "LINEAR"
) -> tuple[float, float] | None:
    """Return the stored values between which a window of the header rises from black to white.

    Parameters
    ----------
    center, width : float
        Window Center (0028,1050) and Window Width (0028,1051), in the unit after rescale.
    slope, intercept : float
        Rescale Slope (0028,1053) and Intercept (0028,1052).
    function : str
        VOI LUT Function (0028,1056). A viewer has a ramp alone: that of ``SIGMOID`` touches it at its center.

    Returns
    -------
    tuple of float, or None
        The smaller first, also where the slope is negative; None if the window or the slope has no width.

    References
    ----------
    DICOM PS3.3 C.11.2.1.2.1, the linear function, of which a width of 1 is a step: a ramp around it; C.11.2.1.3.
    """
    if not width > 0 or not slope:
        return None
    last = center + width / 2 - 1 if width > 1 and function == "LINEAR" else center + width / 2
    ends = [(value - intercept) / slope for value in (center - width / 2, last)]
    return (min(ends), max(ends)) if all(map(math.isfinite, ends)) and ends[0] != ends[1] else None


def _around(value: float, dtype: str) -> tuple[float, float]:
    """Return a window, within the type, in which one value is grey."""
    limits: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    ends = sorted((0.0, min(max(value, float(limits.min) / 2), float(limits.max) / 2) * 2))
    return (ends[0], ends[1]) if ends[0] < ends[1] else (0.0, 1.0)


def _range_of_type(dtype: str, bits: int) -> tuple[float, float]:
    """Return the smallest and largest value of so many bits; from 0 to 1 for floats."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return 0.0, 1.0
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind == "i" else (0, 2**bits - 1)


def _padding(pixel_facts: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the smallest and the largest value of padding."""
    value = pixel_facts.get("padding_value")
    if value is None:
        return None
    limit = pixel_facts.get("padding_range_limit", value)
    return min(value, limit), max(value, limit)


def _window(least: float, largest: float, start: float, end: float) -> dict[str, float]:
    """Return a window with whole numbers as such; viewers need an end above the start."""
    least, largest, start, end = (_rounded(least, -1), _rounded(largest, 1), _rounded(start, -1), _rounded(end, 1))
    if not end > start:
        end = start + max(1.0, abs(start) / 100)
    values = {"min": least, "max": max(largest, end), "start": start, "end": end}
    return {key: int(value) if value.is_integer() and abs(value) < 2**53 else value for key, value in values.items()}


def _rounded(value: float, direction: int) -> float:
    """Return a number; one of eight digits and more with three, not below the value (1) or not above it (-1)."""
    if abs(value) < LONG:
        return float(value)
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    rounded = direction * math.ceil(direction * value / unit) * unit
    return rounded if math.isfinite(rounded) else float(value)


def _channel(label: str, color: str, window: Mapping[str, float], *, inverted: bool = False) -> dict[str, Any]:
    return {"label": label, "color": color, "active": True, "inverted": inverted, "window": dict(window)}
