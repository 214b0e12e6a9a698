"""Number what only the frames of a group together can number: receive coils, settings, volumes of Image Index.

They are causes that distinguish frames at one place where no fact and no clock does; see `t_axis.CAUSES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.slices import depth

COIL: Final = "receive_coil"
SETTING: Final = "setting"
SLICE: Final = "slice_index"
# What Image Index (0054,1330) counts besides slices (PS3.3 C.8.9.4.1.9), slowest first.
INDICES: Final = ("rr_interval_index", "time_slot_index", "time_slice_index")
_SAME_PLACE_MM: Final = 0.01
_DIGITS: Final = re.compile(r"(\d+)", re.ASCII)


def image_index(index: int | None, series_type: str, slices: int | None, time_slots: int | None) -> dict[str, float]:
    """Return what the Image Index of a PET image counts.

    Parameters
    ----------
    index : int, optional
        Image Index (0054,1330), from 1.
    series_type : str
        First value of Series Type (0054,1000).
    slices : int, optional
        Number of Slices (0054,0081).
    time_slots : int, optional
        Number of Time Slots (0054,0071), of gated series.

    Returns
    -------
    dict of str to float
        `SLICE` and some of `INDICES`, from 1; empty unless the series is dynamic or gated and all numbers are known.

    References
    ----------
    DICOM PS3.3 C.8.9.4.1.9.
    """
    if not index or not slices or index < 1 or slices < 1:
        return {}
    volume, place = divmod(index - 1, slices)
    if series_type == "DYNAMIC":
        return {SLICE: place + 1.0, "time_slice_index": volume + 1.0}
    if series_type == "GATED" and time_slots and time_slots > 0:
        interval, slot = divmod(volume, time_slots)
        return {SLICE: place + 1.0, "rr_interval_index": interval + 1.0, "time_slot_index": slot + 1.0}
    return {}


def with_numbers(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames with the numbers of their coils, and with indices of volumes only where they can be believed.

    Parameters
    ----------
    frames : sequence of Frame
        Frames with geometry that may form one array, sorted by identity.

    Returns
    -------
    list of Frame
        Coils are numbered from 0 in the order of Instance Number (0020,0013), then of their names, if all frames name
        one and the names differ; so are settings. Indices are left out of all frames unless each index of a slice has
        one depth and each depth one index, and no two frames have all indices in common: some writers count otherwise.
    """
    found = list(frames)
    names = {frame.coil for frame in found}
    if len(names) > 1 and "" not in names:
        numbers = _numbers_of([frame.coil for frame in found], found)
        found = [_with(frame, {COIL: numbers[frame.coil]}) for frame in found]
    if len({frame.setting for frame in found}) > 1:
        numbers = _numbers_of([frame.setting for frame in found], found)
        found = [_with(frame, {SETTING: numbers[frame.setting]}) for frame in found]
    if any(SLICE in frame.causes for frame in found) and not _indices_are_true(found):
        drop = {SLICE, *INDICES}
        found = [replace(f, causes={key: v for key, v in f.causes.items() if key not in drop}) for f in found]
    return found


def _with(frame: Frame, causes: Mapping[str, float]) -> Frame:
    return replace(frame, causes={**frame.causes, **causes})


def _numbers_of(names: Sequence[str], frames: Sequence[Frame]) -> dict[str, float]:
    first: dict[str, float] = {}
    for name, frame in zip(names, frames, strict=True):
        number = frame.causes.get("instance_number", 0.0)
        first[name] = min(number, first.get(name, number))
    return {
        name: float(rank) for rank, name in enumerate(sorted(first, key=lambda name: (first[name], _natural(name))))
    }


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return the sort key of a name in which H2 comes before H10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name))


def _indices_are_true(frames: Sequence[Frame]) -> bool:
    """Return whether indices of slices follow the depths, and each frame has indices of its own."""
    depths: dict[float, list[float]] = {}
    seen: set[tuple[float | None, ...]] = set()
    for frame in frames:
        if SLICE not in frame.causes:
            return False
        depths.setdefault(frame.causes[SLICE], []).append(depth(frame))
        seen.add(tuple(frame.causes.get(key) for key in (SLICE, *INDICES)))
    if len(seen) < len(frames):
        return False
    spans = sorted((min(of), max(of)) for of in depths.values())
    near = all(high - low <= _SAME_PLACE_MM for low, high in spans)
    return near and all(low > high for (_, high), (low, _) in zip(spans, spans[1:], strict=False))
