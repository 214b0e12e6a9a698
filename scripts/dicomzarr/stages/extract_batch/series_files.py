"""The files of a series while it is worked on: opened as the scan saw them, understood, and read frame by frame."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from dicomzarr.pixels import byte_source
from dicomzarr.pixels import reader as pixels
from dicomzarr.pixels.modality_lut import read_modality_lut
from dicomzarr.pixels.palette import read_palette
from dicomzarr.source.row import HeaderRow
from dicomzarr.source.safe_open import Opener, stat_key
from dicomzarr.system import sandbox
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import SetAside
from dicomzarr.volumes import frames as frames_module
from dicomzarr.volumes.model import Frame

_BLOCK = 1 << 22
_SMALL = 256 << 10  # bytes of a file that takes longer to open than to read
_KEPT = 64 << 20  # bytes of such files that are kept of one series


@dataclasses.dataclass(frozen=True, slots=True)
class Roots:
    """The absolute source folders by label, as bytes."""

    folders: Mapping[str, bytes]


# What opening ends in where a file is gone, is a link or a socket now, or may not be read any more.
_CHANGED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM))


class opened:
    """Open a source file, read only and through no link; it is the one the scan saw until it is closed.

    A context manager, and no generator, since it is entered for every file.

    Raises
    ------
    SourceChanged
        If it is not there or another one, also where the block failed: what was read of it is worth nothing.
    OSError
        If the disk does not give it.
    """

    def __init__(self, row: HeaderRow, opener: Opener) -> None:
        self._row, self._opener = row, opener

    def __enter__(self) -> int:
        try:
            self._handle = self._opener.open(self._row["path"])
        except OSError as error:
            if error.errno in _CHANGED:
                raise SourceChanged(1) from None
            raise
        try:
            _refuse_change(self._handle, self._row)
        except BaseException:
            os.close(self._handle)
            raise
        return self._handle

    def __exit__(self, *_: object) -> None:
        try:
            _refuse_change(self._handle, self._row)
        finally:
            os.close(self._handle)


def _refuse_change(handle: int, row: HeaderRow) -> None:
    if stat_key(os.fstat(handle)) != tuple(row["stat"]):
        raise SourceChanged(1)


UNREADABLE = "0" * 64  # stands for the digest of a file whose bytes the disk does not give


class Contents:
    """Digests of whole files; of small ones the bytes are kept, so that they are opened once.

    Parameters
    ----------
    roots : Roots
    threads : int
        That work on one large file.

    Attributes
    ----------
    kept : dict of str to bytes
        The small files of a series, by path, as far as there is room.
    """

    def __init__(self, roots: Roots, threads: int = 1) -> None:
        self.kept: dict[str, bytes] = {}
        self._opener, self._threads = Opener(roots.folders), threads
        self._room = _KEPT

    def digest(self, row: HeaderRow) -> str:
        """Return the BLAKE3 of a source file's bytes, in hex; `UNREADABLE` where reading fails twice.

        Raises
        ------
        SourceChanged
            If it is not the file that the scan saw.
        """
        for _ in range(2):
            with contextlib.suppress(OSError):
                return self._digest(row)
        return UNREADABLE

    def _digest(self, row: HeaderRow) -> str:
        size = row["stat"][0]
        with opened(row, self._opener) as handle:
            block = os.pread(handle, min(size + 1, _BLOCK), 0)
            digest = blake3(block, max_threads=self._threads)
            offset = len(block)
            while offset < size and (more := os.pread(handle, _BLOCK, offset)):
                digest.update(more)
                offset += len(more)
        if offset != size:
            raise SourceChanged(1)
        if len(block) == size <= min(_SMALL, self._room):
            self.kept[row["path"]] = block
            self._room -= size
        return digest.hexdigest()

    def close(self) -> None:
        """Close the folder that is open."""
        self._opener.close()


def content_of(row: HeaderRow, roots: Roots, threads: int = 1) -> str:
    """Return the digest of one file, and keep nothing; see `Contents.digest`."""
    with contextlib.closing(Contents(roots, threads)) as contents:
        return contents.digest(row)


@dataclasses.dataclass(slots=True)
class SourceFile:
    """A file of the series while it is worked on.

    Attributes
    ----------
    content : str
        BLAKE3 of its bytes, hex.
    data : bytes, optional
        Its bytes, where they are kept.
    own : bool
        It belongs to the series; else it is read only to settle which series keeps a SOP Instance UID.
    reason, risk : str
        Why it is not extracted, and by which kind of risk; empty where there is no reason.
    numbers : dict of str to int
        `found` and `needed`, where a reason has numbers.
    format, frames, palette, modality_lut
        What its header says, once it is understood.
    """

    row: HeaderRow
    content: str
    data: bytes | None = None
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
        self._opener = Opener(roots.folders)
        self._stack = contextlib.ExitStack()
        self._current: int | None = None
        self._reader: pixels.FrameReader | None = None

    def of(self, source: int) -> pixels.FrameReader:
        """Return the frames of a file; the reader of another file is closed."""
        if self._current != source or self._reader is None:
            before = self._reader
            self._leave()
            file = self._files[source]
            bytes_of, facts = self._source(file), file.row["facts"]
            reader = before.like(bytes_of, facts, file.format) if before and file.format else None
            self._reader = reader or pixels.FrameReader(bytes_of, facts, file.format)
            self._current = source
        return self._reader

    def _source(self, file: SourceFile) -> byte_source.Source:
        facts, size = file.row["facts"], file.row["stat"][0]
        if file.data is not None and facts.get("TransferSyntaxUID") != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid:
            return byte_source.MemorySource(file.data)
        return byte_source.open_source(self._stack.enter_context(opened(file.row, self._opener)), size, facts)

    def frame(self, source: int, number: int) -> pixels.DecodedFrame:
        """Return one frame of a file."""
        return self.of(source)[number]

    def close(self) -> None:
        """Close the file that is open, and its folder."""
        try:
            self._leave()
        finally:
            self._opener.close()

    def _leave(self) -> None:
        self._current, self._reader = None, None
        self._stack.close()


def _read_header(handle: int, row: HeaderRow) -> Any:
    """Return the data set without its pixels, for what the index does not keep; None where it cannot be read."""
    import pydicom

    try:
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            return pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in sandbox.DISK_ERRORS:
            raise
        return None
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
            seen = sandbox.call(_understand, file.row, roots, *found, fault="unreadable_header")
            file.palette, file.modality_lut, file.frames = seen
        else:
            file.frames = frames_module.frames_of(*found, None)
        if (
            file.reason == "truncated_pixel_data"
            and facts["TransferSyntaxUID"] != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid
        ):
            # The header reader found that out without counting; here the numbers are at hand.
            pixels.FrameReader(_Hollow(file.row["stat"][0]), facts)
    except SetAside as error:
        file.numbers = numbers_of(error) if file.reason in ("", error.code) else {}
        file.reason = file.reason or error.code
    except (SourceChanged, OSError):  # what the disk does not give says nothing about the file
        raise
    except Exception:  # a fault of ours costs this file; its text could quote the header
        file.reason = file.reason or "unreadable_header"
        file.frames = []


def _understand(
    row: HeaderRow, roots: Roots, index: int, content: str, facts: ImageFacts, form: pixels.PixelFormat
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[Frame]]:
    """Return palette, modality LUT and frames of a file whose header says more than the index keeps."""
    with Opener(roots.folders) as opener, opened(row, opener) as handle:
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
