"""Pictures of arrays whose voxels are known: planes, proportions, directions, values; and what never fails."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import made_up_records
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicomzarr.privacy.bare_jpeg import is_bare_jpeg
from dicomzarr.records.check_record import PictureRow
from dicomzarr.records.mask_record import MaskRecord
from dicomzarr.stages.check_batch import planes
from dicomzarr.stages.check_batch.histogram import ALPHABET, histogram
from dicomzarr.stages.check_batch.picture import Picture
from dicomzarr.stages.check_batch.read_back import ReadBack

ALL = {"window": [128.5, 256.0]}  # values from 0 to 255 are shown as they are
AXIAL = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]]  # x to the left, y to the back, z to the head


def drawn(
    folder: Path,
    values: NDArray[Any],
    axes: str,
    facts: dict[str, Any],
    *,
    masks: dict[str, NDArray[np.uint8]] | None = None,
    blocks: Iterable[tuple[int, int]] | None = None,
    exact: bool = True,
    **fields: Any,
) -> tuple[PictureRow, NDArray[Any], NDArray[Any]]:
    """Draw an array; return its row, and picture and thumbnail as pixels."""
    volume = made_up_records.volume(
        axes=axes, shape=values.shape, dtype=values.dtype.str, **{"spacing_mm": {}} | fields
    )
    image = folder / volume.array
    image.mkdir(parents=True, exist_ok=True)
    (image / "zarr.json").write_text(json.dumps({"attributes": {"dicomzarr": facts}}))
    records = []
    for number, (name, mask) in enumerate((masks or {}).items()):
        (image / "labels" / name).mkdir(parents=True, exist_ok=True)
        label = {"colors": [{"rgba": [(200, 30, *range(60, 99))[number], 40, 220, 160]}]}
        ome = {"attributes": {"ome": {"image-label": label}}}
        (image / "labels" / name / "zarr.json").write_text(json.dumps(ome))
        inside = np.nonzero(mask)
        records.append(
            MaskRecord(
                volume.array, name, name, "SEG", "BINARY", "", axes, mask.shape, None, len(inside[0]), 1, None,
                [(int(part.min()), int(part.max()) + 1) for part in inside], 1, 0.0, (), {}, "", {},
            )
        )  # fmt: skip
    picture = Picture(folder, volume, records)
    frames = np.moveaxis(values, axes.index("c"), -1) if "c" in axes else values
    frames = frames.reshape(-1, *frames.shape[-3 if "c" in axes else -2 :])
    for start, stop in blocks or [(0, len(frames))]:
        picture.watcher(start, frames[start:stop])
    for name, mask in sorted((masks or {}).items()):
        if watch := picture.mask_watcher(name):
            watch(0, mask.reshape(-1, *frames.shape[1:3]))
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
    row, files = picture.finish(ReadBack(exact, low, high, low, high), set(masks or {}))
    if row.trouble:
        assert not files
        return row, np.zeros(0), np.zeros(0)
    name = volume.array.rpartition("/")[2]
    assert sorted(files) == [f"{name}.jpg", f"{name}.thumb.jpg"]
    for part, data in files.items():
        (folder / part).write_bytes(data)
        assert is_bare_jpeg(str(folder / part))
    opened = [Image.open(io.BytesIO(files[part])) for part in sorted(files)]
    assert max(opened[1].size) <= 96
    pixels, thumb = (np.asarray(one) for one in opened)
    assert all(max(box[2:]) <= 224 and min(box[2:]) >= 1 for box in boxes_of(row))
    assert pixels.shape[1::-1] == (sum(boxes_of(row)[-1][0::2]), max(box[3] for box in boxes_of(row)))
    return row, pixels, thumb


def boxes_of(row: PictureRow) -> list[tuple[int, int, int, int]]:
    return [tuple(map(int, box.split(","))) for box in row.boxes.split()]


def parts_of(row: PictureRow, pixels: NDArray[Any]) -> list[NDArray[Any]]:
    return [pixels[y : y + h, x : x + w].astype(int) for x, y, w, h in boxes_of(row)]


# ---- planes and proportions


def test_an_ellipsoid_has_its_proportions_in_mm(tmp_path: Path) -> None:
    shape, spacing, radii = (21, 201, 101), {"z": 8.0, "y": 0.5, "x": 1.5}, {"z": 60.0, "y": 40.0, "x": 50.0}
    grid = np.meshgrid(
        *((np.arange(n) - n // 2) * spacing[axis] for n, axis in zip(shape, "zyx", strict=True)), indexing="ij"
    )
    inside = sum((part / radii[axis]) ** 2 for part, axis in zip(grid, "zyx", strict=True)) <= 1
    row, pixels, thumb = drawn(tmp_path, inside.astype(np.int16) * 900, "zyx", {}, spacing_mm=spacing)
    assert row.planes == "z:10/21 y:100/201 x:50/101"
    lengths = {axis: n * spacing[axis] for n, axis in zip(shape, "zyx", strict=True)}
    for part, (rows, columns) in zip(parts_of(row, pixels), ("yx", "zx", "zy"), strict=True):
        per_mm = min(224 / max(lengths[rows], lengths[columns]), 1 / min(spacing[rows], spacing[columns]))
        bright = part > 127
        height, width = np.ptp(np.flatnonzero(bright.any(axis=1))) + 1, np.ptp(np.flatnonzero(bright.any(axis=0))) + 1
        for found, axis in ((height, rows), (width, columns)):
            assert abs(found - 2 * radii[axis] * per_mm) <= 2 + spacing[axis] * per_mm  # to one voxel
        assert abs(bright.sum() / (math.pi * radii[rows] * radii[columns] * per_mm**2) - 1) < 0.06
    assert thumb.shape == (round(100.5 * 96 / 151.5), 96)


def ramp(shape: tuple[int, ...], factors: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array in which a value says where it is."""
    return sum(part * factor for part, factor in zip(np.indices(shape), factors, strict=True)).astype(np.uint8)


