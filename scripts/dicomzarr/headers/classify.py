"""Classify one file by its header: image, or the reason why it is not extracted, with the attributes for the index.

The policy is here, for both readers: `fast_reader` and `pydicom_reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, cast

from dicomzarr.dicom import vr as elements
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.photometric import PHOTOMETRIC
from dicomzarr.dicom.prefix import PREFIX, offset_of_first_element
from dicomzarr.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY, reason_without_pixels
from dicomzarr.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
)
from dicomzarr.headers import fast_reader
from dicomzarr.headers.attributes import DIRECTORY_RECORDS, TEXTS, WANTED, finish, interpret, text_of
from dicomzarr.headers.cut_off import facts_before_the_end
from dicomzarr.headers.fast_reader import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, RawHeader, Reader
from dicomzarr.headers.file_meta import read_meta
from dicomzarr.headers.layouts import LAYOUTS, texts_of
from dicomzarr.headers.pixel_element import may_end_at, reason_against
from dicomzarr.vocabulary.reasons import REASONS

MAX_INFLATED = 256 << 20  # bytes of a deflated data set (PS3.5 A.5) once inflated
MAX_INFLATED_HEADER = 16 << 20  # of these, the bytes before its pixel data
MIN_ELEMENTS = 5  # consecutive well-formed elements required of a file without the prefix DICM

_IMPLICIT_BIG = Encoding(implicit=True, little=False)  # of ACR-NEMA; no transfer syntax of DICOM
_RECOGNITION = (b"ACR-NEMA", b"ACRNEMA", b"ACR NEMA")

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
# The attributes that decide whether pixels can be decoded, in the order in which `_check_layout` takes them.
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
    """Classification of one file, and its attributes.

    Attributes
    ----------
    outcome : str
        ``image`` for a file that goes on to extraction, else skipped, quarantined or ignored.
    reason : str
        A key of `dicomzarr.vocabulary.reasons.REASONS`; empty for an image.
    flags : tuple of str
        Fixed codes, sorted: assumed_transfer_syntax, wrong_transfer_syntax.
    facts : ImageFacts
        The attributes that the index stores; they may identify a patient.
    """

    outcome: str
    reason: str
    flags: tuple[str, ...]
    facts: ImageFacts


def read_header(read: Reader, size: int, texts: list[tuple[str, bytes]] | None = None) -> Header:
    """Classify a file by its header and return the attributes that the dataset needs.

    Parameters
    ----------
    read : callable
        Returns up to so many bytes (first argument) from an offset on (second argument).
    size : int
        Size of the file in bytes.
    texts : list, optional
        VR ("" where implicit) and bytes of the header's texts are appended to it; they may identify a patient.

    Returns
    -------
    Header
        For any bytes whatsoever. Only `facts` holds header values.

    Raises
    ------
    OSError
        As raised by `read`.

    References
    ----------
    DICOM PS3.10 7.1 (file format), PS3.5 7.1 (data elements), PS3.3 C.7.6.3 (image pixel).
    """
    return _read_header(read, size, texts)


def _read_header(
    read: Reader,
    size: int,
    texts: list[tuple[str, bytes]] | None = None,
    *,
    use_fast: bool = True,
    use_layouts: bool = True,
) -> Header:
    if size == 0:
        return _not_extracted("empty_file")
    data = read(fast_reader.BLOCK, 0)
    flags: set[str] = set()
    try:
        start = offset_of_first_element(data)
        if start == 0 and not _plausible_start(data, size):
            if not _is_acr_nema(data, size):
                return _not_extracted(_reason_of_no_data_set(data))
            flags.add("acr_nema")
        meta, start = read_meta(data, start, size)
    except fast_reader.Truncated:
        return _not_extracted("truncated_header")
    except fast_reader.Unclear:
        return _not_extracted("unreadable_header") if start else _not_extracted("not_dicom")
    if start >= size:
        return _not_extracted("truncated_header")
    syntax = text_of(meta.get(_META_SYNTAX, b""))
    if syntax in _DEFLATED:
        inflated = _inflate(read, start, size)
        if isinstance(inflated, str):
            return _not_extracted(inflated)
        data, size = inflated
        read, start = partial(_slice, data, size), 0
        encoding = EXPLICIT_LITTLE
    else:
        detected = _detect_encoding(data, start, size, syntax)
        if detected is None:
            return _not_extracted("acr_nema" if "acr_nema" in flags else "unreadable_header", flags)
        encoding, native = detected
        if not syntax:
            flags.add("assumed_transfer_syntax")
            syntax = native
        elif native != syntax and syntax in _NATIVE:
            flags.add("wrong_transfer_syntax")
            syntax = native
    layout = (
        LAYOUTS[encoding.implicit].find(read, size, start, data)
        if use_fast and use_layouts and encoding.little
        else None
    )
    if layout is not None:
        attributes = layout.facts()
        content = _Content(attributes, finish(attributes, layout.notes), layout.pixel, False, False)
        if texts is not None:
            texts += layout.texts
    else:
        try:
            raw = _read_raw(read, size, start, encoding, data if use_fast else None, use_layouts)
        except fast_reader.Truncated:
            facts, values = facts_before_the_end(read, size, start, encoding)
            if texts is not None:
                texts += [(vr, value) for tag, (vr, value) in values.items() if tag in TEXTS and value]
            return _not_extracted("truncated_header", facts=facts)
        except fast_reader.TooLong:
            return _not_extracted("too_large")
        except _Refused:
            return _not_extracted("acr_nema" if "acr_nema" in flags else "unreadable_header")
        content = _Content(
            *interpret(raw.values, little=encoding.little), raw.pixel, raw.is_empty, DIRECTORY_RECORDS in raw.values
        )
        if texts is not None:
            texts += texts_of(raw)
    refused = reason_against(read, size, content.pixel, encoding) if content.pixel else ""
    return _classify(content, meta, syntax, size, flags, refused, partial(may_end_at, read, size, encoding))


class _Content(NamedTuple):
    """What a header says.

    Attributes
    ----------
    facts, bad
        As `attributes.interpret` returns them.
    pixel, is_empty
        As those of `RawHeader`.
    is_directory : bool
        Whether there are directory records.
    """

    facts: dict[str, Any]
    bad: frozenset[str]
    pixel: tuple[int, str, int, int] | None
    is_empty: bool
    is_directory: bool


class _Refused(Exception):
    """Neither reader can read the header."""


def _read_raw(
    read: Reader, size: int, start: int, encoding: Encoding, data: bytes | None, use_layouts: bool
) -> RawHeader:
    if encoding.little and data is not None:
        try:
            header = fast_reader.read_raw(read, size, start, encoding.implicit, WANTED, data)
        except fast_reader.Unclear:
            pass
        else:
            if use_layouts:
                LAYOUTS[encoding.implicit].learn(read, size, start, data, header)
            return header
    from dicomzarr.headers import pydicom_reader

    try:
        return pydicom_reader.read_tolerant(read, size, start, encoding)
    except pydicom_reader.Refused:
        raise _Refused from None
    except pydicom_reader.ReadFailed as failure:
        raise cast(OSError, failure.__cause__) from None


def _not_extracted(reason: str, flags: set[str] | None = None, facts: ImageFacts | None = None) -> Header:
    return Header(REASONS[reason].outcome, reason, tuple(sorted(flags or ())), facts or {})


def _reason_of_no_data_set(data: bytes) -> str:
    """Return the reason of a file that does not begin with a data set; the magic of tar is at byte 257."""
    is_archive = data.startswith(_ARCHIVES) or data[257:262] == b"ustar"
    return "unreadable_header" if data[128:132] == PREFIX else "archive" if is_archive else "not_dicom"


def _plausible_start(data: bytes, size: int) -> bool:
    """Whether a file without the prefix DICM certainly begins with a data set or with File Meta Information."""
    if data[:2] == b"\x02\0":
        well_formed, has_uid = fast_reader.looks_like(data, 0, size, EXPLICIT_LITTLE, MIN_ELEMENTS)
        return well_formed and (has_uid or b"\x02\0\x10\0UI" in data[:1024]) or _is_after_meta(data, size)
    return _guess_encoding(data, 0, size, with_uid=True) is not None


def _is_after_meta(data: bytes, size: int) -> bool:
    """Whether File Meta Information names a transfer syntax of DICOM, or a data set with a UID follows it."""
    try:
        meta, start = read_meta(data, 0, size)
    except (fast_reader.Unclear, fast_reader.Truncated):
        return False
    is_named = text_of(meta.get(_META_SYNTAX, b"")) in TRANSFER_SYNTAXES
    return is_named or _guess_encoding(data, start, size, with_uid=True) is not None


def _is_acr_nema(data: bytes, size: int) -> bool:
    """Whether a file is one of the standard before DICOM, ACR-NEMA: group 0008 first, implicit VR, no UIDs.

    Its first elements are the lengths of the group and of the file, and the Recognition Code (0008,0010), retired in
    PS3.6. The code is required, or both lengths.
    """
    for encoding in (IMPLICIT_LITTLE, _IMPLICIT_BIG):
        order: Literal["little", "big"] = "little" if encoding.little else "big"
        position = 0
        tags: list[tuple[int, int]] = []
        while position + 8 <= len(data) and len(tags) < 3:
            group, element = (int.from_bytes(data[i : i + 2], order) for i in (position, position + 2))
            length = int.from_bytes(data[position + 4 : position + 8], order)
            if group != 8 or element > 0x10:
                break
            if element == 0x10 and data[position + 8 : position + 8 + min(length, 16)].upper().startswith(_RECOGNITION):
                return fast_reader.looks_like(data, 0, size, encoding, MIN_ELEMENTS)[0]
            tags.append((element, length))
            position += 8 + length
        if tags[:2] == [(0, 4), (1, 4)]:
            return fast_reader.looks_like(data, 0, size, encoding, MIN_ELEMENTS)[0]
    return False


def _guess_encoding(data: bytes, start: int, size: int, *, with_uid: bool) -> Encoding | None:
    """Return the first encoding in which the bytes at `start` are a well-formed data set, or None."""
    first = data[start : start + 2]
    for encoding in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        if with_uid and first != (b"\x08\0" if encoding.little else b"\0\x08"):
            continue
        well_formed, has_uid = fast_reader.looks_like(data, start, size, encoding, MIN_ELEMENTS)
        if well_formed and (has_uid or not with_uid):
            return encoding
    return None


def _detect_encoding(data: bytes, start: int, size: int, syntax: str) -> tuple[Encoding, str] | None:
    """Return the encoding of the data set, and the UID of the transfer syntax to assume.

    The declared transfer syntax holds where the first element agrees with it. Otherwise the structure of the data
    decides. It may overrule the declaration only among native syntaxes: compressed data are explicit VR little endian
    (PS3.5 A.4).
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
    guess = _guess_encoding(data, start, size, with_uid=False)
    if guess is None:
        # No encoding fits the structure: try the declared one; a wrong one fails in the reader.
        guess = declared if declared is not None else (EXPLICIT_LITTLE if syntax else None)
        return None if guess is None else (guess, syntax)
    if declared is None and syntax and guess == EXPLICIT_BIG:
        return None
    if declared is None and syntax:
        # A private or compressed syntax with implicit VR is readable; its UID is not replaced.
        return guess, syntax
    return guess, _SYNTAX_OF[guess]


