"""Compare reading for training: slices, patches of 64³ and 96³, volumes, and patches of 64³ with a mask.

The same made-up CT volumes in every format: `dicomzarr.dataset` and zarr-python on both layouts, pydicom on the
original files, `.npy` (memory-mapped), `.nii.gz`, `.b2nd` and `.medh5`. Readers take turns in one run, without workers
and with 2 and 4. Patches with a mask are at random or at foreground: `DicomZarrDataset` draws and reads them, the
others read the same regions. `.b2nd` is written and read as nnU-Net does, memory-mapped: up to its version 2.6 (zstd,
blocks of 16³ in chunks of 80 x 64 x 64, for patches of 64³ and of 96³), and since 2.8 (LZ4HC, larger blocks). `.medh5`
is read by its own reader from a file that stays open, from its default profile and from that for training. What is not
installed is left out. Workers return a checksum, not the voxels, since frameworks transfer samples to the training
process in different ways. All checksums must be equal.

With PyTorch and a GPU, a small 3D U-Net is then trained on patches of 64³ with a mask that 1, 4 and 8 workers read:
the share of the time in which it waits for them. `--device cpu` runs that part on a processor, to try it.

Usage: python benchmarks/reading.py [--preset small|full] [--rounds N] [--only KIND ...] [--workers N ...]
                                    [--voxels FILE] [--device auto|cuda|cpu|none] [--json FILE]
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from reading_formats import MASKED_PATCH, NIFTI_HEADER, is_installed, made_up, made_up_mask, write_formats

from dicomzarr.dataset import DicomZarrDataset, Volume

PRESETS = {  # volumes, their shape, and samples of each kind per round
    "small": {
        "volumes": 2, "shape": (96, 128, 128), "rounds": 1,
        "counts": {"slice": 60, "patch64": 8, "patch96": 8, "volume": 4, "random": 8, "foreground": 8},
    },
    "full": {
        "volumes": 2, "shape": (112, 512, 512), "rounds": 3,
        "counts": {"slice": 32, "patch64": 32, "patch96": 16, "volume": 2, "random": 32, "foreground": 32},
    },
}  # fmt: skip
PATCHES = {"patch64": 64, "patch96": 96}
BATCH, STEPS, WARM_UP, CHANNELS, PATCHES_OF_NETWORK = 4, 200, 3, 24, 64  # of the network that is fed
Region = tuple[slice, ...]


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


def of_b2nd(path: Path, region: Region) -> np.ndarray:
    """Return a region of a `.b2nd`, opened as nnU-Net opens it for each patch."""
    import blosc2

    blosc2.set_nthreads(1)
    array = blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1})
    return np.asarray(array[(0, *region)])


def by_b2nd(ending: str) -> Callable[..., np.ndarray]:
    return lambda folder, number, shape, region: of_b2nd(folder / f"{number}{ending}", region)


def masked_by_b2nd(ending: str) -> Callable[..., tuple[np.ndarray, ...]]:
    return lambda folder, number, shape, masked: tuple(
        of_b2nd(folder / f"{name}{ending}", masked[2]) for name in (f"{number}", f"{number}_mask")
    )


def medh5_sample(folder: Path, number: int, profile: str) -> Any:
    import medh5

    path = folder / f"{number}.{profile}.medh5"
    if path not in _open:
        sample = medh5.open(path)
        _open[path] = sample, sample.images["ct"], sample.annotations["masks"]
    return _open[path]


def by_medh5(profile: str) -> Callable[..., np.ndarray]:
    return lambda folder, number, shape, region: medh5_sample(folder, number, profile)[1].read(region)


def masked_by_medh5(profile: str) -> Callable[..., tuple[np.ndarray, ...]]:
    def read(folder: Path, number: int, shape: Any, masked: Masked) -> tuple[np.ndarray, ...]:
        _, image, masks = medh5_sample(folder, number, profile)
        return image.read(masked[2]), masks.dense(["organ"], masked[2])

    return read


BASES = (".b2nd", ".npy")  # the first that is installed: the others are compared with it
READERS: dict[str, Callable[..., np.ndarray]] = {
    "dicomzarr, slice": by_dicomzarr("slice"),
    "dicomzarr, brick": by_dicomzarr("brick"),
    "zarr-python, slice": by_zarr("slice"),
    "zarr-python, brick": by_zarr("brick"),
    "pydicom, original files": by_pydicom,
    ".npy": by_npy,
    ".nii.gz": by_nifti,
    ".b2nd": by_b2nd(".b2nd"),
    ".b2nd, lz4hc": by_b2nd(".lz4hc.b2nd"),
    ".medh5": by_medh5("balanced"),
    ".medh5, training": by_medh5("training"),
}
MASKED_READERS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "dicomzarr, slice": masked_by_dicomzarr("slice"),
    "dicomzarr, brick": masked_by_dicomzarr("brick"),
    ".npy": masked_by_npy,
    ".nii.gz": masked_by_nibabel,
    ".b2nd": masked_by_b2nd(".b2nd"),
    ".b2nd, lz4hc": masked_by_b2nd(".lz4hc.b2nd"),
    ".medh5": masked_by_medh5("balanced"),
    ".medh5, training": masked_by_medh5("training"),
}
MASKED = ("random", "foreground")


# ---- Measuring


def regions(kind: str, count: int, volumes: int, shape: tuple[int, int, int]) -> list[tuple[int, Region]]:
    """Return the samples of a round: number of the volume and region."""
    random = np.random.default_rng(len(kind))
    size = (PATCHES[kind],) * 3 if kind in PATCHES else {"slice": (1, *shape[1:]), "volume": shape}[kind]
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
    if isinstance(region[0], slice):
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


def machine() -> str:
    """Return processor, its vector extensions, kernel and Python."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
        facts = {key.strip(): value.strip() for key, value in lines.items()}
    except (OSError, ValueError):
        facts = {}
    wide = [flag for flag in ("avx2", "avx512f") if flag in facts.get("flags", "").split()]
    name = facts.get("model name", platform.machine())
    return (
        f"{name} ({' '.join(wide)}), {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}"
    )


