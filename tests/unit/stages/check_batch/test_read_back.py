"""Reading arrays back: every frame is compared, in few reads, whatever the axes; errors of the disk are no verdict."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from pathlib import Path
from typing import Any

import made_up_records
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st

from dicomzarr.arrays import shard_writer
from dicomzarr.records.series_record import FrameRow, VolumeRecord
from dicomzarr.stages.check_batch import read_back, verdicts
from dicomzarr.system.thread_pool import ThreadPool


def written(folder: Path, axes: str, shape: tuple[int, ...], layout: str = "slice") -> VolumeRecord:
    """Write an array of known frames and return its record."""
    size = dict(zip(axes, shape, strict=True))
    grid = shard_writer.chunk_grid(tuple(axes), shape, "<u2", layout)
    planes, frames = [], []
    for t in range(size.get("t", 1)):
        for z in range(size.get("z", 1)):
            plane = (4, 5, 3) if "c" in axes else (4, 5)
            planes.append(np.random.default_rng([t, z]).integers(0, 999, plane, "<u2"))
            digest = blake3(planes[-1].tobytes()).hexdigest()
            frames.append(FrameRow(0, len(frames), t if "t" in axes else None, z if "z" in axes else None, digest))
    shard_writer.write_array(folder / "s/v/0", grid, "<u2", "balanced", planes)
    return made_up_records.volume(array="s/v", axes=axes, shape=shape, dtype="<u2", frame_rows=tuple(frames))


SHAPES = {
    "yx": (4, 5),
    "cyx": (3, 4, 5),
    "zyx": (7, 4, 5),
    "tyx": (7, 4, 5),
    "tzyx": (3, 7, 4, 5),
    "tcyx": (7, 3, 4, 5),
    "tczyx": (2, 3, 7, 4, 5),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("frames_at_once", [1, 3, 1000])
@pytest.mark.parametrize("axes", SHAPES)
def test_every_frame_is_compared(
    tmp_path: Path, axes: str, frames_at_once: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = written(tmp_path, axes, SHAPES[axes])
    frame = 4 * 5 * 2 * (3 if "c" in axes else 1)
    monkeypatch.setattr(read_back, "BLOCK", frames_at_once * frame)
    monkeypatch.setattr(read_back, "FIRST_FRAMES", frames_at_once)
    pool = ThreadPool(threads)
    assert read_back.read_back(tmp_path, record, pool).exact
    runs = [len(run) for run in read_back._blocks(record, 1)]
    assert sum(runs) == len(record.frames) and max(runs) == min(frames_at_once, 7 if axes not in ("yx", "cyx") else 1)
    for number, frame in enumerate(record.frames):
        frames = [*record.frames]
        frames[number] = frame._replace(digest="0" * 64)
        other = dataclasses.replace(record, frame_rows=tuple(frames))
        assert not read_back.read_back(tmp_path, other, pool).exact


def test_bricks_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end where bricks end, at any size of a block, so that no brick but the first is decoded twice."""
    record = written(tmp_path, "tzyx", (2, 70, 4, 5), "brick")
    for block in (1, 40 * 17, 40 * 64, 1 << 22):
        monkeypatch.setattr(read_back, "BLOCK", block)
        assert read_back.read_back(tmp_path, record).exact
        ends = {run[-1].z for run in [*read_back._blocks(record, 16)][1:]}
        assert ends <= {15, 31, 47, 63, 69} and sum(len(run) for run in read_back._blocks(record, 16)) == 140


def test_a_missing_frame_is_a_mismatch(tmp_path: Path) -> None:
    record = written(tmp_path, "zyx", (7, 4, 5))
    frames = (*record.frames, FrameRow(0, 7, None, 7, "0" * 64))
    record = dataclasses.replace(record, frame_rows=frames)
    assert not read_back.read_back(tmp_path, record).exact


@pytest.mark.parametrize("where", ["open", "zarrs"])
def test_a_failure_of_the_disk_is_no_mismatch(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = written(tmp_path, "zyx", (7, 4, 5))
    monkeypatch.setattr(read_back, "FIRST_FRAMES", 2)
    name = {"open": "open_array", "zarrs": "_read"}[where]
    real, calls = getattr(read_back, name), []

    def fail_once(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2 * (where == "zarrs") + (where == "open"):
            raise OSError(errno.EIO, "the disk") if where == "open" else RuntimeError("IO error: the disk")
        return real(*args)

    monkeypatch.setattr(read_back, name, fail_once)
    if where == "open":  # raised: the job fails, and no record says that an intact array is damaged
        with pytest.raises(OSError, match="the disk"):
            read_back.read_back(tmp_path, record)
    assert read_back.read_back(tmp_path, record).exact  # zarrs raises some other error: read again
    shutil.rmtree(tmp_path / "s/v/0/c")
    assert not read_back.read_back(tmp_path, record).exact


def test_infinity_is_written_as_text() -> None:
    volume = made_up_records.volume(dtype="<f4", bits_allocated=32, bits_stored=32, declared_max=None)
    row = verdicts.depth_row(volume, read_back.ReadBack(True, -1.0, float("inf"), float("-inf"), 2.0))
    assert (row.observed_min, row.observed_max, row.unpadded_min) == (-1.0, "inf", "-inf")


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        (("surplus_frames",), "warn"),
        (("trailing_bytes",), "warn"),
        (("contested_place", "gantry_tilt"), "warn"),
        (("incomplete",), "warn"),
        (("surplus_bytes",), "pass"),
        (("series_incomplete", "rounded_positions"), "pass"),
        ((), "pass"),
    ],
)
def test_flags_that_leave_frames_missing_or_uncertain_are_warnings(flags: tuple[str, ...], verdict: str) -> None:
    volume = made_up_records.volume(flags=flags)
    row = verdicts.size_row(volume, {path: claim.size for path, claim in volume.files.items()})
    assert row.verdict == verdict and set(row.flags.split()) == set(flags) & verdicts.SIZE_WARNINGS


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=12),
    st.integers(-25, 25),
    st.none() | st.integers(-25, 25),
    st.sampled_from(["<i2", "<i4", "<f4"]),
    st.booleans(),
)
@example([-2000, -1000, 3], -2000, None, "<i2", False)
def test_the_range_without_padding_is_that_of_the_values_that_remain(
    values: list[int], padding: int, limit: int | None, dtype: str, has_nan: bool
) -> None:
    pixels = np.array([values], dtype)
    if has_nan and dtype == "<f4":
        pixels[0, 0] = np.nan
    low, high = sorted((padding, padding if limit is None else limit))
    expected = read_back._range(pixels[(pixels < low) | (pixels > high)])
    found = read_back._unpadded_range(pixels, read_back._range(pixels), padding, limit)
    assert repr(found) == repr(expected)  # NaN is not equal to itself; 1 is equal to 1.0
