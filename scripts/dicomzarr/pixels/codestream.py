"""Read the first markers of a compressed frame, before it is decoded.

Decoders allocate what a stream declares, and some crash on inconsistent streams. Reading the markers takes
microseconds. JPEG and JPEG-LS markers are those of ISO/IEC 10918-1 annex B and 14495-1 annex C, JPEG 2000 and
HTJ2K those of ISO/IEC 15444-1 annex A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from dicomzarr.pixels import jpeg_scans
from dicomzarr.vocabulary.reasons import NotExtracted

Colour = Literal["RGB", "YBR", ""]

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
# After the end marker: the byte that makes the length even, or many of them.
_PADDING = b"\x00\xff"
_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_RGB_IDS = ((82, 71, 66), (114, 103, 98))
# Start of frame markers; C4 (DHT), C8 (JPG) and CC (DAC) lie in the range and are none.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SOF_LOSSLESS = 0xC3
SOF_JPEG_LS = 0xF7
# Baseline, extended sequential, progressive, lossless: Huffman coded and not hierarchical.
SOF_SUPPORTED = frozenset({0xC0, 0xC1, 0xC2, 0xC3})


@dataclass(frozen=True, slots=True)
class Stream:
    """The first markers of a compressed frame.

    Attributes
    ----------
    rows, columns, components, precision : int
        As the stream declares them; precision in bits per sample.
    signed : bool
        JPEG 2000 only: the samples are signed.
    colour : str
        JPEG: RGB or YBR where the stream declares it, else empty. JPEG 2000: RGB where the component transform of the
        stream yields it, else empty.
    claims : frozenset of str
        JPEG whose `colour` is empty: the colour spaces that signs name which contradict each other or prove nothing.
    sof : int
        JPEG and JPEG-LS: the second byte of the start of frame marker.
    lossless : bool, optional
        The coding is lossless: SOF3 without point transform, NEAR = 0, or the reversible wavelet. None where the
        markers do not say, as those of lossless JPEG XL.
    ended : bool
        The stream has its end marker, followed by nothing but padding; that of JPEG 2000 follows the last tile-part.
    scan : int
        JPEG and JPEG-LS: offset of the first start of scan marker in the frame, in bytes.
    start : int
        Offset of the codestream in the frame, in bytes; not 0 inside JP2 boxes.
    point_transform : int
        Lossless JPEG: how far the samples of the first scan were shifted right before they were coded.
    scans : int
        Lossless JPEG: the number of scans; more than one where each component has its own.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False
    colour: Colour = ""
    claims: frozenset[str] = frozenset()
    sof: int = 0
    lossless: bool | None = None
    ended: bool = True
    scan: int = 0
    start: int = 0
    point_transform: int = 0
    scans: int = 1


def read_jpeg(data: bytes) -> Stream:
    """Read the markers of a JPEG or JPEG-LS stream up to the first scan.

    Parameters
    ----------
    data : bytes
        One frame.

    Returns
    -------
    Stream
        What the markers declare.

    Raises
    ------
    NotExtracted
        `decode_error` where the markers cannot be followed to the first scan.

    References
    ----------
    ISO/IEC 10918-1 annex B; ISO/IEC 14495-1 annex C; DICOM PS3.5 8.2.1, 8.2.3.
    """
    if data[:2] != b"\xff\xd8":
        raise NotExtracted("decode_error")
    position, size = 2, len(data)
    adobe: int | None = None
    jfif = False
    frame: tuple[int, bytes] | None = None
    while True:
        while position < size - 1 and data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1  # fill bytes before a marker (B.1.1.2)
        if position + 4 > size or data[position] != 0xFF:
            raise NotExtracted("decode_error")
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if length < 2 or len(body) != length - 2:
            raise NotExtracted("decode_error")
        if marker == 0xDA:
            break
        if marker in _SOF or marker == SOF_JPEG_LS:
            if frame is not None:
                raise NotExtracted("decode_error")
            frame = (marker, body)
        elif marker == 0xE0 and body[:5] == b"JFIF\x00":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        position += 2 + length
    if frame is None or len(frame[1]) < 6 or len(frame[1]) < 6 + 3 * frame[1][5]:
        raise NotExtracted("decode_error")
    sof, head = frame
    components = head[5]
    colour, claims = _colour(head, adobe, jfif, is_dct=sof not in (SOF_LOSSLESS, SOF_JPEG_LS))
    lossless = sof in (SOF_LOSSLESS, SOF_JPEG_LS) and not _loses_values(data, position, components, sof)
    return Stream(
        rows=int.from_bytes(head[1:3], "big"),
        columns=int.from_bytes(head[3:5], "big"),
        components=components,
        precision=head[0],
        colour=colour,
        claims=claims,
        sof=sof,
        lossless=lossless,
        ended=_is_ended(data),
        scan=position,
        point_transform=data[position + 7 + 2 * data[position + 4]] & 15 if sof == SOF_LOSSLESS else 0,
        scans=jpeg_scans.count_scans(data, position) if sof == SOF_LOSSLESS and components > 1 else 1,
    )


