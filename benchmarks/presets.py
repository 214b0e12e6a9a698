"""What each `compression` and `layout` costs: ratio, writing, reading, a random slice, a random patch of 96 x 96 x 96.

    PYTHONPATH=.:scripts python benchmarks/presets.py [--slices 128] [--rounds 3]

Writes one CT volume of 512 x 512 slices with the workflow's writer and reads it with zarr-python, on a warm cache and
by one thread of ours. Prints the table of docs/scaling.md. Every value that is read is compared.
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


def draw(array: Any, volume: np.ndarray, size: tuple[int, int, int], generator: np.random.Generator) -> float:
    """Return CPU milliseconds for a random box, the mean of several."""
    total = 0.0
    for _ in range(DRAWS):
        start = [int(generator.integers(0, n - s + 1)) for n, s in zip(volume.shape, size, strict=True)]
        box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
        before = time.process_time()
        found = array[box]
        total += time.process_time() - before
        assert np.array_equal(found, volume[box])
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
        found: list[tuple[float, ...]] = []
        for turn in range(options.rounds if compression != "small" else 1):
            with tempfile.TemporaryDirectory() as folder:
                place, generator = Path(folder) / "0", np.random.default_rng(turn)
                start = time.process_time()
                size = write(place, volume, compression, layout)
                wrote = time.process_time() - start
                array: Any = zarr.open_array(str(place), mode="r")
                assert np.array_equal(array[:], volume)  # and zarr has imported what it needs
                read = seconds(lambda array=array: array[:])
                one = draw(array, volume, (1, *volume.shape[1:]), generator)
                patch = draw(array, volume, (PATCH, PATCH, PATCH), generator)
                found.append(
                    (volume.nbytes / size, volume.nbytes / wrote / 1e6, volume.nbytes / read / 1e6, one, patch)
                )
        ratio, wrote, read, one, patch = (statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"| {compression} | {layout} | {ratio:.2f} | {wrote:,.0f} | {read:,.0f} | {one:.1f} | {patch:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