def test_the_planes_are_those_that_the_row_names(tmp_path: Path) -> None:
    values = ramp((3, 9, 30, 40), (30, 6, 2, 2))
    row, pixels, thumb = drawn(tmp_path, values, "tzyx", ALL)
    assert row.planes == "t:1/3 z:4/9 y:15/30 x:20/40"
    expected = [values[1, 4], values[1, :, 15], values[1, :, :, 20]]
    for part, plane in zip(parts_of(row, pixels), expected, strict=True):
        assert np.abs(part - plane).max() <= 4
    assert np.abs(thumb.astype(int) - values[1, 4]).max() <= 6
    row, pixels, _ = drawn(tmp_path, values[:, 0], "tyx", ALL)
    assert row.planes == "t:1/3 xy" and np.abs(pixels.astype(int) - values[1, 0]).max() <= 4
    assert drawn(tmp_path, values[0, :1], "zyx", ALL)[0].planes == "z:0/1"


def test_masks_decide_the_planes_and_are_outlined(tmp_path: Path) -> None:
    values = np.full((10, 30, 40), 90, np.uint8)
    large, small, elsewhere = (np.zeros(values.shape, np.uint8) for _ in range(3))
    large[2:9, 4:15, 20:31] = 1
    small[5, 8:12, 24:28] = 1
    elsewhere[0, 0, 0] = 1
    row, pixels, thumb = drawn(tmp_path, values, "zyx", ALL, masks={"a": small, "large": large, "z": elsewhere})
    assert row.planes == "z:5/10 y:9/30 x:25/40"
    assert row.outlines == "large=#1e28dc a=#c828dc"  # the third has no voxel there
    axial, coronal, sagittal = parts_of(row, pixels)
    for part, (top, bottom, left, right) in (
        (axial, (4, 14, 20, 30)),
        (coronal, (2, 8, 20, 30)),
        (sagittal, (2, 8, 4, 14)),
    ):
        edge = np.zeros(part.shape[:2], bool)
        edge[top : bottom + 1, left : right + 1] = True
        edge[top + 1 : bottom, left + 1 : right] = False
        blue = part[..., 2] - part[..., 1] > 90
        assert (blue & edge).sum() > 0.9 * edge.sum()
        assert not blue[: top - 1].any() and not blue[:, : left - 1].any()
    assert thumb.ndim == 3
    assert drawn(tmp_path, values, "zyx", ALL)[1].ndim == 2  # grey without masks
    many = {f"m{number:02d}": small for number in range(12)} | {"large": large, "z": elsewhere}
    named = drawn(tmp_path, values, "zyx", ALL, masks=dict(sorted(many.items())))[0].outlines
    assert [word.partition("=")[0] for word in named.split()] == ["large", *(f"m{number:02d}" for number in range(7))]


