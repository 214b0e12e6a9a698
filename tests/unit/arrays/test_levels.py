"""Coarser levels: every second voxel, of any shape, axes and layout; along z only where voxels do not get flatter."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import made_up_records
import numpy as np
import pytest
import tensorstore
import zarr
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05 import Image, ImageLabel
from written_arrays import noise, write

from dicomzarr.arrays import levels
from dicomzarr.arrays.levels import coarser_levels, write_levels
from dicomzarr.arrays.write_image import Decoded, write_image
from dicomzarr.arrays.write_masks import levels_of_masks, write_mask, write_mask_group
from dicomzarr.masks.model import Description, PlacedMask
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.stages.check_batch.levels import count_levels, levels_are_exact
from dicomzarr.stages.check_batch.read_back import read_back
from dicomzarr.volumes.model import Frame, Place, Volume

ARRAY = "0123456789abcdef/01234567"


@pytest.mark.parametrize(
    ("axes", "shape", "spacing", "most", "expected"),
    [
        ("zyx", (300, 512, 512), {"z": 1.0, "y": 0.7, "x": 0.7}, 8, ("zyx", "zyx", "zyx")),  # then 32 rows
        ("zyx", (300, 512, 512), {"z": 1.0, "y": 0.7, "x": 0.7}, 3, ("zyx", "zyx")),
        ("zyx", (60, 512, 512), {"z": 5.0, "y": 0.7, "x": 0.7}, 8, ("yx", "yx", "zyx")),  # 5 > 1.4, 5 > 2.8, 5 < 5.6
        ("zyx", (60, 512, 512), {"z": 1.4, "y": 0.7, "x": 0.7}, 2, ("zyx",)),
        ("zyx", (60, 512, 512), {"z": 0.5, "y": 2.0, "x": 2.0}, 3, ("zyx", "zyx")),
        ("zyx", (60, 512, 512), {"y": 0.7, "x": 0.7}, 3, ("yx", "yx")),  # slices are not evenly spaced
        ("zyx", (60, 512, 512), {}, 3, ("yx", "yx")),
        ("tcyx", (60, 3, 480, 640), {}, 8, ("yx", "yx")),  # 120 x 160, then 60 rows
        ("yx", (127, 5000), {}, 8, ("yx",)),
        ("yx", (126, 5000), {}, 8, ()),
        ("zyx", (60, 512, 512), {"z": 1.0, "y": 0.7, "x": 0.7}, 1, ()),
    ],
)
def test_which_levels_an_array_gets(
    axes: str, shape: tuple[int, ...], spacing: dict[str, float], most: int, expected: tuple[str, ...]
) -> None:
    assert coarser_levels(axes, shape, spacing, most) == expected


AXES = ["".join(axes) for axes in itertools.product(("", "t"), ("", "c"), ("", "z"), ("yx",))]


@settings(max_examples=40)
@given(data=st.data())
def test_every_level_is_every_second_voxel_of_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    axes = data.draw(st.sampled_from(AXES))
    sizes = {"t": st.integers(1, 5), "c": st.just(3), "z": st.integers(1, 40), "y": st.integers(1, 9)}
    shape = tuple(data.draw(sizes.get(axis, st.integers(1, 300))) for axis in axes)
    layout = data.draw(st.sampled_from(["slice", "brick"]))
    compression = data.draw(st.sampled_from(["balanced", "none"]))
    halved = data.draw(st.lists(st.sampled_from(["yx", "zyx"]), min_size=1, max_size=3))
    values = noise(shape, data.draw(st.sampled_from(["|u1", "<i2", "<f4"])))
    folder = tmp_path_factory.mktemp("image")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "BLOCK", data.draw(st.sampled_from([1, 4096, 1 << 24])))
        write(folder / "0", axes, values, compression, layout)
        write_levels(folder, axes, values.dtype.str, halved, compression=compression, layout=layout)
    for number, names in enumerate(halved, 1):
        values = values[tuple(slice(None, None, 2) if axis in names else slice(None) for axis in axes)]
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / str(number))}}
        found = tensorstore.open(spec, read=True).result()
        assert np.array_equal(np.asarray(found.read().result()), values) and found.domain.labels == tuple(axes)
    shutil.rmtree(folder)


def written_image(images: Path, values: np.ndarray[Any, Any], spacing: dict[str, float], most: int) -> VolumeRecord:
    """Write an image of axes z, y, x with its levels, and return its record."""
    size = values.shape
    frames = [
        Frame(0, n, size[0], "", "", "", "MR", (), *size[1:], 1, values.dtype.str, "MONOCHROME2", 16)
        for n in range(len(values))
    ]
    places = tuple(Place(frame, None, z) for z, frame in enumerate(frames))
    volume = Volume(("x",), "volume", "made up", ("z", "y", "x"), size, places, spacing_mm=spacing)
    folder = images / ARRAY
    folder.parent.mkdir(parents=True)
    decoded = Decoded([], {"modality": "MR", "photometric": "MONOCHROME2", "bits_stored": 16})
    files = write_image(
        folder, volume, iter(values), lambda: decoded, name=ARRAY, compression="fast", layout="slice", levels=most
    )
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == on_disk
    rows = tuple(FrameRow(0, z, None, z, blake3(plane.tobytes()).hexdigest()) for z, plane in enumerate(values))
    claims = {name: FileClaim(*claim) for name, claim in files.items()}
    return made_up_records.volume(
        array=ARRAY, axes="zyx", shape=size, dtype=values.dtype.str, frame_rows=rows, files=claims
    )


VALUES = noise((9, 260, 256), "<u2")
SPACING = {"z": 3.0, "y": 1.0, "x": 1.0}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, VolumeRecord]:
    return tmp_path, written_image(tmp_path, VALUES, SPACING, 4)


def ome_of(folder: Path) -> dict[str, Any]:
    ome: dict[str, Any] = json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]
    return ome


def test_metadata_states_method_and_scale_and_is_valid(made: tuple[Path, VolumeRecord]) -> None:
    images, record = made
    Image.from_zarr(zarr.open_group(str(images / ARRAY), mode="r"))
    multiscale = ome_of(images / ARRAY)["multiscales"][0]
    assert multiscale["type"] == "subsampling" and multiscale["metadata"]["axes"] == ["yx", "zyx"]
    assert [dataset["coordinateTransformations"] for dataset in multiscale["datasets"]] == [
        [{"type": "scale", "scale": scale}] for scale in ([3.0, 1.0, 1.0], [3.0, 2.0, 2.0], [6.0, 4.0, 4.0])
    ]
    for number, expected in enumerate((VALUES, VALUES[:, ::2, ::2], VALUES[::2, ::4, ::4])):
        array: Any = zarr.open_array(str(images / ARRAY / str(number)), mode="r")
        assert np.array_equal(array[...], expected)
    assert count_levels(record.files) == 2 and read_back(images, record).exact


def test_one_level_says_nothing_of_levels(tmp_path: Path) -> None:
    record = written_image(tmp_path, VALUES, SPACING, 1)
    assert {name.split("/")[0] for name in record.files} == {"0", "zarr.json"}
    assert set(ome_of(tmp_path / ARRAY)["multiscales"][0]) == {"name", "axes", "datasets"}


def other_voxel(folder: Path) -> None:
    values = VALUES[:, ::2, ::2].copy()
    values[8, 129, 127] ^= 1
    replace(folder, values)


def shifted(folder: Path) -> None:
    replace(folder, VALUES[:, 1::2, 1::2])


def short(folder: Path) -> None:
    replace(folder, VALUES[:, :-2:2, ::2])


def replace(folder: Path, values: np.ndarray[Any, Any]) -> None:
    shutil.rmtree(folder / "1")
    write(folder / "1", "zyx", np.ascontiguousarray(values))
    shutil.rmtree(folder / "2")
    write(folder / "2", "zyx", np.ascontiguousarray(values[::2, ::2, ::2]))


def other_scale(folder: Path) -> None:
    metadata = json.loads((folder / "zarr.json").read_text())
    metadata["attributes"]["ome"]["multiscales"][0]["datasets"][2]["coordinateTransformations"][0]["scale"][0] = 3.0
    (folder / "zarr.json").write_text(json.dumps(metadata))


def unlisted(folder: Path) -> None:
    metadata = json.loads((folder / "zarr.json").read_text())
    metadata["attributes"]["ome"]["multiscales"][0]["datasets"].pop()
    (folder / "zarr.json").write_text(json.dumps(metadata))


def lost_chunk(folder: Path) -> None:
    (folder / "2/c/0/0/0").unlink()


@pytest.mark.parametrize("fault", [other_voxel, shifted, short, other_scale, unlisted, lost_chunk])
def test_a_level_that_is_not_that_of_its_image_is_a_mismatch(made: tuple[Path, VolumeRecord], fault: Any) -> None:
    images, record = made
    fault(images / ARRAY)
    assert not read_back(images, record).exact


@pytest.mark.parametrize("own", [False, True])
def test_masks_have_as_many_levels_as_their_image(made: tuple[Path, VolumeRecord], own: bool) -> None:
    images, _ = made
    attributes = json.loads((images / ARRAY / "zarr.json").read_text())["attributes"]
    values = (noise((9, 30, 31) if own else VALUES.shape, "|u1") > 100).astype(np.uint8)
    affine = ((1.5, 0.0, 0.0, 0.0), (0.0, 1.5, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)) if own else None
    placed = PlacedMask(
        Description("SEG", 1), values, "zyx", "BINARY", flags=("own_grid",) if own else (), own_affine_lps=affine
    )
    folder = images / ARRAY / "labels" / "liver"
    coarser = levels_of_masks(attributes)
    mask = write_mask(folder, placed, compression="balanced", layout="slice", coarser=coarser)
    write_mask_group(folder, mask, name="liver", number=0, code=None, image=attributes)
    ImageLabel.from_zarr(zarr.open_group(str(folder), mode="r"))
    first, *others = [
        dataset["coordinateTransformations"][0]["scale"] for dataset in ome_of(folder)["multiscales"][0]["datasets"]
    ]
    # Its own grid is finer along z than along y and x.
    assert [first, *others] == (
        [[1.0, 1.5, 1.5], [2.0, 3.0, 3.0], [4.0, 6.0, 6.0]]
        if own
        else [[3.0, 1.0, 1.0], [3.0, 2.0, 2.0], [6.0, 4.0, 4.0]]
    )
    files = [f"labels/liver/{name}" for name in mask.files]
    count = count_levels(files, "labels/liver/")
    assert count == 2 and levels_are_exact(folder, "zyx", count)
    wrong = np.zeros_like(values[:: 2 if own else 1, ::2, ::2])
    shutil.rmtree(folder / "1")
    write(folder / "1", "zyx", wrong)
    assert not levels_are_exact(folder, "zyx", count)
