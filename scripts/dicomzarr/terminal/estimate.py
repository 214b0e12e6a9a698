"""The time left of a run, or nothing where it is not known well enough."""

from __future__ import annotations

from dicomzarr.terminal.progress import Moment


class Estimator:
    """Estimates the seconds to the end of a run."""

    def left(self, moment: Moment) -> float | None:
        """Return the seconds to the end of the run; None where they are not known within a factor of two."""
        return None


def rounded(seconds: float) -> float:
    """Return seconds to show."""
    return seconds
