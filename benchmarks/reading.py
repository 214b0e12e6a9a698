"""Compare reading for training: random slices, random patches of 96³, whole volumes, with 0, 2 and 4 workers.

The same made-up CT volumes in every format: `dicomzarr.dataset` and zarr-python on both layouts, pydicom on the
original files, `.npy` (memory-mapped) and `.nii.gz`. Workers return a checksum, not the voxels, since frameworks
transfer samples to the training process in different ways. All checksums must be equal.

Usage: python benchmarks/reading.py [--preset small|full] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.arrays import shard_writer
from dicomzarr.dataset import Volume

PRESETS = {  # volumes, their shape, and samples of each kind per round
    "small": {"volumes": 2, "shape": (96, 128, 128), "counts": {"slice": 60, "patch": 8, "volume": 4}, "rounds": 1},
    "full": {"volumes": 2, "shape": (112, 512, 512), "counts": {"slice": 32, "patch": 6, "volume": 2}, "rounds": 3},
}
PATCH = 96
NIFTI_HEADER = 352  # bytes
Region = tuple[slice, ...]


# ---- The same voxels in every format


def made_up(number: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a CT-like volume: a body with organs and noise."""
    random = np.random.default_rng(number)
    z, y, x = np.ix_(*(np.linspace(-1, 1, n) for n in shape))
    volume = np.where(y**2 / 0.5 + x**2 / 0.8 < 1, 40.0, -1000.0) + 0 * z
    for _ in range(12):
        centre, radius = random.uniform(-0.6, 0.6, 3), random.uniform(0.05, 0.3)
        inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
        volume[inside] = random.uniform(-800, 1000)
    return np.rint(volume + random.normal(0, 12, shape)).astype("<i2")


def write_dicom(folder: Path, voxels: np.ndarray) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True)
    for z, plane in enumerate(voxels):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=[str(folder), str(z)])
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelData = plane.tobytes()
        dataset.save_as(folder / f"{z:04}.dcm", enforce_file_format=True)


def write_zarr(folder: Path, voxels: np.ndarray, layout: str) -> None:
    folder.mkdir(parents=True)
    grid = shard_writer.chunk_grid("zyx", voxels.shape, "<i2", layout)
    shard_writer.write_array(folder / "0", grid, "<i2", "balanced", voxels)
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"dicomzarr": {}}}
    (folder / "zarr.json").write_text(json.dumps(group))


def write_formats(folder: Path, number: int, voxels: np.ndarray) -> None:
    """Write one volume in every format."""
    write_dicom(folder / "dicom" / str(number), voxels)
    for layout in ("slice", "brick"):
        write_zarr(folder / layout / str(number), voxels, layout)
    np.save(folder / f"{number}.npy", voxels)
    with gzip.open(folder / f"{number}.nii.gz", "wb", compresslevel=6) as stream:  # as dcm2niix writes it
        stream.write(bytes(NIFTI_HEADER) + voxels.tobytes())


# ---- Readers: (folder, number of the volume, its shape, region) -> voxels

_open: dict[Path, Volume] = {}


