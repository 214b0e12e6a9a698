"""Measure headers per CPU second: the reader of the header index against pydicom, on headers like those of scanners.

    PYTHONPATH=scripts python benchmarks/headers.py [--files 400] [--rounds 7]

The headers are those of `scanner_headers`: MR with 361 elements and 17 kB, CT with 160 elements and 8 kB, series
after series of 25 and 100 images; and multi-frame MR with 500 frames, each file a series. Both readers open, read and
close each file; the files are in the page cache. The reader of the index also collects texts for the privacy search.
Rounds are interleaved. `index` is the median with what was learned from headers before, as in a run, and `least` the
least of the rounds; `first` has nothing to learn from. `ratio` is the median of pydicom ÷ index of each round. The
script fails if a header is read differently than alone, or differently than by pydicom.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from scanner_headers import Enhanced, Place, ct, mr

from dicomzarr.headers import item_shapes, layouts
from dicomzarr.headers.classify import read_header

SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}


def write(folder: Path, kind: str, count: int) -> list[bytes]:
    """Write the files of a kind, and return their paths."""
    what, _, name = kind.partition(" ")
    paths = []
    header = Enhanced() if what == "multi-frame" else (mr if what == "MR" else ct)(syntax=SYNTAXES[name])
    per_series = {"MR": 25, "CT": 100, "multi-frame": 1}[what]
    for number in range(count if per_series > 1 else max(4, count // 40)):
        series, index = divmod(number, per_series)
        path = folder / f"{what}-{number}"
        size = {"MR": 2 * 64 * 64, "CT": 2 * 512 * 512, "multi-frame": 2 * 64 * 64 * 500}[what]
        path.write_bytes(header.file(Place(series // 4, series, index), b""))
        with open(path, "r+b") as stream:  # the pixels are a hole: nobody reads them
            head = path.stat().st_size
            stream.seek(head - 4)
            stream.write(size.to_bytes(4, "little"))
            stream.truncate(head + size)
        paths.append(os.fsencode(path))
    return paths


def by_index(path: bytes, *, use_layouts: bool = True) -> tuple[object, ...]:
    fd = os.open(path, os.O_RDONLY)
    texts: list[tuple[str, bytes]] = []
    header = read_header(partial(os.pread, fd), os.fstat(fd).st_size, texts, use_layouts=use_layouts)
    os.close(fd)
    return header, texts


def by_pydicom(path: bytes) -> pydicom.Dataset:
    """Parse only: pydicom converts values on access."""
    return pydicom.dcmread(os.fsdecode(path), stop_before_pixels=True)


def forget() -> None:
    layouts.LAYOUTS.update({implicit: layouts.Layouts(implicit) for implicit in (False, True)})
    item_shapes._SHAPES.clear()


def check(paths: list[bytes]) -> None:
    for path in paths:
        header, texts = by_index(path)
        assert (header, texts) == by_index(path, use_layouts=False)
        assert header.outcome == "image"
    for path in paths[-5:]:
        dataset, facts = by_pydicom(path), by_index(path)[0].facts
        assert dataset.SOPInstanceUID == facts["SOPInstanceUID"] and dataset.Rows == facts["Rows"]
        if "ImagePositionPatient" in dataset:
            assert list(dataset.ImagePositionPatient) == facts["ImagePositionPatient"]


def microseconds(read: Callable[[bytes], object], paths: list[bytes]) -> float:
    start = time.process_time()
    for path in paths:
        read(path)
    return (time.process_time() - start) / len(paths) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, pydicom {pydicom.__version__}, {os.cpu_count()} cores")
    print(
        f"{'µs of CPU for each file':<24}{'header, kB':>12}"
        f"{'index':>9}{'least':>9}{'first':>9}{'pydicom':>9}{'ratio':>8}"
    )
    for kind in ("MR explicit", "MR implicit", "CT explicit", "CT implicit", "multi-frame"):
        with tempfile.TemporaryDirectory() as folder:
            paths = write(Path(folder), kind, options.files)
            check(paths)
            size = by_index(paths[0])[0].facts["pixel"]["offset"]
            ours, first, theirs, ratios = [], [], [], []
            for _ in range(options.rounds):
                ours.append(microseconds(by_index, paths))
                theirs.append(microseconds(by_pydicom, paths[:: max(1, len(paths) // 50)]))
                ratios.append(theirs[-1] / ours[-1])
                first.append(microseconds(lambda path: (forget(), by_index(path, use_layouts=False)), paths[:50]))
                microseconds(by_index, paths[:12])
            median = statistics.median
            print(
                f"{kind:<24}{size / 1000:>12.1f}{median(ours):>9.0f}{min(ours):>9.0f}{median(first):>9.0f}"
                f"{median(theirs):>9.0f}{median(ratios):>8.1f}"
            )


if __name__ == "__main__":
    main()
