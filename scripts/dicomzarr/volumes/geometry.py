"""Geometry of slices in the patient: normals, order, regularity of spacing, affines.

Everything here is a pure function of numbers. Positions are Image Position (Patient) (0020,0032), the centre of the
first voxel of a slice, in mm, LPS; orientations are Image Orientation (Patient) (0020,0037), the cosines of a row (the
direction of rising x) and then of a column (the direction of rising y). See DICOM PS3.3 C.7.6.2.1.1.

Sums are written out rather than left to a BLAS, so that equal inputs give equal bits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dicomzarr.dicom.facts import Cosines, Vector
from dicomzarr.volumes import rounding

# Unit length and orthogonality of the cosines (PS3.3 C.7.6.2.1.1 asks for both; headers round).
COSINE_TOLERANCE = 1e-3
# Relative to the spacing of slices.
SPACING_TOLERANCE = 1e-3
# Depths that differ by at most this are the same position, mm.
SAME_POSITION_MM = 1e-3
# Largest difference of a stated distance of slices from that of their positions, relative: it is often rounded.
STATED_TOLERANCE = 0.01
# Slices that may be missing; where more would be, there is no grid.
MOST_MISSING = 99_999
# A stack sheared by less counts as straight: cosines rounded to three decimals shear by up to 0.06 degrees.
TILT_FLOOR_DEG = 0.1
# Slices sheared by more do not form a stack: gantries tilt by 30 degrees at most.
TILT_LIMIT_DEG = 45.0
# Derived lengths in mm, and affines, are rounded to so many decimals.
DECIMALS = 9

Affine = tuple[tuple[float, ...], ...]


class GeometryError(ValueError):
    """Numbers that describe no plane. The text names the attribute and what it must be, never a value."""


@dataclass(frozen=True)
class StackOrder:
    """The order of slices along the positive normal.

    Attributes
    ----------
    indices : ndarray of int64, shape (n,)
        Indices into the given positions, by increasing depth; ties stay in the given order.
    depths : ndarray of float64, shape (n,)
        Depth along the normal, mm, in that order.
    """

    indices: NDArray[np.int64]
    depths: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Regularity:
    """How regular a stack of slices is.

    Attributes
    ----------
    kind : {'single', 'uniform', 'gap', 'uneven'}
        `gap`: every distance is a multiple of one step, some of more than one; `uneven`: no step explains them.
    step : float, optional
        The regular step, mm; None where there is none.
    missing : int
        Number of positions of the regular grid, between the first and the last slice, without a slice.
    """

    kind: Literal["single", "uniform", "gap", "uneven"]
    step: float | None
    missing: int


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the scalar product of two vectors.

    Parameters
    ----------
    a, b : sequence of 3 float

    Returns
    -------
    float
    """
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _may_be_unit(vector: Sequence[float], digit: float) -> bool:
    """Return whether a vector has unit length, or a unit vector has it as its rounded form."""
    if abs(math.sqrt(dot(vector, vector)) - 1) <= COSINE_TOLERANCE:
        return True
    least = math.fsum(max(0.0, abs(c) - digit / 2) ** 2 for c in vector)
    most = math.fsum((abs(c) + digit / 2) ** 2 for c in vector)
    return least <= 1 <= most


def _may_be_orthogonal(a: Sequence[float], b: Sequence[float], digit: float) -> bool:
    """Return whether vectors are orthogonal as far as their digits tell."""
    rounding_error = digit / 2 * math.fsum(map(abs, (*a, *b)))
    return abs(dot(a, b)) <= max(COSINE_TOLERANCE, rounding_error)


def slice_normal(orientation: Sequence[float]) -> Vector:
    """Return the unit normal of a slice: row cosines x column cosines.

    Parameters
    ----------
    orientation : sequence of 6 float
        Row cosines, then column cosines; no unit.

    Returns
    -------
    tuple of 3 float
        Unit vector, LPS.

    Raises
    ------
    GeometryError
        If the six cosines are not two orthogonal unit vectors within `COSINE_TOLERANCE`, nor such vectors rounded to
        the decimals with which they are written.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1.
    """
    if len(orientation) != 6 or not all(math.isfinite(c) for c in orientation):
        raise GeometryError("Image Orientation (Patient) (0020,0037): six finite cosines needed")
    digit = rounding.last_digit(orientation)
    row, column = orientation[:3], orientation[3:]
    if not _may_be_unit(row, digit) or not _may_be_unit(column, digit):
        raise GeometryError("Image Orientation (Patient) (0020,0037): unit vectors needed")
    if not _may_be_orthogonal(row, column, digit):
        raise GeometryError("Image Orientation (Patient) (0020,0037): orthogonal vectors needed")
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    length = math.sqrt(dot(normal, normal))
    return (normal[0] / length, normal[1] / length, normal[2] / length)


