"""Any stack of planes whose pixels are voxels of the image gives the mask that numpy gives directly."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from made_up_scans import AXIAL, OBLIQUE, SAGITTAL
from made_up_segmentations import MaskFrame, by_hand
from numpy.typing import NDArray
from placed_segments import placed

from dicomzarr.masks.grid import ImageGrid

AXES = "zyx"


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Return an image, a box of voxels that may leave it, and how the planes of the box are cut and stored."""
    shape = [draw(st.integers(2, 6)) for _ in AXES]
    box = []
    for size in shape:
        first = draw(st.integers(-3, size - 1))
        box.append((first, draw(st.integers(max(first, 0) + 1, size + 3))))
    return {
        "shape": tuple(shape),
        "box": box,
        "orientation": draw(st.sampled_from([AXIAL, SAGITTAL, OBLIQUE])),
        "steps": [draw(st.sampled_from([0.5, 0.703125, 1.25, 3.0])) for _ in AXES],
        "order": draw(st.sampled_from(list(permutations(range(3))))),
        "signs": draw(st.sampled_from(list(product((1, -1), repeat=3)))),
        "seed": draw(st.integers(0, 1 << 30)),
        "form": draw(st.sampled_from(["BINARY", "LABELMAP", "PROBABILITY"])),
    }


def basis(orientation: Any) -> NDArray[np.float64]:
    """Return the directions of z, y and x."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    return np.array([np.cross(row, column), column, row])


@given(cases())
def test_planes_in_any_direction_order_and_crop(case: dict[str, Any]) -> None:
    shape, box, order, signs = case["shape"], case["box"], case["order"], case["signs"]
    generator = np.random.default_rng(case["seed"])
    directions, steps = basis(case["orientation"]), np.array(case["steps"])
    origin = np.array([-17.5, 40.25, 8.0])

    values = generator.integers(0, 200 if case["form"] == "PROBABILITY" else 2, [b - a for a, b in box], dtype="u1")
    expected = np.zeros(shape, "u1")
    inside = tuple(slice(max(a, 0), min(b, n)) for (a, b), n in zip(box, shape, strict=True))
    of_box = tuple(slice(part.start - a, part.stop - a) for part, (a, _) in zip(inside, box, strict=True))
    expected[inside] = values[of_box]

    # Planes follow along the first of `order`, rows along the second, columns along the third.
    planes = values.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    start = [box[axis][0] if sign > 0 else box[axis][1] - 1 for axis, sign in zip(order, signs, strict=True)]
    frames = []
    for number in generator.permutation(len(planes)):
        index = np.zeros(3)
        index[list(order)] = [start[0] + signs[0] * number, start[1], start[2]]
        position = origin + (index * steps) @ directions
        frames.append(MaskFrame(planes[number], None if case["form"] == "LABELMAP" else 1, position.round(6).tolist()))
    cosines = np.concatenate([signs[2] * directions[order[2]], signs[1] * directions[order[1]]]).round(6).tolist()
    dataset = by_hand(
        frames, case["form"], orientation=cosines, spacing=(steps[order[1]], steps[order[2]]), maximum=200, series="a"
    )

    grid = ImageGrid(
        "series/volume",
        "zyx",
        shape,
        origins=origin + (np.arange(shape[0]) * steps[0])[:, None] * directions[0],
        across=tuple(directions[2] * steps[2]),
        down=tuple(directions[1] * steps[1]),
    )
    ((_, mask),) = placed(dataset, grid)
    if not expected.any() and case["form"] == "LABELMAP":
        return  # only planes that hold the segment count: all of them may lie outside
    np.testing.assert_array_equal(mask.values, expected)
    foreground = int((values > 0).sum())
    lost = foreground - int((expected > 0).sum())
    assert abs(mask.outside - (lost / foreground if foreground else 0)) < 1e-12
    assert mask.flags == (("empty_mask",) if not expected.any() else ()) + (("outside_image",) if lost else ())


@given(st.lists(st.floats(0.6, 9), min_size=1, max_size=7), st.integers(0, 1 << 30), st.sampled_from([AXIAL, OBLIQUE]))
def test_uneven_and_shifted_slices_in_any_order(gaps: list[float], seed: int, orientation: Any) -> None:
    generator = np.random.default_rng(seed)
    directions = basis(orientation)
    depths = np.concatenate([[0], np.cumsum(np.round(gaps, 3))])
    origins = depths[:, None] * directions[0] + generator.uniform(-3, 3, (len(depths), 2)) @ directions[1:]
    grid = ImageGrid(
        "series/volume",
        "zyx",
        (len(depths), 4, 5),
        origins=origins,
        across=tuple(0.75 * directions[2]),
        down=tuple(0.5 * directions[1]),
    )
    kept = np.flatnonzero(generator.random(len(depths)) < 0.8)
    if not len(kept):
        return
    voxels = generator.integers(0, 2, (len(depths), 4, 5), dtype="u1")
    frames = [MaskFrame(voxels[z], 1, origins[z].round(6).tolist()) for z in generator.permutation(kept)]
    ((_, mask),) = placed(by_hand(frames, orientation=orientation, series="a"), grid)
    expected = np.zeros_like(voxels)
    expected[kept] = voxels[kept]
    np.testing.assert_array_equal(mask.values, expected)
    assert mask.flags == (() if expected.any() else ("empty_mask",))
