"""The grid of an image, from what was written of it: the position of every source frame comes out of it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extracted_series import extract_folder
from grids_of_scans import grid_of, grid_of_multi_frame
from made_up_scans import OBLIQUE, SAGITTAL, multi_frame_scan, scan, slide
from pydicom import Dataset, dcmread, dcmwrite

from dicomzarr.masks.grid import ImageGrid
from dicomzarr.records.plan import SeriesPlan
from dicomzarr.stages.extract_batch.image_grids import image_of, originals


def grids_from_store(folder: Path, images: list[Dataset]) -> list[ImageGrid]:
    source = folder / "source"
    source.mkdir()
    for number, image in enumerate(images):
        dcmwrite(source / f"{number}.dcm", image, enforce_file_format=True)
    extracted = extract_folder(source)
    paths = [file.path for file in extracted.record.files]
    headers = [dcmread(source / path, stop_before_pixels=True) for path in paths]
    keywords = ("FrameOfReferenceUID", "SOPInstanceUID")
    rows: Any = [{"facts": {keyword: str(header[keyword].value) for keyword in keywords}} for header in headers]
    instances = [str(header.SOPInstanceUID) for header in headers]
    plan = SeriesPlan("s", "t", "u", (), tuple(rows[::-1]))  # in another order than the record
    return [image_of(plan, extracted.store, volume, instances).grid for volume in extracted.record.volumes]


def grid_from_store(folder: Path, images: list[Dataset]) -> ImageGrid:
    (grid,) = grids_from_store(folder, images)
    return grid


SCANS = {
    "even": scan("even"),
    "oblique": scan("oblique", orientation=OBLIQUE),
    "sagittal, reversed files": scan("sagittal", orientation=SAGITTAL)[::-1],
    "gap": scan("gap", depths=(0.0, 2.5, 5.0, 10.0, 12.5)),
    "uneven": scan("uneven", depths=(0.0, 2.0, 5.5, 6.25, 11.0), orientation=OBLIQUE),
    "one slice": scan("one", depths=(5.0,)),
    "600 uneven slices": scan("many", depths=tuple(0.5 * n + (n > 300) * 0.2 for n in range(600)), rows=4, columns=4),
}


@pytest.mark.parametrize("name", SCANS)
def test_every_slice_is_where_its_file_says(tmp_path: Path, name: str) -> None:
    images = SCANS[name]
    found, expected = grid_from_store(tmp_path, images), grid_of(images)
    assert found.origins is not None and expected.origins is not None
    assert np.allclose(found.origins, expected.origins, atol=1e-4)
    assert np.allclose(found.across, expected.across) and np.allclose(found.down, expected.down)
    assert found.frame_of_reference == str(images[0].FrameOfReferenceUID)
    if len(images) > 1:
        assert found.frames == expected.frames
    else:
        assert found.frames == {(str(images[0].SOPInstanceUID), 0): (None, None)}


def test_each_image_of_a_series_has_its_own_frame_of_reference(tmp_path: Path) -> None:
    """A patient who was positioned again: the scanner states a new one within the series."""
    before, after = scan("before"), scan("after", FrameOfReferenceUID="1.2.9")
    for image in after:
        image.SeriesInstanceUID = before[0].SeriesInstanceUID
    grids = grids_from_store(tmp_path, before + after)
    for images in (before, after):
        uids = {(str(image.SOPInstanceUID), 0) for image in images}
        (grid,) = [grid for grid in grids if grid.frames.keys() == uids]
        assert grid.frame_of_reference == str(images[0].FrameOfReferenceUID)


def test_a_sheared_stack_keeps_its_shear(tmp_path: Path) -> None:
    images = scan("tilt")
    for number, image in enumerate(images):
        image.ImagePositionPatient = [-10.0, -20.0 + 0.6 * number, 30.0 + 2.5 * number]
    found = grid_from_store(tmp_path, images)
    assert found.origins is not None
    assert np.allclose(found.origins, [image.ImagePositionPatient for image in images], atol=1e-6)


def test_frames_of_one_file_are_keys_by_number(tmp_path: Path) -> None:
    image = multi_frame_scan("enhanced")
    found, expected = grid_from_store(tmp_path, [image]), grid_of_multi_frame(image)
    assert found.frames == expected.frames
    assert found.origins is not None and expected.origins is not None
    assert np.allclose(found.origins, expected.origins, atol=1e-4)


def test_an_image_without_a_position_has_no_origins(tmp_path: Path) -> None:
    found = grid_from_store(tmp_path, scan("flat", depths=(5.0,), ImagePositionPatient=None))
    assert found.origins is None and found.shape == (16, 12)


def test_tiles_of_a_slide_have_offsets(tmp_path: Path) -> None:
    image = slide("slide")
    found = grid_from_store(tmp_path, [image])
    down, across = (-(-image.TotalPixelMatrixRows // image.Rows), -(-image.TotalPixelMatrixColumns // image.Columns))
    corners = {(row * image.Rows, column * image.Columns) for row in range(down) for column in range(across)}
    assert set(found.tile_offsets) <= corners and len(found.tile_offsets) == int(image.NumberOfFrames)


def test_a_copy_that_was_skipped_stands_for_the_image_that_it_repeats() -> None:
    def row(uid: str, z: float, time: int, **more: Any) -> Any:
        place = {"ImagePositionPatient": [0.0, 0.0, z], "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
        return {"facts": {"SOPInstanceUID": uid, "TemporalPositionIdentifier": time, **place, **more}}

    rows = [row(f"{time}.{z}", 3.0 * z, time, InstanceNumber=10 * time + z) for time in (1, 2) for z in range(3)]
    rows += [row("copy", 3.0, 2, InstanceNumber=99, ContentTime="120000"), row("lost", 3.0, 3)]
    kept = {f"{time}.{z}" for time in (1, 2) for z in range(3)}
    plan = SeriesPlan("s", "t", "u", (), tuple(rows))
    assert originals(plan, {"copy", "lost"}, kept) == {"copy": "2.1"}
    assert originals(plan, (), kept) == {}
    repeated = SeriesPlan("s", "t", "u", (), (*rows, row("again", 3.0, 2)))  # which of the two it repeats is not known
    assert originals(repeated, {"copy"}, {*kept, "again"}) == {}


def test_masks_find_the_frames_of_copies(tmp_path: Path) -> None:
    images = scan("copied")
    source = tmp_path / "source"
    source.mkdir()
    for number, image in enumerate(images):
        dcmwrite(source / f"{number}.dcm", image, enforce_file_format=True)
    extracted = extract_folder(source)
    instances = [
        str(dcmread(source / file.path, stop_before_pixels=True).SOPInstanceUID) for file in extracted.record.files
    ]
    rows: Any = [{"facts": {"SOPInstanceUID": uid, "FrameOfReferenceUID": "1.2"}} for uid in instances]
    plan = SeriesPlan("s", "t", "u", (), tuple(rows))
    grid = image_of(plan, extracted.store, extracted.volume, instances, {"1.2.3": instances[2]}).grid
    assert grid.frames["1.2.3", 0] == grid.frames[instances[2], 0]
    assert len(grid.frames) == len(images) + 1
