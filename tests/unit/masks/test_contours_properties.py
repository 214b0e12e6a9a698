"""What holds for the masks of all contours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_grids import grid_of

from dicomzarr.masks.contours import mask_of_contours
from dicomzarr.masks.model import Description
from dicomzarr.masks.structure_set import Contour, Roi

GRID = grid_of(2, 14, 16)
# Whole and half numbers lie on voxel centres and half-way between them; the others lie anywhere.
coordinate = st.one_of(
    st.integers(-6, 44).map(lambda n: n / 2), st.floats(-3, 19, allow_subnormal=False).map(lambda v: round(v, 6))
)
corners = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9)


def masked(
    *polygons: list[tuple[float, float]] | np.ndarray, kind: str = "CLOSEDPLANAR_XOR", z: float = 1.0
) -> np.ndarray:
    """Return the slice of a mask; of contours of a kind of which equal ones cancel out."""
    contours = [Contour(np.array([[x, y, z] for x, y in polygon], float), kind) for polygon in polygons]  # type: ignore[arg-type]
    return mask_of_contours(Roi(Description("RTSTRUCT", 1), tuple(contours)), GRID).values[1].astype(bool)


@given(corners, st.integers(0, 8), st.booleans())
def test_the_start_and_the_direction_of_points_do_not_matter(
    polygon: list[tuple[float, float]], start: int, reverse: bool
) -> None:
    turned = polygon[start % len(polygon) :] + polygon[: start % len(polygon)]
    assert (masked(turned[::-1] if reverse else turned) == masked(polygon)).all()


@given(corners, corners, corners)
def test_contours_of_a_slice_combine_by_exclusive_or_in_any_order(
    a: list[tuple[float, float]], b: list[tuple[float, float]], c: list[tuple[float, float]]
) -> None:
    expected = masked(a) ^ masked(b) ^ masked(c)
    assert (masked(a, b, c) == expected).all() and (masked(c, a, b) == expected).all()


@given(corners, st.integers(1, 7), st.lists(st.tuples(coordinate, coordinate), max_size=3))
def test_two_parts_of_a_polygon_are_the_polygon(
    polygon: list[tuple[float, float]], cut: int, path: list[tuple[float, float]]
) -> None:
    """A cut along any path between two corners: the parts share its edges, and a voxel is in one part or in none."""
    first = min(cut, len(polygon) - 1)
    one = [*polygon[: first + 1], *path]
    other = [*polygon[first:], polygon[0], *path[::-1]]
    if len(set(one)) > 2 and len(set(other)) > 2:
        assert (masked(one) ^ masked(other) == masked(polygon)).all()


@given(
    st.lists(st.integers(0, 32).map(lambda n: n / 2), min_size=2, max_size=4, unique=True),
    st.lists(st.integers(0, 28).map(lambda n: n / 2), min_size=2, max_size=4, unique=True),
    st.tuples(coordinate, coordinate),
)
def test_neighbours_partition_a_region_even_where_edges_run_through_voxel_centres(
    xs: list[float], ys: list[float], middle: tuple[float, float]
) -> None:
    """Rectangles side by side, each cut into four triangles that meet in one point."""
    xs, ys = sorted(xs), sorted(ys)
    total = np.zeros(GRID.shape[1:], int)
    for left, right in zip(xs, xs[1:], strict=False):
        for top, bottom in zip(ys, ys[1:], strict=False):
            inside = (min(max(middle[0], left), right), min(max(middle[1], top), bottom))
            box = [(left, top), (right, top), (right, bottom), (left, bottom)]
            for n in range(4):
                total += masked([box[n], box[(n + 1) % 4], inside], kind="CLOSED_PLANAR")
    expected = np.zeros(GRID.shape[1:], int)
    x, y = np.arange(16), np.arange(14)
    expected[np.ix_((y >= ys[0]) & (y < ys[-1]), (x >= xs[0]) & (x < xs[-1]))] = 1
    assert (total == expected).all()


@settings(max_examples=50)
@given(corners, st.integers(-5, 5), st.integers(-5, 5))
def test_a_shifted_grid_shifts_the_mask(polygon: list[tuple[float, float]], right: int, down: int) -> None:
    contour = Contour(np.array([[x, y, 1] for x, y in polygon], float), "CLOSED_PLANAR")
    roi = Roi(Description("RTSTRUCT", 1), (contour,))
    large = mask_of_contours(roi, grid_of(2, 40, 40, origin=(-12, -12, 0))).values[1]
    shifted = mask_of_contours(roi, grid_of(2, 14, 16, origin=(right, down, 0)))
    assert (shifted.values[1] == large[12 + down : 26 + down, 12 + right : 28 + right]).all()
    filled = int(large.sum())
    if filled:
        assert shifted.outside == pytest.approx(1 - shifted.values.sum() / filled)


@settings(max_examples=50)
@given(corners, st.floats(0, 6.28))
def test_a_turned_image_gives_the_same_voxels(polygon: list[tuple[float, float]], angle: float) -> None:
    """Off the voxel centres, where rounding decides."""
    points = np.array([[x, y, 1] for x, y in polygon], float) + [0.003, 0.0017, 0]
    distance = np.abs(points[:, :2] * 2 - np.round(points[:, :2] * 2)).min()
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid = grid_of(
        2,
        14,
        16,
        origins=np.asarray(GRID.origins) @ turn.T,
        across=tuple(turn @ GRID.across),
        down=tuple(turn @ GRID.down),
    )
    straight = mask_of_contours(Roi(Description("RTSTRUCT", 1), (Contour(points, "CLOSED_PLANAR"),)), GRID)
    turned = mask_of_contours(Roi(Description("RTSTRUCT", 1), (Contour(points @ turn.T, "CLOSED_PLANAR"),)), grid)
    if distance > 1e-4:
        assert np.count_nonzero(straight.values != turned.values) <= _on_an_edge(points)


def _on_an_edge(points: np.ndarray) -> int:
    """Return how many voxel centres lie within 1e-5 mm of an edge."""
    centres = np.column_stack([axis.ravel() for axis in np.mgrid[0:16, 0:14]]).astype(float)
    near = np.zeros(len(centres), bool)
    for begin, end in zip(points[:, :2], np.roll(points[:, :2], -1, axis=0), strict=True):
        along = end - begin
        share = np.clip((centres - begin) @ along / max(float(along @ along), 1e-30), 0, 1)
        near |= np.hypot(*(centres - begin - share[:, None] * along).T) < 1e-5
    return int(near.sum())
