"""The shapes of items of undefined length, so that items that repeat one are not walked element by element.

The items of functional groups are alike, frame by frame: the same tags, VRs and delimiters, and lengths of which few
differ. A shape has these bytes. An item has a shape if all of them are equal: then it ends where walking it would end.
"""

from __future__ import annotations

from typing import Final, TypeAlias

# Of a tag with VR and length: offset of its first byte and of the value; bytes of the length, 0 for a delimiter and
# where the length is undefined.
Head: TypeAlias = tuple[int, int, int]

MAX_ITEM: Final = 16 << 10  # bytes of an item that has a shape
_MAX_SHAPES: Final = 4  # of items that begin with the same element
_MAX_KEYS: Final = 1 << 5
_ITEM: Final = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # of undefined length
_LONGEST_PAUSE: Final = 1 << 8  # items
_SHORT: Final = 8 << 10  # bytes of items: fewer are compared faster as one number


class Shape:
    """The bytes of an item that are no values, except the lengths that differ between items.

    Parameters
    ----------
    item : bytes
        With its tag and its delimiter.
    heads : list of tuple
        In order, from the beginning of the item.
    """

    __slots__ = (
        *("skeleton", "_lengths", "_variable", "_cuts", "_rest", "_mask", "_expected", "_significant", "_content"),
        "_repeated",
    )

    def __init__(self, item: bytes, heads: list[Head]) -> None:
        self.skeleton = skeleton_of(item, heads)
        self._lengths = lengths_of(item, heads)
        self._variable: set[int] = set()
        self._use(item, heads)

    def widen(self, item: bytes, heads: list[Head]) -> None:
        """Let the lengths vary that differ in another item with the same skeleton.

        Parameters
        ----------
        item : bytes
            With its tag and its delimiter.
        heads : list of Head
            Of all that is in it, in order.
        """
        lengths = lengths_of(item, heads)
        self._variable |= {number for number, length in enumerate(lengths) if length != self._lengths[number]}
        self._lengths = lengths
        self._use(item, heads)

    def _use(self, item: bytes, heads: list[Head]) -> None:
        bits, pieces, mask = bytearray(len(item)), [], []
        cuts: list[tuple[int, int]] = []  # bytes up to a length that varies, bytes of that length
        first = 0
        for number, (begin, value, width) in enumerate(heads):
            is_variable = number in self._variable
            behind = value - width if is_variable else value
            bits[begin:behind] = b"\xff" * (behind - begin)
            if is_variable:
                pieces.append(item[first:behind])
                mask.append(bits[first:behind])
                cuts.append((behind - first, width))
                first = value + self._lengths[number]
        self._cuts, self._rest = tuple(cuts), len(item) - first
        significant, content = b"".join([*mask, bits[first:]]), b"".join([*pieces, item[first:]])
        self._mask = int.from_bytes(significant, "little")
        self._expected = int.from_bytes(content, "little") & self._mask
        self._significant, self._content = significant, content
        self._repeated = (1, self._mask, self._expected)

    def skip(self, data: bytes, position: int, most: int) -> int:
        """Return the offset after the items at `position` that have this shape and end in `data`.

        Parameters
        ----------
        data : bytes
        position : int
        most : int
            Number of items that are looked at.

        Returns
        -------
        int
            `position` where the first item has another shape.
        """
        if not self._cuts:
            rest, stop, last = self._rest, position, min(position + most * self._rest, len(data)) - self._rest
            while stop <= last and (most == 1 or data.startswith(_ITEM, stop)):
                stop += rest
            most = (stop - position) // rest
            compact, stops = data[position:stop], None
        else:
            compact, stops = self._without_variable(data, position, most)
            most = len(stops)
        if not most:
            return position
        count = self._equal(compact, most)
        if not count or stops is None:
            return position + count * self._rest
        return stops[count - 1]

    def _equal(self, compact: bytes, most: int) -> int:
        """Return how many items in a row have the shape; what has a variable length was taken out."""
        if len(compact) < _SHORT:  # a number with the bits of all items
            times, mask, expected = self._repeated
            if times != most:
                mask = int.from_bytes(self._significant * most, "little")
                expected = int.from_bytes(self._content * most, "little") & mask
                self._repeated = most, mask, expected
            if int.from_bytes(compact, "little") & mask == expected:
                return most
            length = len(compact) // most
            for number in range(most):
                item = compact[number * length : (number + 1) * length]
                if int.from_bytes(item, "little") & self._mask != self._expected:
                    return number
            return most
        import numpy as np

        rows, content, significant = (
            np.frombuffer(data, np.uint8) for data in (compact, self._content, self._significant)
        )
        equal = (((rows.reshape(most, -1) ^ content) & significant) == 0).all(axis=1)
        return most if equal.all() else int(equal.argmin())

    def _without_variable(self, data: bytes, position: int, most: int) -> tuple[bytes, list[int]]:
        """Return items without what has a variable length, and the offset after each."""
        pieces: list[bytes] = []
        stops: list[int] = []
        end, rest = len(data), self._rest
        while len(stops) < most and (most == 1 or data.startswith(_ITEM, position)):
            parts = []
            for length, width in self._cuts:
                at = position + length
                parts.append(data[position:at])
                position = at + width
                if position > end:
                    return b"".join(pieces), stops
                size = data[at] | data[at + 1] << 8
                if width == 4:
                    size |= (data[at + 2] | data[at + 3] << 8) << 16
                if size >= MAX_ITEM:
                    return b"".join(pieces), stops
                position += size
            at, position = position, position + rest
            if position > end:
                break
            pieces += parts
            pieces.append(data[at:position])
            stops.append(position)
        return b"".join(pieces), stops


