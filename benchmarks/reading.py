"""Compare reading for training: slices, patches of 96³, volumes, and patches of 64³ with a mask; 0, 2 and 4 workers.

The same made-up CT volumes in every format: `dicomzarr.dataset` and zarr-python on both layouts, pydicom on the
original files, `.npy` (memory-mapped) and `.nii.gz`. Patches with a mask are at random or at foreground:
`DicomZarrDataset` draws and reads them, the others read the same regions from `.npy`, from `.nii.gz` with nibabel, and
from `.b2nd` with blosc2, in the chunks, blocks and codec that nnU-Net 2.8.1 chooses for patches of 64³; without blosc2
that row is left out. Workers return a checksum, not the voxels, since frameworks transfer samples to the training
process in different ways. All checksums must be equal.

Usage: python benchmarks/reading.py [--preset small|full] [--rounds N] [--only KIND ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.arrays import shard_writer, write_masks
from dicomzarr.dataset import DicomZarrDataset, Volume
from dicomzarr.masks.model import Description, PlacedMask

PRESETS = {  # volumes, their shape, and samples of each kind per round
    "small": {
        "volumes": 2, "shape": (96, 128, 128), "rounds": 1,
        "counts": {"slice": 60, "patch": 8, "volume": 4, "random": 8, "foreground": 8},
    },
    "full": {
        "volumes": 2, "shape": (112, 512, 512), "rounds": 3,
        "counts": {"slice": 32, "patch": 6, "volume": 2, "random": 16, "foreground": 16},
    },
}  # fmt: skip
PATCH = 96
MASKED_PATCH = 64
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


def made_up_mask(number: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the mask of an organ: an ellipsoid of about 2% of the volume."""
    centre = np.random.default_rng(100 + number).uniform(-0.4, 0.4, 3)
    z, y, x = np.ix_(*(np.linspace(-1, 1, n) for n in shape))
    inside = ((z - centre[0]) / 0.5) ** 2 + ((y - centre[1]) / 0.3) ** 2 + ((x - centre[2]) / 0.25) ** 2 < 1
    return inside.astype(np.uint8)


def write_group(folder: Path, facts: dict[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"dicomzarr": facts}}
    (folder / "zarr.json").write_text(json.dumps(group))


def write_zarr(folder: Path, voxels: np.ndarray, mask: np.ndarray, layout: str) -> dict[str, Any]:
    """Write an image and its mask; return the cells of the mask in masks.csv."""
    folder.mkdir(parents=True)
    grid = shard_writer.chunk_grid("zyx", voxels.shape, "<i2", layout)
    shard_writer.write_array(folder / "0", grid, "<i2", "balanced", voxels)
    write_group(folder, {"photometric": "MONOCHROME2", "bits_stored": 16})
    placed = PlacedMask(Description("SEG", 1), mask, "zyx", "BINARY")
    written = write_masks.write_mask(folder / "labels" / "organ", placed, compression="balanced", layout=layout)
    write_group(folder / "labels" / "organ", {"voxels": written.voxels})
    box = " ".join(f"{low}:{high}" for low, high in written.box)
    return {"mask": "organ", "name": "organ", "voxels": written.voxels, "bounding_box": box, "flags": ""}


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_nifti(path: Path, voxels: np.ndarray) -> None:
    """Write a NIfTI file, compressed as dcm2niix does."""
    import nibabel

    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.eye(4))  # x is the fastest axis of the file
    with gzip.open(path, "wb", compresslevel=6) as stream:
        stream.write(image.to_bytes())


def write_b2nd(path: Path, voxels: np.ndarray) -> None:
    """Write an array as nnU-Net 2.8.1 does for patches of 64³: with the filter that gives the smaller file."""
    import blosc2

    edges = {2: (1, 64, 32, 32), 1: (1, 64, 64, 32)}[voxels.itemsize]
    codec = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "nthreads": 1}
    arrays = [
        blosc2.asarray(voxels[None], chunks=(1, 96, 96, 96), blocks=edges, cparams={**codec, "filters": [each]})
        for each in (blosc2.Filter.NOFILTER, blosc2.Filter.SHUFFLE)
    ]
    min(arrays, key=lambda array: array.schunk.cbytes).save(str(path), mode="w")


