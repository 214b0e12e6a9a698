"""Images to draw text on, and images without text: real ones and made-up ones."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.text_in_pixels import phantoms
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
FRAMES = 8  # of one file
TINY = 32  # pixels: frames with a shorter side are counted by themselves
LEAST_SIDE = 100  # pixels of an image that text is drawn on
# Files whose pixels have text, seen by eye: ultrasound of pydicom, test patterns of the corpus.
WITH_TEXT = (
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "PM5644-960x540_JPEG-LS_Lossless.dcm",
    "PM5644-960x540_RLE-Lossless.dcm",
)
NO_BACKGROUND = ("SEG", "RTDOSE", "OT", "none")  # masks, doses, colour bars and test patterns


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of stored values, shape (rows, columns) or (rows, columns, 3).

    Attributes
    ----------
    kind : str
        Modality (0008,0060); `, pixels replaced` if the pixels are noise, `, tiny` below 32 pixels.
    source : str
        `real` or `made up`.
    has_text : bool
        Whether it has text of its own.
    """

    kind: str
    source: str
    frame: NDArray[Any]
    has_text: bool = False

    @property
    def carries_text(self) -> bool:
        """Return whether text can be drawn on it."""
        plain = self.kind not in NO_BACKGROUND and "," not in self.kind and not self.has_text
        return plain and min(self.frame.shape[:2]) >= LEAST_SIDE and bool(self.frame.max() > self.frame.min())


def is_noise(frame: NDArray[Any]) -> bool:
    """Return whether neighbours in a frame have nothing in common: pixels that a publisher replaced."""
    if frame.ndim > 2 or min(frame.shape) < 60:
        return False
    values = frame.astype(np.float64)
    left, right = values[:, :-1].ravel(), values[:, 1:].ravel()
    return bool(left.std() and right.std() and abs(np.corrcoef(left, right)[0, 1]) < 0.1)


def frames_of(path: Path) -> list[tuple[str, NDArray[Any]]]:
    """Return modality and pixels of frames spread over a file; of a palette image, the colours.

    Raises
    ------
    Exception
        Whatever pydicom and its decoders raise.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    dataset = pydicom.dcmread(path)
    if "Rows" not in dataset:
        return []
    count = int(dataset.get("NumberOfFrames") or 1)
    frames = []
    for index in sorted({round(place) for place in np.linspace(0, count - 1, min(FRAMES, count))}):
        frame = pixel_array(dataset, index=index)
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            frame = apply_color_lut(frame, dataset)
        frames.append((str(dataset.get("Modality") or "none"), np.ascontiguousarray(frame)))
    return frames


def real(folders: list[Path]) -> tuple[list[Picture], Counter[str]]:
    """Return the frames of all files in folders, each picture once, and what was left out."""
    pictures, left_out = [], Counter[str]()
    seen = set()
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frames = frames_of(path)
        except Exception as error:
            from pydicom.errors import InvalidDicomError

            left_out["not DICOM" if isinstance(error, InvalidDicomError) else "not decoded by pydicom"] += 1
            continue
        for modality, frame in frames:
            digest = hashlib.sha256(str(frame.shape).encode() + frame.tobytes()).digest()
            if frame.ndim < 2 or digest in seen:
                left_out["pictures that are there already"] += 1
                continue
            seen.add(digest)
            tiny = f"{modality}, tiny" if min(frame.shape[:2]) < TINY else modality
            kind = f"{modality}, pixels replaced" if is_noise(frame) else tiny
            pictures.append(Picture(kind, "real", frame, path.name in WITH_TEXT))
    return pictures, left_out


def folders(corpus: Path = CORPUS) -> list[Path]:
    """Return the folders of real images: of pydicom's wheel, and the corpus if it is there."""
    import pydicom.data

    wheel = Path(pydicom.data.__file__).parent
    found = [wheel / "test_files", wheel / "charset_files"]
    return [*found, corpus] if corpus.is_dir() else found


def made_up(seed: int, count: int, first: int = 0) -> Iterator[Picture]:
    """Yield `count` made-up images of each modality, from number `first` on."""
    for modality in phantoms.MADE_UP:
        for number in range(first, first + count):
            yield Picture(modality, "made up", phantoms.phantom(modality, seed, number))
