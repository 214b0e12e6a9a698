"""Classify one file by its header: image, or the reason why it is not extracted, with the attributes for the index.

The policy is here, for both readers: `fast_reader` and `pydicom_reader`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from dicomzarr.dicom import vr as elements
from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.photometric import PHOTOMETRIC
from dicomzarr.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY, reason_without_pixels
from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, JPIP
from dicomzarr.headers import fast_reader
from dicomzarr.headers.attribute_table import PRIVATE_COMPRESSION
from dicomzarr.headers.attributes import DIRECTORY_RECORDS, finish, interpret, text_of
from dicomzarr.headers.cut_off import facts_before_the_end, texts_before_the_end
from dicomzarr.headers.data_set import NATIVE, DataSet, NoDataSet, find_data_set
from dicomzarr.headers.fast_reader import RawHeader
from dicomzarr.headers.layouts import LAYOUTS, texts_of
from dicomzarr.headers.pixel_element import may_end_at, reason_against
from dicomzarr.headers.reading import Encoding, Reader, TooLong, Truncated, Unclear
from dicomzarr.vocabulary.reasons import REASONS

_META_SOP_CLASS: Final = 0x00020002
_BITS_ALLOCATED = frozenset((1, 8, 12, 16, 24, 32, 40, 48, 56, 64))  # PS3.5 8.1.1; 12 in older objects
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
# The attributes that decide whether pixels can be decoded, in the order in which `_check_layout` takes them.
_PIXEL = (
    *("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation", "BitsStored", "PixelRepresentation"),
    *("SamplesPerPixel", "HighBit", "PlanarConfiguration", "NumberOfFrames"),
)
_MOST_FILLING: Final = 1024  # zeros behind a header that any writer may have left
_IDENTIFIERS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"),
    *("PatientID", "IssuerOfPatientID"),
)
_DECIDING = frozenset((*_PIXEL, *_IDENTIFIERS))
_DECIDING_GREY = _DECIDING - {"PlanarConfiguration"}  # it says nothing of one sample per pixel (PS3.3 C.7.6.3.1.3)


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


def read_header(
    read: Reader,
    size: int,
    texts: list[tuple[str, bytes]] | None = None,
    *,
    use_fast: bool = True,
    use_layouts: bool = True,
) -> Header:
    """Classify a file by its header and return the attributes that the dataset needs.

    Parameters
    ----------
    read : callable
        Returns up to so many bytes (first argument) from an offset on (second argument).
    size : int
        Size of the file in bytes.
    texts : list, optional
        VR ("" where implicit) and bytes of the header's texts are appended to it; they may identify a patient.
    use_fast, use_layouts : bool
        Whether to try the fast reader, and what it learned from other files; the answer is the same without them.

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
    flags: set[str] = set()
    try:
        found = find_data_set(read, size, flags)
        content = _content_of(found, texts, use_fast, use_layouts)
    except NoDataSet as failure:
        return _not_extracted(failure.reason, flags & {"acr_nema"})
    except Truncated:
        read, size, start, _, encoding, _, _, _ = found
        return _not_extracted("truncated_header", facts=facts_before_the_end(read, size, start, encoding))
    except TooLong:
        return _not_extracted("too_large")
    except _Refused:
        return _not_extracted("acr_nema" if "acr_nema" in flags else "unreadable_header")
    return _classify(found, content, flags)


class _Content(NamedTuple):
    """What a header says.

    Attributes
    ----------
    facts, bad
        As `attributes.interpret` returns them.
    pixel, is_empty, padding
        As those of `RawHeader`.
    is_directory : bool
        Whether there are directory records.
    has_private_pixels : bool
        Whether the pixels are in a private element, compressed as its maker does.
    """

    facts: dict[str, Any]
    bad: frozenset[str]
    pixel: tuple[int, str, int, int] | None
    is_empty: bool
    is_directory: bool
    has_private_pixels: bool = False
    padding: int = 0


class _Refused(Exception):
    """Neither reader can read the header."""


def _content_of(found: DataSet, texts: list[tuple[str, bytes]] | None, use_fast: bool, use_layouts: bool) -> _Content:
    """Return what a header says; add its texts to `texts`."""
    read, size, start, data, encoding, _, _, _ = found
    if use_fast and use_layouts and encoding.little:
        layout = LAYOUTS[encoding.implicit].find(read, size, start, data)
        if layout is not None:
            attributes = layout.facts()
            if texts is not None:
                texts += layout.texts
            return _Content(attributes, finish(attributes, layout.notes), layout.pixel, False, False)
    is_whole = False  # whether all texts are among those of `raw`
    try:
        raw, is_whole = _read_raw(found, use_fast, use_layouts)
        if texts is not None:
            texts += texts_of(raw)
    finally:
        if texts is not None and not is_whole:
            texts += texts_before_the_end(read, size, start, encoding)
    values = raw.values
    facts, bad = interpret(values, little=encoding.little)
    has_private = PRIVATE_COMPRESSION in values and (values[PRIVATE_COMPRESSION][1] or b"").startswith(b"PMSCT_RLE")
    return _Content(facts, bad, raw.pixel, raw.is_empty, DIRECTORY_RECORDS in values, has_private, raw.padding)


