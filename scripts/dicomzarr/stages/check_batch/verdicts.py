"""Verdicts on an array: compare the depth of its values and its size with the record and the headers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dicomzarr.records.check_record import DepthRow, SizeRow
from dicomzarr.records.series_record import VolumeRecord
from dicomzarr.stages.check_batch.read_back import ReadBack


def bits_used(low: float, high: float, *, signed: bool) -> int:
    """Return the number of bits that the stored values need, with the sign bit if they are signed.

    Parameters
    ----------
    low, high : float
        Smallest and largest stored value, integers.
    signed : bool
        Whether the values are signed.

    Returns
    -------
    int
        At least 1.
    """
    if not signed:
        return max(int(high).bit_length(), 1)
    return max((-value - 1 if value < 0 else value).bit_length() for value in (int(low), int(high))) + 1


def _plain(value: float) -> float | str:
    """Return a number for JSON; infinity, which JSON has no number for, as text."""
    return str(value) if math.isinf(value) else value


def depth_row(volume: VolumeRecord, values: ReadBack) -> DepthRow:
    """Return the row of `depth.csv` of a volume."""
    is_integer = np.dtype(volume.dtype).kind in "iu"
    flags = []
    is_empty = math.isnan(values.low)
    bits = bits_used(values.low, values.high, signed=volume.signed) if is_integer and not is_empty else None
    if bits is not None and bits > volume.bits_stored:
        flags.append("outside_bits_stored")
    low, high = volume.declared_min, volume.declared_max
    if low is not None and high is not None and not is_empty and (values.low < low or values.high > high):
        flags.append("outside_declared_range")
    if not is_empty and values.low == values.high:
        flags.append("constant")
    failed = not values.exact or "outside_bits_stored" in flags
    return DepthRow(
        array=volume.array,
        dtype=np.dtype(volume.dtype).name,
        bits_allocated=volume.bits_allocated,
        bits_stored=volume.bits_stored,
        signed="true" if volume.signed else "false",
        photometric=volume.photometric,
        declared_min=low,
        declared_max=high,
        observed_min=None if is_empty else _plain(values.low),
        observed_max=None if is_empty else _plain(values.high),
        bits_used=bits,
        padding_value=volume.padding_value,
        unpadded_min=None if math.isnan(values.unpadded_low) else _plain(values.unpadded_low),
        unpadded_max=None if math.isnan(values.unpadded_high) else _plain(values.unpadded_high),
        read_back="exact" if values.exact else "mismatch",
        verdict="fail" if failed else "warn" if "outside_declared_range" in flags else "pass",
        flags=" ".join(flags),
    )


# Flags of a volume that a person should check: frames are missing, or their place is uncertain.
SIZE_WARNINGS = frozenset(
    {
        *("incomplete", "gap", "uneven_spacing", "incomplete_grid", "ambiguous_stack", "contested_place"),
        *("surplus_frames", "trailing_bytes", "stack_divided", "in_plane_positions"),
    }
)


def size_row(volume: VolumeRecord, files_on_disk: Mapping[str, int]) -> SizeRow:
    """Return the row of `size.csv` of a volume.

    Parameters
    ----------
    volume : VolumeRecord
    files_on_disk : mapping of str to int
        Size in bytes of each file of the image on disk, by path below its folder.

    Returns
    -------
    SizeRow
    """
    shape = dict(zip(volume.axes, volume.shape, strict=True))
    expected = math.prod(volume.shape) * np.dtype(volume.dtype).itemsize
    stored = sum(files_on_disk.values())
    places = shape.get("t", 1) * shape.get("z", 1)
    flags = sorted(SIZE_WARNINGS & set(volume.flags))
    files_differ = {path: claim.size for path, claim in volume.files.items()} != dict(files_on_disk)
    files_differ = files_differ or len(volume.frame_rows) != places
    return SizeRow(
        array=volume.array,
        frames_expected=volume.frames_expected,
        frames_written=len(volume.frame_rows),
        rows=shape["y"],
        columns=shape["x"],
        expected_bytes=expected,
        source_bytes=volume.source_bytes,
        stored_bytes=stored,
        ratio=round(expected / stored, 4) if stored else None,
        files=len(files_on_disk),
        missing_slices=volume.missing_slices,
        verdict="fail" if files_differ else "warn" if flags else "pass",
        flags=" ".join([*flags, *(["files_differ"] if files_differ else [])]),
    )
