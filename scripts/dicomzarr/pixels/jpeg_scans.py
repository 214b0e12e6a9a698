"""Take the scans of a lossless JPEG stream apart, for a decoder that reads one scan alone (ISO/IEC 10918-1 annex B)."""

from __future__ import annotations

import re

from dicomzarr.vocabulary.reasons import NotExtracted

_SOF3, _SOS, _EOI = 0xC3, 0xDA, 0xD9
_TABLES = (0xC4, 0xDD)  # DHT and DRI hold for the scans after them
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker other than a restart; FF 00 is coded data


def count_scans(data: bytes, start: int) -> int:
    """Return the number of scans of a JPEG stream.

    Parameters
    ----------
    data : bytes
        One frame.
    start : int
        Offset of the first start of scan marker.

    Returns
    -------
    int
        At least 1. Tables between scans that hold the bytes of the marker count too.
    """
    return data.count(b"\xff\xda", start)


def split_scans(data: bytes) -> list[tuple[tuple[int, ...], bytes]]:
    """Return each scan of a lossless JPEG stream as a stream of its own.

    Parameters
    ----------
    data : bytes
        One frame, SOF3.

    Returns
    -------
    list of (tuple of int, bytes)
        The components of each scan, counted from 0, and a stream of these components alone.

    Raises
    ------
    NotExtracted
        `decode_error` where the markers cannot be followed, or a scan has a component that the frame has not.
    """
    frame, tables = b"", b""
    scans: list[tuple[tuple[int, ...], bytes]] = []
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _EOI:
            break
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position:end]
        position = end
        if marker in _TABLES:
            tables += segment
        elif marker == _SOF3:
            frame = segment
        elif marker == _SOS:
            after = _AFTER_SCAN.search(data, end)
            position = after.start() if after else len(data)
            scans.append(_scan_alone(frame, tables, segment, data[end:position]))
    return scans


def _scan_alone(frame: bytes, tables: bytes, head: bytes, coded: bytes) -> tuple[tuple[int, ...], bytes]:
    ids = frame[10::3]
    chosen = head[5 : 5 + 2 * head[4] : 2] if len(head) > 5 else b""
    if not chosen or any(name not in ids for name in chosen):
        raise NotExtracted("decode_error")
    components = tuple(ids.index(name) for name in chosen)
    each = b"".join(frame[10 + 3 * k : 13 + 3 * k] for k in components)
    length = (8 + len(each)).to_bytes(2, "big")
    frame = frame[:2] + length + frame[4:9] + bytes([len(components)]) + each
    return components, b"\xff\xd8" + tables + frame + head + coded + b"\xff\xd9"