def _is_ended(data: bytes) -> bool:
    """Return whether a stream has its end marker, and no more than padding after it: any byte, then 0 and 255.

    The byte that makes a fragment even should be 0 (PS3.5 A.4); dcmcjpls of DCMTK leaves whatever was in memory. No
    compressed data contain the two bytes of the marker (ISO/IEC 10918-1 B.1.1.5, 14495-1 A.1, 15444-1 B.10.1).
    """
    stripped = data.rstrip(_PADDING)
    return stripped.endswith(_END) or stripped[-3:-1] == _END


def _loses_values(data: bytes, position: int, components: int, sof: int) -> bool:
    """Return whether a scan of a lossless JPEG or JPEG-LS stream has a point transform, or NEAR above 0.

    The first scan is at `position`; NEAR (ISO/IEC 14495-1 C.2.3) or the predictor (ISO/IEC 10918-1 B.2.3) follows its
    components, the point transform is in the lower half of the third byte.
    """
    seen = 0
    while position >= 0 and seen < components:
        scan = data[position + 4 : position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")]
        if not scan or not scan[0] or len(scan) < 4 + 2 * scan[0]:
            raise NotExtracted("decode_error")
        near, point_transform = scan[1 + 2 * scan[0]], scan[3 + 2 * scan[0]] & 15
        if point_transform or (sof == SOF_JPEG_LS and near):
            return True
        seen += scan[0]
        # Coded data never look like a marker. Without another scan the decoder reports what is missing.
        position = data.find(b"\xff\xda", position + 2) if seen < components else -1
    return False


def _colour(head: bytes, adobe: int | None, jfif: bool, *, is_dct: bool) -> tuple[Colour, frozenset[str]]:
    """Return `Stream.colour` and `Stream.claims` from the start of frame, the Adobe transform and a JFIF marker."""
    if head[5] != 3:
        return "", frozenset()
    colour: Colour = ""
    if adobe in (0, 1):
        colour = "YBR" if adobe == 1 else "RGB"
    elif tuple(head[6:15:3]) in _RGB_IDS:
        colour = "RGB"
    elif jfif and is_dct:
        colour = "YBR"
    if len(set(head[7:15:3])) > 1:  # only chroma is stored with fewer samples
        return ("", frozenset(("RGB", "YBR"))) if colour == "RGB" else ("YBR", frozenset())
    # JFIF is defined for the DCT; writers of lossless streams that add its marker do so for RGB too.
    return colour, frozenset(("YBR",)) if jfif and not colour else frozenset()


def read_jpeg2000(data: bytes) -> Stream:
    """Read the SIZ, COD and COC markers of a JPEG 2000 or HTJ2K codestream, bare or in JP2 boxes.

    Parameters
    ----------
    data : bytes
        One frame.

    Returns
    -------
    Stream
        What the markers declare.

    Raises
    ------
    NotExtracted
        `decode_error` where SIZ does not follow SOC; `truncated_pixel_data` where a tile is missing;
        `unsupported_pixel_layout` where components differ in depth, sign or sampling.

    References
    ----------
    ISO/IEC 15444-1 annexes A and I; DICOM PS3.5 8.2.4.
    """
    start = _jp2_codestream(data) if data[:8] == _JP2_SIGNATURE else 0
    if data[start : start + 4] != b"\xff\x4f\xff\x51" or len(data) < start + 42:
        raise NotExtracted("decode_error")
    length = int.from_bytes(data[start + 4 : start + 6], "big")
    x1, y1, x0, y0 = (int.from_bytes(data[start + 8 + 4 * i : start + 12 + 4 * i], "big") for i in range(4))
    tile_columns, tile_rows = (int.from_bytes(data[start + 24 + 4 * i : start + 28 + 4 * i], "big") for i in range(2))
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    each = data[start + 42 : start + 42 + 3 * components]
    if not (components and tile_columns and tile_rows) or length != 38 + len(each) or len(each) != 3 * components:
        raise NotExtracted("decode_error")
    if len(set(each[0::3])) > 1 or set(each[1::3]) | set(each[2::3]) != {1}:
        raise NotExtracted("unsupported_pixel_layout")
    # Absurdly many small tiles only make a decoder allocate memory.
    grid = [int.from_bytes(data[start + 32 + 4 * i : start + 36 + 4 * i], "big") for i in range(2)]
    if grid[0] >= x1 or grid[1] >= y1:
        raise NotExtracted("decode_error")
    tiles = -(-(x1 - grid[0]) // tile_columns) * -(-(y1 - grid[1]) // tile_rows)
    if tiles > 65535:
        raise NotExtracted("decode_error")
    position = start + 4 + length
    coding = _Coding()
    position = coding.read(data, position, components)
    present, is_ended = _tiles_present(data, position, coding, components)
    if present < tiles:  # the library would fill them with zeros and raise nothing
        raise NotExtracted("truncated_pixel_data", found=present, needed=tiles)
    return Stream(
        rows=y1 - y0,
        columns=x1 - x0,
        components=components,
        precision=(each[0] & 0x7F) + 1,
        signed=bool(each[0] & 0x80),
        colour="RGB" if coding.transform and components == 3 else "",
        lossless=coding.reversible == {True},
        ended=is_ended,
        start=start,
    )


@dataclass(slots=True)
class _Coding:
    """Whether a component transform is used, and which wavelets are (True: the reversible one)."""

    transform: bool = False
    reversible: set[bool] = field(default_factory=set)

    def read(self, data: bytes, position: int, components: int) -> int:
        """Read COD and COC (ISO/IEC 15444-1 A.6.1, A.6.2) up to SOT or SOD; return the offset of that marker."""
        wide = 2 if components > 256 else 1  # bytes of the component's number in COC
        while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] not in (0x90, 0x93):
            marker = data[position + 1]
            if marker == 0x52 and position + 14 <= len(data):
                self.transform |= data[position + 8] == 1
                self.reversible.add(data[position + 13] == 1)
            elif marker == 0x53 and position + 10 + wide <= len(data):
                self.reversible.add(data[position + 9 + wide] == 1)
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        return position


def _tiles_present(data: bytes, position: int, coding: _Coding, components: int) -> tuple[int, bool]:
    """Return how many tiles have a part from the first SOT (A.4.2), and whether an end marker follows the last part.

    The headers of the tile-parts are read into `coding`: they may hold another wavelet for a tile.
    """
    seen: set[int] = set()
    while data[position : position + 2] == b"\xff\x90" and position + 12 <= len(data):
        seen.add(int.from_bytes(data[position + 4 : position + 6], "big"))
        if data[position + 12 : position + 14] != b"\xff\x93":
            coding.read(data, position + 12, components)
        length = int.from_bytes(data[position + 6 : position + 10], "big")
        position += max(length, 12)  # 0: up to the end
        if length < 12:
            break
    return len(seen), data.find(_END, position) >= 0


def _jp2_codestream(data: bytes) -> int:
    """Return the offset of the codestream inside JP2 boxes (ISO/IEC 15444-1 annex I)."""
    position = 0
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        if kind == b"jp2c":
            return position + head
        if length < head:
            break
        position += length
    raise NotExtracted("decode_error")


def read_jpeg_xl(data: bytes) -> Stream:
    """Return rows, columns and loss from the first bytes of a JPEG XL codestream, bare or in boxes (ISO/IEC 18181-1).

    Parameters
    ----------
    data : bytes
        One frame.

    Returns
    -------
    Stream
        Components and precision are 0: the decoded samples have them, and reading them takes more of the header.

    Raises
    ------
    NotExtracted
        `decode_error` where there is no codestream.

    References
    ----------
    ISO/IEC 18181-1, 18181-2.
    """
    if data[:12] == b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a":
        data = _jxl_codestream(data)
    if data[:2] != b"\xff\x0a":
        raise NotExtracted("decode_error")
    bits, at = int.from_bytes(data[2:16], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        value = bits >> at & ((1 << count) - 1)
        at += count
        return value

    def size(small: int) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    rows = size(small)
    numerator, denominator = ((0, 1), (1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    columns = rows * numerator // denominator if numerator else size(small)
    return Stream(rows=rows, columns=columns, components=0, precision=0, lossless=_lossless_of_jpeg_xl(take))


def _lossless_of_jpeg_xl(take: Callable[[int], int]) -> bool | None:
    """Return False where the image metadata say that samples were converted to XYB; None where this is not known."""
    if take(1):  # all values are the default
        return False
    if take(1):  # extra fields
        return None
    is_float = take(1)
    if take(2) == 3:  # bits of a sample
        take(6)
    take(4 if is_float else 0)
    take(1)  # whether 16 bits are enough for the modular coding
    if take(2):  # extra channels
        return None
    return False if take(1) else None


def _jxl_codestream(data: bytes) -> bytes:
    """Return the first bytes of the codestream inside boxes (ISO/IEC 18181-2)."""
    position = 0
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind == b"jxlc":
            return data[position + 8 : position + 40]
        if kind == b"jxlp":
            return data[position + 12 : position + 44]
        if length < 8:
            break
        position += length
    raise NotExtracted("decode_error")
