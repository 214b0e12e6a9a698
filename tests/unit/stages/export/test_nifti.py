"""The NIfTI header of an array, and the arrays that NIfTI cannot represent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dicomzarr.stages.export import nifti
from dicomzarr.stages.export.refusals import Refused

AFFINE = [[0.5, 0, 0, -10], [0, 0.75, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1.0]]
OME = {
    "multiscales": [
        {
            "axes": [{"name": "t", "unit": "second"}, {"name": "z"}, {"name": "y"}, {"name": "x"}],
            "datasets": [{"coordinateTransformations": [{"type": "scale", "scale": [2.0, 2.5, 0.75, 0.5]}]}],
        }
    ]
}


class FakeArray:
    """The attributes of an array that its NIfTI header depends on."""

    def __init__(self, axes: str = "zyx", dtype: str = "<i2", ome: Any = OME, **facts: Any) -> None:
        size = {"t": 6, "c": 3, "z": 4, "y": 5, "x": 7}
        self.axes, self.shape, self.dtype = axes, tuple(size[axis] for axis in axes), np.dtype(dtype)
        self.facts = {"affine_lps": AFFINE} | facts
        self.ome = ome


def header(**options: Any) -> Any:
    return nifti.header_of(FakeArray(**options))  # type: ignore[arg-type]


def test_qform_and_sform_hold_the_affine_in_ras() -> None:
    result = header()
    expected = np.diag([-1, -1, 1, 1]) @ np.array(AFFINE)
    assert np.allclose(result.get_sform(), expected) and np.allclose(result.get_qform(), expected)
    assert (int(result["sform_code"]), int(result["qform_code"])) == (1, 1)
    assert result.get_data_shape() == (7, 5, 4) and np.allclose(result.get_zooms(), [0.5, 0.75, 2.5])


def test_a_sheared_affine_is_in_the_sform_only() -> None:
    sheared = [row[:] for row in AFFINE]
    sheared[1][2] = 0.6
    result = header(affine_lps=sheared)
    assert int(result["qform_code"]) == 0
    assert np.allclose(result.get_sform(), np.diag([-1, -1, 1, 1]) @ np.array(sheared))


@pytest.mark.parametrize(("digits", "of_positions"), [(6, 3), (6, 4), (5, 4), (8, 6)])
def test_an_oblique_stack_that_is_written_with_few_digits_has_a_qform(digits: int, of_positions: int) -> None:
    """Rounded cosines and positions are no gantry tilt: ITK reads them."""
    draw = np.random.default_rng(digits)
    for _ in range(50):
        rotation = np.linalg.qr(draw.normal(size=(3, 3)))[0]
        row, column = (np.round(rotation[:, axis], digits) for axis in (0, 1))
        ends = [np.round(slices * 2.5 * np.cross(rotation[:, 0], rotation[:, 1]), of_positions) for slices in (0, 39)]
        step = (ends[1] - ends[0]) / 39
        affine = np.eye(4)
        affine[:3, :3] = np.stack([row * 0.9, column * 1.3, step], axis=1)
        result = header(affine_lps=affine.tolist())
        assert int(result["qform_code"]) == 1
        assert np.allclose(result.get_qform(), np.diag([-1, -1, 1, 1]) @ affine, atol=1e-3)


def test_time_is_in_seconds_where_it_is_known() -> None:
    result = header(axes="tzyx")
    assert result.get_data_shape() == (7, 5, 4, 6) and result.get_zooms()[3] == 2.0
    assert result.get_xyzt_units() == ("mm", "sec")
    bare = {"multiscales": [OME["multiscales"][0] | {"axes": [{"name": axis} for axis in "tzyx"]}]}
    untimed = header(axes="tzyx", ome=bare)
    assert (untimed.get_xyzt_units(), untimed.get_zooms()[3]) == (("mm", "unknown"), 1.0)  # as docs/exports.md says


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, (1.0, 0.0)),
        ({"rescale": [2.0, -1024.0]}, (2.0, -1024.0)),
        ({"rescale": [[0.5, 3.0]] * 4}, (0.5, 3.0)),
        ({"dose_grid_scaling": 0.25}, (0.25, 0.0)),
        ({"rescale": [2.0, 1.0], "dose_grid_scaling": 0.25}, (2.0, 1.0)),
    ],
)
def test_slope_and_intercept_are_those_that_all_frames_share(facts: Any, expected: tuple[float, float]) -> None:
    assert nifti.scaling_of(facts) == expected
    assert header(**facts).get_slope_inter() == expected


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"affine_lps": None}, "no_regular_geometry"),
        ({"rescale": [[1.0, 0.0], [2.0, 0.0]]}, "rescale_per_frame"),
        ({"modality_lut": {"first": 0, "values": [1]}}, "modality_lut"),
        ({"rescale": [0.0, 7.0]}, "slope_not_held"),  # scl_slope 0 means that values are not scaled
        ({"rescale": [-0.0, 0.0]}, "slope_not_held"),
        ({"rescale": [1e-50, 0.0]}, "slope_not_held"),  # 0 as a 32-bit float
        ({"rescale": [1e39, 0.0]}, "slope_not_held"),
        ({"rescale": [1.0, -1e39]}, "slope_not_held"),
        ({"dose_grid_scaling": 0.0}, "slope_not_held"),
        ({"axes": "czyx", "dtype": "<u2"}, "colour_over_8_bits"),
    ],
)
def test_what_nifti_cannot_represent_is_refused(options: Any, code: str) -> None:
    array = FakeArray(**options)
    array.facts = {key: value for key, value in array.facts.items() if value is not None}
    with pytest.raises(Refused) as refused:
        nifti.header_of(array)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_an_axis_beyond_sixteen_bits_is_refused() -> None:
    array = FakeArray()
    array.shape = (32768, 5, 7)
    with pytest.raises(Refused) as refused:
        nifti.header_of(array)  # type: ignore[arg-type]
    assert refused.value.code == "axis_too_long"


@pytest.mark.parametrize("dtype", ["|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"])
def test_every_type_of_the_dataset_is_kept(dtype: str) -> None:
    result = header(dtype=dtype)
    assert result.get_data_dtype() == np.dtype(dtype) and result.endianness == "<"


def test_colours_are_voxels_of_three_bytes() -> None:
    result = header(axes="czyx", dtype="|u1")
    assert int(result["datatype"]) == 128 and result.get_data_shape() == (7, 5, 4)


def test_an_array_in_which_frames_lack_a_rescale_is_refused() -> None:
    null = [None, None]
    for pairs in ([[1.0, -1024.0], null], [null, [1.0, -1024.0]], np.array([[1.0, -1024.0], [np.nan, np.nan]])):
        with pytest.raises(Refused, match="rescale_incomplete"):
            header(axes="tzyx", rescale=pairs)


def test_stored_values_are_no_physical_ones_where_the_header_states_half_of_a_rescale() -> None:
    with pytest.raises(Refused, match="rescale_incomplete"):
        header(flags=["rescale_incomplete"])
    assert header(flags=["rescale_incomplete"], rescale=[2.0, 5.0]).get_slope_inter() == (2.0, 5.0)
    assert header(flags=["rescale_incomplete"], dose_grid_scaling=0.25).get_slope_inter() == (0.25, 0.0)
    assert header(flags=["gap"]).get_slope_inter() == (1.0, 0.0)
