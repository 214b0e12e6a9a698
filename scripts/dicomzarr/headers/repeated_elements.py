"""Cache of elements that repeat in the headers of a series; it makes the fast reader faster and changes no result.

Two things are cached: the parsed first 8 bytes of an element (tag, VR, length), and runs of elements that are equal,
byte for byte, in two headers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dicomzarr.dicom.vr import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    LONG_VRS,
    MAX_VALUE,
    PIXEL_TAGS,
    SHORT_VRS,
    SPECIAL,
    UNDEFINED,
    is_text,
    max_bytes,
)

# The parsed first 8 bytes of an element (PS3.5 7.1.2): tag; bytes to the next element; VR, or None if the value is
# neither wanted nor a text; bytes to the end of the value that is read; whether it is wanted; the run that may begin
# here. The bytes to the next element are 0 where a 4-byte length follows, and -1 where the element must be parsed in
# place. The same 8 bytes repeat in each file of a series; a dict look-up costs a third of parsing them.
Head = tuple[int, int, "str | None", int, bool, "Run | None"]
EndOf = Callable[[bytes, int], int | None]
MAX_KNOWN_HEADS = 1 << 16


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive elements that were equal in two headers; in later headers one comparison replaces parsing each."""

    data: bytes
    last: int  # tag of the last element
    values: dict[int, tuple[str, bytes | None]]
    texts: list[tuple[str, bytes]]
    # What `attributes.interpret` made of the values, by (little endian, pixels are signed).
    meanings: dict[tuple[bool, bool], tuple[dict[str, object], tuple[Any, ...]]] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """Number of elements whose value is stored."""
        return len(self.values) + len(self.texts)


MIN_RUN = 4  # elements
MAX_RUNS = 1 << 10
MIN_SINGLE = 24  # elements parsed one by one; with fewer, searching for runs costs more than it saves
_LONGEST_PAUSE = 1 << 8  # headers


@dataclass(slots=True)
class HeaderCache:
    """Elements that repeat in headers of one encoding.

    Attributes
    ----------
    heads : dict
        The first 8 bytes of an element to their parsed form and the run that begins with that element.
    """

    heads: dict[bytes, Head] = field(default_factory=dict)
    _run_count: int = 0
    _previous: tuple[bytes, int] = (b"", 0)  # first block of the header before, offset of its data set
    _pause: int = 1  # headers between two comparisons
    _left: int = 0  # headers until the next comparison

    @property
    def runs(self) -> list[Run]:
        """Runs found so far."""
        return [head[5] for head in self.heads.values() if head[5] is not None]

    def compare(self, data: bytes, start: int, single_count: int, end_of: EndOf) -> None:
        """Cache the runs that a header shares with the header before it.

        Nothing is done where fewer than `MIN_SINGLE` elements were parsed one by one. The pause between two comparisons
        doubles each time, so that headers with nothing in common are compared seldom.

        Parameters
        ----------
        data : bytes
            First block of the header.
        start : int
            Offset of its first element, in bytes.
        single_count : int
            Elements of the header that were parsed one by one.
        end_of : callable
            ``end_of(block, offset)`` returns the end of a long element or a sequence, or None where it does not lie in
            the block.
        """
        if single_count < MIN_SINGLE:
            self._pause = 1
            return
        self._left -= 1
        if self._left <= 0:
            self._left = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if self._run_count >= MAX_RUNS:
                self.heads = {key: (*head[:5], None) for key, head in self.heads.items()}
                self._run_count = 0
            previous = dict(self._elements(*self._previous, end_of))
            run: list[tuple[int, bytes]] = []
            for tag, element in self._elements(data, start, end_of):
                if element and previous.get(tag) == element:
                    run.append((tag, element))
                    continue
                self._add_run(run)
                run = []
            self._add_run(run)
        self._previous = data, start

    def _elements(self, data: bytes, start: int, end_of: EndOf) -> list[tuple[int, bytes]]:
        """Return tag and bytes of the elements in a block, up to the first whose end is unknown.

        The bytes are empty for an element that must be parsed in place. Long values and sequences that nobody reads are
        elements like others.
        """
        elements: list[tuple[int, bytes]] = []
        position = start
        while True:
            head = self.heads.get(data[position : position + 8])
            if head is None or (elements and head[0] <= elements[-1][0]):
                return elements
            end = position + head[1] if head[1] > 0 else end_of(data, position)
            if end is None or end > len(data):
                return elements
            elements.append((head[0], data[position:end] if head[1] >= 0 else b""))
            position = end

    def _add_run(self, elements: list[tuple[int, bytes]]) -> None:
        if len(elements) < MIN_RUN:
            return
        run = Run(b"".join(element for _, element in elements), elements[-1][0], {}, [])
        for tag, element in elements:
            _, step, vr, value_end, is_wanted, _ = self.heads[element[:8]]
            if vr is None or not step:
                continue
            if is_wanted:
                run.values[tag] = (vr, element[8:value_end])
            else:
                run.texts.append((vr, element[8:value_end]))
        key = run.data[:8]
        self.heads[key] = (*self.heads[key][:5], run)
        self._run_count += 1


def parse_head(head: bytes, implicit: bool, wanted: frozenset[int]) -> Head | None:
    """Return the parsed first 8 bytes of an element.

    Parameters
    ----------
    head : bytes
        The first 8 bytes of a little endian element.
    implicit : bool
        Whether the VR is implicit.
    wanted : frozenset of int
        Tags whose values are read.

    Returns
    -------
    Head or None
        None for what `fast_reader` must judge itself: fewer than 8 bytes, an unknown VR, or tag (0000,0000).

    References
    ----------
    DICOM PS3.5 7.1.2, 7.1.3.
    """
    if len(head) < 8:
        return None
    if implicit:
        group, element, length = IMPLICIT(head)
        name: str | None = ""
    else:
        group, element, vr, length = EXPLICIT(head)
        name = SHORT_VRS.get(vr)
        if name is None and vr in LONG_VRS:
            name, length = LONG_VRS[vr], UNDEFINED
    tag = group << 16 | element
    if name is None or tag == 0:
        return None
    name = SPECIAL.get(tag, name)
    is_wanted, is_searched = tag in wanted, is_text(tag, name)
    if tag in PIXEL_TAGS or tag >= ITEM:
        return tag, -1, "", 0, False, None
    if length == UNDEFINED:
        return tag, -1 if implicit or is_wanted or is_searched else 0, "", 0, False, None
    if is_wanted:
        return tag, 8 + length if length <= MAX_VALUE else -1, name, 8 + length, True, None
    if is_searched and length:
        return tag, 8 + length, name, 8 + min(length, max_bytes(name)), False, None
    return tag, 8 + length, None, 0, False, None


HEADER_CACHES: dict[tuple[bool, frozenset[int]], HeaderCache] = {}  # by (implicit VR, wanted tags)
