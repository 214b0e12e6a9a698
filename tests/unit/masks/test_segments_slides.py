"""Segments on the tiles of slides, by position in the total pixel matrix and by reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grids_of_scans import grid_of_slide
from made_up_scans import slide
from made_up_segmentations import MaskFrame, by_hand, by_highdicom
from placed_segments import (
    highdicom_by_frame,
    only,
    placed,
)


def noise(seed: int, *shape: int, values: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, values, shape, dtype="u1")


@pytest.mark.parametrize("organization", ["TILED_FULL", "TILED_SPARSE"])
@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
def test_tiles_of_a_slide(form: str, organization: str) -> None:
    image = slide("a", organization=organization)
    voxels = noise(22, 12, 8, 10, values=3)
    voxels[[1, 5, 6]] = 0
    dataset = by_highdicom([image], voxels, form)
    expected = highdicom_by_frame(dataset, image.SOPInstanceUID, 12)
    for number, (_, mask) in enumerate(placed(dataset, grid_of_slide(image))):
        assert mask.axes == "tyx" and mask.flags == ()
        np.testing.assert_array_equal(mask.values, voxels == number + 1)
        np.testing.assert_array_equal(mask.values, expected[..., number])


@pytest.mark.parametrize("options", [{}, {"tile_size": (5, 16)}], ids=["tiles of the slide", "other tiles"])
@pytest.mark.parametrize("organization", ["TILED_FULL", "TILED_SPARSE"])
def test_tiles_without_references_by_their_place(organization: str, options: dict[str, Any]) -> None:
    image = slide("a", organization="TILED_SPARSE")
    matrix = noise(23, 1, 24, 40, values=3)
    full: dict[str, Any] = {"dimension_organization_type": organization, "omit_empty_frames": False}
    dataset = by_highdicom([image], matrix, tile_pixel_array=True, **full, **options)
    for frame in dataset.get("PerFrameFunctionalGroupsSequence", []):
        frame.DerivationImageSequence = []
    tiles = matrix[0].reshape(3, 8, 4, 10).swapaxes(1, 2).reshape(12, 8, 10)
    for number, (_, mask) in enumerate(placed(dataset, grid_of_slide(image))):
        np.testing.assert_array_equal(mask.values, tiles == number + 1)
        assert "own_grid" not in mask.flags and "references_differ" not in mask.flags
        assert mask.outside == 0


def test_of_two_optical_paths_the_referenced_one() -> None:
    image = slide("a")
    grid = grid_of_slide(image)
    twice = replace(
        grid,
        shape=(24, *grid.shape[1:]),
        tile_offsets=grid.tile_offsets * 2,
        frames={(image.SOPInstanceUID, t): (t, None) for t in range(24)},
    )
    tile = noise(32, 8, 10)
    for source, times in (((image.SOPInstanceUID, 18), [17]), (None, [5, 17])):
        frame = MaskFrame(tile, tile=(9, 11), source=source)
        dataset = by_hand([frame], orientation=None, spacing=(0.01, 0.01), series="a")
        dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = 24, 40
        mask = only(dataset, twice)
        assert np.flatnonzero(mask.values.any(axis=(1, 2))).tolist() == times
        for t in times:
            np.testing.assert_array_equal(mask.values[t], tile)


def test_a_matrix_of_another_size_goes_by_reference() -> None:
    image = slide("a")
    tile = noise(33, 8, 10)
    frame = MaskFrame(tile, tile=(1, 1), source=(image.SOPInstanceUID, 7))
    dataset = by_hand([frame], orientation=None, spacing=None, series="a")
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = 8, 10
    mask = only(dataset, grid_of_slide(image))
    np.testing.assert_array_equal(mask.values[6], tile)
    assert mask.values.sum() == tile.sum()


def test_tiles_of_another_resolution_keep_their_own_grid() -> None:
    image = slide("a")
    tiles = noise(24, 2, 8, 10)
    frames = [MaskFrame(tiles[n], tile=(1, 1 + 10 * n)) for n in (1, 0)]
    dataset = by_hand(frames, orientation=None, spacing=(0.02, 0.02), series="a")
    dataset.TotalPixelMatrixRows, dataset.TotalPixelMatrixColumns = 12, 20
    mask = only(dataset, grid_of_slide(image))
    assert (mask.axes, mask.flags, mask.own_affine_lps) == ("tyx", ("own_grid",), None)
    np.testing.assert_array_equal(mask.values, tiles)
