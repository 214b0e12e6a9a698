"""Write corpora like those of scanners and archives: headers of the size of real ones, series of unequal length."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from benchmarks import scanner_headers
from benchmarks.scanner_headers import Enhanced, Header, Place
from numpy.typing import NDArray
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files that a benchmark reads.

    Attributes
    ----------
    name, title : str
    source : Path
        Folder of the files.
    frames, bytes : int
        Number of frames and bytes in all files.
    """

    name: str
    title: str
    source: Path
    frames: int
    bytes: int


# For each preset: number of series, files of each or in the mean; of multi-frame files, number of files and frames.
CT = {"small": (8, 60), "full": (20, 200)}
MR = {"small": (20, 100), "full": (500, 100)}
ENHANCED = {"small": (2, 500), "full": (20, 500)}
MIXED = {"small": (10, 12), "full": (50, 100)}
MANY = {"small": (1000, 1), "full": (100_000, 1)}
ONE = {"small": (1, 10), "full": (1, 10)}
LARGE = {"small": (1, 1000), "full": (1, 8191)}


def sizes(series: int, files: int) -> list[int]:
    """Return the number of files of each series: `files` in all, most of them in few series, some series tiny.

    A study of six series has a localiser of three images; a long series has twenty times as many as a short one.
    """
    if files < series * (LOCALISER + 1):
        return [files // series + (number < files % series) for number in range(series)]
    weights = [SHARES[number % len(SHARES)] if series > 1 else 1.0 for number in range(series)]
    rest = files - LOCALISER * series
    result = [LOCALISER + int(rest * weight / sum(weights)) for weight in weights]
    result[weights.index(max(weights))] += files - sum(result)
    return result


LOCALISER = 3  # images
SHARES = (0.0, 1.0, 0.35, 2.5, 0.15, 4.0)  # of the files of a study
SERIES_OF_STUDY = len(SHARES)
SCANNERS = 3  # of a corpus: they differ in the elements of their headers


def places(series: int, files: int) -> Iterator[tuple[str, Place]]:
    """Yield the file name of each image and where it belongs, in the order in which an archive may have stored them."""
    for number, count in enumerate(sizes(series, files)):
        step = next(step for step in (7, 11, 13, 17) if count % step)
        for index in range(count):
            place = Place(number // SERIES_OF_STUDY, number, index)
            yield f"{number:04d}/{(index * step + 3) % count:05d}.dcm", place


def with_pixels(header: Header | Enhanced, place: Place, picture: NDArray[Any]) -> bytes:
    """Return the bytes of a file with native pixels; the header has their extremes."""
    extremes = (int(picture.min()), int(picture.max()))
    return header.file(dataclasses.replace(place, extremes=extremes), picture.tobytes())


def body(edge: int, seed: int = 7) -> Iterator[NDArray[np.int16]]:
    """Yield slices of a round body with organs and the noise of a scanner: int16, Hounsfield units."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:edge, :edge] * (512 / edge)
    inside = np.hypot(y - 256, (x - 256) * 0.8) < 200
    organs = 60 * np.sin(y / 17) * np.cos(x / 23) + 40
    noise = generator.normal(0, 12, (16, edge, edge)).astype("f4")
    index = 0
    while True:
        tissue = organs * np.cos(index / 40) + noise[(index * 7) % 16]
        yield np.where(inside, tissue, -1000 + noise[(index * 3) % 16] / 4).astype("<i2")
        index += 1


def _write(source: Path, name: str, title: str, files: Iterator[tuple[str, bytes]]) -> Corpus:
    frames = size = 0
    for path, data in files:
        target = source / path
        if frames == 0 or not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        frames += 1
        size += len(data)
    return Corpus(name, title, source, frames, size)


def ct(source: Path, series: int, slices: int) -> Corpus:
    """Write CT series of 512 x 512 int16, of unequal length, with headers of 8 kB; `slices` is the mean."""
    scanners, pictures = [scanner_headers.ct(seed=seed) for seed in range(SCANNERS)], body(512)
    files = (
        (name, with_pixels(scanners[place.study % SCANNERS], place, next(pictures)))
        for name, place in places(series, series * slices)
    )
    return _write(source, "ct", f"CT, {series} series, {series * slices:,} x 512 x 512 int16", files)


def mr(source: Path, series: int, slices: int) -> Corpus:
    """Write small MR files, 64 x 64, in series of unequal length, with headers of 17 kB; `slices` is the mean."""
    scanners, pictures = [scanner_headers.mr(seed=seed) for seed in range(SCANNERS)], body(64)
    files = (
        (name, with_pixels(scanners[place.study % SCANNERS], place, next(pictures) + 1100))
        for name, place in places(series, series * slices)
    )
    return _write(source, "mr", f"{series * slices:,} small MR files in {series} series", files)


def enhanced(source: Path, files: int, frames: int) -> Corpus:
    """Write multi-frame MR, 64 x 64, whose headers have functional groups of each frame."""
    header, pictures = scanner_headers.Enhanced(frames), body(64)

    def written() -> Iterator[tuple[str, bytes]]:
        for number in range(files):
            picture = np.stack([next(pictures) + 1100 for _ in range(frames)])
            yield f"{number:03d}.dcm", with_pixels(header, Place(number, number, 0), picture)

    corpus = _write(source, "enhanced", f"{files} multi-frame MR files of {frames} frames", written())
    return dataclasses.replace(corpus, frames=files * frames)


def many(source: Path, series: int, _: int) -> Corpus:
    """Write series of one file each, 64 x 64."""
    scanners, pictures = [scanner_headers.mr(seed=seed) for seed in range(SCANNERS)], body(64)

    def written() -> Iterator[tuple[str, bytes]]:
        for number in range(series):
            data = with_pixels(scanners[number % SCANNERS], Place(number, number, 0), next(pictures) + 1100)
            yield f"{number // 1000:03d}/{number:06d}.dcm", data

    return _write(source, "many", f"{series:,} series of one file", written())


_NOT_IN_COLOUR = (
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "PixelPaddingValue"),
    *("SmallestImagePixelValue", "LargestImagePixelValue"),
)
COLOUR: dict[str, Any] = {
    "SamplesPerPixel": 3, "PlanarConfiguration": 0, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
    **dict.fromkeys(_NOT_IN_COLOUR),
}  # fmt: skip


def mixed(source: Path, series: int, slices: int) -> Corpus:
    """Write series in turns: JPEG Lossless, JPEG-LS, JPEG 2000, native RGB and JPEG baseline colour, 256 x 256."""
    rgb = {**COLOUR, "PhotometricInterpretation": "RGB"}
    ybr = {**COLOUR, "PhotometricInterpretation": "YBR_FULL_422", "LossyImageCompression": "01"}

    def header(syntax: str = ExplicitVRLittleEndian, **more: Any) -> Header:
        return scanner_headers.ct(256, 256, signed=False, syntax=syntax, **more)

    makers = (
        (header(JPEGLosslessSV1), lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
        (header(JPEGLSLossless), imagecodecs.jpegls_encode),
        (header(JPEG2000Lossless), lambda a: imagecodecs.jpeg2k_encode(a, codecformat="J2K", reversible=True)),
        (header(**rgb), lambda a: _colour(a).tobytes()),
        (header(JPEGBaseline8Bit, **ybr), lambda a: imagecodecs.jpeg8_encode(_colour(a), level=90, subsampling="422")),
    )
    pictures = body(256)

    def files() -> Iterator[tuple[str, bytes]]:
        for number in range(series):
            maker, encode = makers[number % len(makers)]
            for index in range(slices):
                picture = np.clip(next(pictures) + 1100, 0, 4095).astype("<u2")
                place = Place(number, number, index, extremes=(int(picture.min()), int(picture.max())))
                yield f"{number:03d}/{index:04d}", maker.file(place, bytes(encode(picture)))

    return _write(source, "mixed", f"{series} x {slices} compressed and colour", files())


def _colour(picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.stack([picture >> 4, picture >> 5, 255 - (picture >> 4)], axis=-1).astype(np.uint8)


def one(source: Path, series: int, slices: int) -> Corpus:
    """Write one small series, to measure the constant time of a run."""
    return dataclasses.replace(ct(source, series, slices), name="one", title=f"One series of {slices} slices")


def large(source: Path, _: int, frames: int) -> Corpus:
    """Write one multi-frame file with gigabytes of pixels in a sparse file, to measure memory."""
    header = scanner_headers.ct(NumberOfFrames=frames)
    size = frames * 512 * 512 * 2
    head = header.header(Place(0, 0, 0, extremes=(0, 0))) + header.pixel_data(size)
    source.mkdir(parents=True)
    with open(source / "large.dcm", "wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + size)
    return Corpus("large", f"One file of {frames} frames", source, frames, len(head) + size)


def part_of(whole: Corpus, name: str, parts: int) -> Corpus:
    """Return 1/`parts` of a corpus, as hard links: of its series, the longest ones that fit in."""
    source = whole.source.with_name(name)
    shutil.rmtree(source, ignore_errors=True)
    folders = [list(path.iterdir()) for path in sorted(whole.source.iterdir()) if path.is_dir()]
    frames = size = 0
    for paths in sorted(folders, key=len, reverse=True):
        if frames + len(paths) > whole.frames / parts:
            continue
        for path in paths:
            target = source / path.relative_to(whole.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
            frames, size = frames + 1, size + path.stat().st_size
    return Corpus(name, f"{name.capitalize()} of: {whole.title}", source, frames, size)


def add_series(source: Path, series: int) -> Path:
    """Write another series of one file; return its path."""
    path = source / f"new-{series}.dcm"
    path.write_bytes(with_pixels(scanner_headers.mr(), Place(series, series, 0), next(body(64, seed=series)) + 1100))
    return path


MAKERS = {
    "one": (one, ONE),
    "ct": (ct, CT),
    "mr": (mr, MR),
    "enhanced": (enhanced, ENHANCED),
    "mixed": (mixed, MIXED),
    "large": (large, LARGE),
    "many": (many, MANY),
}


def make(name: str, preset: str, folder: Path) -> Corpus:
    """Write a corpus to a folder below `folder`, and return it."""
    maker, sizes = MAKERS[name]
    return maker(folder / name, *sizes[preset])