# ---- A network that is fed


class Patches:
    """Patches of 64³ with a mask, read in one way: a map-style dataset of PyTorch."""

    def __init__(self, way: str, folder: Path, shape: Any, count: int) -> None:
        self._way, self._folder, self._shape = way, folder, shape
        samples = masked_regions("foreground", PATCHES_OF_NETWORK, folder)
        self._samples = [samples[index % len(samples)] for index in range(count)]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        number, masked = self._samples[index]
        image, mask = MASKED_READERS[self._way](self._folder, number, self._shape, masked)
        edges = (1, *(MASKED_PATCH,) * 3)
        return image.reshape(edges).astype(np.float32) / 1000, mask.reshape(edges).astype(np.float32)


def small_unet(channels: int) -> Any:
    """Return a 3D U-Net of three levels."""
    from torch import cat, nn

    def block(before: int, after: int) -> Any:
        return nn.Sequential(nn.Conv3d(before, after, 3, padding=1), nn.InstanceNorm3d(after), nn.LeakyReLU())

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            n = channels
            self.down = nn.ModuleList([block(1, n), block(n, 2 * n), block(2 * n, 4 * n)])
            self.up = nn.ModuleList([block(6 * n, 2 * n), block(3 * n, n)])
            self.pool, self.wider, self.last = nn.MaxPool3d(2), nn.Upsample(scale_factor=2), nn.Conv3d(n, 1, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for number, step in enumerate(self.down):
                x = step(x if number == 0 else self.pool(x))
                kept.append(x)
            for step, before in zip(self.up, (kept[1], kept[0]), strict=True):
                x = step(cat([self.wider(x), before], dim=1))
            return self.last(x)

    return UNet()


def feed_network(device: str, folder: Path, shape: Any) -> list[dict[str, Any]]:
    """Train a small network on patches that workers read; return the share of the time in which it waits for them."""
    if device == "none":
        return []
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: no network is fed", flush=True)
        return []
    import torch

    if device == "auto" and not torch.cuda.is_available():
        print("there is no GPU: no network is fed (--device cpu tries it on a processor)", flush=True)
        return []
    device = "cuda" if device == "auto" else device
    is_cuda = device == "cuda"
    steps, channels = (STEPS, CHANNELS) if is_cuda else (3, 4)
    name = torch.cuda.get_device_name() if is_cuda else "a processor"
    print(
        f"a network on {name}, PyTorch {torch.__version__}: batches of {BATCH} patches of {MASKED_PATCH}³", flush=True
    )
    torch.manual_seed(0)
    network = small_unet(channels).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()

    def step(image: Any, mask: Any) -> None:
        image, mask = (each.to(device, non_blocking=True) for each in (image, mask))
        with torch.autocast(device, torch.bfloat16, enabled=is_cuda):
            loss = loss_of(network(image), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if is_cuda:
            torch.cuda.synchronize()

    def seconds_of(batches: Any) -> tuple[float, float]:
        """Return the seconds of waiting for batches, and of all, after the first few."""
        iterator, waited = iter(batches), 0.0
        for _ in range(WARM_UP):
            step(*next(iterator))
        start = time.perf_counter()
        for _ in range(steps):
            before = time.perf_counter()
            batch = next(iterator)
            waited += time.perf_counter() - before
            step(*batch)
        return waited, time.perf_counter() - start

    rows, one = [], tuple(torch.rand(BATCH, 1, *(MASKED_PATCH,) * 3).round() for _ in range(2))
    _, total = seconds_of([one] * (steps + WARM_UP))
    print(f"   from memory: {steps * BATCH / total:8.1f} patches/s", flush=True)
    for workers in (1, 4, 8):
        for way in ("dicomzarr, brick", ".npy", ".b2nd", ".medh5"):
            if not is_installed(way):
                continue
            patches: Any = Patches(way, folder, shape, (steps + WARM_UP) * BATCH)
            _open.clear()  # nothing that is open is inherited by workers
            loader = torch.utils.data.DataLoader(
                patches, batch_size=BATCH, num_workers=workers, pin_memory=is_cuda, multiprocessing_context="spawn"
            )
            waited, total = seconds_of(loader)
            rate, share = steps * BATCH / total, waited / total
            rows.append({"workers": workers, "way": way, "per_second": rate, "waits": share, "device": name})
            print(f"{workers} workers  {way:24} {rate:8.1f} patches/s, the network waits {share:6.1%}", flush=True)
    return rows


def main() -> None:
    """Measure; print rate and CPU time of each reader, and the ratio of both to those of the first base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, help="counted rounds, instead of the preset's")
    parser.add_argument(
        "--only", nargs="+", metavar="KIND", help="slice, patch64, patch96, volume, random, foreground; all if none"
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2, 4], metavar="N")
    parser.add_argument("--voxels", type=Path, help="a volume of yours, int16 in .npy, instead of the made-up ones")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu", "none"], default="auto", help="of the network")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    preset: dict[str, Any] = PRESETS[args.preset]
    shapes = [preset["shape"]] * preset["volumes"]
    voxels = [np.load(args.voxels)] if args.voxels else [made_up(*each) for each in enumerate(shapes)]
    images = [(each.astype("<i2"), made_up_mask(number, each.shape)) for number, each in enumerate(voxels)]
    shape, rows = images[0][0].shape, []
    print(machine(), flush=True)
    for way in (".b2nd", ".medh5", ".nii.gz"):
        if not is_installed(way):
            print(f"what reads {way} is not installed: no figures of it", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = write_formats(folder, images)
        pixels = sum(each.nbytes for each, _ in images)
        for way, (seconds, size) in written.items():
            print(f"{way:24} {size / 1e6:8.1f} MB of files, written at {pixels / seconds / 1e6:7.0f} MB/s", flush=True)
        base = next(way for way in BASES if is_installed(way))
        for workers in args.workers:
            for kind, count in preset["counts"].items():
                if args.only and kind not in args.only:
                    continue
                readers = [way for way in (MASKED_READERS if kind in MASKED else READERS) if is_installed(way)]
                samples: list[Any] = (
                    masked_regions(kind, count, folder) if kind in MASKED else regions(kind, count, len(images), shape)
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
        fed = feed_network(args.device, folder, shape)
    if args.json:
        stored = {way: each._asdict() for way, each in written.items()}
        result = {"preset": args.preset, "shape": shape, "machine": machine(), "written": stored, "rows": rows}
        args.json.write_text(json.dumps(result | {"network": fed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
