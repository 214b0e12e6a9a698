"""Where slices lie: rounded positions, tilt with uneven spacing, two increments, shifted origins."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_frames import AXIAL, checked_volumes, depths, frame, only_volume, stack

from dicomzarr.volumes import rounding
from dicomzarr.volumes.model import Frame, Volume


def turned(rng: random.Random) -> Any:
    """A random rotation: rows, columns and normal as its columns."""
    matrix = np.linalg.qr(np.array([[rng.gauss(0, 1) for _ in range(3)] for _ in range(3)]))[0]
    return matrix if np.linalg.det(matrix) > 0 else matrix * np.array([1, 1, -1])


def oblique(rng: random.Random, slices: int, step: float, decimals: int, times: int = 1) -> list[Frame]:
    """A stack whose positions and cosines are written with few decimals, in the order of its depth, time by time."""
    axes, origin = turned(rng), np.array([rng.uniform(-300, 300) for _ in range(3)])
    cosines = tuple(round(float(c), decimals) for c in (*axes[:, 0], *axes[:, 1]))
    frames = []
    for index in range(slices * times):
        z, t = index % slices, index // slices
        place = tuple(round(float(c), decimals) for c in origin + axes[:, 2] * step * z)
        causes = {"temporal_position": float(t)} if times > 1 else {}
        frames.append(frame(index, 0, causes, position=place, orientation=cosines))
    return frames


def residual(volume: Volume) -> float:
    """The largest distance of a slice from where the affine has it."""
    assert volume.affine_lps is not None
    affine = np.array(volume.affine_lps)
    return max(
        float(np.linalg.norm(affine[:3, 2] * (p.z or 0) + affine[:3, 3] - np.array(p.frame.position)))
        for p in volume.places
    )


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounded_oblique_stacks_are_one_volume(decimals: int) -> None:
    rng = random.Random(decimals)
    for _ in range(100):
        slices, step = rng.randint(3, 60), rng.choice([0.5, 0.7, 1.0, 2.5, 5.0, rng.uniform(0.5, 6)])
        frames = oblique(rng, slices, step, decimals, times=rng.choice([1, 1, 3]))
        order = [f.source for f in frames]
        rng.shuffle(frames)
        volume = only_volume(frames)
        assert [p.frame.source for p in volume.places] == order
        assert residual(volume) <= math.sqrt(3) / 2 * 10**-decimals + 1e-9
        assert volume.affine_residual_mm is None or volume.affine_residual_mm == pytest.approx(
            residual(volume), abs=1e-6
        )
        assert set(volume.flags) <= {"rounded_positions"}
        assert volume.spacing_mm["z"] == pytest.approx(step, abs=2 * 10**-decimals)


def test_a_fitted_affine_says_so_with_its_residual() -> None:
    volume = only_volume(stack(0.0, 0.3, 0.7, 1.0, 1.3))  # a third of a millimetre, written with one decimal
    assert volume.flags == ("rounded_positions",)
    assert volume.spacing_mm["z"] == pytest.approx(1 / 3, abs=0.02)
    assert volume.affine_residual_mm is not None
    assert 0.01 < volume.affine_residual_mm <= 0.05
    exact = only_volume(stack(0.0, 0.3, 0.6, 0.9))
    assert (exact.flags, exact.affine_residual_mm) == ((), None)


def test_a_rounded_stack_with_a_missing_slice_has_a_gap() -> None:
    frames = [f for f in oblique(random.Random(4), 12, 2.3, 1) if f.source != 5]
    volume = only_volume(frames)
    assert volume.flags == ("gap", "rounded_positions")
    assert (volume.missing_slices, volume.affine_lps) == (1, None)


def test_more_than_rounding_explains_is_uneven() -> None:
    assert only_volume(stack(0.0, 1.0, 2.2, 3.0)).flags == ("uneven_spacing",)  # off by more than half a digit
    assert only_volume(stack(0.0, 1.0, 2.12345, 3.0)).flags == ("uneven_spacing",)  # not rounded
    assert only_volume(stack(0, 1, 2, 4, 5, 7)).flags == ("gap",)  # integers count as exact


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(0, 2**32))
@settings(max_examples=100)
def test_no_line_is_nearer_than_the_fitted_one(values: list[float], seed: int) -> None:
    index = np.arange(len(values), dtype=float)
    points = np.array([values, values, values]).T
    found = rounding.fit(points, index)
    rng = random.Random(seed)
    for _ in range(50):
        offset, slope = found.origin[0] + rng.gauss(0, 1), found.step[0] + rng.gauss(0, 0.3)
        assert float(np.abs(offset + slope * index - points[:, 0]).max()) >= found.error_mm - 1e-9


def test_tilt_with_uneven_spacing_states_every_position() -> None:
    lean = math.tan(math.radians(18))
    heights = [0.0, 4.0, 8.0, 12.0, 19.0, 26.0, 33.0]
    frames = [frame(i, 0, position=(-100.0, -120.0 + lean * z, z)) for i, z in enumerate(heights)]
    volume = only_volume(frames)
    assert set(volume.flags) == {"gantry_tilt", "uneven_spacing"}
    assert volume.positions_mm == pytest.approx(heights)
    assert volume.positions_lps == tuple(f.position for f in frames)
    gap = only_volume([f for f in frames if f.source < 4 and f.source != 1])
    assert (gap.missing_slices, gap.positions_lps) == (1, tuple(f.position for f in frames[:4] if f.source != 1))
    straight = only_volume(stack(*heights))
    assert straight.positions_lps is None


@pytest.mark.parametrize(
    ("heights", "flag", "missing"),
    [
        ((0, 2.5, 5, 7.5, 10, 15, 20, 25), "uneven_spacing", 0),
        ((0, 5, 10, 15, 17.5, 20, 22.5), "uneven_spacing", 0),
        ((0, 1, 2, 5, 8), "uneven_spacing", 0),
        ((0, 5, 10, 15, 17.5, 20, 22.5, 25, 30, 35, 40), "uneven_spacing", 0),
        ((0, 2.5, 5, 7.5, 12.5, 17.5, 22.5, 32.5, 42.5), "uneven_spacing", 0),
        ((0, 2.5, 5, 10, 12.5, 15), "gap", 1),
        ((0, 2.5, 5, 7.5, 15), "gap", 2),
        ((0, 1, 3, 4, 6, 7), "gap", 2),
        ((*(5 * n for n in range(8)), *(37.5 + 5 * n for n in range(8))), "uneven_spacing", 0),
        ((0, 2, 3, 5), "gap", 2),
    ],
)
def test_two_regular_increments_are_no_gap(heights: tuple[float, ...], flag: str, missing: int) -> None:
    volume = only_volume(stack(*heights))
    assert (volume.flags, volume.missing_slices) == ((flag,), missing)
    assert volume.positions_mm == pytest.approx(heights)


@given(
    thin=st.integers(3, 12),
    thick=st.integers(3, 12),
    seam=st.sampled_from([0.05, 0.25, 0.5]),
    steps=st.sampled_from([(2.5, 7.5), (2.5, 5.0), (2.5, 2.5), (5.0, 2.5)]),
)
def test_a_seam_between_two_parts_is_no_grid(thin: int, thick: int, seam: float, steps: tuple[float, float]) -> None:
    below = [round(steps[0] * n, 3) for n in range(thin)]
    above = [round(below[-1] + seam + steps[1] * n, 3) for n in range(thick)]
    volume = only_volume(stack(*below, *above))
    assert (volume.flags, volume.missing_slices) == (("uneven_spacing",), 0)


def in_whole_millimetres(step: float, slices: int, thickness: float, axis: int = 2, start: float = 0.0) -> list[Frame]:
    """Return a stack along an axis of the patient whose positions are written without decimals."""
    cosines = [(0.0, 1.0, 0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0, 0.0, 0.0), AXIAL][axis]
    frames = []
    for z in range(slices):
        position = [-200.0, -180.0, 40.0]
        position[axis] = float(math.floor(start + step * z + 0.5))
        constants = {"slice_thickness_mm": thickness}
        frames.append(frame(z, 0, position=tuple(position), orientation=cosines, constants=constants))
    return frames


@given(
    step=st.sampled_from([1.25, 1.5, 2.5, 3.75, 1.875, 3.27]),
    slices=st.integers(8, 60),
    axis=st.integers(0, 2),
    start=st.floats(-100, 100),
)
def test_positions_in_whole_millimetres_are_explained_by_the_thickness(
    step: float, slices: int, axis: int, start: float
) -> None:
    volume = only_volume(in_whole_millimetres(step, slices, step, axis, start))
    assert volume.missing_slices == 0
    if volume.flags:
        assert volume.flags == ("rounded_positions",)
        assert volume.spacing_mm["z"] == pytest.approx(step, abs=1 / (slices - 1))
        assert volume.affine_residual_mm is not None
        assert volume.affine_residual_mm <= 0.5


@pytest.mark.parametrize(
    ("frames", "flag"),
    [
        (in_whole_millimetres(1.25, 20, 1.0), "gap"),  # slices of 1 mm, of which every fifth is missing
        (in_whole_millimetres(1.25, 20, 2.5), "gap"),  # slices overlap: nothing says by how much
        (in_whole_millimetres(1.25, 7, 1.25), "gap"),  # too few to say
        ([one for one in in_whole_millimetres(2.5, 20, 2.5) if one.source != 9], "uneven_spacing"),
        (in_whole_millimetres(2.0, 20, 2.0)[:9] + in_whole_millimetres(2.0, 20, 2.0)[10:], "gap"),
    ],
)
def test_positions_in_whole_millimetres_that_nothing_explains_keep_their_flag(frames: list[Frame], flag: str) -> None:
    assert only_volume(frames).flags == (flag,)


@given(st.integers(0, 2**32), st.integers(5, 40), st.sampled_from([2.5, 3.0, 5.0, 6.6]), st.integers(1, 3))
def test_oblique_positions_in_whole_millimetres_are_one_rounded_stack(
    seed: int, slices: int, step: float, times: int
) -> None:
    """The normal of an oblique stack leads to no whole numbers: they were rounded."""
    rng = random.Random(seed)
    angle = rng.uniform(0.1, 0.7)
    cosines = [(1.0, 0.0, 0.0, 0.0, math.cos(angle), math.sin(angle)), (math.cos(angle), math.sin(angle), 0, 0, 0, -1)]
    orientation = tuple(round(float(c), 6) for c in rng.choice(cosines))
    normal, origin = np.cross(orientation[:3], orientation[3:]), [rng.uniform(-200, 200) for _ in range(3)]
    frames = []
    for t in range(times):
        for z in range(slices):
            position = tuple(float(round(o + n * step * z)) for o, n in zip(origin, normal, strict=True))
            causes = {"temporal_position": t + 1.0}
            frames.append(frame(len(frames), 0, causes, position=position, orientation=orientation))
    volume = only_volume(frames)
    assert [place.frame.source for place in volume.places] == list(range(slices * times))
    if "z" in volume.spacing_mm:
        assert volume.spacing_mm["z"] == pytest.approx(step, abs=2 / (slices - 1))
    else:
        assert set(volume.flags) & {"irregular_origins", "uneven_spacing", "gap"}


def test_noise_in_the_orientation_leaves_an_even_stack_even() -> None:
    rng = random.Random(5)
    frames = [
        frame(z, 0, position=(-200.123456, 180.654321, 3.0 * z), orientation=(1.0, *noise(rng, 3), 1.0, *noise(rng, 1)))
        for z in range(8)
    ]
    volume = only_volume(frames)
    assert (volume.flags, volume.spacing_mm["z"]) == ((), pytest.approx(3, abs=1e-4))


def test_noise_of_cosines_splits_no_even_stack_and_joins_no_two_planes() -> None:
    noisy = [(1.0, e, 0.0, -e, 1.0, 0.0) for e in (-1e-4, 0.0, 1e-4)]
    frames = [frame(z, 0, position=(150.123, -140.456, 3.0 * z), orientation=noisy[z % 3]) for z in range(10)]
    assert only_volume(frames).spacing_mm["z"] == pytest.approx(3, abs=1e-4)
    turned_by_little = (1.0, 0.0012, 0.0, -0.0012, 1.0, 0.0)
    other = [frame(20 + z, 0.7 + 3.0 * z, orientation=turned_by_little) for z in range(10)]
    volumes = checked_volumes([*stack(*(3.0 * z for z in range(10))), *other])
    assert [v.shape for v in volumes] == [(10, 4, 6)] * 2
    assert all("orientation" in v.split_by for v in volumes)


def test_times_written_with_different_decimals_are_joined() -> None:
    axes, origin = turned(random.Random(3)), np.array([-88.1234, 41.9876, 12.3456])
    cosines = tuple(round(float(c), 6) for c in (*axes[:, 0], *axes[:, 1]))
    frames = []
    for t, decimals in enumerate((3, 1)):
        for z in range(9):
            place = tuple(round(float(c), decimals) for c in origin + axes[:, 2] * 2.5 * z)
            frames.append(frame(9 * t + z, 0, {"temporal_position": t + 1.0}, position=place, orientation=cosines))
    assert only_volume(frames).shape == (2, 9, 4, 6)


def noise(rng: random.Random, count: int) -> tuple[float, ...]:
    return tuple(rng.uniform(-9e-5, 9e-5) for _ in range(count))


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_one_slice_written_with_more_digits_does_not_scatter_the_others(decimals: int) -> None:
    axes, origin = turned(random.Random(7)), np.array([-88.123456789, 41.987654321, 12.345678912])
    cosines = tuple(round(float(c), 6) for c in (*axes[:, 0], *axes[:, 1]))
    places = [origin + axes[:, 2] * 2.0 * z for z in range(20)]
    frames = [
        frame(z, 0, position=tuple(round(float(c), 9 if z == 7 else decimals) for c in place), orientation=cosines)
        for z, place in enumerate(places)
    ]
    volume = only_volume(frames)
    assert volume.spacing_mm["z"] == pytest.approx(2, abs=0.02)
    # Within rounding; or exact enough without it: within a thousandth of the step along the normal, 0.01 pixels across.
    assert residual(volume) <= max(math.sqrt(3) / 2 * 10**-decimals, 0.004)


def test_a_pixel_spacing_that_is_rounded_in_some_files_is_the_same() -> None:
    frames = [frame(z, z, pixel_spacing=(0.742, 0.742) if z in (2, 5) else (0.7421875, 0.7421875)) for z in range(8)]
    assert only_volume(frames).shape == (8, 4, 6)
    other = [frame(z, z, pixel_spacing=(0.7, 0.7) if z > 4 else (0.7421875, 0.7421875)) for z in range(8)]
    assert len(checked_volumes(other)) == 2


def written(value: float, offset: float) -> float:
    """A coordinate that was rounded to one decimal, shifted by the place of the table, and written with six digits."""
    return float(f"{round(value, 1) + offset:.6g}")


@pytest.mark.parametrize("slices", [3, 8, 20])
def test_positions_that_were_rounded_before_the_table_was_added_are_one_volume(slices: int) -> None:
    tilt, offset = 0.134558, (0.0, 0.0137, 0.04247)
    cosines = (1.0, 0.0, 0.0, 0.0, round(math.cos(tilt), 6), round(math.sin(tilt), 6))
    step = (0.0, -7.0 * math.sin(tilt), 7.0 * math.cos(tilt))
    places = [
        tuple(
            written(start + z * by, shift)
            for start, by, shift in zip((-110.5, -78.3, -72.8), step, offset, strict=True)
        )
        for z in range(slices)
    ]
    volume = only_volume([frame(z, 0, position=place, orientation=cosines) for z, place in enumerate(places)])
    assert (volume.shape, volume.flags) == ((slices, 4, 6), ("rounded_positions",))
    assert volume.spacing_mm["z"] == pytest.approx(7, abs=0.1 / (slices - 1))
    assert 0 < residual(volume) <= math.sqrt(3) / 2 * 0.1001


@given(
    st.integers(0, 2**32), st.integers(6, 60), st.sampled_from([0.3, 0.5, 0.6, 1.0]), st.sampled_from([95, 250, 900])
)
def test_positions_of_six_significant_digits_are_even(seed: int, slices: int, step: float, far: float) -> None:
    """Three decimals from 100 mm on, and four below: distances of thin slices differ by a thousandth."""
    rng = random.Random(seed)
    axes, origin = turned(rng), np.array([rng.uniform(-far, far), rng.uniform(-90, 90), rng.uniform(1, 90)])
    cosines = tuple(round(float(c), 6) for c in (*axes[:, 0], *axes[:, 1]))
    normal = np.cross(cosines[:3], cosines[3:])
    places = [tuple(float(f"{c:.6g}") for c in origin + normal * step * z) for z in range(slices)]
    frames = [frame(z, 0, position=place, orientation=cosines) for z, place in enumerate(places)]
    volume = only_volume(frames)
    assert set(volume.flags) <= {"rounded_positions"}
    assert volume.spacing_mm["z"] == pytest.approx(step, rel=1e-2)
    frames[slices // 2] = replace(frames[slices // 2], position=tuple(np.add(places[slices // 2], 0.1 * step * normal)))
    assert "uneven_spacing" in only_volume(frames).flags


def test_distances_of_whole_mm_and_long_ones_count_as_exact() -> None:
    x = 0.0137
    assert rounding.last_digit_of_steps(np.array([[x, x, 0.25], [x, 1 + x, 3.25]])) == 0
    assert rounding.last_digit_of_steps(np.array([[x, x, 0.25], [x, 1 + x, 3.26234]])) == 0
    assert rounding.last_digit_of_steps(np.array([[x, x, 0.2512], [x, 1.03 + x, 3.3512]])) == 0.01
    uneven = [(0.0, 0.0, 0.0137 + depth) for depth in (0.0, 2.5, 5.0, 7.7)]
    assert "uneven_spacing" in only_volume([frame(z, 0, position=p) for z, p in enumerate(uneven)]).flags


def test_slices_that_are_each_shifted_are_one_volume_with_their_positions() -> None:
    rng = random.Random(9)
    frames = [frame(z, 0, position=(rng.uniform(-5, 5), rng.uniform(-5, 5), 3.0 * z)) for z in range(7)]
    volume = only_volume(frames)
    assert (volume.shape, volume.flags) == ((7, 4, 6), ("irregular_origins",))
    assert volume.positions_lps == tuple(f.position for f in frames)
    assert volume.affine_lps is None
    assert "z" not in volume.spacing_mm


@pytest.mark.parametrize("counter", ["acquisition_number", "acquisition_time_s", "none"])
def test_so_are_their_times(counter: str) -> None:
    rng = random.Random(9)
    shifts = [(rng.uniform(-5, 5), rng.uniform(-5, 5)) for _ in range(5)]
    frames = [
        frame(4 * z + t, 0, {"trigger_time_ms": 50.0 * t, counter: float(z)}, position=(*shifts[z], 8.0 * z))
        for z in range(5)
        for t in range(4)
    ]
    volume = only_volume(frames)
    assert (volume.shape, volume.flags) == ((4, 5, 4, 6), ("irregular_origins",))
    assert volume.t_axis == {"means": ["trigger_time_ms"], "values": [0, 50, 100, 150]}
    incomplete = checked_volumes(frames[:-1])
    assert sorted(v.shape for v in incomplete) in ([(4, 4, 6), (3, 5, 4, 6)], [(4, 4, 6), (3, 5, 4, 6)][::-1])


def test_cosines_of_one_decimal_are_a_plane_if_a_plane_is_written_so() -> None:
    rng = random.Random(2)
    for _ in range(200):
        assert len(checked_volumes(oblique(rng, 4, 3.0, 1))) == 1
    assert [v.shape for v in checked_volumes(stack(0, 1, orientation=(1.0, 0.0, 0.0, 0.0, 0.7, 0.0)))] == [(4, 6)] * 2
    assert depths(only_volume(stack(2, 1, 0))) == [0, 1, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 12), st.integers(1, 3), st.booleans(), st.randoms(use_true_random=False))
def test_slices_that_go_on_within_their_plane_are_flagged(
    slices: int, times: int, in_file: bool, rng: random.Random
) -> None:
    """Their orientation, or their positions, cannot be right; stations of a table overlap by less."""
    step = rng.choice([(0.7, 0.0), (0.0, 0.4), (0.5, 0.5), (0.6, 1.0)])
    more: dict[str, Any] = {"rows": 8, "columns": 16, "frames_in_file": slices * times if in_file else 1}
    places = [(z, t) for t in range(times) for z in range(slices)]
    frames = [
        frame(
            0 if in_file else number,
            0,
            {"temporal_position": t + 1.0},
            position=(step[0] * z, step[1] * z, 7.0),
            number=number if in_file else 0,
            sop_instance_uid="1.2" if in_file else f"1.2.{number}",
            **more,
        )
        for number, (z, t) in enumerate(places)
    ]
    found = checked_volumes(frames)
    assert [(volume.shape[:-2], volume.flags) for volume in found] == [
        ((times,) if times > 1 else (), ("in_plane_positions",))
    ] * slices
    if not in_file and slices > 3:
        assert "in_plane_positions" in checked_volumes(frames[1:])[0].flags
    stations = [frame(z, 0, position=(0.0, 3.5 * z, 7.0), **{**more, "frames_in_file": 1}) for z in range(slices)]
    assert [volume.flags for volume in checked_volumes(stations)] == [()] * slices


@pytest.mark.parametrize("noise_of", [1e-4, 1e-3, 2e-3])
@pytest.mark.parametrize("lost", [0, 2])
@pytest.mark.parametrize("times", [1, 3])
def test_noise_of_orientation_scatters_no_slice(noise_of: float, lost: int, times: int) -> None:
    """Directions of slices that scatter about one, in any plane, also where some were lost: no pieces unsaid."""
    whole = 0
    for seed in range(12):
        rng = random.Random(f"{noise_of} {seed}")
        axes, origin = turned(rng), np.array([rng.uniform(-100, 100) for _ in range(3)])
        frames = []
        for z in range(8):
            off = np.array([rng.uniform(-noise_of, noise_of) for _ in range(3)])
            cosines = [axes[:, i] + np.cross(off, axes[:, i]) for i in (0, 1)]
            orientation = tuple(float(c) for row in cosines for c in row / np.linalg.norm(row))
            place = tuple(float(c) for c in (origin + 2.5 * z * axes[:, 2]).round(4))
            for t in range(times):
                causes = {"temporal_position": t + 1.0} if times > 1 else {}
                frames.append(frame(8 * t + z, 0, causes, position=place, orientation=orientation))
        gone = set(rng.sample(range(8 * times), lost))
        volumes = checked_volumes([one for one in frames if one.source not in gone])
        for volume in volumes:
            times_at: dict[int | None, set[int]] = {}
            for at in volume.places:
                times_at.setdefault(at.t, set()).add(at.frame.source // 8)
            assert all(len(found) == 1 for found in times_at.values()), (seed, volume.why)
        pieces = sum(len({at.frame.source // 8 for at in volume.places}) for volume in volumes)
        assert pieces == times or all("stack_divided" in volume.flags for volume in volumes), seed
        whole += pieces == times
    assert whole > 8  # of the others nothing says which distance is that of all slices


@pytest.mark.parametrize("angle", [0.0017, 0.003, 0.005, 0.007])
@pytest.mark.parametrize("lost", [None, 3])
def test_whole_stacks_that_are_turned_by_little_are_volumes_of_their_own(angle: float, lost: int | None) -> None:
    """As where a scanner follows the head: the noise of slices is as large, but takes no stack apart."""
    turned_by = (math.cos(angle), math.sin(angle), 0.0, -math.sin(angle), math.cos(angle), 0.0)
    first = [frame(z, 3.0 * z, {"temporal_position": 1.0}) for z in range(10)]
    second = [frame(20 + z, 3.0 * z, {"temporal_position": 2.0}, orientation=turned_by) for z in range(10)]
    volumes = checked_volumes([one for one in [*first, *second] if one.source != lost])
    assert sorted(volume.shape[0] for volume in volumes) == [10 - (lost is not None), 10]
    assert all("orientation" in volume.split_by and "stack_divided" not in volume.flags for volume in volumes)


@pytest.mark.parametrize("angle", [0.0017, 0.003, 0.005, 0.007])
@pytest.mark.parametrize("slices", [8, 15])
def test_slices_whose_direction_alternates_are_flagged(angle: float, slices: int) -> None:
    """Two packages whose directions differ by noise, or two stacks that were turned: nothing says which."""
    turned_by = (math.cos(angle), math.sin(angle), 0.0, -math.sin(angle), math.cos(angle), 0.0)
    frames = [frame(z, 3.0 * z, **({"orientation": turned_by} if z % 2 else {})) for z in range(slices)]
    volumes = checked_volumes(frames)
    assert sorted(volume.shape[0] for volume in volumes) == [slices // 2, -(-slices // 2)]
    assert all("stack_divided" in volume.flags for volume in volumes)
