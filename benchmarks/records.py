"""How long it takes to load the records of series, as typed records and as plain JSON.

    PYTHONPATH=scripts python benchmarks/records.py [--records 100000] [--volumes 3] [--frames 30]

Each record is written once and loaded again and again from memory's copy of the disk, one core. `json` checks the
digest and parses; `typed` is `SeriesRecord.load`.
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
    """Return the record of a series of so many volumes of so many slices, a file a slice."""
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
    """Return the processor time of loading a record so often."""
    began = time.process_time()
    for _ in range(records):
        load(path)
    return time.process_time() - began


def main() -> None:
    """Load in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--volumes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=30)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_bytes(made_up(wanted.volumes, wanted.frames).to_bytes().data)
        print(f"{wanted.volumes} volumes of {wanted.frames} frames, {path.stat().st_size} bytes a record")
        loaders: dict[str, Callable[[Path], object]] = {"json": digested_json.read_record, "typed": SeriesRecord.load}
        taken: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(ROUNDS):
            for name, load in loaders.items():
                taken[name].append(seconds(load, path, wanted.records // ROUNDS))
        for name, times in taken.items():
            each = statistics.median(times) / (wanted.records // ROUNDS)
            print(f"{name:<6} {each * 1e6:7.1f} us a record, {each * wanted.records:6.1f} s for {wanted.records}")


if __name__ == "__main__":
    main()
