"""Make the clocks of frames comparable: times with and without a date, and times on both sides of midnight.

A clock whose zero is not that of the others would say a date or a time of day by its difference from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Final

from dicomzarr.volumes.acquisition import SHORTEST_CLOCK
from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.t_axis import CLOCKS

DAY: Final = 86_400.0
# Clocks that are further apart are not of one kind: some lack the date, or have one that is made up. Their difference
# would be a date, which identifies a patient.
LONGEST: Final = 31 * DAY
# A time of exactly midnight that is further from all others is no time: a filler, whose difference is a time of day.
FILLER: Final = 3600.0
# Times without a date, or of one date, with such a gap between them may have passed midnight: no scan pauses so long.
NIGHT: Final = 18 * 3600.0


def with_comparable_clocks(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames with clocks that may be compared.

    Parameters
    ----------
    frames : sequence of Frame
        Frames that may form one array.

    Returns
    -------
    list of Frame
        Clocks (`t_axis.CLOCKS`, in seconds) that are more than 31 days apart, or of which one is a filler, are left out
        of all frames; so are delays with a jump among them that is longer than any (`SHORTEST_CLOCK`). Where all are
        of one day, with a gap of more than 18 hours, those before the gap are of the next day if Instance Numbers
        (0020,0013) say so, or if there is neither a date nor a number.
    """
    found = list(frames)
    for name in sorted(CLOCKS):
        times = sorted({frame.causes[name] for frame in found if name in frame.causes})
        if len(times) < 2:
            continue
        if times[-1] - times[0] > LONGEST or _has_filler(times):
            found = [_without(frame, name) for frame in found]
        elif times[0] // DAY == times[-1] // DAY:
            gap, end = max((after - before, before) for before, after in pairwise(times))
            known = [frame for frame in found if name in frame.causes]
            early = [frame for frame in known if frame.causes[name] <= end]
            late = [frame for frame in known if frame.causes[name] > end]
            if gap > NIGHT and _follows(early, late, has_date=times[0] >= DAY or times[0] < 0):
                found = [
                    _a_day_later(frame, name) if frame.causes.get(name, DAY + end) <= end else frame for frame in found
                ]
    for name, longest in SHORTEST_CLOCK.items():
        times = sorted({frame.causes[name] for frame in found if name in frame.causes})
        if any(after - before >= longest for before, after in pairwise(times)):
            found = [_without(frame, name) for frame in found]
    return found


def _has_filler(times: Sequence[float]) -> bool:
    """Return whether one of several times is exactly midnight, and none is near it, on either side."""
    return any(
        time % DAY == 0 and all(FILLER < (other - time) % DAY < DAY - FILLER for other in times if other != time)
        for time in times
    )


def _follows(early: Sequence[Frame], late: Sequence[Frame], *, has_date: bool) -> bool:
    """Return whether frames with the earlier times of a day follow those with the later ones."""
    numbers = [[(frame.causes.get("instance_number"), frame.number) for frame in frames] for frames in (early, late)]
    if any(number is None for of in numbers for number, _ in of):
        return not has_date
    counts = [fmean((number or 0.0) + index * 1e-6 for number, index in of) for of in numbers]
    return counts[0] > counts[1]


def _without(frame: Frame, name: str) -> Frame:
    return replace(frame, causes={key: value for key, value in frame.causes.items() if key != name})


def _a_day_later(frame: Frame, name: str) -> Frame:
    return replace(frame, causes={**frame.causes, name: frame.causes[name] + DAY})
