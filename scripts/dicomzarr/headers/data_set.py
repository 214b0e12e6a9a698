"""Find the data set of a file: where it begins, and how it is encoded."""

from __future__ import annotations

import struct
from functools import partial
from typing import Final, Literal, TypeAlias

from dicomzarr.dicom import vr as elements
from dicomzarr.dicom.prefix import PREFIX, offset_of_first_element
from dicomzarr.dicom.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
)
from dicomzarr.headers.attributes import text_of
from dicomzarr.headers.fast_reader import looks_like
from dicomzarr.headers.file_meta import read_meta
from dicomzarr.headers.reading import (
    BLOCK,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
    Reader,
    TooLong,
    Truncated,
    Unclear,
)

MAX_INFLATED = 256 << 20  # bytes of a deflated data set (PS3.5 A.5) once inflated
MAX_INFLATED_HEADER = 16 << 20  # of these, the bytes before its pixel data

_IMPLICIT_BIG = Encoding(implicit=True, little=False)  # of ACR-NEMA; no transfer syntax of DICOM
_RECOGNITION = (b"ACR-NEMA", b"ACRNEMA", b"ACR NEMA")

_META_SYNTAX = 0x00020010
NATIVE: Final[dict[str, Encoding]] = {
    syntax.uid: Encoding(implicit=syntax.implicit_vr, little=not syntax.big_endian)
    for syntax in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
}
_SYNTAX_OF = {encoding: syntax for syntax, encoding in NATIVE.items()}
_DEFLATED = frozenset(syntax.uid for syntax in TRANSFER_SYNTAXES.values() if syntax.deflated)

# zip (also empty or split), gzip, bzip2, xz, zstd, 7z, rar
_ARCHIVES = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0"),
    *(b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
)
# Command Group Length (0000,0000), four bytes: so begins a command set (PS3.7 6.3.1), which no file should have.
_COMMANDS: Final = b"\0\0\0\0\4\0\0\0"


