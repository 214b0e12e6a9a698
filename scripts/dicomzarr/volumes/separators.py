"""What may separate the stacks of a series: counters, clocks, thicknesses, passes and blocks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import accumulate, combinations, pairwise
from statistics import median
from typing import Final

from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.slices import depth

_FAR: Final = 10  # times the usual distance of slices
_NEAR: Final = 0.2  # of the distance of slices: where the next slice of a scan is
MOST_SCANS: Final = 3  # that lie between each other
THICKNESS: Final = "slice_thickness_mm"
REPETITION: Final = "repetition_time_ms"
_SAME: Final = 1.1  # largest ratio of two that differ by rounding, or with the heart beat


def thicknesses(frames: Sequence[Frame]) -> list[float | None]:
    """Return Slice Thickness (0018,0050) of each frame, the smallest of those that are nearly equal.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    list of float or None
        mm; None where it is unknown.
    """
    return settings(frames, THICKNESS)


def settings(frames: Sequence[Frame], name: str) -> list[float | None]:
    """Return a setting of each frame, the smallest of those that are nearly equal.

    Parameters
    ----------
    frames : sequence of Frame
    name : str
        Of `Frame.constants`.

    Returns
    -------
    list of float or None
        None where it is unknown.
    """
    values = [frame.constants.get(name) for frame in frames]
    leader: dict[float, float] = {}
    last = 0.0
    for value in sorted({value for value in values if value is not None}):
        last = leader[value] = last if value <= last * _SAME else value
    return [None if value is None else leader[value] for value in values]


def _cause(name: str) -> Callable[[Sequence[Frame]], list[Hashable]]:
    return lambda frames: [frame.causes.get(name) for frame in frames]


def _image_of(frame: Frame) -> Hashable:
    """Return the multi-frame image of a frame: all parts of a concatenation are one image; -1 for a single frame."""
    return frame.concatenation or (frame.source if frame.frames_in_file > 1 else -1)


def _passes(frames: Sequence[Frame], cause: str) -> list[Hashable]:
    """Return the number of the pass through the stack to which each frame belongs, by a counter or a clock.

    A pass ends where the depth turns back, rising or falling, whichever makes fewer passes; frames of one time are in
    the order of their depths. Without a value in each frame, or where a counter starts again, all belong to one pass.
    """
    depths = [depth(frame) for frame in frames]
    places = {(frame.causes.get(cause), at) for frame, at in zip(frames, depths, strict=True)}
    values = {value for value, _ in places}
    in_files = any(frame.frames_in_file > 1 for frame in frames)  # all frames of a file have its number
    if None in values or (cause == "instance_number" and len(values) < len(places) and not in_files):
        return [0] * len(frames)
    best: list[Hashable] = []
    fewest = len(frames)
    for sign in (1, -1):
        order = sorted(range(len(frames)), key=lambda i: (frames[i].causes[cause], sign * depths[i]))
        runs = list(accumulate([0] + [int(sign * depths[b] < sign * depths[a]) for a, b in pairwise(order)]))
        if runs[-1] < fewest:
            fewest = runs[-1]
            number = dict(zip(order, runs, strict=True))
            best = [number[index] for index in range(len(frames))]
    return _ended_at_seams(best, depths)


def _ended_at_seams(passes: Sequence[Hashable], depths: Sequence[float]) -> list[Hashable]:
    """Return passes that end where a part of the body ends, of which all times were acquired before the next part.

    The last time of a part and the first one of the next then run on as if they were one pass. A seam is where as many
    passes end, and begin beyond it, as run across it; a slice of each may be lost.
    """
    at = {depth: index for index, depth in enumerate(sorted(set(depths)))}
    spans: dict[Hashable, tuple[int, int]] = {}
    for name, depth_of in zip(passes, depths, strict=True):
        low, high = spans.get(name, (at[depth_of], at[depth_of]))
        spans[name] = min(low, at[depth_of]), max(high, at[depth_of])
    lows, highs = Counter(low for low, _ in spans.values()), Counter(high for _, high in spans.values())
    across = accumulate(lows[index] - highs[index] for index in range(len(at)))
    seams = [
        index
        for index, count in enumerate(across)
        if count
        and min(highs[index] + highs[index - 1], lows[index + 1] + lows[index + 2]) >= count
        and highs[index]
        and lows[index + 1]
    ]
    return [(name, bisect_left(seams, at[depth_of])) for name, depth_of in zip(passes, depths, strict=True)]


def _scans_by_number(frames: Sequence[Frame]) -> list[Hashable]:
    """Return the scan of each frame, where Instance Numbers (0020,0013) start again in each of two or three scans.

    From each number to the next one, slices of a scan are one distance apart, also where some were lost. All frames
    are of one scan if most numbers occur once, two frames of a number lie near each other, or one fits no scan.
    """
    at: dict[float, list[int]] = {}
    for index, frame in enumerate(frames):
        at.setdefault(frame.causes.get("instance_number", -1.0), []).append(index)
    one: list[Hashable] = [0] * len(frames)
    often = [len(of) for of in at.values()]
    if max(often) > MOST_SCANS or 2 * often.count(1) >= len(often) or any(f.frames_in_file > 1 for f in frames):
        return one
    depths = [depth(frame) for frame in frames]
    tenths = Counter(round(10 * (depths[j] - depths[i])) for n, of in at.items() for i in of for j in at.get(n + 1, ()))
    around = {tenth: (tenths[tenth - 1] + tenths[tenth] + tenths[tenth + 1], tenths[tenth], tenth) for tenth in tenths}
    step = max(around, key=around.__getitem__, default=0) / 10
    near = _NEAR * abs(step)
    lasts: list[tuple[float, float]] = []  # number and depth of the last slice of each scan
    scans = [*one]
    for number, of in sorted(at.items()):
        if any(abs(depths[a] - depths[b]) <= near for a, b in combinations(of, 2)):
            return one
        for index in of:
            off = [abs(last + step * (number - before) - depths[index]) for before, last in lasts]
            scan = off.index(min(off)) if off and min(off) < near else len(lasts)
            lasts[scan : scan + 1] = [(number, depths[index])]
            scans[index] = scan
        if len(lasts) > MOST_SCANS:
            return one
    return scans


def _blocks(frames: Sequence[Frame]) -> list[Hashable]:
    """Return the block of slices to which each frame belongs, where blocks are farther apart than each is long.

    So are two breasts in one series. A gap is short beside the slices around it.
    """
    depths = sorted({depth(frame) for frame in frames})
    gaps = [after - before for before, after in pairwise(depths)]
    if len(gaps) < 4:
        return [0] * len(frames)
    far = _FAR * median(gaps)
    ends = [index for index, gap in enumerate(gaps, 1) if gap > far]
    parts = [depths[start:end] for start, end in pairwise([0, *ends, len(depths)])]
    is_apart = (
        len(parts) == 2
        and min(map(len, parts)) >= 2
        and max(map(len, parts)) >= 3
        and all(
            after[0] - before[-1] > max(before[-1] - before[0], after[-1] - after[0])
            for before, after in pairwise(parts)
        )
    )
    block = {at: number for number, part in enumerate(parts) for at in part}
    return [block[depth(frame)] if is_apart else 0 for frame in frames]


# What may separate the stacks of a series, in the order in which it is tried.
SEPARATORS: Final[tuple[tuple[str, Callable[[Sequence[Frame]], list[Hashable]]], ...]] = (
    (THICKNESS, lambda frames: [*thicknesses(frames)]),
    (REPETITION, lambda frames: [*settings(frames, REPETITION)]),
    ("acquisition_number", _cause("acquisition_number")),
    ("temporal_position", _cause("temporal_position")),
    ("image_type", lambda frames: [frame.image_type for frame in frames]),
    ("setting", _cause("setting")),
    ("trigger_time_ms", _cause("trigger_time_ms")),
    ("acquisition_time_s", _cause("acquisition_time_s")),
    ("series_number", _cause("series_number")),
    ("file", lambda frames: [_image_of(frame) for frame in frames]),
    ("pass", partial(_passes, cause="instance_number")),
    ("pass_of_time", partial(_passes, cause="acquisition_time_s")),
    ("pass_of_content_time", partial(_passes, cause="content_time_s")),
    ("number_again", _scans_by_number),
    ("block", _blocks),
)
# What else may separate scans that lie between each other.
MORE_SEPARATORS: Final[tuple[tuple[str, Callable[[Sequence[Frame]], list[Hashable]]], ...]] = (
    ("reference_time_s", _cause("reference_time_s")),
    ("frame_reference_time_s", _cause("frame_reference_time_s")),
    ("content_time_s", _cause("content_time_s")),
)
# Passes are in the order of their Instance Numbers, or of their times.
ORDERS: Final = {
    "pass": "instance_number",
    "pass_of_time": "acquisition_time_s",
    "pass_of_content_time": "content_time_s",
    "number_again": "instance_number",
}