def write_formats(folder: Path, shape: tuple[int, int, int], volumes: int) -> None:
    """Write all volumes in every format."""
    rows: dict[str, list[dict[str, Any]]] = {"slice": [], "brick": []}
    for number in range(volumes):
        voxels, mask = made_up(number, shape), made_up_mask(number, shape)
        write_dicom(folder / "dicom" / str(number), voxels)
        for layout, of_masks in rows.items():
            cells = write_zarr(folder / layout / "images.zarr" / str(number), voxels, mask, layout)
            of_masks.append({"array": str(number)} | cells)
        for name, array in ((f"{number}", voxels), (f"{number}_mask", mask)):
            np.save(folder / f"{name}.npy", array)
            write_nifti(folder / f"{name}.nii.gz", array)
            if HAS_BLOSC2:
                write_b2nd(folder / f"{name}.b2nd", array)
    cells = {"axes": "zyx", "shape": "x".join(map(str, shape)), "flags": "", "masks_absent": ""}
    for layout, of_masks in rows.items():
        write_table(folder / layout / "volumes.csv", [{"array": str(n)} | cells for n in range(volumes)])
        write_table(folder / layout / "masks.csv", of_masks)


# ---- Readers: (folder, number of the volume, its shape, region) -> voxels

_open: dict[Any, Any] = {}  # volumes and datasets of this process


