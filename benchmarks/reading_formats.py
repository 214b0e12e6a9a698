"""The same voxels in every format that `reading.py` compares, written as the tools of that format do."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dicomzarr.arrays import shard_writer, write_masks
from dicomzarr.masks.model import Description, PlacedMask

MASKED_PATCH = 64  # voxels along each edge of a patch that is read with its mask
NIFTI_HEADER = 352  # bytes


def is_installed(way: str) -> bool:
    """Return whether the package that reads a way of storing is installed."""
    package = {".b2nd": "blosc2", ".medh5": "medh5", ".nii.gz": "nibabel"}.get(way.partition(",")[0])
    return package is None or importlib.util.find_spec(package) is not None


def made_up(number: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a CT-like volume: a body with organs, and noise as filtered back projection leaves it, slice by slice."""
    random = np.random.default_rng(number)
    z, y, x = np.ix_(*(np.linspace(-1, 1, n) for n in shape))
    body = y**2 / 0.5 + x**2 / 0.8 < 1
    volume = np.where(body, 40.0, -1000.0) + 0 * z
    for _ in range(12):
        centre, radius = random.uniform(-0.6, 0.6, 3), random.uniform(0.05, 0.3)
        inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
        volume[inside] = random.uniform(-800, 1000)
    frequency = np.hypot(np.fft.fftfreq(shape[1])[:, None], np.fft.rfftfreq(shape[2]))
    kernel = frequency * np.exp(-((frequency / 0.22) ** 2))  # a ramp, with a soft kernel
    for plane in volume:
        noise = np.fft.irfft2(np.fft.rfft2(random.normal(0, 1, shape[1:])) * kernel, s=shape[1:])
        plane += noise / noise.std() * np.where(body[0], 14, 6)
    return np.rint(volume).clip(-1024, 3071).astype("<i2")


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
    """Write an array as nnU-Net 2.6 does for patches of 64³ or 96³ (its rule takes four bytes a voxel)."""
    import blosc2

    codec = {"codec": blosc2.Codec.ZSTD, "clevel": 8, "nthreads": 1}
    chunks, blocks = ((1, *map(min, edges, voxels.shape)) for edges in ((80, 64, 64), (16, 16, 16)))
    blosc2.asarray(voxels[None], urlpath=str(path), mode="w", chunks=chunks, blocks=blocks, cparams=codec)


def write_b2nd_lz4hc(path: Path, voxels: np.ndarray) -> None:
    """Write an array as nnU-Net 2.8.1 does for patches of 64³: with the filter that gives the smaller file."""
    import blosc2

    edges = {2: (1, 64, 32, 32), 1: (1, 64, 64, 32)}[voxels.itemsize]
    codec = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "nthreads": 1}
    arrays = [
        blosc2.asarray(voxels[None], chunks=(1, 96, 96, 96), blocks=edges, cparams={**codec, "filters": [each]})
        for each in (blosc2.Filter.NOFILTER, blosc2.Filter.SHUFFLE)
    ]
    min(arrays, key=lambda array: array.schunk.cbytes).save(str(path), mode="w")


def write_medh5(path: Path, voxels: np.ndarray, mask: np.ndarray, profile: str) -> None:
    import medh5

    classes = [medh5.LabelClass(id=1, key="organ", name="organ")]
    with medh5.create(path, sample_id=path.stem, codec=profile) as sample:
        sample.add_grid("grid", shape=voxels.shape, spacing=(1, 1, 1), patch_hint=(MASKED_PATCH,) * 3)
        sample.add_image("ct", voxels, grid="grid", modality="CT")
        sample.label_set(medh5.LabelSet(id="organs", classes=classes))
        sample.add_segmentation("masks", grid="grid", masks={"organ": mask.astype(bool)})


class Written(NamedTuple):
    """What a way of storing took for all images and masks: CPU seconds and bytes."""

    seconds: float
    bytes: int


def write_formats(folder: Path, images: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Written]:
    """Write all images with their masks in every format."""
    rows: dict[str, list[dict[str, Any]]] = {"slice": [], "brick": []}

    def zarr(layout: str) -> Callable[[int, np.ndarray, np.ndarray], None]:
        def write(number: int, voxels: np.ndarray, mask: np.ndarray) -> None:
            cells = write_zarr(folder / layout / "images.zarr" / str(number), voxels, mask, layout)
            rows[layout].append({"array": str(number)} | cells)

        return write

    def pair(ending: str, write: Callable[[Path, np.ndarray], object]) -> Callable[[int, np.ndarray, np.ndarray], None]:
        def write_both(number: int, voxels: np.ndarray, mask: np.ndarray) -> None:
            write(folder / f"{number}{ending}", voxels)
            write(folder / f"{number}_mask{ending}", mask)

        return write_both

    def medh5(profile: str) -> Callable[[int, np.ndarray, np.ndarray], None]:
        return lambda number, voxels, mask: write_medh5(folder / f"{number}.{profile}.medh5", voxels, mask, profile)

    writers = {
        "dicomzarr, slice": (zarr("slice"), "slice/**/*"),
        "dicomzarr, brick": (zarr("brick"), "brick/**/*"),
        ".npy": (pair(".npy", np.save), "*.npy"),
        ".nii.gz": (pair(".nii.gz", write_nifti), "*.nii.gz"),
        ".b2nd": (pair(".b2nd", write_b2nd), "*[0-9k].b2nd"),
        ".b2nd, lz4hc": (pair(".lz4hc.b2nd", write_b2nd_lz4hc), "*.lz4hc.b2nd"),
        ".medh5": (medh5("balanced"), "*.balanced.medh5"),
        ".medh5, training": (medh5("training"), "*.training.medh5"),
    }
    written = {}
    for number, (voxels, _) in enumerate(images):
        write_dicom(folder / "dicom" / str(number), voxels)
    for way, (write, files) in writers.items():
        if not is_installed(way):
            continue
        start = time.process_time()
        for number, (voxels, mask) in enumerate(images):
            write(number, voxels, mask)
        seconds = time.process_time() - start
        written[way] = Written(seconds, sum(path.stat().st_size for path in folder.glob(files) if path.is_file()))
    shape = "x".join(map(str, images[0][0].shape))
    cells = {"axes": "zyx", "shape": shape, "flags": "", "masks_absent": ""}
    for layout, of_masks in rows.items():
        write_table(folder / layout / "volumes.csv", [{"array": str(n)} | cells for n in range(len(images))])
        write_table(folder / layout / "masks.csv", of_masks)
    return written