class NoDataSet(Exception):
    """No data set was found; `reason` is a key of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# Where a data set is: reader and size of the file, or of the inflated data set; offset of the first element; the first
# bytes, from offset 0; how the elements are encoded; UID of the transfer syntax, as declared or assumed, empty where it
# is not known; what `file_meta.read_meta` returns; whether it ends as it should, where it is deflated. A tuple without
# names: it is made for every file.
DataSet: TypeAlias = tuple[Reader, int, int, bytes, Encoding, str, dict[int, bytes], bool]


def find_data_set(read: Reader, size: int, flags: set[str]) -> DataSet:
    """Return where the data set of a file is.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file.
    size : int
        Size of the file in bytes.
    flags : set of str
        May get acr_nema, assumed_transfer_syntax, wrong_transfer_syntax.

    Returns
    -------
    DataSet
        A tuple, see there.

    Raises
    ------
    NoDataSet
        With the reason.

    References
    ----------
    DICOM PS3.10 7.1 (file format), PS3.5 A.5 (deflated data sets).
    """
    if size == 0:
        raise NoDataSet("empty_file")
    data = read(BLOCK, 0)
    meta, start = _after_meta(data, size, flags)
    syntax = text_of(meta.get(_META_SYNTAX, b""))
    if syntax in _DEFLATED:
        data, size, is_ended = _inflate(read, start, size)
        return partial(_slice, data, size), size, 0, data, EXPLICIT_LITTLE, syntax, meta, is_ended
    detected = _detect_encoding(data, start, size, syntax)
    if detected is None:
        raise NoDataSet("acr_nema" if "acr_nema" in flags else "unreadable_header")
    encoding, native = detected
    if not syntax:
        flags.add("assumed_transfer_syntax")
        syntax = native
    elif native != syntax and syntax in NATIVE:
        flags.add("wrong_transfer_syntax")
        syntax = native
    return read, size, start, data, encoding, syntax, meta, True


def _after_meta(data: bytes, size: int, flags: set[str]) -> tuple[dict[int, bytes], int]:
    """Return the File Meta Information, and the offset of the first element after it."""
    start = 0
    try:
        start = offset_of_first_element(data)
        if start == 0 and not _plausible_start(data, size):
            if not _is_acr_nema(data, size):
                raise NoDataSet(_reason_of_no_data_set(data))
            flags.add("acr_nema")
        meta, start = read_meta(data, start, size)
    except Truncated:
        raise NoDataSet("truncated_header") from None
    except Unclear:
        raise NoDataSet("unreadable_header" if start else "not_dicom") from None
    if data[start : start + 8] == _COMMANDS:
        start = _after_commands(data, start)
    if start >= size:
        raise NoDataSet("truncated_header")
    return meta, start


def _after_commands(data: bytes, position: int) -> int:
    """Return the offset after a command set, which is implicit VR little endian whatever follows (PS3.7 6.3.1).

    It is the offset of the command set if that cannot be followed to an element of another group.
    """
    start, last = position, -1
    while position + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHI", data, position)
        if group:
            return position
        if element <= last:
            break
        last = element
        position += 8 + length
    return start


def _reason_of_no_data_set(data: bytes) -> str:
    """Return the reason of a file that does not begin with a data set; the magic of tar is at byte 257."""
    is_archive = data.startswith(_ARCHIVES) or data[257:262] == b"ustar"
    return "unreadable_header" if data[128:132] == PREFIX else "archive" if is_archive else "not_dicom"


def _plausible_start(data: bytes, size: int) -> bool:
    """Whether a file without the prefix DICM certainly begins with a data set or with File Meta Information."""
    if data[:2] == b"\x02\0":
        well_formed, has_uid = looks_like(data, 0, size, EXPLICIT_LITTLE)
        return well_formed and (has_uid or b"\x02\0\x10\0UI" in data[:1024]) or _is_after_meta(data, size)
    return _guess_encoding(data, 0, size, with_uid=True) is not None


def _is_after_meta(data: bytes, size: int) -> bool:
    """Whether File Meta Information names a transfer syntax of DICOM, or a data set with a UID follows it."""
    try:
        meta, start = read_meta(data, 0, size)
    except (Unclear, Truncated):
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
                return looks_like(data, 0, size, encoding)[0]
            tags.append((element, length))
            position += 8 + length
        if tags[:2] == [(0, 4), (1, 4)]:
            return looks_like(data, 0, size, encoding)[0]
    return False


def _guess_encoding(data: bytes, start: int, size: int, *, with_uid: bool) -> Encoding | None:
    """Return the first encoding in which the bytes at `start` are a well-formed data set, or None."""
    first = data[start : start + 2]
    for encoding in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        if with_uid and first != (b"\x08\0" if encoding.little else b"\0\x08"):
            continue
        well_formed, has_uid = looks_like(data, start, size, encoding)
        if well_formed and (has_uid or not with_uid):
            return encoding
    return None


def _detect_encoding(data: bytes, start: int, size: int, syntax: str) -> tuple[Encoding, str] | None:
    """Return the encoding of the data set, and the UID of the transfer syntax to assume.

    The declared transfer syntax holds where the first element agrees with it. Otherwise the structure of the data
    decides. It may overrule the declaration only among native syntaxes: compressed data are explicit VR little endian
    (PS3.5 A.4).
    """
    declared = NATIVE.get(syntax)
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


def _inflate(read: Reader, start: int, size: int) -> tuple[bytes, int, bool]:
    """Return the start of a deflated data set (PS3.5 A.5), its inflated length in bytes, and whether it has its end."""
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
                    raise NoDataSet("too_large")
    except zlib.error:
        if not total:
            raise NoDataSet("unreadable_header") from None
        # Damaged: the bytes before the damage say what was lost.
    return b"".join(blocks), total, inflater.eof


def _slice(data: bytes, size: int, length: int, offset: int) -> bytes:
    if offset + length > len(data) < min(size, offset + length):
        raise TooLong  # the header is longer than the part in memory
    return data[offset : offset + length]
