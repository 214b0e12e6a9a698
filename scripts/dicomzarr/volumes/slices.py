"""Slices of one orientation: their order, which frames lie at the same position, how regular the positions are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.volumes import geometry, rounding
from dicomzarr.volumes.model import Frame

Points = NDArray[np.float64]

# Largest distance of slice origins from their common line, in pixels, or in mm where the pixel spacing is unknown.
IN_PLANE_PIXELS: Final = 0.01
IN_PLANE_MM: Final = 0.01
# Positions that differ by at most this are equal but for binary fractions, mm.
EXACT_MM: Final = 1e-6
# In exact numbers, half a digit is half a digit; in binary ones, a little more.
_BINARY: Final = 1e-7
# Largest cosine of a normal that is oblique.
_PARALLEL: Final = 0.9999
# So many slices show by their positions that a stated distance was rounded.
_ENOUGH: Final = 8


@dataclass(frozen=True, slots=True)
class Slices:
    """Positions of the slices of a stack, by depth.

    Attributes
    ----------
    points : ndarray of float64, shape (n, 3)
        Image Position (Patient) (0020,0032) of each slice, mm, LPS.
    depths : tuple of float
        Along the normal, mm.
    kind : {'single', 'uniform', 'gap', 'uneven', 'irregular'}
        As `geometry.Regularity`; `irregular`: the origins lie on no common line.
    step_mm : float, optional
        Distance from slice to slice along the normal, of `uniform` and `gap`.
    missing : int
        Positions of the regular grid without a slice, between the first and the last one.
    is_tilted : bool
        The line of origins is not the normal.
    fit : rounding.Fit, optional
        The regular stack beneath rounded positions, where rounding explains their irregularity.
    """

    points: Points
    depths: tuple[float, ...]
    kind: Literal["single", "uniform", "gap", "uneven", "irregular"]
    step_mm: float | None = None
    missing: int = 0
    is_tilted: bool = False
    fit: rounding.Fit | None = None

    @property
    def is_even(self) -> bool:
        """Whether the slices are one even stack, or one slice."""
        return self.kind in ("single", "uniform")


@lru_cache(maxsize=4096)
def _normal(orientation: Cosines) -> Vector:
    """Return the unit normal, for depths only: 0.0 and -0.0 share a cache entry, so the sign of a zero may vary."""
    return geometry.slice_normal(orientation)


def depth(frame: Frame) -> float:
    """Return the depth of a frame along its own normal, mm, rounded to a nanometre.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    float
    """
    if frame.orientation is None or frame.position is None:
        raise ValueError("a frame without geometry has no depth")
    return round(geometry.dot(frame.position, _normal(frame.orientation)), 6) + 0.0


def has_geometry(frame: Frame) -> bool:
    """Return whether a frame has a position and an orientation.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    bool
    """
    return frame.position is not None and geometry.is_plane(frame.orientation)


def last_digit(frames: Sequence[Frame]) -> float:
    """Return the unit of the last digit of the positions of some frames, mm; 0.0 if it is no matter.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    float
        The coarsest that most of the frames share: see `rounding.last_digit`. A slice that was sent again may be
        written with more digits than the others.
    """
    exact = 0
    rounded: list[float] = []
    for frame in frames:
        position = frame.position or ()
        digit = rounding.last_digit(position)
        if digit or all(value == int(value) for value in position):
            rounded.extend(position)
        else:
            exact += 1
            if 2 * exact > len(frames):
                return 0.0
    return rounding.last_digit(rounded)


def are_whole_and_oblique(frames: Sequence[Frame]) -> bool:
    """Return whether positions are whole millimetres although slices are parallel to no plane of the patient.

    Such positions were rounded: the normal of an oblique stack leads to no whole numbers.

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    bool
    """
    if max(map(abs, geometry.slice_normal(frames[0].orientation or ()))) > _PARALLEL:
        return False
    return all(value == int(value) for frame in frames for value in frame.position or ())


def points_of(frames: Sequence[Frame]) -> Points:
    """Return the positions of frames, mm, LPS, shape (n, 3).

    Parameters
    ----------
    frames : sequence of Frame

    Returns
    -------
    ndarray of float64, shape (n, 3)
    """
    return np.array([frame.position for frame in frames], dtype=np.float64).reshape(-1, 3)


def near_mm(frame: Frame) -> float:
    """Return the largest distance of a slice's origin from the line of origins, mm.

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    float
    """
    spacing = frame.pixel_spacing
    return max(IN_PLANE_PIXELS * min(spacing), geometry.SAME_POSITION_MM) if spacing else IN_PLANE_MM


def cells_of(frames: Sequence[Frame], digit: float) -> list[list[Frame]]:
    """Return frames of one orientation by position: a list of frames for each depth, ascending.

    Parameters
    ----------
    frames : sequence of Frame
    digit : float
        Unit of the last digit of the positions, mm.

    Returns
    -------
    list of list of Frame
        The frames of a position in the given order.
    """
    order = geometry.stack_order(points_of(frames), frames[0].orientation or ())
    depths = order.depths
    near = _same_position_mm(depths, digit)
    cells: list[list[Frame]] = []
    last = float("-inf")
    for index, at in zip(order.indices.tolist(), depths.tolist(), strict=True):
        if at - last > near:
            cells.append([])
            last = at
        cells[-1].append(frames[index])
        if near == geometry.SAME_POSITION_MM:
            last = at
    if len(cells) == len(frames):
        return cells
    place = {id(frame): index for index, frame in enumerate(frames)}
    return [sorted(cell, key=lambda frame: place[id(frame)]) for cell in cells]


def _same_position_mm(depths: NDArray[np.float64], digit: float) -> float:
    """Return the largest difference of depths that are the same position: what rounding explains, if slices are far."""
    gaps = np.diff(depths)
    rounded = math.sqrt(3) * digit
    far = gaps[gaps > rounded + geometry.SAME_POSITION_MM]
    if not digit or not len(far):
        return geometry.SAME_POSITION_MM
    return max(geometry.SAME_POSITION_MM, min(rounded, 0.25 * float(far.min())))


def slices_of(frames: Sequence[Frame], digit: float, tolerance: float) -> Slices:
    """Return how regular the positions of a stack are.

    Parameters
    ----------
    frames : sequence of Frame
        One of each position, by depth.
    digit : float
        Unit of the last digit with which positions are written, mm; 0.0 if rounding does not matter.
    tolerance : float
        Largest departure from a regular grid, relative to the distance of slices.

    Returns
    -------
    Slices
    """
    first = frames[0]
    orientation = first.orientation or ()
    points = points_of(frames)
    if len(frames) == 1:
        return Slices(points, (depth(first),), "single")
    along = geometry.along(points, geometry.slice_normal(orientation))
    depths = tuple(round(value, 6) + 0.0 for value in along.tolist())
    rows, columns = geometry.along(points, orientation[:3]), geometry.along(points, orientation[3:])
    shear = geometry.shear_deg(rows, columns, along, max(near_mm(first), 2 * digit))
    regular = geometry.regularity(depths, tolerance, stated_mm(frames))
    floor = tilt_floor_deg(orientation, digit, depths[-1] - depths[0])
    all_rounded = digit and rounding.last_digit(points.ravel().tolist())
    if shear is None or regular.kind not in ("single", "uniform") or (all_rounded and not _is_exact(points)):
        rounded = _rounded(points, depths, orientation, digit, tolerance)
        if rounded is not None:
            return rounded
    if not digit and (shear is None or regular.kind == "uneven"):
        for hidden in (rounding.last_digit_of_steps, rounding.last_digit_of_the_largest):
            rounded = _rounded(points, depths, orientation, hidden(points), tolerance)
            if rounded is not None:
                return rounded
    if shear is None:
        return Slices(points, depths, "irregular", is_tilted=True)
    if regular.kind in ("gap", "uneven") and (whole := _whole_millimetres(frames, points, depths)):
        return whole
    tilted = len(frames) > 1 and shear > floor
    return Slices(points, depths, regular.kind, regular.step, regular.missing, tilted)


def stated_mm(frames: Iterable[Frame]) -> float | None:
    """Return Spacing Between Slices (0018,0088), if all frames state the same, and one thickness.

    A converter may state the distance of the first two slices for all, also where thick slices follow thin ones.

    Parameters
    ----------
    frames : iterable of Frame

    Returns
    -------
    float or None
        mm.
    """
    constants = [frame.constants for frame in frames]
    distances = {abs(of.get("spacing_between_slices_mm") or 0.0) for of in constants}
    if len(distances) > 1 or len({of.get("slice_thickness_mm") for of in constants}) > 1:
        return None
    return distances.pop() or None


def _is_exact(points: Points) -> bool:
    """Return whether slices lie where a line from the first to the last one has them, but for binary fractions."""
    share = np.linspace(0.0, 1.0, len(points))[:, None]
    return bool((np.abs(points[0] + share * (points[-1] - points[0]) - points) <= EXACT_MM).all())


def tilt_floor_deg(orientation: Sequence[float], digit: float, extent_mm: float) -> float:
    """Return the angle between the line of origins and the normal up to which a stack counts as straight.

    Parameters
    ----------
    orientation : sequence of 6 float
        Row cosines, then column cosines.
    digit : float
        Unit of the last digit of the positions, mm.
    extent_mm : float
        From the first slice to the last one.

    Returns
    -------
    float
        Degrees: `geometry.TILT_FLOOR_DEG`, or what the digits of cosines and positions explain.
    """
    from_cosines = math.sqrt(3) * rounding.last_digit(orientation)
    from_positions = math.sqrt(3) * digit / extent_mm if extent_mm > 0 else 0.0
    return max(geometry.TILT_FLOOR_DEG, math.degrees(from_cosines + from_positions))


def _rounded(
    points: Points, depths: Sequence[float], orientation: Sequence[float], digit: float, tolerance: float
) -> Slices | None:
    """Return the slices as a regular stack, if there is one that gives these positions when it is rounded."""
    count = len(depths)
    if not digit or count < 3:
        return None
    gaps = np.diff(np.asarray(depths))
    error = math.sqrt(3) / 2 * digit
    mean = (depths[-1] - depths[0]) / (count - 1)
    smallest = float(gaps.min())
    plain = gaps[gaps <= smallest + 2 * error]
    guesses = [np.ones(count - 1), np.rint(gaps / max(float(plain.mean()), geometry.SAME_POSITION_MM))]
    for multiples in guesses:
        steps = float(multiples.sum())
        step = mean * (count - 1) / steps if steps else 0.0
        if multiples.min() < 1 or error > rounding.MOST_OF_STEP * step or geometry.has_several_increments(multiples):
            continue
        fit = rounding.fit(points, np.concatenate([[0.0], np.cumsum(multiples)]))
        if fit.error_mm > digit / 2 * (1 + _BINARY) + tolerance * step:
            continue
        normal = geometry.slice_normal(orientation)
        rise = geometry.dot(fit.step, normal)
        length = math.sqrt(geometry.dot(fit.step, fit.step))
        angle = math.degrees(math.acos(min(1.0, rise / length)))
        if angle > geometry.TILT_LIMIT_DEG:
            continue
        missing = int(steps) - (count - 1)
        if missing > geometry.MOST_MISSING:
            continue
        tilted = angle > tilt_floor_deg(orientation, digit, depths[-1] - depths[0])
        kind: Literal["gap", "uniform"] = "gap" if missing else "uniform"
        spacing = round(rise if tilted else length, geometry.DECIMALS)
        exact = fit.error_mm <= EXACT_MM
        return Slices(points, tuple(depths), kind, spacing, missing, tilted, None if exact else fit)
    return None


def _whole_millimetres(frames: Sequence[Frame], points: Points, depths: Sequence[float]) -> Slices | None:
    """Return slices whose positions were rounded to whole millimetres, if the distance that is stated explains them.

    Whole numbers do not show that they were rounded: a stated distance that is none does, if an even stack of that
    distance, rounded, gives all positions. Of a few slices so does another one that lacks slices.
    """
    constants = frames[0].constants
    stated = abs(constants.get("spacing_between_slices_mm") or constants.get("slice_thickness_mm") or 0.0)
    moving = np.ptp(points, axis=0) > 0
    if len(frames) < _ENOUGH or stated <= 1 or stated == int(stated) or moving.sum() != 1 or (points % 1).any():
        return None
    gaps = np.diff(np.asarray(depths))
    if (np.abs(gaps - stated) >= 1).any() or np.abs(np.ptp(points, axis=0)[moving] - depths[-1] + depths[0]) > EXACT_MM:
        return None
    fit = rounding.fit(points, np.arange(len(frames), dtype=np.float64))
    step = float(np.abs(fit.step).max())
    if fit.error_mm > 0.5 * (1 + _BINARY) or abs(step - stated) * (len(frames) - 1) > 1:
        return None
    return Slices(points, tuple(depths), "uniform", round(step, geometry.DECIMALS), 0, False, fit)