@lru_cache(maxsize=4096)
def is_plane(orientation: Cosines | None) -> bool:
    """Return whether six cosines are two orthogonal unit vectors, as far as their digits tell."""
    if orientation is None:
        return False
    try:
        slice_normal(orientation)
    except GeometryError:
        return False
    return True


def stack_order(positions: NDArray[np.float64], orientation: NDArray[np.float64] | Sequence[float]) -> StackOrder:
    """Return the order that stacks slices along the positive slice normal.

    Parameters
    ----------
    positions : ndarray of float64, shape (n, 3)
        Image Position (Patient) (0020,0032) of each slice, mm, LPS.
    orientation : sequence of 6 float
        Image Orientation (Patient) (0020,0037): row cosines, then column cosines; no unit.

    Returns
    -------
    StackOrder
        Indices by increasing depth, shape (n,), and depths along the normal, mm, shape (n,).

    Raises
    ------
    GeometryError
        If the cosines are no plane, or the positions are not n finite triples.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1.
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not bool(np.isfinite(points).all()):
        raise GeometryError("Image Position (Patient) (0020,0032): finite triples needed")
    depths = along(points, slice_normal([float(c) for c in orientation]))
    order = np.argsort(depths, kind="stable")
    return StackOrder(order.astype(np.int64), depths[order])


def along(points: NDArray[np.float64], direction: Sequence[float]) -> NDArray[np.float64]:
    """Return the coordinate of each point along a direction.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        mm, LPS.
    direction : sequence of 3 float
        Unit vector, LPS.

    Returns
    -------
    ndarray of float64, shape (n,)
        mm.
    """
    result: NDArray[np.float64] = (
        points[:, 0] * direction[0] + points[:, 1] * direction[1] + points[:, 2] * direction[2]
    )
    return result


def regularity(
    depths: Sequence[float], tolerance: float = SPACING_TOLERANCE, stated: float | None = None
) -> Regularity:
    """Classify the distances between slices: uniform, with gaps, or uneven.

    Parameters
    ----------
    depths : sequence of float
        Depths of the slices along the normal, mm, strictly ascending.
    tolerance : float
        Relative to the step: largest departure of a distance from the step, and of a slice from its position on the
        regular grid between the first and the last slice.
    stated : float, optional
        The distance of slices that the header states, mm.

    Returns
    -------
    Regularity
        `uniform` with the step; `gap` with the step and the number of missing slices where every distance is a
        multiple of the smallest one, unless two regular increments follow each other, of which the smaller one is not
        the stated distance, or more than `MOST_MISSING` slices would be missing; else `uneven`.
    """
    count = len(depths)
    if count < 2:
        return Regularity("single", None, 0)
    values = np.asarray(depths, dtype=np.float64)
    gaps = np.diff(values)
    mean = float(values[-1] - values[0]) / (count - 1)
    off_grid = np.abs(values - (values[0] + mean * np.arange(count)))
    if float(np.abs(gaps - mean).max()) <= tolerance * mean and float(off_grid.max()) <= tolerance * mean:
        return Regularity("uniform", round(mean, DECIMALS), 0)
    smallest = float(gaps.min())
    plain = gaps[gaps <= smallest * (1 + 2 * tolerance)]
    step = math.fsum(plain.tolist()) / len(plain)
    multiples = np.rint(gaps / step)
    # The error of the step adds up over the steps of a gap. A tenth of a step is more than rounding can explain.
    allowed = np.minimum(tolerance * step * np.maximum(multiples, 1), 0.1 * step)
    missing = int(multiples.sum()) - (count - 1)
    is_regular = bool((np.abs(gaps - multiples * step) <= allowed).all())
    is_stated = stated is not None and abs(stated - step) <= STATED_TOLERANCE * step
    if not 0 < missing <= MOST_MISSING or not is_regular or (not is_stated and has_several_increments(multiples)):
        return Regularity("uneven", None, 0)
    return Regularity("gap", round(step, DECIMALS), missing)


def has_several_increments(multiples: NDArray[np.float64]) -> bool:
    """Return whether distances between slices are regular increments, rather than one grid that lacks slices.

    Parameters
    ----------
    multiples : ndarray of float64, shape (n - 1,)
        Distance from each slice to the next, in steps.

    Returns
    -------
    bool
        True for thin slices below and thick slices above, for example: no slice is missing then. Each increment
        must occur twice or more in a row: a single long distance is a gap. If increments change more than once, they
        must leave more places free than a third of the slices: fewer are slices that were lost. A step that is rare
        among the distances is no grid either if it leaves so many places free: it is the seam between two parts. Nor
        is one of two distances that alternate three times: so lie two scans, each of them even.
    """
    are_too_many = 3 * (int(multiples.sum()) - len(multiples)) > len(multiples) + 1
    if are_too_many and 3 * int((multiples == 1).sum()) < len(multiples):
        return True
    if are_too_many and len(multiples) > 5 and bool((multiples[2:] == multiples[:-2]).all()):
        return True
    ends = np.flatnonzero(np.diff(multiples)) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(multiples)]]))
    if len(runs) < 2 or int(runs.min()) < 2:
        return False
    return len(runs) == 2 or are_too_many


def shear_deg(
    rows: NDArray[np.float64], columns: NDArray[np.float64], depths: NDArray[np.float64], tolerance_mm: float
) -> float | None:
    """Return the angle between the line of slice origins and the normal, or None where they do not lie on one line.

    Parameters
    ----------
    rows, columns, depths : ndarray of float64, shape (n,)
        Coordinates of the origins along the row cosines, the column cosines and the normal, mm; depths ascending.
    tolerance_mm : float
        Largest distance of an origin from the line through the first and the last slice, mm.

    Returns
    -------
    float or None
        Degrees. None also where the angle exceeds `TILT_LIMIT_DEG`, or where origins differ although all depths are
        equal.
    """
    extent = float(depths[-1] - depths[0])
    if extent <= SAME_POSITION_MM:
        spread = max(float(np.ptp(rows)), float(np.ptp(columns)))
        return 0.0 if spread <= tolerance_mm else None
    slope = (float(rows[-1] - rows[0]) / extent, float(columns[-1] - columns[0]) / extent)
    step = depths - depths[0]
    off = max(
        float(np.abs(rows - rows[0] - slope[0] * step).max()),
        float(np.abs(columns - columns[0] - slope[1] * step).max()),
    )
    angle = math.degrees(math.atan(math.hypot(*slope)))
    return angle if off <= tolerance_mm and angle <= TILT_LIMIT_DEG else None


def affine_lps(
    orientation: Sequence[float], spacing: tuple[float, float], first: Vector, last: Vector, slices: int
) -> Affine:
    """Return the affine from index (x, y, z, 1) to LPS, mm.

    Parameters
    ----------
    orientation : sequence of 6 float
        Row cosines, then column cosines.
    spacing : tuple of 2 float
        Pixel Spacing (0028,0030): between rows (y), then between columns (x), mm.
    first, last : tuple of 3 float
        Position of the first and of the last slice, mm, LPS.
    slices : int
        Number of equally spaced slices, 2 or more.

    Returns
    -------
    tuple of 4 tuples of 4 float
        The column of z is the true step from slice to slice, so a tilted gantry gives a sheared affine.

    Raises
    ------
    GeometryError
        If there are fewer than two slices.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    if slices < 2:
        raise GeometryError("an affine needs two slices or more")
    rows = [
        (
            _rounded(orientation[i] * spacing[1]),
            _rounded(orientation[3 + i] * spacing[0]),
            _rounded((last[i] - first[i]) / (slices - 1)),
            _rounded(first[i]),
        )
        for i in range(3)
    ]
    return (*rows, (0.0, 0.0, 0.0, 1.0))


