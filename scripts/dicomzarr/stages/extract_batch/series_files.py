"""The files of a series during extraction: open them unchanged, interpret their headers, read their frames."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.prefix import AFTER_PREFIX, for_pydicom
from dicomzarr.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
from dicomzarr.dicom.vr import ITEM
from dicomzarr.headers.mended_items import mended_file
from dicomzarr.headers.reading import Unclear
from dicomzarr.pixels import byte_source
from dicomzarr.pixels import reader as pixels
from dicomzarr.source.archives.bounds import FULL
from dicomzarr.source.archives.names import is_member
from dicomzarr.source.object_store import UNREACHABLE, Unreachable, is_object_store
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import HeaderRow
from dicomzarr.stages.extract_batch.frame_headers import read_frame_items
from dicomzarr.stages.extract_batch.value_tables import digests_of_tables, read_tables, tables_that_count
from dicomzarr.system import sandbox, shortage
from dicomzarr.vocabulary.errors import SourceChanged, UserError
from dicomzarr.vocabulary.reasons import NotExtracted
from dicomzarr.volumes.frames import frames_of, needs_header
from dicomzarr.volumes.model import Frame

_BLOCK = 1 << 22
_PIECE = 1 << 20  # bytes that are hashed twice, while they are in the cache of the processor
_SMALL = 256 << 10  # bytes: a smaller file takes longer to open than to read
_SMALL_TOTAL = 64 << 20  # bytes: small files of one series that are held in memory
WHOLE = _BLOCK  # bytes: a file of one frame that is not larger is read as a whole, and hashed, when its frame is read


@dataclasses.dataclass(frozen=True, slots=True)
class Roots:
    """The roots of the source by label: absolute folders."""

    by_label: Mapping[str, bytes]


# Errors of opening a file that was deleted, became a link or a socket, or may no longer be read.
_CHANGED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM))


class opened:
    """Open a source file; a context manager that gives the open file.

    The key of the file must be that of the inventory when it is opened and when it is closed. A class, not a
    generator, because it is entered for every file.

    Parameters
    ----------
    row : HeaderRow
    opener : Opener
        Opens paths below the roots of the source.

    Raises
    ------
    SourceChanged
        If the file is missing or its key differs. Replaces an error of the block: what was read cannot be trusted.
    OSError
        If the disk or the network fails.
    """

    def __init__(self, row: HeaderRow, opener: Opener) -> None:
        self._row, self._opener = row, opener

    def __enter__(self) -> OpenFile:
        try:
            self._file = self._opener.open(self._row["path"], (*self._row["stat"],))
        except OSError as error:
            if error.errno in _CHANGED:
                raise SourceChanged(1) from None
            raise
        try:
            _refuse_change(self._file, self._row)
        except BaseException:
            self._file.close()
            raise
        return self._file

    def __exit__(self, *_: object) -> None:
        try:
            _refuse_change(self._file, self._row)
        finally:
            self._file.close()


def _refuse_change(file: OpenFile, row: HeaderRow) -> None:
    if file.key() != tuple(row["stat"]):
        raise SourceChanged(1)


UNREADABLE = "0" * 64  # in place of the digest of a file that could not be read
# In place of the digest of a member of an archive that could not be unpacked, by the reason. Unlike UNREADABLE it stays
# until the archive, or what it may cost, changes.
_REFUSED = {
    "damaged_member": "1" * 64,
    "encrypted_member": "2" * 64,
    "unsupported_member": "3" * 64,
    "too_large": "4" * 64,
    "timeout": "5" * 64,
    "decoder_died": "6" * 64,
    "unreadable_archive": "7" * 64,
    "archive_bomb": "8" * 64,
}
_REASONS = {content: reason for reason, content in _REFUSED.items()} | {UNREADABLE: "unreadable_file"}


def reason_of_content(content: str) -> str:
    """Return why a file has no digest of its content; empty if it has one."""
    return _REASONS.get(content, "")


class Contents:
    """Digests of files; the bytes of small files are held in memory, so that they are opened once.

    Parameters
    ----------
    roots : Roots
    threads : int
        Number of threads that hash one large file.

    Attributes
    ----------
    small_files : dict of str to bytes
        The bytes of small files, by path, up to 64 MiB in all.
    blocks : dict of str to bytes
        Digests of the blocks of the files that are not read as a whole for their frames, by path.
    """

    def __init__(self, roots: Roots, threads: int = 1) -> None:
        self.small_files: dict[str, bytes] = {}
        self.blocks: dict[str, bytes] = {}
        self._opener, self._threads = Opener(roots.by_label), threads
        self._room = _SMALL_TOTAL
        self._is_remote = any(map(is_object_store, roots.by_label.values()))

    def ahead(self, rows: Sequence[HeaderRow]) -> None:
        """Announce the files that will be read, in order: objects are requested ahead, and their copies retained."""
        self._opener.ahead([(row["path"], row["stat"][0]) for row in rows])

    def digest(self, row: HeaderRow) -> str:
        """Return the BLAKE3 of a source file, hex; `UNREADABLE` if reading fails twice.

        Raises
        ------
        SourceChanged
            If the stat of the file differs from the inventory.
        UserError
            If an archive cannot be decompressed since the disk of the results is full.
        Unreachable
            If object storage does not answer: no property of the file.
        """
        for _ in range(2):
            try:
                return self._digest(row)
            except NotExtracted as error:  # a member that cannot be unpacked
                return _REFUSED.get(error.code, _REFUSED["damaged_member"])
            except OSError as error:
                if error.errno in sandbox.DISK_FULL:
                    raise UserError(FULL) from None
                if self._is_remote and error.errno == UNREACHABLE:
                    raise Unreachable(error.errno, os.strerror(error.errno)) from None
        return UNREADABLE

    def _digest(self, row: HeaderRow) -> str:
        size = row["stat"][0]
        with opened(row, self._opener) as file:
            block = _read_fully(file, min(size + 1, _BLOCK), 0)
            digest = blake3(block, max_threads=self._threads)
            offset = len(block)
            # A member takes longer to unpack than to hold.
            is_held = offset == size <= min(_BLOCK if is_member(row["path"]) else _SMALL, self._room)
            blocks = None if is_held or is_read_whole(row) else [byte_source.block_digests(block)]
            while offset < size and (more := _read_fully(file, min(size + 1 - offset, _PIECE), offset)):
                digest.update(more)
                offset += len(more)
                if blocks:
                    blocks.append(byte_source.block_digests(more))
        if offset != size:
            raise SourceChanged(1)
        if is_held:
            self.small_files[row["path"]] = block
            self._room -= size
        if blocks:
            self.blocks[row["path"]] = b"".join(blocks)
        return digest.hexdigest()

    def close(self) -> None:
        """Close the open folder."""
        self._opener.close()


def _read_fully(file: OpenFile, length: int, offset: int) -> bytes:
    """Return `length` bytes, fewer at the end of the file only."""
    data = file.read(length, offset)
    while 0 < len(data) < length and (more := file.read(length - len(data), offset + len(data))):
        data += more
    return data


def is_read_whole(row: HeaderRow) -> bool:
    """Return whether all bytes of a file are read at once for its frame: it has one, and is neither large nor deflated.

    Several frames may be read in turns with those of other files.
    """
    facts, size = row["facts"], row["stat"][0]
    is_deflated = facts.get("TransferSyntaxUID") == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid
    return facts.get("NumberOfFrames", 1) == 1 and size <= WHOLE and not is_deflated


def content_of(row: HeaderRow, roots: Roots, threads: int = 1) -> tuple[str, bytes]:
    """Return the digest of one file and those of its blocks, without holding its bytes; see `Contents`.

    Parameters
    ----------
    row : HeaderRow
    roots : Roots
    threads : int
        Number of threads that hash the file.

    Returns
    -------
    tuple of str and bytes
        BLAKE3, hex, or `UNREADABLE`; no digests of blocks if the file is read as a whole for its frame.
    """
    with contextlib.closing(Contents(roots, threads)) as contents:
        return contents.digest(row), contents.blocks.get(row["path"], b"")


@dataclasses.dataclass(slots=True)
class SourceFile:
    """A file of the series during extraction.

    Attributes
    ----------
    row : HeaderRow
        Its line of the index.
    content : str
        BLAKE3 of its bytes, hex; empty as long as it is not known.
    data : bytes, optional
        Its bytes, if they are held in memory.
    blocks : bytes
        Digests of its blocks, if they are known.
    own : bool
        It belongs to the series; if false, it has a SOP Instance UID of the series but belongs to another one.
    reason, risk : str
        Reason code and kind of risk if it is not extracted; else empty.
    numbers : dict of str to int
        `found` and `needed`, if the reason has numbers.
    format, frames, palette, modality_lut
        Pixel format, frames and lookup tables of its header, set by `interpret`.
    decision : str
        `keep` or `set_aside` if somebody decided about its text; else empty.
    same_as : int, optional
        Of a duplicate, the number of the file that stands for it.
    """

    row: HeaderRow
    content: str
    data: bytes | None = None
    blocks: bytes = b""
    own: bool = True
    reason: str = ""
    risk: str = ""
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    format: pixels.PixelFormat | None = None
    frames: list[Frame] = dataclasses.field(default_factory=list)
    palette: dict[str, Any] | None = None
    modality_lut: dict[str, Any] | None = None
    decision: str = ""
    same_as: int | None = None

    @property
    def instance(self) -> str:
        """SOP Instance UID (0008,0018), or the content digest if there is none; duplicates have the same."""
        return self.row["facts"].get("SOPInstanceUID") or self.content


class Undigested(Exception):
    """A file whose content is not known could not be read. `Contents.digest` tries again and finds its reason."""


class Readers:
    """Reads the frames of some files, with one file open at a time.

    A file that is read as a whole (`is_read_whole`) gets its content here if it is not known yet; if it is known, the
    bytes must be those of the content. Of another file each block must have its digest, if that is known. Raises
    `SourceChanged` if bytes are others, `Undigested` if a file without a known content cannot be read.
    """

    def __init__(self, files: Sequence[SourceFile], roots: Roots) -> None:
        self._files = files
        self._opener = Opener(roots.by_label)
        self._stack = contextlib.ExitStack()
        self._current: int | None = None
        self._reader: pixels.FrameReader | None = None

    def of(self, source: int) -> pixels.FrameReader:
        """Return the frame reader of a file; the reader of another file is closed."""
        if self._current != source or self._reader is None:
            before = self._reader
            self._close_file()
            file = self._files[source]
            byte_source_of_file, facts = self._source(file), file.row["facts"]
            reader = before.like(byte_source_of_file, facts, file.format) if before and file.format else None
            self._reader = reader or pixels.FrameReader(byte_source_of_file, facts, file.format)
            self._current = source
        return self._reader

    def _source(self, file: SourceFile) -> byte_source.Source:
        facts, size = file.row["facts"], file.row["stat"][0]
        if file.data is not None and facts.get("TransferSyntaxUID") != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid:
            return byte_source.MemorySource(file.data)
        if is_read_whole(file.row):
            return byte_source.MemorySource(self._whole(file))
        open_file = self._stack.enter_context(opened(file.row, self._opener))
        return byte_source.open_source(open_file.descriptor(), size, facts, file.blocks)

    def content(self, source: int) -> str:
        """Return the content of a file whose reader was asked for."""
        return self._files[source].content

    def _whole(self, file: SourceFile) -> bytes:
        """Return all bytes of a file; they have its digest."""
        size = file.row["stat"][0]
        try:
            with opened(file.row, self._opener) as open_file:
                data = _read_fully(open_file, size + 1, 0)
        except OSError:
            if file.content:
                raise
            raise Undigested from None
        content = blake3(data).hexdigest()
        if len(data) != size or content != (file.content or content):
            raise SourceChanged(1)
        file.content = content
        return data

    def frame(self, source: int, number: int) -> pixels.DecodedFrame:
        """Return one frame of a file."""
        return self.of(source)[number]

    def close(self) -> None:
        """Close the open file and its folder."""
        try:
            self._close_file()
        finally:
            self._opener.close()

    def _close_file(self) -> None:
        self._current, self._reader = None, None
        self._stack.close()


def read_data_set(handle: int, row: HeaderRow) -> Any:
    """Return the data set without pixels, for attributes that are not in the index; None if it cannot be read.

    Items that end with a wrong delimiter, and elements behind a stray end of an item, are read; stray items are not.
    """
    import pydicom

    from dicomzarr.headers.pydicom_reader import read_past_item_ends

    try:
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            placed = for_pydicom(stream)
            header = pydicom.dcmread(placed, stop_before_pixels=True, force=True)
            read_past_item_ends(placed, header)
            # pydicom reads to the end where an element has no known VR.
            end = placed.tell() - (0 if placed is stream else AFTER_PREFIX)
            is_whole = end <= row["facts"]["pixel"]["offset"] and ITEM not in header
            return header if is_whole else _read_mended(handle, row) or header
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in sandbox.DISK_ERRORS:
            raise
        return _read_mended(handle, row)  # pydicom raises it for a missing item
    except Exception as error:  # a header that pydicom cannot read; the caller gives the file its reason
        shortage.refuse(error)
        return _read_mended(handle, row)


def _read_mended(handle: int, row: HeaderRow) -> Any:
    """Return the data set of a file with wrong delimiters of items, or unknown VRs; None for any other file."""
    import io

    import pydicom

    try:
        data = mended_file(partial(os.pread, handle), row["stat"][0], row["facts"]["TransferSyntaxUID"])
        if data is None:
            return None
        return pydicom.dcmread(for_pydicom(io.BytesIO(data)), stop_before_pixels=True, force=True)
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in sandbox.DISK_ERRORS:
            raise
    except Exception as error:
        shortage.refuse(error)
    return None


def interpret(index: int, file: SourceFile, roots: Roots) -> None:
    """Set the pixel format, frames and lookup tables of a file from its header, or the reason why it has none.

    Parameters
    ----------
    index : int
        Number of the file in its series; its frames refer to it.
    file : SourceFile
    roots : Roots
        The roots of the source: some attributes are not in the index and are read from the file.
    """
    facts = file.row["facts"]
    try:
        file.format = pixels.pixel_format(facts)
        _refuse_impossible_count(file)
        arguments = (index, file.content, facts, file.format)
        if needs_header(facts) or tables_that_count(facts, file.format.photometric):
            tables_and_frames = sandbox.call(_read_tables, file.row, roots, *arguments, fault="unreadable_header")
            file.palette, file.modality_lut, file.frames = tables_and_frames
        else:
            file.frames = frames_of(*arguments, None)
        if tables := digests_of_tables(facts, file.palette, file.modality_lut):
            file.frames = [dataclasses.replace(frame, tables={**tables, **frame.tables}) for frame in file.frames]
        if (
            file.reason == "truncated_pixel_data"
            and facts["TransferSyntaxUID"] != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid
        ):
            # The header reader did not count bytes. This raises the error again, with the numbers.
            pixels.FrameReader(_SizeOnly(file.row["stat"][0]), facts)
    except NotExtracted as error:
        file.numbers = numbers_of(error) if file.reason in ("", error.code) else {}
        file.reason = file.reason or error.code
    except (SourceChanged, OSError):  # a failure of the disk is no property of the file
        raise
    except Exception as error:  # a bug costs this file alone; the text of the error could quote the header
        shortage.refuse(error)
        file.reason = file.reason or "unreadable_header"
        file.frames = []


def _read_tables(
    row: HeaderRow, roots: Roots, index: int, content: str, facts: ImageFacts, form: pixels.PixelFormat
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[Frame]]:
    """Return palette, modality LUT and frames of a file; some of their attributes are not in the index."""
    with Opener(roots.by_label) as opener, opened(row, opener) as file:
        items: list[Any] | None = None
        try:
            header, items = read_frame_items(file.descriptor(), facts)
        except Unclear:
            header = read_data_set(file.descriptor(), row)
    names = tables_that_count(facts, form.photometric)
    if header is None and names:
        raise NotExtracted("unreadable_header")
    return *read_tables(header, names), frames_of(index, content, facts, form, header, items)


class _SizeOnly:
    """A byte source with a size and no bytes, for checks of the size alone."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        raise NotExtracted("truncated_pixel_data")

    def read_into(self, offset: int, buffer: memoryview) -> None:
        raise NotExtracted("truncated_pixel_data")


def numbers_of(error: NotExtracted) -> dict[str, int]:
    """Return the numbers of an error, `found` and `needed`, if it has them."""
    pairs = (("found", error.found), ("needed", error.needed))
    return {key: number for key, number in pairs if number is not None}


def _refuse_impossible_count(file: SourceFile) -> None:
    """Refuse more encapsulated frames than fit in the file: each has an item header of 8 bytes (PS3.5 A.4)."""
    most_frames = file.row["stat"][0] // 8
    pixel = file.row["facts"].get("pixel")
    if file.format and pixel and pixel["length"] < 0 and file.format.frames > most_frames:
        raise NotExtracted("frame_count_mismatch", found=most_frames, needed=file.format.frames)