def _read_raw(found: DataSet, use_fast: bool, use_layouts: bool) -> tuple[RawHeader, bool]:
    """Return the elements of a header, by the fast reader if it can, and whether these are all of its texts."""
    read, size, start, data, encoding, _, _, _ = found
    if encoding.little and use_fast:
        try:
            header = fast_reader.read_raw(read, size, start, encoding.implicit, data)
        except Unclear:
            pass
        else:
            if use_layouts:
                LAYOUTS[encoding.implicit].learn(read, size, start, data, header)
            return header, DIRECTORY_RECORDS not in header.values
    from dicomzarr.headers import pydicom_reader

    try:
        return pydicom_reader.read_tolerant(read, size, start, encoding), False
    except pydicom_reader.Refused:
        raise _Refused from None
    except pydicom_reader.ReadFailed as failure:
        raise cast(OSError, failure.__cause__) from None


def _not_extracted(reason: str, flags: set[str] | None = None, facts: ImageFacts | None = None) -> Header:
    return Header(REASONS[reason].outcome, reason, tuple(sorted(flags or ())), facts or {})


def _classify(found: DataSet, content: _Content, flags: set[str]) -> Header:
    """Classify a file whose header was read; PS3.3 C.7.6.3 lists what an image needs."""
    read, size, _, _, encoding, syntax, meta, is_ended = found
    attributes, bad, pixel, is_empty, is_directory, has_private_pixels, padding = content
    if flags and "acr_nema" in flags and attributes.get("SamplesPerPixel", 1) == 1:
        attributes.setdefault("PhotometricInterpretation", "MONOCHROME2")  # ACR-NEMA does not require it
    if syntax:
        attributes["TransferSyntaxUID"] = syntax
    facts = cast(ImageFacts, attributes)
    if is_directory or text_of(meta.get(_META_SOP_CLASS, b"")) == MEDIA_STORAGE_DIRECTORY:
        return _not_extracted("dicomdir", flags, facts)
    if pixel is None:
        reason = "truncated_header" if is_empty else _reason_without_pixels(attributes, bad)
        if reason in ("missing_pixel_data", "no_pixel_data"):
            if not is_ended or (padding > _MOST_FILLING and padding >= size & -size):  # more zeros than fill up a block
                reason = "truncated_header"
            elif has_private_pixels or syntax in JPIP:
                reason = "unsupported_transfer_syntax"
        return _not_extracted(reason, flags, facts)
    tag, vr, offset, length = pixel
    keyword = elements.PIXEL_TAGS[tag]
    facts["pixel"] = {"keyword": keyword, "vr": vr, "offset": offset, "length": length}
    reason, needed = _check_layout(keyword, vr, tuple([attributes.get(name) for name in _PIXEL]))
    if bad and not bad.isdisjoint(_DECIDING if attributes.get("SamplesPerPixel", 1) != 1 else _DECIDING_GREY):
        reason = "invalid_attribute"
    if reason and "acr_nema" in flags:
        reason = "acr_nema"
    reason = reason_against(read, size, pixel, encoding) or reason or ("" if is_ended else "truncated_pixel_data")
    if reason:
        return _not_extracted(reason, flags, facts)
    if "SamplesPerPixel" not in attributes:
        facts["SamplesPerPixel"] = 1
    if "HighBit" not in attributes and "BitsStored" in attributes:
        facts["HighBit"] = cast(int, attributes["BitsStored"]) - 1
    if length < 0 and "assumed_transfer_syntax" in flags:
        return _not_extracted("missing_attribute", flags, facts)  # compressed by an unknown method
    if length >= 0 and (syntax in NATIVE or syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid):
        reason = _check_end(read, size, encoding, offset, length, needed, attributes, flags)
        if reason:
            return _not_extracted(reason, flags, facts)
    return Header("image", "", tuple(sorted(flags)), facts)


def _check_end(
    read: Reader,
    size: int,
    encoding: Encoding,
    offset: int,
    length: int,
    needed: int,
    attributes: dict[str, Any],
    flags: set[str],
) -> str:
    """Return why uncompressed pixel data is not whole, or an empty string; `needed` is the number of its bytes."""
    end = offset + length
    if min(length, size - offset) < needed:
        return "truncated_pixel_data"
    if end < size and not any(may_end_at(read, size, encoding, place) for place in (end, end + length % 2)):
        flags.add("trailing_bytes")
    if end > size and not _is_whole(attributes, size - offset, needed):
        ends = (offset + needed + pad for pad in (0, needed % 2))
        if not any(may_end_at(read, size, encoding, place, with_padding=False) for place in ends):
            return "truncated_pixel_data"  # nor do the bytes say where the pixels are
    return ""


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
        and (samples == 1 or planar in (None, 0, 1))
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
