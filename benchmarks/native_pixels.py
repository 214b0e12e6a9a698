"""Compare `FrameReader` on native pixels with pydicom's `pixel_array`: MB/s and their ratio.

Usage: python benchmarks/native_pixels.py [--files 200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.pixels.reader import FrameReader, open_source

SIZE = 512


def write_slices(folder: Path, files: int, bits_stored: int) -> list[tuple[Path, ImageFacts]]:
    """Write CT-like slices of int16, SIZE x SIZE; return their paths and header facts."""
    from pydicom import Dataset, FileDataset, dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    random = np.random.default_rng(0)
    slices: list[tuple[Path, ImageFacts]] = []
    for number in range(files):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"{bits_stored}-{number:04}.dcm"
        dataset = FileDataset(str(path), Dataset(), file_meta=meta, preamble=bytes(128))
        dataset.Rows = dataset.Columns = SIZE
        dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits_stored, bits_stored - 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        top = 1 << (bits_stored - 1)
        dataset.PixelData = random.integers(-top, top, (SIZE, SIZE), dtype=np.int16, endpoint=False).tobytes()
        dataset.save_as(path)
        with open(path, "rb") as stream:
            dcmread(stream, stop_before_pixels=True)
            offset = stream.tell() + 12
        facts: ImageFacts = {
            "TransferSyntaxUID": str(ExplicitVRLittleEndian),
            "Rows": SIZE,
            "Columns": SIZE,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": bits_stored,
            "HighBit": bits_stored - 1,
            "PixelRepresentation": 1,
            "pixel": {"keyword": "PixelData", "vr": "OW", "offset": offset, "length": 2 * SIZE * SIZE},
        }
        slices.append((path, facts))
    return slices


def by_pydicom(path: Path, facts: ImageFacts) -> np.ndarray:
    """Read a slice with `dcmread`, as most scripts do."""
    from pydicom import dcmread

    return dcmread(path).pixel_array


def by_pydicom_pixels(path: Path, facts: ImageFacts) -> np.ndarray:
    """Decode without parsing the header, as `by_frame_reader` does."""
    from pydicom.pixels import get_decoder

    with open(path, "rb") as stream:
        stream.seek(facts["pixel"]["offset"])
        options = {
            "rows": SIZE,
            "columns": SIZE,
            "samples_per_pixel": 1,
            "bits_allocated": 16,
            "bits_stored": facts["BitsStored"],
            "pixel_representation": 1,
            "photometric_interpretation": "MONOCHROME2",
            "number_of_frames": 1,
            "pixel_keyword": "PixelData",
        }
        return get_decoder(facts["TransferSyntaxUID"]).as_array(stream, index=0, **options)[0]


def by_frame_reader(path: Path, facts: ImageFacts) -> np.ndarray:
    """Open a file, read its slice with FrameReader, and close it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return FrameReader(open_source(handle, os.fstat(handle).st_size, facts), facts)[0].pixels
    finally:
        os.close(handle)


def main() -> None:
    """Measure all readers in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    readers: dict[str, Callable[[Path, ImageFacts], np.ndarray]] = {
        "dcmread().pixel_array": by_pydicom,
        "pydicom.pixels decoder": by_pydicom_pixels,
        "FrameReader": by_frame_reader,
    }
    with tempfile.TemporaryDirectory() as folder:
        for bits_stored in (16, 12):
            slices = write_slices(Path(folder), args.files, bits_stored)
            for reader in readers.values():
                np.testing.assert_array_equal(reader(*slices[0]), by_pydicom(*slices[0]))
            seconds: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(args.rounds):
                for name, reader in readers.items():
                    start = time.process_time()
                    for path, facts in slices:
                        reader(path, facts)
                    seconds[name].append(time.process_time() - start)
            megabytes = args.files * 2 * SIZE * SIZE / 1e6
            ours = statistics.median(seconds["FrameReader"])
            print(f"int16, {bits_stored} bits stored, {args.files} files of {SIZE} x {SIZE}, CPU time, warm cache")
            for name, times in seconds.items():
                median = statistics.median(times)
                print(f"  {name:24} {megabytes / median:8.0f} MB/s   {median / ours:5.1f} x our time")


if __name__ == "__main__":
    main()