def _inflate(read: Reader, start: int, size: int) -> tuple[bytes, int] | str:
    """Return the start of a deflated data set (PS3.5 A.5) and its full inflated length in bytes, or a reason code."""
    import zlib

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    blocks: list[bytes] = []
    total, step, position = 0, 1 << 20, start
    try:
        while position < size and not inflater.eof and (block := read(1 << 18, position)):
            position += len(block)
            while block and not inflater.eof:
                part = inflater.decompress(block, step)
                block = inflater.unconsumed_tail
                if total < MAX_INFLATED_HEADER:
                    blocks.append(part)
                total += len(part)
                if total > MAX_INFLATED:
                    return "too_large"
    except zlib.error:
        if not total:
            return "unreadable_header"
        # Damaged: the bytes before the damage are used. If they end before the last pixel, the file is truncated.
    return b"".join(blocks), total


def _slice(data: bytes, size: int, length: int, offset: int) -> bytes:
    if offset + length > len(data) < min(size, offset + length):
        raise fast_reader.TooLong  # the header is longer than the part in memory
    return data[offset : offset + length]


def _classify(
    content: _Content,
    meta: dict[int, bytes],
    syntax: str,
    size: int,
    flags: set[str],
    refused: str = "",
    may_end: Callable[..., bool] = lambda _: True,
) -> Header:
    """Classify a file whose header was read; PS3.3 C.7.6.3 lists what an image needs.

    An image is not extracted for the reason `refused`, if there is one. `may_end` says whether pixel data may end at an
    offset.
    """
    attributes, bad = content.facts, content.bad
    if flags and "acr_nema" in flags and attributes.get("SamplesPerPixel", 1) == 1:
        attributes.setdefault("PhotometricInterpretation", "MONOCHROME2")  # ACR-NEMA does not require it
    if syntax:
        attributes["TransferSyntaxUID"] = syntax
    facts = cast(ImageFacts, attributes)
    if content.is_directory or text_of(meta.get(_META_SOP_CLASS, b"")) == MEDIA_STORAGE_DIRECTORY:
        return _not_extracted("dicomdir", flags, facts)
    if content.pixel is None:
        if content.is_empty:
            return _not_extracted("truncated_header", flags, facts)
        return _not_extracted(_reason_without_pixels(attributes, bad), flags, facts)
    tag, vr, offset, length = content.pixel
    keyword = elements.PIXEL_TAGS[tag]
    facts["pixel"] = {"keyword": keyword, "vr": vr, "offset": offset, "length": length}
    reason, needed = _check_layout(keyword, vr, tuple([attributes.get(name) for name in _PIXEL]))
    if bad and not bad.isdisjoint(_DECIDING):
        reason = "invalid_attribute"
    if reason and "acr_nema" in flags:
        reason = "acr_nema"
    if reason or refused:
        reason = refused or reason
        return _not_extracted(reason, flags, facts)
    if "SamplesPerPixel" not in attributes:
        facts["SamplesPerPixel"] = 1
    if "HighBit" not in attributes and "BitsStored" in attributes:
        facts["HighBit"] = cast(int, attributes["BitsStored"]) - 1
    if length < 0 and "assumed_transfer_syntax" in flags:
        return _not_extracted("missing_attribute", flags, facts)  # compressed by an unknown method
    native = length >= 0 and (syntax in _NATIVE or syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid)
    if native and min(length, size - offset) < needed:
        return _not_extracted("truncated_pixel_data", flags, facts)
    if native and offset + length < size and not any(map(may_end, (offset + length, offset + length + length % 2))):
        flags.add("trailing_bytes")
    is_unclear = native and offset + length > size and not _is_whole(attributes, size - offset, needed)
    if is_unclear and not any(may_end(offset + needed + pad, with_padding=False) for pad in (0, needed % 2)):
        return _not_extracted("truncated_pixel_data", flags, facts)  # nor do the bytes say where the pixels are
    return Header("image", "", tuple(sorted(flags)), facts)