def by_dicomzarr(layout: str) -> Callable[..., np.ndarray]:
    def read(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
        path = folder / layout / str(number)
        if path not in _open:
            _open[path] = Volume(path)
        return _open[path].read(region)

    return read


def by_zarr(layout: str) -> Callable[..., np.ndarray]:
    def read(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
        import zarr

        return zarr.open_array(str(folder / layout / str(number) / "0"), mode="r")[region]

    return read


def by_pydicom(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
    from pydicom import dcmread

    files = [folder / "dicom" / str(number) / f"{z:04}.dcm" for z in range(shape[0])][region[0]]
    return np.stack([dcmread(path).pixel_array[region[1:]] for path in files])


def by_npy(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
    return np.array(np.load(folder / f"{number}.npy", mmap_mode="r")[region])


def by_nifti(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
    frame = 2 * shape[1] * shape[2]
    with gzip.open(folder / f"{number}.nii.gz") as stream:
        stream.seek(NIFTI_HEADER + region[0].start * frame)
        data = stream.read((region[0].stop - region[0].start) * frame)
    return np.frombuffer(data, "<i2").reshape(-1, *shape[1:])[:, *region[1:]]


PYDICOM = "pydicom, original files"
READERS: dict[str, Callable[..., np.ndarray]] = {
    "dicomzarr, slice": by_dicomzarr("slice"),
    "dicomzarr, brick": by_dicomzarr("brick"),
    "zarr-python, slice": by_zarr("slice"),
    "zarr-python, brick": by_zarr("brick"),
    PYDICOM: by_pydicom,
    ".npy": by_npy,
    ".nii.gz": by_nifti,
}


# ---- Measuring


def regions(kind: str, count: int, volumes: int, shape: tuple[int, int, int]) -> list[tuple[int, Region]]:
    """Return the samples of a round: number of the volume and region."""
    random = np.random.default_rng(len(kind))
    size = {"slice": (1, *shape[1:]), "patch": (PATCH,) * 3, "volume": shape}[kind]
    samples = []
    for i in range(count):
        start = [int(random.integers(n - edge + 1)) for n, edge in zip(shape, size, strict=True)]
        samples.append((i % volumes, tuple(slice(at, at + edge) for at, edge in zip(start, size, strict=True))))
    return samples


def read_sample(task: tuple[str, Path, Any, tuple[int, Region]]) -> tuple[int, float]:
    """Read a sample; return the sum of its voxels, and the CPU seconds of all threads of this process."""
    reader, folder, shape, (number, region) = task
    start = time.process_time()
    total = int(READERS[reader](folder, number, shape, region).sum(dtype=np.int64))
    return total, time.process_time() - start


def measure(folder: Path, shape: Any, samples: list[Any], workers: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return samples per second and CPU milliseconds per sample of each reader, medians of the rounds.

    Readers take turns. The first round is not counted: workers start and import, and caches fill.
    """
    seconds: dict[str, list[tuple[float, float]]] = {reader: [] for reader in READERS}
    sums = set()
    _open.clear()
    pool = multiprocessing.get_context("spawn").Pool(workers) if workers else None
    try:
        for number in range(rounds + 1):
            for reader in READERS:
                tasks = [(reader, folder, shape, sample) for sample in samples]
                start = time.perf_counter()
                answers = pool.map(read_sample, tasks, chunksize=1) if pool else list(map(read_sample, tasks))
                if number:
                    seconds[reader].append((time.perf_counter() - start, sum(cpu for _, cpu in answers)))
                sums.add(tuple(total for total, _ in answers))
    finally:
        if pool:
            pool.close()
            pool.join()
    assert len(sums) == 1, "two readers returned different voxels"
    medians = {reader: [*map(statistics.median, zip(*times, strict=True))] for reader, times in seconds.items()}
    return {reader: (len(samples) / wall, 1000 * cpu / len(samples)) for reader, (wall, cpu) in medians.items()}


def main() -> None:
    """Measure; print the rate and CPU time of each reader, and their ratio to pydicom in the same run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, help="counted rounds, instead of the preset's")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    preset: dict[str, Any] = PRESETS[args.preset]
    shape, rows = preset["shape"], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(preset["volumes"]):
            write_formats(folder, number, made_up(number, shape))
        for workers in (0, 2, 4):
            for kind, count in preset["counts"].items():
                samples = regions(kind, count, preset["volumes"], shape)
                figures = measure(folder, shape, samples, workers, args.rounds or preset["rounds"])
                for reader, (rate, cpu) in figures.items():
                    faster, less = rate / figures[PYDICOM][0], figures[PYDICOM][1] / cpu
                    row = {"workers": workers, "kind": kind, "way": reader, "per_second": rate, "cpu_ms": cpu}
                    rows.append(row | {"times_pydicom": faster, "times_less_cpu": less})
                    print(
                        f"{workers} workers  {kind:6}  {reader:23} {rate:8.1f} /s {faster:7.2f} x pydicom, "
                        f"{cpu:8.2f} ms of CPU per sample: {less:7.2f} x less",
                        flush=True,
                    )
    if args.json:
        args.json.write_text(json.dumps({"preset": args.preset, "shape": shape, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
