"""The header of one file: what it is, what the dataset needs of it, or why it cannot be used.

Policy stands here, once, for both readers: the lean one and pydicom.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from dicomzarr.dicom import vr as elements
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.photometric import PHOTOMETRIC
from dicomzarr.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY, reason_without_pixels
from dicomzarr.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
)
from dicomzarr.headers import fast_reader
from dicomzarr.headers.attributes import DIRECTORY_RECORDS, TEXTS, WANTED, interpret, text_of
from dicomzarr.headers.fast_reader import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, RawHeader, Reader
from dicomzarr.vocabulary.reasons import REASONS

MAX_INFLATED = 256 << 20  # bytes of a deflated data set (PS3.5 A.5) once inflated
MAX_INFLATED_HEADER = 16 << 20  # of these, the bytes before its pixel data
LEAST_ELEMENTS = 5  # consecutive well-formed elements that make a file without prefix plausible

_META_SOP_CLASS = 0x00020002
_META_SYNTAX = 0x00020010
_NATIVE: dict[str, Encoding] = {
    syntax.uid: Encoding(implicit=syntax.implicit_vr, little=not syntax.big_endian)
    for syntax in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
}
_SYNTAX_OF = {encoding: syntax for syntax, encoding in _NATIVE.items()}
_DEFLATED = frozenset(syntax.uid for syntax in TRANSFER_SYNTAXES.values() if syntax.deflated)

_BITS_ALLOCATED = frozenset((1, 8, 12, 16, 24, 32, 40, 48, 56, 64))  # PS3.5 8.1.1; 12 in older objects
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
# The attributes that decide whether pixels can be decoded, in the order in which `_layout` takes them.
_PIXEL = (
    *("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation", "BitsStored", "PixelRepresentation"),
    *("SamplesPerPixel", "HighBit", "PlanarConfiguration", "NumberOfFrames"),
)
# zip (also empty or split), gzip, bzip2, xz, zstd, 7z, rar
_ARCHIVES = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0"),
    *(b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
)
_IDENTIFIERS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("PatientID", "IssuerOfPatientID"),
)
_DECIDING = frozenset((*_PIXEL, *_IDENTIFIERS))


class Header(NamedTuple):
    """What one file is.

    Attributes
    ----------
    outcome : str
        ``image`` for a file that goes on to extraction, else skipped, quarantined or ignored.
    reason : str
        A key of `dicomzarr.vocabulary.reasons.REASONS`; empty for an image.
    flags : tuple of str
        Fixed codes, sorted: assumed_transfer_syntax, wrong_transfer_syntax.
    facts : ImageFacts
        What the index keeps; it may identify a patient.
    """

    outcome: str
    reason: str
    flags: tuple[str, ...]
    facts: ImageFacts


def read_header(fd: int, size: int, texts: list[tuple[str, bytes]] | None = None) -> Header:
    """Return what the file behind an open descriptor is, and the attributes that the dataset needs of it.

    Parameters
    ----------
    fd : int
        Descriptor of a regular file, open for reading; its position is neither used nor moved.
    size : int
        Size of the file in bytes.
    texts : list, optional
        Receives VR ("" where implicit) and bytes of the texts of the header, which may identify a patient.

    Returns
    -------
    Header
        Never an exception for what the bytes are; no text of it quotes them, save the facts.

    Raises
    ------
    OSError
        If the operating system cannot read the file.

    References
    ----------
    DICOM PS3.10 7.1 (file format), PS3.5 7.1 (data elements), PS3.3 C.7.6.3 (image pixel).
    """
    return _read_header(partial(os.pread, fd), size, texts)


def _read_header(
    read: Reader, size: int, texts: list[tuple[str, bytes]] | None = None, *, use_lean: bool = True
) -> Header:
    if size == 0:
        return _aside("empty_file")
    data = read(fast_reader.BLOCK, 0)
    flags: set[str] = set()
    try:
        start = 132 if data[128:132] == b"DICM" else 0
        if start == 0 and not _plausible_start(data, size):
            return _aside("archive" if _is_archive(data) else "not_dicom")
        meta, start = fast_reader.read_meta(data, start, size)
    except fast_reader.Truncated:
        return _aside("truncated_header")
    except fast_reader.Unclear:
        return _aside("unreadable_header") if start else _aside("not_dicom")
    if start >= size:
        return _aside("truncated_header")
    syntax = text_of(meta.get(_META_SYNTAX, b""))
    if syntax in _DEFLATED:
        inflated = _inflate(read, start, size)
        if isinstance(inflated, str):
            return _aside(inflated)
        data, size = inflated
        read, start = partial(_slice, data, size), 0
        encoding = EXPLICIT_LITTLE
    else:
        found = _encoding(data, start, size, syntax)
        if found is None:
            return _aside("unreadable_header")
        encoding, native = found
        if not syntax:
            flags.add("assumed_transfer_syntax")
            syntax = native
        elif native != syntax and syntax in _NATIVE:
            flags.add("wrong_transfer_syntax")
            syntax = native
    try:
        raw = _read_raw(read, size, start, encoding, data if use_lean else None)
    except fast_reader.Truncated:
        return _aside("truncated_header")
    except fast_reader.TooLong:
        return _aside("too_large")
    except _Refused:
        return _aside("unreadable_header")
    if texts is not None:
        texts += raw.texts
        texts += [(vr, value) for tag, (vr, value) in raw.values.items() if tag in TEXTS and value]
    return _judge(raw, meta, encoding, syntax, size, flags)


class _Refused(Exception):
    """Neither reader understands the header."""


def _read_raw(read: Reader, size: int, start: int, encoding: Encoding, data: bytes | None) -> RawHeader:
    if encoding.little and data is not None:
        try:
            return fast_reader.read_raw(read, size, start, encoding.implicit, WANTED, data)
        except fast_reader.Unclear:
            pass
    from dicomzarr.headers import pydicom_reader

    try:
        return pydicom_reader.read_tolerant(read, size, start, encoding)
    except pydicom_reader.Refused:
        raise _Refused from None
    except pydicom_reader.ReadFailed as failure:
        raise cast(OSError, failure.__cause__) from None


def _aside(reason: str, flags: set[str] | None = None, facts: ImageFacts | None = None) -> Header:
    return Header(REASONS[reason].outcome, reason, tuple(sorted(flags or ())), facts or {})


def _is_archive(data: bytes) -> bool:
    """Whether the first bytes are those of an archive or a compressed file; a tar tells at byte 257."""
    return data.startswith(_ARCHIVES) or data[257:262] == b"ustar"


def _plausible_start(data: bytes, size: int) -> bool:
    """Whether a file without the prefix DICM begins a data set, or file meta information, beyond doubt."""
    if data[:2] == b"\x02\0":
        well_formed, has_uid = fast_reader.looks_like(data, 0, size, EXPLICIT_LITTLE, LEAST_ELEMENTS)
        return well_formed and (has_uid or b"\x02\0\x10\0UI" in data[:1024])
    return _guess(data, 0, size, with_uid=True) is not None


def _guess(data: bytes, start: int, size: int, *, with_uid: bool) -> Encoding | None:
    """Return the only encoding in which the bytes at `start` are a data set, if there is one."""
    first = data[start : start + 2]
    for encoding in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        if with_uid and first != (b"\x08\0" if encoding.little else b"\0\x08"):
            continue
        well_formed, has_uid = fast_reader.looks_like(data, start, size, encoding, LEAST_ELEMENTS)
        if well_formed and (has_uid or not with_uid):
            return encoding
    return None


def _encoding(data: bytes, start: int, size: int, syntax: str) -> tuple[Encoding, str] | None:
    """Return how the data set is encoded, and the native transfer syntax of that name.

    The declared syntax holds where the first element agrees with it. Else the structure decides, and may contradict
    the declaration only among native syntaxes: compressed data are explicit little endian (PS3.5 A.4).
    """
    declared = _NATIVE.get(syntax)
    head = data[start : start + 8]
    vr = int.from_bytes(head[4:6], "little")
    explicit = vr in elements.LONG_VRS or vr in elements.SHORT_VRS
    low_group = len(head) == 8 and head[1] == 0  # groups below 0x0100 come first, in either order of bytes
    if declared is not None and declared.implicit != explicit and (declared.little == low_group or head[:2] == b"\0\0"):
        return declared, syntax
    if declared is None and syntax and explicit:
        return EXPLICIT_LITTLE, syntax
    guess = _guess(data, start, size, with_uid=False)
    if guess is None:
        # Nothing else fits: the declared syntax may, and what follows will tell.
        guess = declared if declared is not None else (EXPLICIT_LITTLE if syntax else None)
        return None if guess is None else (guess, syntax)
    if declared is None and syntax and guess == EXPLICIT_BIG:
        return None
    if declared is None and syntax:
        # A private or compressed syntax over implicit VR: readable, and its name is left as it is.
        return guess, syntax
    return guess, _SYNTAX_OF[guess]


def _inflate(read: Reader, start: int, size: int) -> tuple[bytes, int] | str:
    """Return the first bytes of a deflated data set and its whole length, or a reason code (PS3.5 A.5)."""
    import zlib

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    kept: list[bytes] = []
    total, step, position = 0, 1 << 20, start
    try:
        while position < size and not inflater.eof:
            block = read(1 << 18, position)
            if not block:
                break
            position += len(block)
            while block and not inflater.eof:
                part = inflater.decompress(block, step)
                block = inflater.unconsumed_tail
                if total < MAX_INFLATED_HEADER:
                    kept.append(part)
                total += len(part)
                if total > MAX_INFLATED:
                    return "too_large"
    except zlib.error:
        if not total:
            return "unreadable_header"
        # What came before the damage decides: if it ends before the last pixel, the file is truncated.
    return b"".join(kept), total


def _slice(data: bytes, size: int, length: int, offset: int) -> bytes:
    if offset + length > len(data) < min(size, offset + length):
        raise fast_reader.TooLong  # a header that runs beyond the part that is kept
    return data[offset : offset + length]


def _judge(
    raw: RawHeader, meta: dict[int, bytes], encoding: Encoding, syntax: str, size: int, flags: set[str]
) -> Header:
    """Decide what the file is; see PS3.3 C.7.6.3 for what an image needs."""
    found, bad = interpret(raw.values, little=encoding.little, runs=raw.runs, singly=raw.singly)
    if syntax:
        found["TransferSyntaxUID"] = syntax
    facts = cast(ImageFacts, found)
    if DIRECTORY_RECORDS in raw.values or text_of(meta.get(_META_SOP_CLASS, b"")) == MEDIA_STORAGE_DIRECTORY:
        return _aside("dicomdir", flags, facts)
    if raw.pixel is None:
        if raw.is_empty:
            return _aside("truncated_header", flags, facts)
        return _aside(_kind_without_pixels(found, bad), flags, facts)
    tag, vr, offset, length = raw.pixel
    keyword = elements.PIXEL_TAGS[tag]
    facts["pixel"] = {"keyword": keyword, "vr": vr, "offset": offset, "length": length}
    reason, needed = _layout(keyword, vr, tuple([found.get(name) for name in _PIXEL]))
    if bad and not bad.isdisjoint(_DECIDING):
        reason = "invalid_attribute"
    if reason:
        return _aside(reason, flags, facts)
    if "SamplesPerPixel" not in found:
        facts["SamplesPerPixel"] = 1
    if "HighBit" not in found and "BitsStored" in found:
        facts["HighBit"] = cast(int, found["BitsStored"]) - 1
    if length < 0 and "assumed_transfer_syntax" in flags:
        return _aside("missing_attribute", flags, facts)  # compressed, and nothing says how
    native = length >= 0 and (syntax in _NATIVE or syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid)
    if native and min(length, size - offset) < needed:
        return _aside("truncated_pixel_data", flags, facts)
    return Header("image", "", tuple(sorted(flags)), facts)


def _kind_without_pixels(found: dict[str, Any], bad: frozenset[str]) -> str:
    """Return why a whole file without pixel data is set aside.

    A file that describes pixels (Rows and Columns) lost them. One that does not is a stub, as archives and teaching
    sets keep them, whatever its SOP class: nothing says that there ever was an image.
    """
    reason = reason_without_pixels(found.get("SOPClassUID", ""), has_rows="Rows" in found)
    if reason:
        return reason
    if ("Rows" in found or "Rows" in bad) and ("Columns" in found or "Columns" in bad):
        return "missing_pixel_data"
    return "no_pixel_data"


@lru_cache(maxsize=1024)
def _layout(keyword: str, vr: str, pixel: tuple[Any, ...]) -> tuple[str, int]:
    """Return why pixels of this description cannot be decoded, or "", and the bytes of all frames, native.

    Parameters are the keyword and VR of the pixel data element, and the values of `_PIXEL`, None where missing.

    References
    ----------
    DICOM PS3.3 C.7.6.3; PS3.5 8.1.1 and A.1: frames follow each other without padding, bits are packed across frames.
    """
    rows, columns, allocated, photometric, stored, representation, samples, high_bit, planar, frames = pixel
    floating = keyword != "PixelData"
    known = PHOTOMETRIC.get(photometric)
    expected = known.samples if known else None
    if samples is None and expected == 1:
        samples = 1
    needed = (rows, columns, allocated, photometric, samples) if floating else (*pixel[:6], samples)
    if None in needed:
        return "missing_attribute", 0
    frames = 1 if frames is None else frames
    valid = (
        vr in ("", "OB", "OW", "OF", "OD", "UN")
        and 0 < rows < 65536
        and 0 < columns < 65536
        and allocated in _BITS_ALLOCATED
        and frames > 0
        and samples in (1, 3, 4)
        and (expected is None or samples == expected)
        and planar in (None, 0, 1)
    )
    if valid and floating:
        valid = allocated == _FLOAT_BITS[keyword]
    elif valid:
        valid = 0 < stored <= allocated and representation in (0, 1)
        valid = valid and (high_bit is None or stored - 1 <= high_bit < allocated)
    if not valid:
        return "invalid_attribute", 0
    halves = known.stored if known else 2 * samples
    return "", (rows * columns * frames * halves * allocated // 2 + 7) // 8
