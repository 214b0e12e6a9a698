"""Read every voxel back through zarr-python and zarrs, and judge depth and size; shares no code with the writer."""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.arrays.zarr_reader import StoredArray, open_array
from dicomzarr.system import digested_json, files, flush
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import Results
from dicomzarr.system.thread_pool import SERIAL, ThreadPool

log = logging.getLogger("dicomzarr")

RULE = "check_batch"
GROUP_SERIES = 256  # records that become durable together: what a crash may cost


@dataclass(slots=True)
class CheckResult:
    """The verdicts of a batch: one depth row and one size row an array, in the order of the arrays."""

    counts: dict[str, int]
    depth: list[dict[str, Any]] = field(default_factory=list)
    size: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, list[Any]] = field(default_factory=dict)


def bits_used(low: float, high: float, *, signed: bool) -> int:
    """Return how many bits the stored values need: sign included where they are signed.

    Parameters
    ----------
    low, high : float
        Smallest and largest stored value, whole numbers.
    signed : bool
    """
    if not signed:
        return max(int(high).bit_length(), 1)
    return max(int(high).bit_length(), (-int(low) - 1).bit_length() if low < 0 else 0) + 1


@dataclass(slots=True)
class ReadBack:
    """What reading an array back found.

    Attributes
    ----------
    exact : bool
        Every frame has the digest it had when it was decoded.
    low, high : float
        Smallest and largest stored value, NaN left out; NaN where there is no other.
    unpadded_low, unpadded_high : float
        The same without pixel padding (PS3.3 C.7.5.1.1.2).
    """

    exact: bool
    low: float
    high: float
    unpadded_low: float
    unpadded_high: float


BLOCK = 4 << 20  # bytes read at once
OPENING = 2  # frames that zarr-python reads by itself, at half a millisecond each


