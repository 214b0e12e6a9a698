"""Rewrite what the markers of a JPEG stream say about its colour; the coded samples stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

ADOBE_RGB, ADOBE_YBR = (b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([n]) for n in (0, 1))
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
PLAIN_IDS = (1, 2, 3)
RGB_IDS = (82, 71, 66)


def with_colour_markers(data: bytes, markers: bytes = b"", ids: Sequence[int] = PLAIN_IDS) -> bytes:
    """Return a JPEG stream of three components in one scan, with these markers and component ids alone."""
    out, position = [b"\xff\xd8", markers], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segment = bytearray(data[position:end])
        if segment[1] in (0xC0, 0xC1, 0xC2, 0xC3):
            segment[10], segment[13], segment[16] = ids
        if segment[1] not in (0xE0, 0xEE):
            out.append(bytes(segment))
        position = end
    scan = bytearray(data[position:])
    scan[5], scan[7], scan[9] = ids
    return b"".join([*out, bytes(scan)])
