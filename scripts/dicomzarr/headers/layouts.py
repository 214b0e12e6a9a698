"""Read headers by the layout of those before, and change no result by it.

The headers of a series, and of a scanner, repeat the sequence of tags and VRs, and most values. A layout is such a
sequence with the values of the last header that had it: runs of elements that stayed the same, and between two runs an
element that changed. Such a run is compared as a whole; the next one begins where the length of the changed element
says. What a header means (attributes, texts for the privacy search) is kept with the values, and only the changed
ones are interpreted.

Every byte of a header is either equal to that of a header that was read element by element, or lies in a value of which
the length was read, or is part of a sequence of undefined length that was walked. What differs in more than values is
read by `fast_reader`.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from dicomzarr.dicom.vr import LENGTH, PIXEL_TAGS, UNDEFINED, kind_of
from dicomzarr.headers.attribute_table import is_searched
from dicomzarr.headers.attributes import (
    DIRECTORY_RECORDS,
    PIXEL_REPRESENTATION,
    finish,
    interpret,
    is_signed,
    meaning_of,
)
from dicomzarr.headers.fast_reader import RawHeader, head_of
from dicomzarr.headers.item_shapes import Head, Shapes
from dicomzarr.headers.item_walk import skip_items
from dicomzarr.headers.layout_fields import OFTEN, Field
from dicomzarr.headers.reading import BLOCK, Reader, TooLong, Truncated, Unclear

MAX_LAYOUTS: Final = 8  # of each encoding; the one that was used last comes first
MAX_FIELDS: Final = 1024  # elements of a layout
MAX_KEPT: Final = 1024  # bytes of a value within a run; a longer one is between two runs
MAX_LAYOUT: Final = 64 << 10  # bytes of all runs; and of all sequences whose shape is kept
MAX_HEADER: Final = 4 << 20  # bytes of a header of which the layout is learned
_LONGEST_PAUSE: Final = 1 << 8  # headers
_NO_END: Final = 1 << 62  # bytes: the block is the last one


class _Mismatch(Exception):
    """The header has another layout."""


class _TooShort(_Mismatch):
    """A run does not end in the block."""


class Layout:
    """The elements of headers up to their pixel data, with what the last of them said.

    Parameters
    ----------
    fields : list of Field
        The last one is the pixel data.
    implicit : bool
        Whether VRs are implicit.
    """

    def __init__(self, fields: list[Field], implicit: bool) -> None:
        self._fields, self._implicit = fields, implicit
        self._wanted = [field for field in fields if field.is_wanted]
        self.is_used = False  # since it was learned
        self._count = 0  # headers
        self._signed = False
        self._facts: dict[str, Any] = {}
        self.notes: list[Any] = []
        self.texts: list[tuple[str, bytes]] = []
        self.pixel: tuple[int, str, int, int] = (0, "", 0, 0)
        self._has_new_facts = self._has_new_texts = self._has_new_runs = True
        # Bytes of a run, their number, the field after it, and its width and limit; -1 if its value is not read.
        self._parts: list[tuple[bytes, int, Field, int, int]] = []
        self._spans: list[tuple[int, int]] = []  # the range of the fields of each run

    def facts(self) -> dict[str, Any]:
        """Return what the last header says.

        Returns
        -------
        dict of str to object
            A copy of its attributes by keyword, before `attributes.finish`.
        """
        return self._facts.copy()

    def seems_to_match(self, size: int, data: bytes) -> bool:
        """Return whether a header ends as this layout, if its pixel data are as long as the last and end the file.

        Parameters
        ----------
        size, data
            As for `matches`.

        Returns
        -------
        bool
            False where `data` do not hold the end of the header.
        """
        run, length, _, width, _ = self._parts[-1]
        return data.startswith(run, max(0, size - self.pixel[3] - width - length))

    def matches(self, read: Reader, size: int, start: int, data: bytes, *, exactly: bool) -> bool:
        """Read a header, if it has this layout.

        Parameters
        ----------
        read : callable
            ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
        size : int
            Number of bytes that `read` can give.
        start : int
            Offset of the first element of the data set.
        data : bytes
            The first bytes, from offset 0.
        exactly : bool
            Whether runs must be equal to those of the last header.

        Returns
        -------
        bool
        """
        if self._has_new_runs:
            self._divide()
        self._count += 1
        try:
            changes = self._read(read, size, start, data, exactly)
        except (_Mismatch, IndexError, struct.error, Truncated, Unclear, TooLong):
            return False
        self._change(changes)
        if self._has_new_facts:
            self._collect_facts()
        if self._has_new_texts:
            self._collect_texts()
        return True

    def _read(self, read: Reader, size: int, start: int, data: bytes, exactly: bool) -> list[tuple[Field, bytes]]:
        """Read a header; return the fields between two runs that changed, with their new values."""
        changes: list[tuple[Field, bytes]] = []
        base, position, end = 0, start, len(data)
        last = end - 12 if end < size else _NO_END  # a run that ends behind it needs another block
        unpack_length = LENGTH
        for number, (run, length, field, width, most) in enumerate(self._parts):
            if position + length > last:
                base += position
                if base >= size:
                    raise _Mismatch
                data, position = read(max(BLOCK, length + 12), base), 0
                end = len(data)
                last = end - 12 if base + end < size else _NO_END
            if not data.startswith(run, position):
                if exactly:
                    raise _Mismatch
                try:
                    length = self._read_run(number, data, position)
                except _TooShort:
                    if end - position >= BLOCK or base + end >= size:
                        raise
                    base += position
                    data, position = read(max(BLOCK, 2 * length), base), 0
                    end = len(data)
                    last = end - 12 if base + end < size else _NO_END
                    length = self._read_run(number, data, position)
            position += length
            if width == 2:
                stop = data[position] | data[position + 1] << 8
            elif width:
                stop = unpack_length(data, position)[0]
                if stop == UNDEFINED:
                    if field.tag not in PIXEL_TAGS:
                        raise _Mismatch
                    stop = -1
            else:
                stop = self._end_of_sequence(field, read, size, base, data, position) - position
            position += width
            if most >= 0:
                if stop <= most:
                    most = stop
                elif field.is_wanted:
                    raise _Mismatch
                if position + most <= end:
                    value = data[position : position + most]
                else:
                    value = read(most, base + position)
                    if len(value) != most:
                        raise _Mismatch
                if value != field.value:
                    changes.append((field, value))
            elif field.tag in PIXEL_TAGS:
                self.pixel = field.tag, field.vr, base + position, stop
            position += stop
        return changes

    def _read_run(self, number: int, data: bytes, position: int) -> int:
        """Read the elements of a run one by one, and return its number of bytes."""
        _, _, last, width_of_last, most = self._parts[number]
        first, behind = self._spans[number]
        at, end = position, len(data)
        changes: list[tuple[Field, bytes]] = []
        for field in self._fields[first:behind]:
            if not data.startswith(field.prefix, at):
                raise _Mismatch
            at += len(field.prefix)
            width = field.width
            if width == 2:
                stop = at + 2 + (data[at] | data[at + 1] << 8)
            elif width:
                stop = at + 4 + LENGTH(data, at)[0]
            else:
                stop = self._end_of_sequence(field, _no_more, end, 0, data, at)
            if stop + 12 > end:
                raise _TooShort
            value = data[at + width : stop]
            if value != field.value:
                changes.append((field, value))
            at = stop
        if not data.startswith(last.prefix, at):
            raise _Mismatch
        at += len(last.prefix)
        for field, value in changes:
            if field.is_wanted and len(value) > field.limit:
                raise _Mismatch
        self._change(changes)
        for field, value in changes:
            if self._count - field.changed <= OFTEN or len(value) > MAX_KEPT:
                field.is_between = self._has_new_runs = True
            field.changed = self._count
        run = data[position:at]
        self._parts[number] = run, len(run), last, width_of_last, most
        return len(run)

    def _end_of_sequence(self, field: Field, read: Reader, size: int, base: int, data: bytes, position: int) -> int:
        """Return the end of a sequence of undefined length, as an offset into the block."""
        shapes = field.shapes
        heads: list[Head] | None = None
        if shapes is not None:
            stop = shapes.skip(data, position)
            if stop > position:
                return stop
            heads = []
        wrong: list[tuple[int, bool]] = []
        stop = skip_items(read, size, base + position, self._implicit, wrong, data, base, heads) - base
        if wrong:  # where it ends depends on what follows
            raise _Mismatch
        if shapes is not None and heads and stop <= len(data):
            shapes.learn(data[position:stop], heads)
        return stop

    def _change(self, changes: list[tuple[Field, bytes]]) -> None:
        """Give fields new values, and interpret them."""
        texts, facts = self.texts, self._facts
        for field, value in changes:
            field.value = value
            if field.is_text:
                if (field.place >= 0) is (value != b""):
                    if field.place >= 0:
                        texts[field.place] = field.kind, value[: field.limit]
                else:
                    self._has_new_texts = True
            if field.is_wanted:
                if field.tag == PIXEL_REPRESENTATION and is_signed(field.vr, field.content(), True) is not self._signed:
                    self.interpret_all()
                keyword, before = field.meaning
                meaning = field.meaning = meaning_of(field.tag, field.vr, field.content(), True, self._signed)
                if meaning[0] != keyword or (not keyword and meaning[1] is not before):
                    self._has_new_facts = True
                elif keyword:
                    facts[keyword] = meaning[1]

    def interpret_all(self) -> None:
        """Interpret the values of all fields."""
        for field in self._wanted:
            if field.tag == PIXEL_REPRESENTATION:
                self._signed = is_signed(field.vr, field.content(), True)
        for field in self._wanted:
            field.meaning = meaning_of(field.tag, field.vr, field.content(), True, self._signed)
        self._has_new_facts = True

    def says(self, header: RawHeader) -> bool:
        """Return whether the last header means what another reader says of it.

        Parameters
        ----------
        header : RawHeader
            The same header, as the other reader has it.

        Returns
        -------
        bool
            Whether facts, notes, texts and the place of the pixels are equal.
        """
        facts, bad = interpret(header.values, little=True)
        own = self.facts()
        texts = texts_of(header)
        return finish(own, self.notes) == bad and own == facts and self.texts == texts and self.pixel == header.pixel

    def _collect_facts(self) -> None:
        self._facts = {}
        self.notes = []
        for field in self._wanted:
            keyword, content = field.meaning
            if keyword:
                self._facts[keyword] = content
            elif content is not None:
                self.notes.append(content)
        self._has_new_facts = False

    def _collect_texts(self) -> None:
        """Put the texts in order: those that are no attributes first, as the other readers do."""
        self.texts = []
        for is_wanted in (False, True):
            for field in self._fields:
                if field.is_text and field.is_wanted is is_wanted:
                    field.place = -1
                    if field.value:
                        field.place = len(self.texts)
                        self.texts.append((field.kind, field.value[: field.limit]))
        self._has_new_texts = False

    def _divide(self) -> None:
        """Divide the fields into runs, and fields between them."""
        self._parts, self._spans = [], []
        pieces: list[bytes] = []
        first = 0
        for number, field in enumerate(self._fields):
            pieces.append(field.prefix)
            if field.is_between:
                if not field.is_read:
                    field.value = b""
                run = b"".join(pieces)
                self._parts.append((run, len(run), field, field.width, field.limit if field.is_read else -1))
                self._spans.append((first, number))
                pieces, first = [], number + 1
            else:
                length = len(field.value) if field.width else 0
                pieces += [length.to_bytes(field.width, "little"), field.value]
        self._has_new_runs = False


def _no_more(length: int, offset: int) -> bytes:
    return b""


class Layouts:
    """The layouts of headers of one encoding that were read before.

    Parameters
    ----------
    implicit : bool
        Whether VRs are implicit.
    """

    def __init__(self, implicit: bool) -> None:
        self._implicit = implicit
        self._known: list[Layout] = []
        self._pause = 1  # headers between two layouts that are learned
        self._left = 0

    def find(self, read: Reader, size: int, start: int, data: bytes) -> Layout | None:
        """Return the layout of a header, which then says what the header says; None if it is not known.

        Parameters
        ----------
        read, size, start, data
            As for `Layout.matches`.

        Returns
        -------
        Layout or None
        """
        if len(self._known) > 1:  # they may differ in nothing before their last run
            self._known.sort(key=lambda layout: not layout.seems_to_match(size, data))
        for exactly in (True, False):
            for number, layout in enumerate(self._known):
                if layout.matches(read, size, start, data, exactly=exactly):
                    if number:
                        self._known.insert(0, self._known.pop(number))
                    if not layout.is_used:
                        layout.is_used, self._pause, self._left = True, 1, 0
                    return layout
        return None

    def learn(self, read: Reader, size: int, start: int, data: bytes, header: RawHeader) -> None:
        """Learn the layout of a header that `fast_reader` has read.

        The pause between two layouts doubles each time until one is used, so that headers with nothing in common cost
        little more.

        Parameters
        ----------
        read, size, start, data
            As for `Layout.matches`.
        header : RawHeader
        """
        self._left -= 1
        if self._left > 0 or header.pixel is None or header.pixel[2] > MAX_HEADER or DIRECTORY_RECORDS in header.values:
            return
        self._left = self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        data = data[: header.pixel[2]] if header.pixel[2] <= len(data) else read(header.pixel[2], 0)
        try:
            fields = _fields_of(data, start, self._implicit)
        except (_Mismatch, IndexError, struct.error, Truncated, Unclear, TooLong):
            return
        if sum([len(field.value) for field in fields if not field.is_between]) > MAX_LAYOUT:
            return
        layout = Layout(fields, self._implicit)
        layout.interpret_all()
        if layout.matches(read, size, start, data, exactly=True) and layout.says(header):
            self._known = [layout, *self._known[: MAX_LAYOUTS - 1]]


LAYOUTS: Final = {implicit: Layouts(implicit) for implicit in (False, True)}


def _fields_of(data: bytes, start: int, implicit: bool) -> list[Field]:
    """Return the elements at top level, up to the pixel data, whose value begins where the data end."""
    fields: list[Field] = []
    position, end = start, len(data)
    room = MAX_LAYOUT  # for the shapes of sequences
    while len(fields) < MAX_FIELDS:
        tag, vr, value, length = head_of(data, position, implicit)
        width = 2 if not implicit and value - position == 8 else 4
        if tag in PIXEL_TAGS:
            if value != end:
                raise _Mismatch
            fields.append(Field(data[position : value - width], width, tag, vr))
            return fields
        if length == UNDEFINED and width == 4:
            field = Field(data[position:value], 0, tag, vr)
            wrong: list[tuple[int, bool]] = []
            position = skip_items(_no_more, end, value, implicit, wrong, data)
            if wrong or vr not in ("", "SQ", "OB", "OW"):
                raise _Mismatch
            if position - value <= room:
                room -= position - value
                field.shapes = Shapes(1, 2 * (position - value))
        else:
            field = Field(data[position : value - width], width, tag, vr)
            position = value + length
        content = data[value:position]
        field.is_between = len(content) > MAX_KEPT
        if field.is_read or not field.is_between:
            field.value = content[: field.limit] if field.is_between else content
        fields.append(field)
    raise _Mismatch


def texts_of(header: RawHeader) -> list[tuple[str, bytes]]:
    """Return the texts of a header for the privacy search.

    Parameters
    ----------
    header : RawHeader
        What `fast_reader` has read.

    Returns
    -------
    list of tuple of str and bytes
        Kind and value; those that are no attributes come first.
    """
    return [
        *header.texts,
        *((kind_of(tag, vr), value) for tag, (vr, value) in header.values.items() if value and is_searched(tag, vr)),
    ]
