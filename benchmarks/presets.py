"""Compare each `compression` and `layout`: ratio, writing, reading, random slices, random patches of 64³ and 96³.

    PYTHONPATH=.:scripts python benchmarks/presets.py [--slices 128] [--rounds 3] [--only LAYOUT ...]

Writes one CT volume of 512 x 512 slices, each with noise of its own, with the workflow's writer in one thread, and
reads it with `dicomzarr.dataset`, from the page cache. Bricks of other shapes than the workflow's are compared in
`balanced`. Each round does all of them in turn. Compares all voxels, once with zarr-python. Prints the table of
docs/scaling.md.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from benchmarks.reading_formats import made_up

from dicomzarr.arrays import shard_writer
from dicomzarr.dataset import Volume

DRAWS = {1: 20, 64: 40, 96: 20}  # random boxes of a round, by their edge along z
OWN = shard_writer.BRICK
BRICKS = {
    "brick": OWN,
    "brick of 32 × 32 × 32": dict.fromkeys("zyx", 32),
    "brick of 16 × 64 × 64": {"z": 16, "y": 64, "x": 64},
    "brick of 64 × 64 × 64": dict.fromkeys("zyx", 64),
}
SLOW = "small"  # to write: one round only


def write(folder: Path, volume: np.ndarray, compression: str, layout: str) -> int:
    """Write an array with the metadata that the reader needs; return the bytes of the array."""
    shard_writer.BRICK = BRICKS.get(layout, OWN)
    grid = shard_writer.chunk_grid(("z", "y", "x"), volume.shape, "<i2", layout.partition(" ")[0])
    written = shard_writer.write_array(folder / "0", grid, "<i2", compression, volume)
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"dicomzarr": {}}}
    (folder / "zarr.json").write_text(json.dumps(group))
    return sum(size for size, _ in written.values())


def box_ms(opened: Volume, volume: np.ndarray, size: tuple[int, int, int], generator: np.random.Generator) -> float:
    """Return the mean CPU milliseconds to read a random box of the given size."""
    total, draws = 0.0, DRAWS[size[0]]
    for _ in range(draws):
        start = [int(generator.integers(0, n - s + 1)) for n, s in zip(volume.shape, size, strict=True)]
        box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
        before = time.process_time()
        voxels = opened.read(box)
        total += time.process_time() - before
        assert np.array_equal(voxels, volume[box])
    return 1000 * total / draws


def measured(volume: np.ndarray, compression: str, layout: str, turn: int) -> tuple[float, ...]:
    """Return the figures of a row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder, generator = Path(name), np.random.default_rng(turn)
        start = time.process_time()
        size = write(folder, volume, compression, layout)
        write_seconds = time.process_time() - start
        if turn == 0:
            array: Any = zarr.open_array(str(folder / "0"), mode="r")
            assert np.array_equal(array[:], volume)
        opened = Volume(folder)
        assert np.array_equal(opened.read(), volume)
        start = time.process_time()
        opened.read()
        read_seconds = time.process_time() - start
        sizes = ((1, *volume.shape[1:]), (64, 64, 64), (96, 96, 96))
        boxes = [box_ms(opened, volume, each, generator) for each in sizes]
        speeds = (volume.nbytes / write_seconds / 1e6, volume.nbytes / read_seconds / 1e6)
        return (volume.nbytes / size, *speeds, *boxes)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=128, help="97 or more, for patches of 96 at random places")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="LAYOUT", help="slice, brick, … as in the table; all if none")
    options = parser.parse_args()
    volume = made_up(0, (options.slices, 512, 512))
    every = [
        *itertools.product(shard_writer.PRESETS, ("slice", "brick")),
        *(("balanced", layout) for layout in BRICKS if layout != "brick"),
    ]
    ways = [way for way in every if not options.only or way[1] in options.only]
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {way: [] for way in ways}
    for turn in range(options.rounds):
        for way in ways:
            if turn == 0 or way[0] != SLOW:
                rows[way].append(measured(volume, *way, turn))
    print("| compression | layout | ratio | write, MB/s | read, MB/s | slice, ms | patch 64³, ms | patch 96³, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for (compression, layout), found in rows.items():
        ratio, write_speed, read_speed, slice_ms, *patches_ms = map(statistics.median, zip(*found, strict=True))
        print(
            f"| {compression} | {layout} | {ratio:.2f} | {write_speed:,.0f} | {read_speed:,.0f} | {slice_ms:.1f} | "
            f"{' | '.join(f'{each:.1f}' for each in patches_ms)} |"
        )


if __name__ == "__main__":
    main()
