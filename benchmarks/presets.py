"""Compare each `compression` and `layout`: ratio, writing, reading, random slices, random patches of 96 x 96 x 96.

    PYTHONPATH=.:scripts python benchmarks/presets.py [--slices 128] [--rounds 3]

Writes one CT volume of 512 x 512 slices with the workflow's writer in one thread, and reads it with zarr-python, from
the page cache. Compares all voxels. Prints the table of docs/scaling.md.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from benchmarks.bench.corpora import body

from dicomzarr.arrays import shard_writer

PATCH = 96
DRAWS = 20


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def write(folder: Path, volume: np.ndarray, compression: str, layout: str) -> int:
    grid = shard_writer.chunk_grid(("z", "y", "x"), volume.shape, "<i2", layout)
    return sum(size for size, _ in shard_writer.write_array(folder, grid, "<i2", compression, volume).values())


def box_ms(array: Any, volume: np.ndarray, size: tuple[int, int, int], generator: np.random.Generator) -> float:
    """Return the mean CPU milliseconds to read a random box of the given size."""
    total = 0.0
    for _ in range(DRAWS):
        start = [int(generator.integers(0, n - s + 1)) for n, s in zip(volume.shape, size, strict=True)]
        box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
        before = time.process_time()
        voxels = array[box]
        total += time.process_time() - before
        assert np.array_equal(voxels, volume[box])
    return 1000 * total / DRAWS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    volume = np.stack(list(itertools.islice(body(512), options.slices)))
    print("| compression | layout | ratio | write, MB/s | read, MB/s | random slice, ms | random 96³ patch, ms |")
    print("|---|---|---|---|---|---|---|")
    for compression, layout in itertools.product(shard_writer.PRESETS, ("slice", "brick")):
        rows: list[tuple[float, ...]] = []
        for turn in range(options.rounds if compression != "small" else 1):
            with tempfile.TemporaryDirectory() as folder:
                path, generator = Path(folder) / "0", np.random.default_rng(turn)
                start = time.process_time()
                size = write(path, volume, compression, layout)
                write_seconds = time.process_time() - start
                array: Any = zarr.open_array(str(path), mode="r")
                assert np.array_equal(array[:], volume)  # also lets zarr import its codecs
                read_seconds = seconds(lambda array=array: array[:])
                slice_ms = box_ms(array, volume, (1, *volume.shape[1:]), generator)
                patch_ms = box_ms(array, volume, (PATCH, PATCH, PATCH), generator)
                speeds = (volume.nbytes / write_seconds / 1e6, volume.nbytes / read_seconds / 1e6)
                rows.append((volume.nbytes / size, *speeds, slice_ms, patch_ms))
        ratio, write_speed, read_speed, slice_ms, patch_ms = map(statistics.median, zip(*rows, strict=True))
        print(
            f"| {compression} | {layout} | {ratio:.2f} | {write_speed:,.0f} | {read_speed:,.0f} | "
            f"{slice_ms:.1f} | {patch_ms:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
