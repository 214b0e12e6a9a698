"""The files of a series while it is worked on: opened as the scan saw them, understood, and read frame by frame."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blake3 import blake3

from dicomzarr import isolation
from dicomzarr.errors import SourceChanged
from dicomzarr.model import Frame, HeaderRow, ImageFacts
from dicomzarr.opening import Opener
from dicomzarr.pixels import reader as pixels
from dicomzarr.pixels import sources
from dicomzarr.pixels.modality_lut import read_modality_lut
from dicomzarr.pixels.palette import read_palette
from dicomzarr.reasons import SetAside
from dicomzarr.volumes import frames as frames_module

_BLOCK = 1 << 22


@dataclasses.dataclass(frozen=True, slots=True)
class Roots:
    """The absolute source folders by label, as bytes."""

    folders: Mapping[str, bytes]


@contextlib.contextmanager
def opened(row: HeaderRow, roots: Roots) -> Iterator[int]:
    """Open a source file, read only and through no link; it is the one the scan saw until it is closed.

    Raises
    ------
    SourceChanged
        If it is not there or another one, also where the block failed: what was read of it is worth nothing.
    """
    try:
        with Opener(roots.folders) as opener:
            handle = opener.open(row["path"])
    except OSError:
        raise SourceChanged(1) from None
    try:
        _refuse_change(handle, row)
        try:
            yield handle
        finally:
            _refuse_change(handle, row)
    finally:
        os.close(handle)


def _refuse_change(handle: int, row: HeaderRow) -> None:
    status = os.fstat(handle)
    if (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) != tuple(row["stat"]):
        raise SourceChanged(1)


UNREADABLE = "0" * 64  # stands for the digest of a file whose bytes the disk does not give


def content_of(row: HeaderRow, roots: Roots, threads: int = 1) -> str:
    """Return the BLAKE3 of a source file's bytes, by so many threads; `UNREADABLE` where reading fails twice."""
    for _ in range(2):
        try:
            return _content_of(row, roots, threads)
        except OSError:
            continue
    return UNREADABLE


def _content_of(row: HeaderRow, roots: Roots, threads: int) -> str:
    digest = blake3(max_threads=threads)
    with opened(row, roots) as handle:
        offset = 0
        while block := os.pread(handle, _BLOCK, offset):
            digest.update(block)
            offset += len(block)
    if offset != row["stat"][0]:
        raise SourceChanged(1)
    return digest.hexdigest()


@dataclasses.dataclass(slots=True)
class SourceFile:
    """A file of the series while it is worked on.

    Attributes
    ----------
    content : str
        BLAKE3 of its bytes, hex.
    own : bool
        It belongs to the series; else it is a rival, read only to settle who keeps a SOP Instance UID.
    reason, risk : str
        Why it is set aside, and by which kind of risk; empty while it stands.
    numbers : dict of str to int
        `found` and `needed`, where a reason has numbers.
    format, frames, palette, modality_lut
        What its header says, once it is understood.
    """

    row: HeaderRow
    content: str
    own: bool = True
    reason: str = ""
    risk: str = ""
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    format: pixels.PixelFormat | None = None
    frames: list[Frame] = dataclasses.field(default_factory=list)
    palette: dict[str, Any] | None = None
    modality_lut: dict[str, Any] | None = None

    @property
    def instance(self) -> str:
        """SOP Instance UID (0008,0018), or the content where there is none: what makes files duplicates."""
        return self.row["facts"].get("SOPInstanceUID") or self.content


class Readers:
    """The frames of the files, one file open at a time."""

    def __init__(self, files: Sequence[SourceFile], roots: Roots) -> None:
        self._files = files
        self._roots = roots
        self._stack = contextlib.ExitStack()
        self._current: int | None = None
        self._reader: pixels.FrameReader | None = None

    def of(self, source: int) -> pixels.FrameReader:
        """Return the frames of a file; the reader of another file is closed."""
        if self._current != source or self._reader is None:
            self.close()
            row = self._files[source].row
            handle = self._stack.enter_context(opened(row, self._roots))
            opened_source = sources.open_source(handle, row["stat"][0], row["facts"])
            self._reader = pixels.FrameReader(opened_source, row["facts"])
            self._current = source
        return self._reader

    def frame(self, source: int, number: int) -> pixels.DecodedFrame:
        """Return one frame of a file."""
        return self.of(source)[number]

    def close(self) -> None:
        """Close the file that is open."""
        self._stack.close()
        self._current, self._reader = None, None


def _read_header(handle: int, row: HeaderRow) -> Any:
    """Return the data set without its pixels, for what the index does not keep; None where it cannot be read."""
    import pydicom

    try:
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            return pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    except MemoryError:
        raise
    except Exception:
        return None


def understand(index: int, file: SourceFile, roots: Roots) -> None:
    """Fill in the pixel format and the frames of a file, or the reason why it has none."""
    facts = file.row["facts"]
    try:
        file.format = pixels.pixel_format(facts)
        _refuse_impossible_count(file)
        found = (index, file.content, facts, file.format)
        if frames_module.needs_header(facts) or facts.get("has_palette") or facts.get("has_modality_lut"):
            seen = isolation.call(_understand, file.row, roots, *found, fault="unreadable_header")
            file.palette, file.modality_lut, file.frames = seen
        else:
            file.frames = frames_module.frames_of(*found, None)
        if file.reason == "truncated_pixel_data" and facts["TransferSyntaxUID"] != sources.DEFLATED_EXPLICIT_LITTLE:
            # The header reader found that out without counting; here the numbers are at hand.
            pixels.FrameReader(_Hollow(file.row["stat"][0]), facts)
    except SetAside as error:
        file.numbers = numbers_of(error) if file.reason in ("", error.code) else {}
        file.reason = file.reason or error.code
    except SourceChanged:
        raise
    except Exception:  # a fault of ours costs this file; its text could quote the header
        file.reason = file.reason or "unreadable_header"
        file.frames = []


def _understand(
    row: HeaderRow, roots: Roots, index: int, content: str, facts: ImageFacts, form: pixels.PixelFormat
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[Frame]]:
    """Return palette, modality LUT and frames of a file whose header says more than the index keeps."""
    with opened(row, roots) as handle:
        header = _read_header(handle, row)
    palette = modality_lut = None
    if facts.get("has_palette") and header is not None:
        palette = dict(read_palette(header))
    if facts.get("has_modality_lut") and header is not None:
        modality_lut = dict(read_modality_lut(header))
    return palette, modality_lut, frames_module.frames_of(index, content, facts, form, header)


class _Hollow:
    """A source of so many bytes that nobody reads: enough to measure it."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        raise SetAside("truncated_pixel_data")

    def read_into(self, offset: int, buffer: memoryview) -> None:
        raise SetAside("truncated_pixel_data")


def numbers_of(error: SetAside) -> dict[str, int]:
    """Return the numbers that explain a reason: what was found and what was needed."""
    pairs = (("found", error.found), ("needed", error.needed))
    return {key: number for key, number in pairs if number is not None}


def _refuse_impossible_count(file: SourceFile) -> None:
    """Refuse more encapsulated frames than the file has room for: each takes an item header of 8 bytes (PS3.5 A.4)."""
    room = file.row["stat"][0] // 8
    pixel = file.row["facts"].get("pixel")
    if file.format and pixel and pixel["length"] < 0 and file.format.frames > room:
        raise SetAside("frame_count_mismatch", found=room, needed=file.format.frames)