@pytest.mark.parametrize(("most", "sample"), [(448, 1 << 15), (7, 100)])
def test_neither_blocks_nor_their_order_matter(
    tmp_path: Path, most: int, sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planes, "MOST", most)
    monkeypatch.setattr(planes, "SAMPLE", sample)
    values = np.random.default_rng(5).integers(0, 999, (2, 31, 24, 36), np.uint16)
    ways = [None, [(n, n + 1) for n in range(62)][::-1], [(40, 62), (0, 3), (3, 40)]]
    results = [drawn(tmp_path, values, "tzyx", {}, blocks=blocks) for blocks in ways]
    for row, pixels, thumb in results[1:]:
        assert row == results[0][0] and len(row.histogram) == 48
        assert np.array_equal(pixels, results[0][1]) and np.array_equal(thumb, results[0][2])


# ---- values


def test_the_histogram_is_that_of_numpy(tmp_path: Path) -> None:
    values = np.random.default_rng(6).normal(500, 90, (40, 40)).astype(np.float32)
    counts = np.histogram(values, 48)[0]
    levels = np.rint(63 * np.sqrt(counts / counts.max()))
    text = histogram(values, float(values.min()), float(values.max()))
    assert np.abs(np.array([ALPHABET.index(c) for c in text]) - levels).max() <= 1
    assert ALPHABET == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
    assert histogram(np.array([0, 0, 0, 0, 12, 48]), 0, 48) == "_" + "0" * 11 + "W" + "0" * 34 + "W"


def test_a_sample_of_a_large_array_favours_no_column(tmp_path: Path) -> None:
    values = np.broadcast_to(np.arange(256, dtype=np.uint8), (20, 256, 256))
    text = drawn(tmp_path, np.ascontiguousarray(values), "zyx", ALL)[0].histogram
    counts = np.array([ALPHABET.index(character) for character in text]) ** 2  # 5 or 6 values in each bin
    assert counts.min() > 0.75 * counts.max()


def test_monochrome1_is_inverted_and_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    values = np.full((8, 16, 16), 10, np.int16)
    facts = {"rescale": [[z + 1.0, 0.0] for z in range(7)] + [[None, None]], "window": [50.5, 101.0]}
    grey = np.array([10.0 * (z + 1) for z in range(7)] + [10.0]) * 255 / 100
    values[:, 0, 0] = 0  # a plane of one value would be stretched
    for photometric, expected in (("MONOCHROME2", grey), ("MONOCHROME1", 255 - grey)):
        row, pixels, _ = drawn(tmp_path, values, "zyx", facts, photometric=photometric)
        assert row.shown == "window"
        assert np.abs(parts_of(row, pixels)[1].mean(axis=1) - expected).max() < 8


def test_other_planes_have_the_head_on_top_and_the_front_at_the_left(tmp_path: Path) -> None:
    def corner(part: NDArray[Any]) -> tuple[bool, bool]:
        """Return whether the bright corner is at the top, and at the left."""
        top, left = np.unravel_index(np.argmax(part), part.shape)
        return top < part.shape[0] / 2, left < part.shape[1] / 2

    for order, signs in (("xyz", (1, 1, 1)), ("xyz", (-1, 1, -1)), ("yzx", (1, -1, 1)), ("xzy", (1, -1, 1))):
        affine = np.zeros((4, 4))
        for column, (direction, sign) in enumerate(zip(order, signs, strict=True)):
            affine["xyz".index(direction), column] = sign
        at = [(0 if sign > 0 else 11) for sign in signs]
        at[order.index("z")] = 11 if signs[order.index("z")] > 0 else 0  # right, front and head
        values = np.zeros((12, 12, 12), np.uint8)
        x, y, z = ([index, slice(3, 9)] for index in at)
        for cut in ((z[0], y[1], x[0]), (z[0], y[0], x[1])):  # seen in the planes across y and across x
            values[cut] = 255
        row, pixels, _ = drawn(tmp_path, values, "zyx", ALL | {"affine_lps": affine.tolist()})
        assert all(corner(part) == (True, True) for part in parts_of(row, pixels)[1:]), (order, signs)


# ---- what never fails

