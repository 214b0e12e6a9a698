"""Measure the time to load records of series, as typed records and as plain JSON.

    PYTHONPATH=scripts python benchmarks/records.py [--records 100000] [--volumes 3] [--frames 30]

One record is loaded repeatedly from the page cache, on one core. `json` checks the digest and parses; `typed` is
`SeriesRecord.load`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import FileOutcome, FrameRow, SeriesRecord, VolumeRecord
from dicomzarr.system import digested_json

DIGEST = "0123456789abcdef" * 4
ROUNDS = 7


def made_up(volumes: int, frames: int) -> SeriesRecord:
    """Return the record of a series of `volumes` volumes of `frames` slices, one file per slice."""
    files = tuple(
        FileOutcome(
            f"hospital/patient 000001/series 0001/slice{number:05d}.dcm",
            (524_288, 1_700_000_000_000_000_000 + number, 1_700_000_000_000_000_000, 1_000_000 + number),
            DIGEST, "extracted", "", "", None, None,
        )
        for number in range(volumes * frames)
    )  # fmt: skip
    arrays = tuple(
        VolumeRecord(
            array=f"0123456789abcdef/{number:08x}", kind="volume", why="same_orientation", axes="zyx",
            shape=(frames, 512, 512), dtype="<i2", signed=True, spacing_mm={"z": 2.5, "y": 0.488281, "x": 0.488281},
            missing_slices=0, flags=(), frames_expected=frames, declared_min=None, declared_max=None,
            source_bytes=frames * 524_288, stored_bytes=frames * 262_144, pixel_digest=DIGEST, modality="CT",
            photometric="MONOCHROME2", bits_allocated=16, bits_stored=12, padding_value=-2000,
            padding_range_limit=None, cross_checks={"agreed": 1},
            files={name: FileClaim(1000, DIGEST) for name in ("0/c/0/0/0", "0/zarr.json", "zarr.json")},
            frame_rows=tuple(FrameRow(number * frames + z, 0, None, z, DIGEST) for z in range(frames)),
        )
        for number in range(volumes)
    )  # fmt: skip
    options = {
        "burned_in": "keep", "code": DIGEST, "compression": "balanced", "cross_check": 0.01, "layout": "slice",
        "software": [f"package {number}.0" for number in range(12)], "tolerance": 0.001,
    }  # fmt: skip
    ids = ("0123456789abcdef", "123456789abcdef0", "23456789abcdef01")
    return SeriesRecord(*ids, (), options, DIGEST, files, arrays, None, DIGEST)


def seconds(load: Callable[[Path], object], path: Path, records: int) -> float:
    """Return the CPU seconds to load a record `records` times."""
    began = time.process_time()
    for _ in range(records):
        load(path)
    return time.process_time() - began


def main() -> None:
    """Measure both loaders in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--volumes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_bytes(made_up(options.volumes, options.frames).to_bytes().data)
        print(f"{options.volumes} volumes of {options.frames} frames, {path.stat().st_size} bytes per record")
        loaders: dict[str, Callable[[Path], object]] = {"json": digested_json.read_record, "typed": SeriesRecord.load}
        measured: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(ROUNDS):
            for name, load in loaders.items():
                measured[name].append(seconds(load, path, options.records // ROUNDS))
        for name, times in measured.items():
            per_record = statistics.median(times) / (options.records // ROUNDS)
            total = per_record * options.records
            print(f"{name:<6} {per_record * 1e6:7.1f} us per record, {total:6.1f} s for {options.records}")


if __name__ == "__main__":
    main()
