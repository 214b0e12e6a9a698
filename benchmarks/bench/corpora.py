"""Write corpora like those of scanners and archives: a header is encoded once, then patched for each file."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from benchmarks.headers import dataset
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

# Placeholders of the values that differ between files; their replacements have the same length.
INSTANCE, SERIES, STUDY = (f"1.2.3.{kind}{0:036d}" for kind in (91, 92, 93))
PATIENT = "PATIENT0000000000"
POSITION = "-00000.0001"


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


# For each preset: number of series, files per series.
CT = {"small": (8, 60), "full": (20, 200)}
MR = {"small": (20, 100), "full": (500, 100)}
MIXED = {"small": (10, 12), "full": (50, 100)}
MANY = {"small": (1000, 1), "full": (100_000, 1)}
ONE = {"small": (1, 10), "full": (1, 10)}
LARGE = {"small": (1, 1000), "full": (1, 8191)}


class Template:
    """The bytes of a file with placeholders for its UIDs, its position and its pixels."""

    def __init__(self, header: Dataset, syntax: str = ExplicitVRLittleEndian) -> None:
        header.SOPInstanceUID, header.SeriesInstanceUID, header.StudyInstanceUID = INSTANCE, SERIES, STUDY
        header.PatientID, header.InstanceNumber = PATIENT, 1
        header.ImagePositionPatient = ["-125", "-125", POSITION]
        header.PixelData = b"pixels--"
        header["PixelData"].VR = "OW"
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = INSTANCE
        if syntax != ExplicitVRLittleEndian:
            header.file_meta.TransferSyntaxUID = syntax
            header.PixelData = encapsulate([b"pixels--"])
            header["PixelData"].is_undefined_length = True
            header["PixelData"].VR = "OB"
        stream = io.BytesIO()
        header.save_as(stream, enforce_file_format=True)
        raw = stream.getvalue()
        self._compressed = syntax != ExplicitVRLittleEndian
        # Explicit VR element OW or OB: tag, VR, two reserved bytes, four bytes of length (PS3.5 7.1.2).
        self._head = raw[: raw.rindex(b"\xe0\x7f\x10\x00") + 8]

    def file(self, series: int, index: int, pixels: bytes, *, spacing: float = 2.5, study: int | None = None) -> bytes:
        """Return the bytes of the file of one slice.

        Parameters
        ----------
        series, index : int
            Numbers of the series and of the slice in it.
        pixels : bytes
            Native pixels, or one compressed frame.
        spacing : float
            Distance between slices, mm.
        study : int, optional
            Number of the study and patient; by default, that of the series.
        """
        study = series if study is None else study
        head = self._head
        for placeholder, value in (
            (INSTANCE, f"1.2.3.91{series * 100_000 + index:036d}"),
            (SERIES, f"1.2.3.92{series:036d}"),
            (STUDY, f"1.2.3.93{study:036d}"),
            (PATIENT, f"PATIENT{study:010d}"),
            (POSITION, f"{spacing * index:+011.4f}"),
        ):
            head = head.replace(placeholder.encode(), value.encode())
        if self._compressed:
            return head + b"\xff\xff\xff\xff" + encapsulate([pixels]) + b"\xfe\xff\xdd\xe0" + bytes(4)
        return head + len(pixels).to_bytes(4, "little") + pixels


def header(kind: str, rows: int, columns: int, **attributes: object) -> Dataset:
    """Return a header of a CT or MR scanner, with private elements and sequences."""
    result = dataset(kind, 0, random.Random(0))
    result.Rows, result.Columns = rows, columns
    del result.SmallestImagePixelValue, result.LargestImagePixelValue
    for keyword, value in attributes.items():
        setattr(result, keyword, value)
    return result


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


SIGNED = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1}


def ct(source: Path, series: int, slices: int) -> Corpus:
    """Write CT series of 512 x 512 int16."""
    template, pictures = Template(header("CT", 512, 512, **SIGNED)), body(512)
    files = (
        (f"{number:03d}/{(index * 7 + 3) % slices:04d}.dcm", template.file(number, index, next(pictures).tobytes()))
        for number in range(series)
        for index in range(slices)
    )
    return _write(source, "ct", f"CT {series} x {slices} x 512 x 512 int16", files)


def mr(source: Path, series: int, slices: int) -> Corpus:
    """Write small MR files, 64 x 64, each with 9 kB of private header."""
    template, pictures = Template(header("MR", 64, 64)), body(64)
    files = (
        (f"{number:04d}/{index:04d}.dcm", template.file(number, index, (next(pictures) + 1100).tobytes()))
        for number in range(series)
        for index in range(slices)
    )
    return _write(source, "mr", f"{series * slices:,} small MR files", files)


def many(source: Path, series: int, _: int) -> Corpus:
    """Write series of one file each, 64 x 64."""
    template, pictures = Template(header("MR", 64, 64)), body(64)
    files = (
        (f"{number // 1000:03d}/{number:06d}.dcm", template.file(number, 0, (next(pictures) + 1100).tobytes()))
        for number in range(series)
    )
    return _write(source, "many", f"{series:,} series of one file", files)


GREY = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
COLOUR = {
    "SamplesPerPixel": 3, "PlanarConfiguration": 0, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
}  # fmt: skip


def mixed(source: Path, series: int, slices: int) -> Corpus:
    """Write series in turns: JPEG Lossless, JPEG-LS, JPEG 2000, native RGB and JPEG baseline colour, 256 x 256."""
    grey = header("CT", 256, 256, **GREY)
    rgb = {**COLOUR, "PhotometricInterpretation": "RGB"}
    ybr = {**COLOUR, "PhotometricInterpretation": "YBR_FULL_422", "LossyImageCompression": "01"}
    makers = (
        (Template(grey, JPEGLosslessSV1), lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12)),
        (Template(grey, JPEGLSLossless), imagecodecs.jpegls_encode),
        (Template(grey, JPEG2000Lossless), lambda a: imagecodecs.jpeg2k_encode(a, codecformat="J2K", reversible=True)),
        (Template(header("CT", 256, 256, **rgb)), lambda a: _colour(a).tobytes()),
        (
            Template(header("CT", 256, 256, **ybr), JPEGBaseline8Bit),
            lambda a: imagecodecs.jpeg8_encode(_colour(a), level=90, subsampling="422"),
        ),
    )
    pictures = body(256)

    def files() -> Iterator[tuple[str, bytes]]:
        for number in range(series):
            template, encode = makers[number % len(makers)]
            for index in range(slices):
                picture = np.clip(next(pictures) + 1100, 0, 4095).astype("<u2")
                yield f"{number:03d}/{index:04d}", template.file(number, index, bytes(encode(picture)))

    return _write(source, "mixed", f"{series} x {slices} compressed and colour", files())


def _colour(picture: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.stack([picture >> 4, picture >> 5, 255 - (picture >> 4)], axis=-1).astype(np.uint8)


def one(source: Path, series: int, slices: int) -> Corpus:
    """Write one small series, to measure the constant time of a run."""
    return dataclasses.replace(ct(source, series, slices), name="one", title=f"One series of {slices} slices")


def large(source: Path, _: int, frames: int) -> Corpus:
    """Write one multi-frame file with gigabytes of pixels in a sparse file, to measure memory."""
    template = Template(header("CT", 512, 512, **SIGNED, NumberOfFrames=frames))
    size = frames * 512 * 512 * 2
    head = template.file(0, 0, b"")[:-4] + size.to_bytes(4, "little")
    source.mkdir(parents=True)
    with open(source / "large.dcm", "wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + size)
    return Corpus("large", f"One file of {frames} frames", source, frames, len(head) + size)


def part_of(whole: Corpus, name: str, parts: int) -> Corpus:
    """Return the first 1/`parts` of the folders of a corpus, as hard links."""
    source = whole.source.with_name(name)
    shutil.rmtree(source, ignore_errors=True)
    folders = sorted(path for path in whole.source.iterdir() if path.is_dir())
    frames = size = 0
    for folder in folders[: len(folders) // parts]:
        (source / folder.name).mkdir(parents=True)
        for path in folder.iterdir():
            os.link(path, source / folder.name / path.name)
            frames, size = frames + 1, size + path.stat().st_size
    return Corpus(name, f"{name.capitalize()} of: {whole.title}", source, frames, size)


def add_series(source: Path, series: int) -> Path:
    """Write another series of one file; return its path."""
    pixels = (next(body(64, seed=series)) + 1100).tobytes()
    path = source / f"new-{series}.dcm"
    path.write_bytes(Template(header("MR", 64, 64)).file(series, 0, pixels))
    return path


MAKERS = {
    "one": (one, ONE),
    "ct": (ct, CT),
    "mr": (mr, MR),
    "mixed": (mixed, MIXED),
    "large": (large, LARGE),
    "many": (many, MANY),
}


def make(name: str, preset: str, folder: Path) -> Corpus:
    """Write a corpus to a folder below `folder`, and return it."""
    maker, sizes = MAKERS[name]
    return maker(folder / name, *sizes[preset])
