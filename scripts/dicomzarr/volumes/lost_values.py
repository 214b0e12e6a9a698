"""Facts of acquisition that some frames lack, although others of the same volume have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dicomzarr.volumes.acquisition import FACTS, Fact, Value, value_of
from dicomzarr.volumes.model import Frame

# Times that all frames of a volume may share.
_CLOCKS: Final = (
    *("trigger_time_ms", "temporal_offset_s", "frame_reference_time_s", "acquisition_time_s", "reference_time_s"),
)


def with_lost_values(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames with the facts that they lack, where the other facts, or a time, say which volume they belong to.

    A frame gets the value of all others with the same other facts (and the same time), if these distinguish several
    volumes, the others have one value, and none of them lies at its place. What is stated nowhere stays unknown: images
    without a b-value, at the places of those with one, get none.

    Parameters
    ----------
    frames : sequence of Frame
        Frames of one group.

    Returns
    -------
    list of Frame
        The same frames, if none lacks a fact that others have, or nothing says which value it is.
    """
    found = list(frames)
    for fact in FACTS:
        values = [value_of(frame, fact) for frame in found]
        if None in values and any(value is not None for value in values):
            found = _filled(found, fact, values)
    return found


def _filled(frames: list[Frame], fact: Fact, values: Sequence[Value]) -> list[Frame]:
    """Return frames with a fact that some lack; the same frames where nothing says which value it is for each."""
    others = [tuple(value_of(frame, other) for other in FACTS if other is not fact) for frame in frames]
    for clock in (None, *_CLOCKS):
        times = [frame.causes.get(clock) if clock else 0.0 for frame in frames]
        if None in times:
            continue
        keys = list(zip(others, times, strict=True))
        known: dict[object, set[Value]] = {}
        for key, value in zip(keys, values, strict=True):
            known.setdefault(key, set()).update(() if value is None else (value,))
        if any(value is None and len(known[key]) != 1 for key, value in zip(keys, values, strict=True)):
            continue
        places = {(key, _place_of(frame)) for key, frame in zip(keys, frames, strict=True)}
        if len(known) < 2 or len(places) < len(frames):
            continue
        return [
            frame if value is not None else _with(frame, fact, next(iter(known[key])))
            for key, frame, value in zip(keys, frames, values, strict=True)
        ]
    return frames


def _with(frame: Frame, fact: Fact, value: Value) -> Frame:
    return replace(frame, causes={**frame.causes, **dict(zip(fact.keys, value or (), strict=True))})


def _place_of(frame: Frame) -> tuple[float, ...]:
    return tuple(round(x, 2) for x in frame.position or ())