def _blocks(volume: Mapping[str, Any]) -> Iterator[list[list[Any]]]:
    """Yield the frames of a volume in runs that lie behind each other on its fastest frame axis, a short one first.

    Each read of a shard begins with its index, which has an entry a frame: to read frame by frame would cost the
    square of their number.
    """
    shape = dict(zip(volume["axes"], volume["shape"], strict=True))
    frame = math.prod(size for axis, size in shape.items() if axis in "cyx") * np.dtype(volume["dtype"]).itemsize
    full = max(1, BLOCK // max(frame, 1))
    most = min(OPENING, full)
    run: list[list[Any]] = []
    for said in volume["frames"]:
        _, _, t, z, _ = said
        follows = run and ((t, z) == (run[-1][2], (run[-1][3] or 0) + 1) if z is not None else t == run[-1][2] + 1)
        if run and (not follows or len(run) == most):
            yield run
            run, most = [], full
        run.append(said)
    if run:
        yield run


def _read(array: StoredArray, axes: str, run: list[list[Any]]) -> NDArray[Any]:
    """Return the frames of a run as they were decoded, each (rows, columns) or (rows, columns, samples)."""
    t, z = run[0][2], run[0][3]
    place = {"t": t, "z": z}
    fastest = "z" if z is not None else "t"
    if place[fastest] is not None:
        place[fastest] = slice(place[fastest], place[fastest] + len(run))
    block = array[tuple(place[axis] if axis in place else slice(None) for axis in axes)]
    left = [axis for axis in axes if axis in "cyx" or axis == fastest]
    planes = np.moveaxis(block, left.index(fastest), 0) if fastest in left else block[np.newaxis]
    return np.moveaxis(planes, 1, -1) if "c" in axes else planes


def _range(pixels: NDArray[Any]) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        finite = pixels[~np.isnan(pixels)]
        return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
    return (int(pixels.min()), int(pixels.max())) if pixels.size else (math.nan, math.nan)


def _without_padding(pixels: NDArray[Any], facts: Mapping[str, Any]) -> NDArray[Any]:
    """Return the pixels that are no padding; the padding is one value, or the range up to its limit."""
    value = facts["padding_value"]
    low, high = sorted((value, facts.get("padding_range_limit", value)))
    return np.asarray(pixels[(pixels < low) | (pixels > high)])


def _extremes(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    seen = [found for found in ranges if not math.isnan(found[0])]
    return min((low for low, _ in seen), default=math.nan), max((high for _, high in seen), default=math.nan)


@dataclass(slots=True)
class _Seen:
    """What a run of frames holds: whether each has its digest, and the range with and without padding."""

    exact: bool
    range: tuple[float, float]
    unpadded: tuple[float, float] = (math.nan, math.nan)


def _compare(array: StoredArray, volume: Mapping[str, Any], run: list[list[Any]]) -> _Seen:
    frames = _read(array, volume["axes"], run)
    digests = [blake3(np.ascontiguousarray(frame).data.cast("B")).hexdigest() for frame in frames]
    seen = _Seen(digests == [said[4] for said in run], _range(frames))
    if "padding_value" in volume["facts"]:
        seen.unpadded = _range(_without_padding(frames, volume["facts"]))
    return seen


def read_back(images: Path, volume: Mapping[str, Any], pool: ThreadPool = SERIAL) -> ReadBack:
    """Open an array with zarr-python and compare every frame with the digest taken at decoding.

    The first frames are read by zarr-python alone, as most users will. The rest of a larger array goes through zarrs,
    a second implementation that shares neither code nor codec library with the writer.

    Parameters
    ----------
    images : Path
        The Zarr group of all images.
    volume : mapping
        The record of the volume: array, axes, shape, dtype, frames as [source, number, t, z, digest].
    pool : ThreadPool
        Reads and compares.

    Raises
    ------
    OSError
        If the disk does not give a file that is there: that says nothing of the array, and the next run reads it.
    """
    kind = ""
    for _ in range(2):  # zarrs does not tell an error of the disk from a damaged chunk; zarr-python, asked first, does
        try:
            return _read_back(images / volume["array"] / "0", volume, pool)
        except Exception as error:  # its text may quote a path
            if isinstance(error, OSError) and files.is_of_the_disk(error):
                log.error("array %s: the disk does not give it; if it stays so, ./run verify --repair", volume["array"])
                raise
            kind = type(error).__name__
    log.error("array %s cannot be read back: %s", volume["array"], kind)
    return ReadBack(False, math.nan, math.nan, math.nan, math.nan)


def _read_back(path: Path, volume: Mapping[str, Any], pool: ThreadPool) -> ReadBack:
    """Read an array and compare; raises whatever zarr does where it cannot read it."""
    runs, array = _blocks(volume), open_array(path)
    exact = list(array.shape) == volume["shape"] and array.dtype == np.dtype(volume["dtype"])
    seen = [_compare(array, volume, run) for run in itertools.islice(runs, 1)]
    second = next(runs, None)
    if second:
        faster = array.through_zarrs()
        rest = itertools.chain([second], runs)
        seen += pool.map(lambda run: _compare(faster, volume, run), rest, BLOCK)
    exact &= all(one.exact for one in seen)
    whole = _extremes([one.range for one in seen])
    unpadded = _extremes([one.unpadded for one in seen]) if "padding_value" in volume["facts"] else whole
    return ReadBack(exact, *whole, *unpadded)


def _plain(value: float) -> float | str:
    """Return a number as JSON can hold it: infinity, which float pixels may have, as the word."""
    return str(value) if math.isinf(value) else value


def depth_row(volume: Mapping[str, Any], found: ReadBack) -> dict[str, Any]:
    """Return the row of `depth.csv` of a volume."""
    facts, signed = volume["facts"], volume["signed"]
    whole = np.dtype(volume["dtype"]).kind in "iu"
    flags = []
    empty = math.isnan(found.low)
    bits = bits_used(found.low, found.high, signed=signed) if whole and not empty else None
    declared = (volume["declared_min"], volume["declared_max"])
    if bits is not None and bits > facts["bits_stored"]:
        flags.append("outside_bits_stored")
    if None not in declared and not empty and (found.low < declared[0] or found.high > declared[1]):
        flags.append("outside_declared_range")
    if not empty and found.low == found.high:
        flags.append("constant")
    failed = not found.exact or "outside_bits_stored" in flags
    return {
        "array": volume["array"],
        "dtype": np.dtype(volume["dtype"]).name,
        "bits_allocated": facts["bits_allocated"],
        "bits_stored": facts["bits_stored"],
        "signed": "true" if signed else "false",
        "photometric": facts["photometric"],
        "declared_min": declared[0],
        "declared_max": declared[1],
        "observed_min": None if empty else _plain(found.low),
        "observed_max": None if empty else _plain(found.high),
        "bits_used": bits,
        "padding_value": facts.get("padding_value"),
        "unpadded_min": None if math.isnan(found.unpadded_low) else _plain(found.unpadded_low),
        "unpadded_max": None if math.isnan(found.unpadded_high) else _plain(found.unpadded_high),
        "read_back": "exact" if found.exact else "mismatch",
        "verdict": "fail" if failed else "warn" if "outside_declared_range" in flags else "pass",
        "flags": " ".join(flags),
    }


# Flags of a volume that ask a person to look: something of the series is missing or not placed with certainty.
SIZE_WARNINGS = frozenset({"incomplete", "gap", "uneven_spacing", "incomplete_grid", "ambiguous_stack"})


def size_row(volume: Mapping[str, Any], files_on_disk: Mapping[str, int]) -> dict[str, Any]:
    """Return the row of `size.csv` of a volume.

    Parameters
    ----------
    volume : mapping
        Its record.
    files_on_disk : mapping of str to int
        Size of each file found below its folder.
    """
    shape = dict(zip(volume["axes"], volume["shape"], strict=True))
    expected = math.prod(volume["shape"]) * np.dtype(volume["dtype"]).itemsize
    stored = sum(files_on_disk.values())
    places = shape.get("t", 1) * shape.get("z", 1)
    flags = sorted(SIZE_WARNINGS & set(volume["flags"]))
    wrong = {path: said[0] for path, said in volume["files"].items()} != dict(files_on_disk)
    wrong = wrong or len(volume["frames"]) != places
    return {
        "array": volume["array"],
        "frames_expected": volume["frames_expected"],
        "frames_written": len(volume["frames"]),
        "rows": shape["y"],
        "columns": shape["x"],
        "expected_bytes": expected,
        "source_bytes": volume["source_bytes"],
        "stored_bytes": stored,
        "ratio": round(expected / stored, 4) if stored else None,
        "files": len(files_on_disk),
        "missing_slices": volume["missing_slices"],
        "verdict": "fail" if wrong else "warn" if flags else "pass",
        "flags": " ".join([*flags, *(["files_differ"] if wrong else [])]),
    }


def _on_disk(folder: Path) -> dict[str, list[int]]:
    """Return ``{path: [size, mtime_ns, inode]}`` of the files below an image."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(base, name))
            relative = os.path.relpath(os.path.join(base, name), folder)
            found[relative] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return found


def _check_series(
    results: Results, record: Mapping[str, Any], code: str, records: flush.Staged, pool: ThreadPool
) -> tuple[dict[str, Any], bool]:
    """Return the rows of a series, kept from before where neither its files nor the code changed, and whether kept."""
    path = results.series_record(RULE, record["series_id"])
    disk = {volume["array"]: _on_disk(results.images / volume["array"]) for volume in record["volumes"]}
    key = {"code": code, "fingerprint": record["fingerprint"], "disk": disk}
    try:
        kept = digested_json.read_record(path)
        if kept["key"] == key:
            return kept, True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    depth, size = [], []
    for volume in record["volumes"]:
        depth.append(depth_row(volume, read_back(results.images, volume, pool)))
        size.append(size_row(volume, {name: said[0] for name, said in disk[volume["array"]].items()}))
    made = {"key": key, "depth": depth, "size": size}
    records.add(path, digested_json.record_json(made))
    return made, False


def check_batch(results: Results, record: Path, code: str, threads: int = 1) -> CheckResult:
    """Read back the arrays of a batch and return one depth and one size verdict for each.

    Parameters
    ----------
    results : Results
    record : Path
        The record of the batch's extraction.
    code : str
        Digest of this rule's code.
    threads : int
        That share the frames of an array.

    Returns
    -------
    CheckResult
    """
    extracted = digested_json.read_record(record)
    outcome = CheckResult({"arrays": 0, "read": 0, "mismatches": 0})
    disk = flush.Disk(results.records)
    records, pool = flush.Staged(disk), ThreadPool(threads)
    progress = Progress(results.private, f"{RULE}.{record.stem}")
    try:
        for series_id in sorted(extracted["series"]):
            series = digested_json.read_record(results.series_record("extract_batch", series_id))
            rows, kept = _check_series(results, series, code, records, pool)
            outcome.depth += rows["depth"]
            outcome.size += rows["size"]
            outcome.counts["read"] += 0 if kept else len(rows["depth"])
            progress.add(1, sum(file["stat"][0] for file in series["files"]))
            if len(records) >= GROUP_SERIES:
                records.publish()
        records.publish()
        progress.note()
    finally:
        records.abandon()
        disk.close()
    for series_id in extracted["series"]:
        path = results.series_record(RULE, series_id)
        outcome.claims[os.path.relpath(path, results.root)] = [path.stat().st_size, ""]
    outcome.counts["arrays"] = len(outcome.depth)
    outcome.counts["mismatches"] = sum(row["read_back"] != "exact" for row in outcome.depth)
    log.info("arrays %(arrays)d, read %(read)d, mismatches %(mismatches)d", outcome.counts)
    return outcome