def skeleton_of(item: bytes, heads: list[Head]) -> list[bytes]:
    """Return tags and VRs of an item.

    Parameters
    ----------
    item : bytes
        With its tag and its delimiter.
    heads : list of Head
        Of all that is in it, in order.

    Returns
    -------
    list of bytes
        Of each head; with the lengths of delimiters, and of what has an undefined length.
    """
    return [item[begin : value - width] for begin, value, width in heads]


def lengths_of(item: bytes, heads: list[Head]) -> list[int]:
    """Return the number of bytes of the value after each head.

    Parameters
    ----------
    item : bytes
        With its tag and its delimiter.
    heads : list of Head
        Of all that is in it, in order.

    Returns
    -------
    list of int
        Of each head.
    """
    begins = [*(begin for begin, _, _ in heads[1:]), len(item)]
    return [begin - value for begin, (_, value, _) in zip(begins, heads, strict=True)]


class Shapes:
    """The shapes of items that begin with the same element, or of whole sequences in one place of a layout.

    Parameters
    ----------
    most : int
        Items that are compared at once.
    largest : int
        Bytes of an item of which the shape is kept.
    """

    __slots__ = ("_known", "_pause", "_left", "_most", "_limit", "_largest", "size")

    def __init__(self, most: int = 64, largest: int = MAX_ITEM) -> None:
        self._limit, self._largest = most, min(largest, MAX_ITEM)
        self._known: list[Shape] = []
        self._pause = 1  # items between two that are learned
        self._left = 0
        self._most = 1  # items that are looked at in one go
        self.size = 0  # bytes of the longest item that was learned

    def skip(self, data: bytes, position: int) -> int:
        """Return the offset after items whose shape is known, and that end in the data.

        Parameters
        ----------
        data : bytes
            A part of a header.
        position : int
            Where the first item begins.

        Returns
        -------
        int
            `position` if the shape of the first item is not known.
        """
        for number, shape in enumerate(self._known):
            stop = shape.skip(data, position, self._most)
            if stop > position:
                if number:
                    self._known.insert(0, self._known.pop(number))
                self._pause, self._left = 1, 0
                self._most = min(2 * self._most, self._limit)
                return stop
        self._most = 1
        return position

    def learn(self, item: bytes, heads: list[Head]) -> None:
        """Learn the shape of an item that was walked; with pauses that double until a shape is found again.

        Parameters
        ----------
        item : bytes
            With its tag and its delimiter.
        heads : list of Head
            Of all that is in it, in order.
        """
        self._left -= 1
        if self._left > 0 or len(item) > self._largest:
            return
        self._left = self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self.size = max(self.size, len(item))
        skeleton = skeleton_of(item, heads)
        for shape in self._known:
            if shape.skeleton == skeleton:
                shape.widen(item, heads)
                return
        self._known = [Shape(item, heads), *self._known[: _MAX_SHAPES - 1]]


_SHAPES: dict[tuple[bool, bytes], Shapes] = {}


def shapes_of(implicit: bool, data: bytes, position: int) -> Shapes:
    """Return the shapes of items that begin with the same element: tag, and VR where explicit.

    Parameters
    ----------
    implicit : bool
        Whether VRs are implicit.
    data : bytes
        A part of a header.
    position : int
        Where an item begins.

    Returns
    -------
    Shapes
        Kept for the process.
    """
    first = data[position + 8 : position + (12 if implicit else 14)]
    shapes = _SHAPES.get((implicit, first))
    if shapes is None:
        if len(_SHAPES) >= _MAX_KEYS:
            _SHAPES.clear()
        shapes = _SHAPES[implicit, first] = Shapes()
    return shapes
