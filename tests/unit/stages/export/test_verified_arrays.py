"""Arrays are read in blocks in C order, and each frame is compared with its digest."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import made_up_records
import numpy as np
import pytest
from blake3 import blake3

from dicomzarr.arrays import ome_metadata, shard_writer
from dicomzarr.records.series_record import FrameRow
from dicomzarr.stages.export import nifti, npz, verified_arrays
from dicomzarr.system.results_folder import Results
from dicomzarr.volumes import model

SIZES = {"t": 3, "c": 3, "z": 5, "y": 6, "x": 4}
NAME = "0123456789abcdef/01234567"


def written(
    results: Path, axes: str, layout: str = "slice", dtype: str = "<i2"
) -> tuple[verified_arrays.Array, np.ndarray]:
    """Write an array with the workflow's own writers; return it and its voxels."""
    shape = tuple(SIZES[axis] for axis in axes)
    voxels = np.random.default_rng(len(axes)).integers(0, 100, shape).astype(dtype)
    folder = results / "dataset/images.zarr" / NAME
    folder.mkdir(parents=True)
    places, frames, planes = [], [], []
    for t in range(SIZES["t"]) if "t" in axes else [None]:
        for z in range(SIZES["z"]) if "z" in axes else [None]:
            at = {"t": t, "z": z}
            plane = voxels[tuple(slice(None) if at.get(axis) is None else at[axis] for axis in axes)]
            plane = np.ascontiguousarray(np.moveaxis(plane, 0, -1) if "c" in axes else plane)
            planes.append(plane)
            frame = model.Frame(0, len(frames), 1, "", "", "", "CT", (), 6, 4, 1, dtype, "MONOCHROME2", 16)
            places.append(model.Place(frame, t, z))
            frames.append(FrameRow(0, len(frames), t, z, blake3(plane.data.cast("B")).hexdigest()))
    volume = model.Volume(("x",), "volume", "made up", tuple(axes), shape, tuple(places))
    ome_metadata.write_image_group(folder, volume, {"modality": "CT", "photometric": "MONOCHROME2", "bits_stored": 16})
    shard_writer.write_array(
        folder / "0", shard_writer.chunk_grid(axes, shape, dtype, layout), dtype, "balanced", planes
    )
    record = made_up_records.volume(array=NAME, axes=axes, shape=shape, dtype=dtype, frame_rows=tuple(frames))
    depth = made_up_records.depth(observed_min=0, observed_max=99)
    return verified_arrays.Array(Results(results), record, depth), voxels


@pytest.mark.parametrize("block", [1, 2 * 48, 1 << 20])
@pytest.mark.parametrize(
    ("axes", "layout"),
    [("yx", "slice"), ("zyx", "slice"), ("zyx", "brick"), ("tyx", "slice"), ("tzyx", "slice"), ("tzyx", "brick"),
     ("cyx", "slice"), ("tcyx", "slice"), ("czyx", "slice"), ("tczyx", "slice")],
)  # fmt: skip
def test_blocks_and_frames_make_up_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, layout: str, block: int
) -> None:
    monkeypatch.setattr(verified_arrays, "BLOCK", block)
    array, voxels = written(tmp_path, axes, layout)
    assert b"".join(block_voxels.tobytes() for block_voxels, _ in array.blocks()) == voxels.tobytes()
    frames = list(array.frames())
    assert [(frame.t, frame.z, frame.digest) for frame in frames] == [row[2:] for row in array.record.frames]
    for frame in frames:
        at = {"t": frame.t, "z": frame.z}
        plane = voxels[tuple(slice(None) if at.get(axis) is None else at[axis] for axis in axes)]
        assert np.array_equal(np.moveaxis(frame.pixels, -1, 0) if "c" in axes else frame.pixels, plane)


def test_a_frame_with_another_digest_is_reported(tmp_path: Path) -> None:
    array, _ = written(tmp_path, "zyx")
    frames = [*array.record.frames]
    frames[3] = frames[3]._replace(digest="0" * 64)
    array = dataclasses.replace(array, record=dataclasses.replace(array.record, frame_rows=tuple(frames)))
    with pytest.raises(verified_arrays.DamagedArray, match=NAME):
        list(array.blocks())


def test_equal_arrays_give_equal_archives(tmp_path: Path) -> None:
    array, voxels = written(tmp_path / "results", "tczyx")
    data = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (row,) = npz.export_series([array], tmp_path / name, 1).files
        data.append((tmp_path / name / row.file).read_bytes())
    assert data[0] == data[1]
    with np.load(tmp_path / "one" / "0123456789abcdef.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["01234567"], voxels)


def test_colour_samples_of_a_nifti_voxel_are_adjacent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nibabel

    array, voxels = written(tmp_path / "results", "tczyx", dtype="|u1")
    monkeypatch.setitem(array.facts, "affine_lps", np.eye(4).tolist())  # type: ignore[arg-type]
    (tmp_path / "out").mkdir()
    exported = nifti.export_series([array], tmp_path / "out", 1)
    assert [row.outcome for row in exported.arrays] == ["exported"]
    read = np.asanyarray(nibabel.load(tmp_path / "out" / f"{NAME}.nii.gz").dataobj)
    for number, colour in enumerate("RGB"):
        assert np.array_equal(read[colour].T, voxels[:, number])


def test_attributes_are_strict_json_with_null_where_a_frame_has_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of more than 512 entries are arrays beside the image, in which NaN stands for null."""
    array, _ = written(tmp_path / "results", "zyx")
    pairs = np.array([[1.5, 0.0], [np.nan, np.nan], [1.25, 3.0], [1.0, 0.0], [1.0, 0.0]])
    stated = {
        "affine_lps": np.eye(4).tolist(),
        "real_world_value": pairs,
        "window": pairs.copy(),
        "one_file": np.arange(5),
        "t_axis": {"means": ["echo_time_ms"], "values": np.array([1.0, np.nan])},
        "positions_mm": [0.5, float("nan")],
    }
    for key, value in stated.items():
        monkeypatch.setitem(array.facts, key, value)  # type: ignore[arg-type]
    (tmp_path / "out").mkdir()
    nifti.export_series([array], tmp_path / "out", 1)
    npz.export_series([array], tmp_path / "out", 1)
    with np.load(tmp_path / "out" / "0123456789abcdef.npz") as archive:
        texts = [str(archive["01234567_attributes"]), (tmp_path / "out" / f"{NAME}.json").read_text()]
    for text in texts:
        facts = json.loads(text, parse_constant=pytest.fail)  # called for NaN and Infinity
        null = [[1.5, 0.0], [None, None], [1.25, 3.0], [1.0, 0.0], [1.0, 0.0]]
        assert facts["real_world_value"] == facts["window"] == null
        assert facts["one_file"] == [0, 1, 2, 3, 4] and facts["positions_mm"] == [0.5, None]
        assert facts["t_axis"] == {"means": ["echo_time_ms"], "values": [1.0, None]}