def _is_whole(attributes: dict[str, Any], present: int, needed: int) -> bool:
    """Return whether so many bytes are all the frames, or may be: chroma and bits are stored in more than one way."""
    in_other_ways = attributes.get("BitsAllocated") == 1 or "422" in str(attributes.get("PhotometricInterpretation"))
    return in_other_ways or present in (needed, needed + needed % 2)


def _reason_without_pixels(attributes: dict[str, Any], bad: frozenset[str]) -> str:
    """Return the reason for a complete file without pixel data.

    A file with Rows (0028,0010) and Columns (0028,0011) has lost its pixels. A file without them never described any,
    whatever its SOP class; archives and teaching sets hold such files.
    """
    reason = reason_without_pixels(attributes.get("SOPClassUID", ""), has_rows="Rows" in attributes)
    if reason:
        return reason
    described = attributes.keys() | bad
    if "Rows" in described and "Columns" in described:
        return "missing_pixel_data"
    return "no_pixel_data"


@lru_cache(maxsize=1024)
def _check_layout(keyword: str, vr: str, pixel: tuple[Any, ...]) -> tuple[str, int]:
    """Return the reason why such pixels cannot be decoded, or "", and the bytes of all frames if uncompressed.

    Parameters are the keyword and VR of the pixel data element, and the values of `_PIXEL`, None where missing.

    References
    ----------
    DICOM PS3.3 C.7.6.3; PS3.5 8.1.1 and A.1: frames follow each other without padding, bits are packed across frames.
    """
    rows, columns, allocated, photometric, stored, representation, samples, high_bit, planar, frames = pixel
    floating = keyword != "PixelData"
    colour_model = PHOTOMETRIC.get(photometric)
    expected = colour_model.samples if colour_model else None
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
        valid = valid and (high_bit is None or stored == allocated or stored - 1 <= high_bit < allocated)
    if not valid:
        return "invalid_attribute", 0
    halves = colour_model.stored if colour_model else 2 * samples
    return "", (rows * columns * frames * halves * allocated // 2 + 7) // 8