PALETTE = {"first": 0, "bits": 16, "red": [0, 65535], "green": [0, 0], "blue": [65535, 0]}
EXTREMES: dict[str, tuple[NDArray[Any], str, dict[str, Any], dict[str, float], str]] = {
    "one row": (np.arange(4096, dtype=np.uint16)[None], "yx", {}, {}, "1–99 %"),
    "one column": (np.arange(4096, dtype=np.uint16)[:, None], "yx", {}, {"y": 0.001, "x": 900.0}, "1–99 %"),
    "one slice, thick": (np.eye(64, dtype=np.int16)[None], "zyx", {}, {"z": 100.0, "y": 0.1, "x": 0.1}, "1–99 %"),
    "two slices, far": (np.stack([np.eye(50)] * 2), "zyx", {}, {"z": 100.0, "y": 0.1, "x": 0.1}, "1–99 %"),
    "one voxel": (np.ones((1, 1), np.uint8), "yx", {}, {}, "1–99 %"),
    "constant": (np.full((5, 6, 7), -3, np.int8), "zyx", {}, {}, "1–99 %"),
    "outside of the window": (ramp((20, 20), (3, 5)), "yx", {"window": [5000.0, 10.0]}, {}, "1–99 %"),
    "window without width": (ramp((20, 20), (3, 5)), "yx", {"window": [50.0, 1.0]}, {}, "1–99 %"),
    "one bit": ((ramp((40, 40), (1, 2)) > 99).astype(np.uint8), "yx", {}, {}, "1–99 %"),
    "nan": (np.where(np.eye(9) > 0, np.nan, 5.0), "yx", {}, {}, "1–99 %"),
    "only nan": (np.full((3, 9, 9), np.nan, np.float32), "zyx", {}, {}, "1–99 %"),
    "infinite": (np.array([[np.inf, -np.inf], [1.0, 2.0]]), "yx", {"window": [1.0, 5.0]}, {}, "window"),
    "all of float64": (np.array([[-1.7e308, 1.7e308]]), "yx", {}, {}, "1–99 %"),
    "all of uint32": (np.array([[0, 2**32 - 1]], np.uint32), "yx", {}, {}, "1–99 %"),
    "huge rescale": (ramp((9, 9), (3, 5)), "yx", {"rescale": [1e308, 1e308]}, {}, "1–99 %"),
    "colour of 16 bits": (np.full((3, 8, 9), 40_000, np.uint16), "cyx", {}, {}, "colour"),
    "palette": (ramp((8, 9), (9, 9)), "yx", {"palette": PALETTE}, {}, "palette"),
    "grey with a palette": (ramp((8, 9), (9, 9)), "yx", {"palette": PALETTE}, {}, "1–99 %"),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_have_a_picture(tmp_path: Path, case: str) -> None:
    values, axes, facts, spacing, shown = EXTREMES[case]
    photometric = "PALETTE COLOR" if case == "palette" else "MONOCHROME2"
    row, pixels, _ = drawn(tmp_path, values, axes, facts, spacing_mm=spacing, bits_stored=16, photometric=photometric)
    assert (row.trouble, row.shown) == ("", shown)
    assert pixels.ndim == (3 if shown in ("colour", "palette") else 2)
    assert len(row.histogram) in (0, 48)


def test_the_window_is_applied_after_the_modality_lut(tmp_path: Path) -> None:
    values = np.repeat(np.arange(64, dtype=np.uint8), 64).reshape(64, 64)  # rising down
    table = {"first": 0, "bits": 16, "values": [1000 - 10 * value for value in range(64)]}
    row, pixels, _ = drawn(tmp_path, values, "yx", {"modality_lut": table, "window": [685.0, 630.0]})
    assert row.shown == "window"
    assert int(pixels[2, 30]) > 230 and int(pixels[-3, 30]) < 25


def test_an_array_without_a_picture_has_a_reason(tmp_path: Path) -> None:
    values = np.zeros((4, 5, 6), np.int16)
    assert drawn(tmp_path, values[:0], "zyx", {})[0].trouble == "no plane to show"
    assert drawn(tmp_path, values, "zyx", {}, exact=False)[0].trouble == "voxels differ"
    assert drawn(tmp_path, values, "zyx", {"affine_lps": "nonsense"})[0].trouble == "cannot be drawn"
