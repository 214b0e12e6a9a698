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


def on_edges(*polygons: list[tuple[float, float]]) -> np.ndarray:
    """Return the voxels whose centres lie within 1e-5 of an edge."""
    centres = np.stack(np.meshgrid(np.arange(16.0), np.arange(14.0)), axis=-1)
    near = np.zeros(GRID.shape[1:], bool)
    for polygon in polygons:
        for begin, end in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            along = np.subtract(end, begin)
            share = np.clip((centres - begin) @ along / max(float(along @ along), 1e-30), 0, 1)
            near |= np.hypot(*np.moveaxis(centres - begin - share[..., None] * along, -1, 0)) < 1e-5
    return near


@given(corners, corners, corners)
def test_contours_of_a_slice_combine_by_exclusive_or_in_any_order(
    a: list[tuple[float, float]], b: list[tuple[float, float]], c: list[tuple[float, float]]
) -> None:
    expected, certain = masked(a) ^ masked(b) ^ masked(c), ~on_edges(a, b, c)
    assert (masked(a, b, c) == expected)[certain].all()
    assert (masked(c, a, b) == masked(a, b, c)).all()


@given(corners, st.integers(1, 7), st.lists(st.tuples(coordinate, coordinate), max_size=3))
def test_two_parts_of_a_polygon_are_the_polygon(
    polygon: list[tuple[float, float]], cut: int, path: list[tuple[float, float]]
) -> None:
    """A cut along any path between two corners: its edges cancel out, bit for bit.

    Not where the path meets a corner: then a part may have no area, but centres of voxels on its edges.
    """
    first = min(cut, len(polygon) - 1)
    one = [*polygon[: first + 1], *path[::-1]]
    other = [*polygon[first:], polygon[0], *path]
    if len(set(one)) > 2 and len(set(other)) > 2 and not {*path} & {*polygon}:
        assert (masked(one, other) == masked(polygon)).all()
        certain = ~on_edges(one, other)
        assert (masked(one) ^ masked(other) == masked(polygon))[certain].all()


@given(
    st.lists(st.integers(0, 32).map(lambda n: n / 2), min_size=2, max_size=4, unique=True),
    st.lists(st.integers(0, 28).map(lambda n: n / 2), min_size=2, max_size=4, unique=True),
    st.tuples(coordinate, coordinate),
)
def test_neighbours_partition_a_region(xs: list[float], ys: list[float], middle: tuple[float, float]) -> None:
    """Rectangles side by side, each cut into four triangles that meet in one point."""
    xs, ys = sorted(xs), sorted(ys)
    total, edges = np.zeros(GRID.shape[1:], int), np.zeros(GRID.shape[1:], bool)
    for left, right in zip(xs, xs[1:], strict=False):
        for top, bottom in zip(ys, ys[1:], strict=False):
            inside = (min(max(middle[0], left), right), min(max(middle[1], top), bottom))
            box = [(left, top), (right, top), (right, bottom), (left, bottom)]
            for n in range(4):
                triangle = [box[n], box[(n + 1) % 4], inside]
                total += masked(triangle, kind="CLOSED_PLANAR")
                edges |= on_edges(triangle)
    x, y = np.arange(16), np.arange(14)
    region = ((y >= ys[0]) & (y <= ys[-1]))[:, None] & ((x >= xs[0]) & (x <= xs[-1]))[None, :]
    assert (total == region)[~edges].all()
    assert (total[region] >= 1).all() and (total[~region] == 0).all()  # no gap where edges run through centres


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
    assert (straight.values[1] == turned.values[1])[~on_edges([(x, y) for x, y, _ in points.tolist()])].all()
