"""An encoder of lossless JPEG (SOF3) from the text of ISO/IEC 10918-1 annex H, for streams that no library writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

CATEGORIES = 17  # of differences; each has a code of 5 bits, none of ones alone


def encode(
    samples: Any,
    precision: int,
    *,
    transform: int = 0,
    scans: Sequence[Sequence[int]] = (),
    wrap: bool = False,
) -> bytes:
    """Return a stream with predictor 1.

    `transform` is the point transform (B.2.3). `scans` are the components of each scan, all in one where empty. With
    `wrap`, differences are taken modulo 2 to the precision, so that their sum leaves the range of the samples.
    """
    planes = np.atleast_3d(np.asarray(samples)).astype(int) >> transform
    rows, columns, components = planes.shape
    out = [b"\xff\xd8\xff\xc3", struct.pack(">HBHHB", 8 + 3 * components, precision, rows, columns, components)]
    out += [bytes((component + 1, 0x11, 0)) for component in range(components)]
    out += [b"\xff\xc4", struct.pack(">HB", 3 + 16 + CATEGORIES, 0), bytes((0, 0, 0, 0, CATEGORIES)), bytes(11)]
    out += [bytes(range(CATEGORIES))]
    for chosen in scans or [range(components)]:
        out += [b"\xff\xda", struct.pack(">HB", 6 + 2 * len(chosen), len(chosen))]
        out += [bytes((component + 1, 0)) for component in chosen]
        out += [bytes((1, 0, transform)), _coded(planes[:, :, list(chosen)], precision - transform, wrap)]
    return b"".join([*out, b"\xff\xd9"])


def _coded(planes: Any, bits: int, wrap: bool) -> bytes:
    # H.1.1: the first sample is predicted as half the range, the first of a row from above, others from the left.
    predicted = np.empty_like(planes)
    predicted[:, 1:] = planes[:, :-1]
    predicted[1:, 0] = planes[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    text = []
    for number, difference in enumerate((planes - predicted).ravel().tolist()):
        if wrap and number % 3 == 0 and difference:
            difference -= (1 << bits) if difference > 0 else -(1 << bits)
        difference = (difference + 32767) % 65536 - 32767  # H.1.2.1; 32768 has a category without further bits
        category = abs(difference).bit_length()
        text.append(f"{category:05b}")
        if 0 < category < 16:
            text.append(f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}")
    joined = "".join(text)
    joined += "1" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big").replace(b"\xff", b"\xff\0")