def by_dicomzarr(layout: str) -> Callable[..., np.ndarray]:
    def read(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
        path = folder / layout / "images.zarr" / str(number)
        if path not in _open:
            _open[path] = Volume(path)
        return _open[path].read(region)

    return read


def by_zarr(layout: str) -> Callable[..., np.ndarray]:
    def read(folder: Path, number: int, shape: Any, region: Region) -> np.ndarray:
        import zarr

        return zarr.open_array(str(folder / layout / "images.zarr" / str(number) / "0"), mode="r")[region]

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


# ---- Readers of a patch with its mask: (folder, number of the volume, its shape, (kind, index, region)) -> both

Masked = tuple[str, int, Region]


def masked_dataset(folder: Path, layout: str, kind: str) -> DicomZarrDataset:
    key = folder, layout, kind
    if key not in _open:
        size = dict.fromkeys("zyx", MASKED_PATCH)
        share = float(kind == "foreground")
        _open[key] = DicomZarrDataset(
            folder / layout, sample="patch", patch=size, patches_per_volume=1000, masks=["organ"], foreground=share
        )
    return _open[key]


def masked_by_dicomzarr(layout: str) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    def read(folder: Path, number: int, shape: Any, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
        kind, index, _ = masked
        sample = masked_dataset(folder, layout, kind)[index]
        return sample["image"], sample["mask"]

    return read


def masked_by_npy(folder: Path, number: int, shape: Any, masked: Masked) -> tuple[np.ndarray, ...]:
    paths = (folder / f"{number}.npy", folder / f"{number}_mask.npy")
    return tuple(np.array(np.load(path, mmap_mode="r")[masked[2]]) for path in paths)


def masked_by_nibabel(folder: Path, number: int, shape: Any, masked: Masked) -> tuple[np.ndarray, ...]:
    import nibabel

    paths = (folder / f"{number}.nii.gz", folder / f"{number}_mask.nii.gz")
    return tuple(np.asarray(nibabel.load(path).dataobj[masked[2][::-1]]) for path in paths)


def masked_by_blosc2(folder: Path, number: int, shape: Any, masked: Masked) -> tuple[np.ndarray, ...]:
    import blosc2

    blosc2.set_nthreads(1)
    paths = (folder / f"{number}.b2nd", folder / f"{number}_mask.b2nd")
    opened = (blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1}) for path in paths)
    return tuple(array[(0, *masked[2])] for array in opened)


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
HAS_BLOSC2 = importlib.util.find_spec("blosc2") is not None
NPY = ".npy + mask"
MASKED_READERS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "dicomzarr, slice + mask": masked_by_dicomzarr("slice"),
    "dicomzarr, brick + mask": masked_by_dicomzarr("brick"),
    NPY: masked_by_npy,
    ".nii.gz + mask": masked_by_nibabel,
} | ({".b2nd + mask": masked_by_blosc2} if HAS_BLOSC2 else {})
FILES = {
    "dicomzarr, slice + mask": "slice/**/*",
    "dicomzarr, brick + mask": "brick/**/*",
    NPY: "*.npy",
    ".nii.gz + mask": "*.nii.gz",
    ".b2nd + mask": "*.b2nd",
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


def masked_regions(kind: str, count: int, folder: Path) -> list[tuple[int, Masked]]:
    """Return patches with a mask as the dataset draws them: number of the volume; kind, index and region."""
    dataset, samples = masked_dataset(folder, "brick", kind), []
    for i in range(count):
        number = i % len(dataset.rows)
        index = 1000 * number + i
        region = tuple(slice(int(at), int(at) + MASKED_PATCH) for at in dataset[index]["start"])
        samples.append((number, (kind, index, region)))
    return samples


def read_sample(task: tuple[str, Path, Any, tuple[int, Any]]) -> tuple[tuple[int, ...], float]:
    """Read a sample; return the sums of its voxels, and the CPU seconds of all threads of this process."""
    reader, folder, shape, (number, region) = task
    start = time.process_time()
    if reader in READERS:
        arrays: tuple[np.ndarray, ...] = (READERS[reader](folder, number, shape, region),)
    else:
        arrays = MASKED_READERS[reader](folder, number, shape, region)
    totals = tuple(int(array.sum(dtype=np.int64)) for array in arrays)
    return totals, time.process_time() - start


def measure(
    readers: Collection[str], folder: Path, shape: Any, samples: list[Any], workers: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Return samples per second and CPU milliseconds per sample of each reader, medians of the rounds.

    Readers take turns. The first round is not counted: workers start and import, and caches fill.
    """
    seconds: dict[str, list[tuple[float, float]]] = {reader: [] for reader in readers}
    sums = set()
    _open.clear()
    pool = multiprocessing.get_context("spawn").Pool(workers) if workers else None
    try:
        for number in range(rounds + 1):
            for reader in readers:
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
    """Measure; print the rate and CPU time of each reader, and their ratio to pydicom, or .npy, in the same run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, help="counted rounds, instead of the preset's")
    parser.add_argument(
        "--only", nargs="+", metavar="KIND", help="slice, patch, volume, random, foreground; all if none"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    preset: dict[str, Any] = PRESETS[args.preset]
    shape, rows = preset["shape"], []
    if not HAS_BLOSC2:
        print("blosc2 is not installed: no figures of .b2nd", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_formats(folder, shape, preset["volumes"])
        stored = {way: sum(p.stat().st_size for p in folder.glob(files) if p.is_file()) for way, files in FILES.items()}
        for way in MASKED_READERS:
            print(f"{way:24} {stored[way] / 1e6:8.1f} MB of files", flush=True)
        for workers in (0, 2, 4):
            for kind, count in preset["counts"].items():
                if args.only and kind not in args.only:
                    continue
                masked = kind in ("random", "foreground")
                readers, base = (MASKED_READERS, NPY) if masked else (READERS, PYDICOM)
                samples: list[Any] = (
                    masked_regions(kind, count, folder) if masked else regions(kind, count, preset["volumes"], shape)
                )
                figures = measure(readers, folder, shape, samples, workers, args.rounds or preset["rounds"])
                for reader, (rate, cpu) in figures.items():
                    faster, less = rate / figures[base][0], figures[base][1] / cpu
                    row = {"workers": workers, "kind": kind, "way": reader, "per_second": rate, "cpu_ms": cpu}
                    rows.append(row | {"base": base, "times_base": faster, "times_less_cpu": less})
                    print(
                        f"{workers} workers  {kind:10}  {reader:24} {rate:8.1f} /s {faster:7.2f} x {base}, "
                        f"{cpu:8.2f} ms of CPU per sample: {less:7.2f} x less",
                        flush=True,
                    )
    if args.json:
        result = {"preset": args.preset, "shape": shape, "stored_bytes": stored, "rows": rows}
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
