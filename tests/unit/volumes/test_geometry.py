from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomzarr.volumes import geometry

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
angles = st.floats(-math.pi, math.pi)


def turned(a: float, b: float, c: float) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Row cosines, column cosines and normal of a plane turned by three angles, computed independently."""
    ca, sa, cb, sb, cc, sc = math.cos(a), math.sin(a), math.cos(b), math.sin(b), math.cos(c), math.sin(c)
    row = (ca * cb, sa * cb, -sb)
    column = (ca * sb * sc - sa * cc, sa * sb * sc + ca * cc, cb * sc)
    normal = (ca * sb * cc + sa * sc, sa * sb * cc - ca * sc, cb * cc)
    return row, column, normal


@given(angles, angles, angles)
def test_the_normal_is_row_cross_column(a: float, b: float, c: float) -> None:
    row, column, normal = turned(a, b, c)
    assert geometry.slice_normal((*row, *column)) == pytest.approx(normal, abs=1e-12)
    assert geometry.slice_normal((*column, *row)) == pytest.approx([-x for x in normal], abs=1e-12)


@pytest.mark.parametrize(
    "bad",
    [
        (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0,) * 6,
        (1.0, 0.0, 0.0, 0.0, 1.1, 0.0),
        (1.0, 0.0, 0.0, 0.002, 1.0, 0.0),
        (math.nan, 0.0, 0.0, 0.0, 1.0, 0.0),
    ],
)
def test_invalid_cosines_have_no_normal(bad: tuple[float, ...]) -> None:
    with pytest.raises(geometry.GeometryError):
        geometry.slice_normal(bad)
    assert not geometry.is_plane(geometry.cosines(bad))


def test_cosines_may_be_rounded() -> None:
    assert geometry.is_plane((0.609, 0.791, 0.064, -0.143, 0.188, -0.972))
    assert geometry.is_plane((1.0009, 0.0, 0.0, 0.0, 1.0, 0.0))


@settings(max_examples=200)
@given(angles, angles, angles, st.integers(1, 30), st.floats(0.2, 12), st.integers(0, 10**6))
def test_order_and_affine_of_any_orientation(a: float, b: float, c: float, slices: int, step: float, seed: int) -> None:
    row, column, normal = turned(a, b, c)
    origin, spacing = (11.0, -7.0, 3.0), (0.7, 0.4)
    points = [tuple(origin[i] + k * step * normal[i] for i in range(3)) for k in range(slices)]
    shuffled = list(range(slices))
    random.Random(seed).shuffle(shuffled)
    order = geometry.stack_order(np.array([points[k] for k in shuffled]), (*row, *column))
    assert [shuffled[i] for i in order.indices] == list(range(slices))
    regular = geometry.regularity(order.depths.tolist())
    if slices == 1:
        assert regular == geometry.Regularity("single", None, 0)
        return
    assert regular.kind == "uniform"
    assert regular.step == pytest.approx(step, rel=1e-6)
    affine = geometry.affine_lps((*row, *column), spacing, points[0], points[-1], slices)  # type: ignore[arg-type]
    for x, y, z in ((0, 0, 0), (5, 0, 0), (0, 9, 0), (3, 4, slices - 1)):
        # PS3.3 C.7.6.2.1-1, written out for one voxel.
        expected = [points[z][i] + row[i] * spacing[1] * x + column[i] * spacing[0] * y for i in range(3)]
        position = [r[0] * x + r[1] * y + r[2] * z + r[3] for r in affine[:3]]
        assert position == pytest.approx(expected, abs=1e-6)


def test_order_agrees_with_highdicom() -> None:
    from highdicom import spatial

    rng = random.Random(7)
    for _ in range(50):
        row, column, normal = turned(*(rng.uniform(-3, 3) for _ in range(3)))
        points = [[k * 1.5 * normal[i] for i in range(3)] for k in rng.sample(range(12), 12)]
        step, places = spatial.get_volume_positions(points, [*row, *column])
        order = geometry.stack_order(np.array(points), (*row, *column))
        ours = geometry.regularity(order.depths.tolist())
        assert ours.step == pytest.approx(step)
        ranks = {int(index): rank for rank, index in enumerate(order.indices)}
        theirs = [int(place) for place in places]
        mine = [ranks[i] for i in range(12)]
        assert theirs in (mine, [11 - rank for rank in mine])


def test_uniform_within_a_thousandth_of_the_step() -> None:
    assert geometry.regularity([0, 1.0004, 2, 3]).kind == "uniform"
    assert geometry.regularity([0, 1.002, 2, 3]).kind == "uneven"
    assert geometry.regularity([0, 1.002, 2, 3], tolerance=0.01).kind == "uniform"


def test_distances_that_drift_are_not_uniform() -> None:
    steps = [1.0 + (0.0008 if k < 100 else -0.0008) for k in range(200)]
    depths = [math.fsum(steps[:k]) for k in range(201)]
    assert geometry.regularity(depths).kind == "uneven"


@pytest.mark.parametrize(
    ("depths", "missing"),
    [
        ([-99.48, 103.02, 104.27, 105.52], 161),
        ([0, 2, 4, 8, 10], 1),
        ([0, 3, 9, 12, 15, 24], 3),
        ([0, 1.5, 3.0, 4.5, 9.0, 10.5], 2),
    ],
)
def test_missing_slices_are_counted(depths: list[float], missing: int) -> None:
    regular = geometry.regularity(depths)
    assert (regular.kind, regular.missing) == ("gap", missing)


@pytest.mark.parametrize("last", [4711081512.0, 1908193.0])
def test_a_slice_that_is_far_away_leaves_no_number_of_slices(last: float) -> None:
    """The count would be the number in the position of the last slice."""
    regular = geometry.regularity([0.0, 1.0, 2.0, last])
    assert (regular.kind, regular.missing) == ("uneven", 0)


def test_distances_without_a_common_step_are_uneven() -> None:
    assert geometry.regularity([0, 1, 2.4, 3.4]) == geometry.Regularity("uneven", None, 0)


def test_two_slices_are_uniform() -> None:
    assert geometry.regularity([3.0, 5.5]) == geometry.Regularity("uniform", 2.5, 0)


def line(count: int, per_mm: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    depths = np.arange(count) * 2.0
    return 5 + per_mm[0] * depths, -3 + per_mm[1] * depths, depths


def test_shear_of_a_tilted_gantry() -> None:
    shear = geometry.shear_deg(*line(9, (0.0, math.tan(math.radians(15)))), 0.01)
    assert shear == pytest.approx(15)


def test_no_shear_where_origins_leave_the_line_or_lean_too_far() -> None:
    rows, columns, depths = line(9, (0.0, 0.1))
    columns[4] += 0.5
    assert geometry.shear_deg(rows, columns, depths, 0.01) is None
    assert geometry.shear_deg(*line(9, (0.0, 1.5)), 0.01) is None
    assert geometry.shear_deg(np.array([0.0, 50.0]), np.zeros(2), np.zeros(2), 0.01) is None


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=30), st.randoms())
def test_clusters_do_not_depend_on_order(points: list[tuple[float, float]], rng: random.Random) -> None:
    numbers = geometry.cluster(points, 1e-2)
    where = list(range(len(points)))
    rng.shuffle(where)
    shuffled = geometry.cluster([points[i] for i in where], 1e-2)
    assert [shuffled[where.index(i)] for i in range(len(points))] == numbers
    for p, a in zip(points, numbers, strict=True):
        for q, b in zip(points, numbers, strict=True):
            near = max(abs(x - y) for x, y in zip(p, q, strict=True))
            assert a != b or near <= 2e-2 + 1e-12
            assert p != q or a == b


def test_clusters_hold_across_the_border_of_a_cell() -> None:
    for border in (0.05, 0.15, -0.05):
        assert geometry.cluster([(border - 1e-3,), (border + 1e-3,)], 1e-2) == [0, 0]