def _rounded(value: float) -> float:
    return round(value, DECIMALS) + 0.0  # no negative zero


def cluster(points: Sequence[tuple[float, ...]], tolerance: float) -> list[int]:
    """Group points that agree within a tolerance in every coordinate.

    Parameters
    ----------
    points : sequence of tuples of float
        Points of one dimension; the unit is the caller's.
    tolerance : float
        Largest difference, in each coordinate, from the first point of a group.

    Returns
    -------
    list of int
        Group number of each point. Groups are numbered by their first point in ascending order, so that the grouping
        does not depend on the order of the points.

    Notes
    -----
    Groups are found through cells ten tolerances wide, centred on multiples of the width (so that 0 and 1, the most
    frequent cosines, lie in the middle of a cell); the cost is linear in the number of points.
    """
    width = 10 * tolerance
    cells: dict[Hashable, list[int]] = {}
    leaders: list[tuple[float, ...]] = []
    group_of: dict[tuple[float, ...], int] = {}
    for point in sorted(set(points)):
        home = tuple(round(value / width) for value in point)
        group = next(
            (
                number
                for number in cells.get(home, ())
                if all(abs(a - b) <= tolerance for a, b in zip(point, leaders[number], strict=True))
            ),
            None,
        )
        if group is None:
            group = len(leaders)
            leaders.append(point)
            reach = ({round((value - tolerance) / width), round((value + tolerance) / width)} for value in point)
            for cell in product(*reach):
                cells.setdefault(cell, []).append(group)
        group_of[point] = group
    return [group_of[point] for point in points]


def cosines(values: Sequence[float]) -> Cosines:
    """Return six numbers as a tuple of cosines.

    Parameters
    ----------
    values : sequence of 6 float
        Image Orientation (Patient) (0020,0037).

    Returns
    -------
    tuple of 6 float
    """
    a, b, c, d, e, f = values
    return (a, b, c, d, e, f)
