"""Make the clocks of a series comparable: times with and without a date, and times on both sides of midnight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from dicomzarr.volumes.model import Frame
from dicomzarr.volumes.t_axis import CLOCKS

DAY: Final = 86_400.0
# Clocks of a series that are further apart are not of one kind: some lack the date, or have one that is made up. Their
# difference would be a date, which identifies a patient.
LONGEST: Final = 31 * DAY
# Times without a date, or all of one date, with such a gap between them went past midnight: no scan pauses so long.
NIGHT: Final = 18 * 3600.0


def with_comparable_clocks(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames of a series with clocks that may be compared.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of one series.

    Returns
    -------
    list of Frame
        Clocks (`t_axis.CLOCKS`, in seconds) that are more than 31 days apart are left out of all frames. Where all are
        of one day, and there are more than 18 hours between some of them, those before that gap are of the next day.
    """
    found = list(frames)
    for name in sorted(CLOCKS):
        times = sorted({frame.causes[name] for frame in found if name in frame.causes})
        if len(times) < 2:
            continue
        if times[-1] - times[0] > LONGEST:
            found = [_without(frame, name) for frame in found]
        elif times[0] // DAY == times[-1] // DAY:
            gap, end = max((after - before, before) for before, after in pairwise(times))
            if gap > NIGHT:
                found = [
                    _a_day_later(frame, name) if frame.causes.get(name, gap + end) <= end else frame for frame in found
                ]
    return found


def _without(frame: Frame, name: str) -> Frame:
    return replace(frame, causes={key: value for key, value in frame.causes.items() if key != name})


def _a_day_later(frame: Frame, name: str) -> Frame:
    return replace(frame, causes={**frame.causes, name: frame.causes[name] + DAY})
