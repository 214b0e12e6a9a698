"""What all readers of headers share: how bytes are read, how many, and what may be wrong with a header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# read(length, offset) -> at most `length` bytes from `offset`; fewer only at the end of the data
Reader = Callable[[int, int], bytes]

BLOCK = 24 * 1024  # bytes: a header of CT or MR fits; a longer one costs further reads
# Bytes of a header that are parsed element by element; values of a block or more do not count. The functional groups
# of 50,000 frames stay below the limit; parsing that many takes a few seconds.
MAX_WALKED = 128 << 20
MAX_DEPTH = 16  # nested sequences


class Unclear(Exception):
    """The header is not well-formed; `pydicom_reader` may still read it."""


class Truncated(Exception):
    """The data end inside the header."""


class TooLong(Exception):
    """The header has more elements, or a longer value, than a valid one."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is encoded: VR explicit or implicit, bytes little or big endian (PS3.5 7.1, 7.3)."""

    implicit: bool
    little: bool


IMPLICIT_LITTLE = Encoding(implicit=True, little=True)
EXPLICIT_LITTLE = Encoding(implicit=False, little=True)
EXPLICIT_BIG = Encoding(implicit=False, little=False)
