"""What headers had in common so far: it changes how fast the lean reader is, never what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

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

# What the 8 bytes at the start of an element say: tag, bytes to the next element, VR if its value is wanted or a text
# and None if not, bytes to the end of what is kept, which of the two, and the run that may begin here. The bytes to the
# next element are 0 where a length of 4 bytes follows, -1 where a closer look is needed. The same heads come again in
# each file of a series, and looking one up costs a third of taking it apart.
Head = tuple[int, int, "str | None", int, bool, "Run | None"]
EndOf = Callable[[bytes, int], int | None]
MAX_KNOWN_HEADS = 1 << 16


@dataclass(frozen=True, slots=True)
class Run:
    """Elements that stood, byte for byte, in two headers: met again, they are compared at once and not one by one."""

    data: bytes
    last: int  # tag
    values: dict[int, tuple[str, bytes | None]]
    texts: list[tuple[str, bytes]]
    # What `attributes.interpret` made of the values, by little endian or not and by the sign of pixels.
    meanings: dict[tuple[bool, bool], tuple[dict[str, object], frozenset[str]]] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """Number of its elements that are kept."""
        return len(self.values) + len(self.texts)


LEAST_RUN = 4  # elements
MAX_RUNS = 1 << 10
MANY = 24  # elements kept one by one, from which on a comparison may pay
_LONGEST_PAUSE = 1 << 8  # headers


@dataclass(slots=True)
class Memory:
    """What headers of one encoding had in common so far; it changes how fast they are read, never what is found.

    Attributes
    ----------
    heads : dict
        What the first 8 bytes of an element mean, and the run that an element with these bytes began.
    """

    heads: dict[bytes, Head] = field(default_factory=dict)
    _runs: int = 0  # kept
    _before: tuple[bytes, int] = (b"", 0)
    _pause: int = 1
    _left: int = 0

    @property
    def runs(self) -> list[Run]:
        """Runs learnt so far."""
        return [said[5] for said in self.heads.values() if said[5] is not None]

    def compare(self, data: bytes, start: int, singly: int, end_of: EndOf) -> None:
        """Learn the runs that a header shares with the one before it, where so many elements were taken singly.

        Headers that have nothing in common are compared less and less often. `end_of` gives the end of an element that
        is long or a sequence, from the bytes of a block and its offset in them, or None where they do not tell.
        """
        if singly < MANY:
            self._pause = 1
            return
        self._left -= 1
        if self._left <= 0:
            self._left = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if self._runs >= MAX_RUNS:
                self.heads = {head: (*said[:5], None) for head, said in self.heads.items()}
                self._runs = 0
            here, there = self._elements(data, start, end_of), dict(self._elements(*self._before, end_of))
            run: list[tuple[int, bytes]] = []
            for tag, element in here:
                if element and there.get(tag) == element:
                    run.append((tag, element))
                    continue
                self._keep(run)
                run = []
            self._keep(run)
        self._before = data, start

    def _elements(self, data: bytes, start: int, end_of: EndOf) -> list[tuple[int, bytes]]:
        """Return tag and bytes of the first elements, up to one whose end is not known; no bytes of what needs a look.

        Long values and sequences of which nothing is kept are elements like others.
        """
        found: list[tuple[int, bytes]] = []
        position = start
        while True:
            head = self.heads.get(data[position : position + 8])
            if head is None or (found and head[0] <= found[-1][0]):
                return found
            end = position + head[1] if head[1] > 0 else end_of(data, position)
            if end is None or end > len(data):
                return found
            found.append((head[0], data[position:end] if head[1] >= 0 else b""))
            position = end

    def _keep(self, run: list[tuple[int, bytes]]) -> None:
        if len(run) < LEAST_RUN:
            return
        made = Run(b"".join(element for _, element in run), run[-1][0], {}, [])
        for tag, element in run:
            _, step, vr, kept, is_wanted, _ = self.heads[element[:8]]
            if vr is None or not step:
                continue
            if is_wanted:
                made.values[tag] = (vr, element[8:kept])
            else:
                made.texts.append((vr, element[8:kept]))
        head = made.data[:8]
        self.heads[head] = (*self.heads[head][:5], made)
        self._runs += 1


def learn(head: bytes, implicit: bool, wanted: frozenset[int]) -> Head | None:
    """Return what the first 8 bytes of an element mean, or None where they need a closer look at another place."""
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
    is_wanted, names = tag in wanted, is_text(tag, name)
    if tag in PIXEL_TAGS or tag >= ITEM:
        return tag, -1, "", 0, False, None
    if length == UNDEFINED:
        return tag, -1 if implicit or is_wanted or names else 0, "", 0, False, None
    if is_wanted:
        return tag, 8 + length if length <= MAX_VALUE else -1, name, 8 + length, True, None
    if names and length:
        return tag, 8 + length, name, 8 + min(length, max_bytes(name)), False, None
    return tag, 8 + length, None, 0, False, None


MEMORIES: dict[tuple[bool, frozenset[int]], Memory] = {}
