"""Tolerant reader of headers, by pydicom, for headers that `fast_reader` finds unclear.

It returns the same `RawHeader`, raw bytes by tag, so that `classify` judges both alike. pydicom is imported on first
use. Its warnings and logs are silenced because they quote header values, and its reads are bounded.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from dicomzarr.dicom.vr import ITEM, MAX_TEXT, MAX_VALUE, PIXEL_TAGS, UNDEFINED, kind_of, standard_texts
from dicomzarr.headers.attribute_table import SEQUENCES
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.fast_reader import MAX_PADDING, RawHeader
from dicomzarr.headers.item_walk import skip_item, skip_items
from dicomzarr.headers.reading import EXPLICIT_LITTLE, Encoding, Reader, TooLong, Truncated, Unclear
from dicomzarr.headers.sequence_values import MAX_BYTES
from dicomzarr.headers.unknown_vrs import with_known_vrs
from dicomzarr.system import shortage

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_CALLS = 1_000_000  # read calls of one header: about three for an element
MAX_ITEM_ENDS = 1 << 15  # stray item delimiters that are passed over
MAX_READ = 1 << 26  # bytes of one read call


class Refused(Exception):
    """pydicom cannot read the header, or a tag occurs twice with different values; holds nothing of the header."""


class ReadFailed(Exception):
    """The operating system could not read the file."""


class _Window:
    """A read-only binary file over a `Reader`, with bounds on the position, the length and the number of reads."""

    def __init__(self, read: Reader, size: int, start: int) -> None:
        self._read, self._size, self._position, self._calls = read, size, start, 0
        self.last_read = b""

    def read(self, length: int = -1) -> bytes:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise TooLong
        requested, left = length, self._size - self._position
        length = left if length is None or length < 0 else min(length, left)
        if length > MAX_READ:
            raise TooLong
        try:
            data = self._read(length, self._position)
        except OSError as error:
            raise ReadFailed from error
        # The file ends inside tag, VR or length. pydicom would take a short read of 8 bytes for the end of the file and
        # fail on one of 4.
        if requested == 8 and 0 < len(data) < 8 and any(data) or requested == 4 and len(data) < 4:
            raise Truncated
        self._position += len(data)
        self.last_read = data
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        position = offset + (0, self._position, self._size)[whence]
        if position > self._size:
            raise Truncated
        if position < 0:
            raise Refused
        self._position = position
        return position

    def tell(self) -> int:
        return self._position


def read_tolerant(read: Reader, size: int, start: int, encoding: Encoding) -> RawHeader:
    """Return the top-level elements of a data set up to its pixel data, as pydicom reads them.

    Parameters
    ----------
    read : callable
        ``read(length, offset)`` gives bytes of the file, or of the inflated data set.
    size : int
        Number of bytes that `read` can give.
    start : int
        Offset of the first element of the data set.
    encoding : Encoding
        VR explicit or implicit, and byte order.

    Returns
    -------
    RawHeader
        Values by tag, the place of the pixel data, and the texts for the privacy search.

    Raises
    ------
    Truncated, TooLong
        As `fast_reader.read_raw`.
    Refused
        For every other failure of pydicom, and where a wanted element occurs twice with different values.
    ReadFailed
        If the operating system cannot read the file.
    """
    if encoding == EXPLICIT_LITTLE:
        try:
            read = with_known_vrs(read, size, start) or read
        except OSError as error:
            raise ReadFailed from error
    try:
        return _guarded(read, size, start, encoding, parse_items=True)
    except (Truncated, Refused):
        if not encoding.little:
            raise
        # pydicom does not read items that end with the delimiter of a sequence. It is not needed within sequences.
        with contextlib.suppress(Refused, TooLong):
            return _guarded(read, size, start, encoding, parse_items=False)
        raise


def _guarded(read: Reader, size: int, start: int, encoding: Encoding, *, parse_items: bool) -> RawHeader:
    """Return the header; raise the exceptions of `read_tolerant` in place of those of pydicom."""
    window = _Window(read, size, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _silence()
            return _Walk(window, read, size, encoding, parse_items).header()
    except (Truncated, TooLong, Refused, ReadFailed):
        raise
    except EOFError:
        raise Truncated from None
    except MemoryError:
        shortage.refuse()
        raise TooLong from None
    except OSError:  # pydicom raises it for a missing item
        raise (Truncated if window.tell() >= size else Refused) from None
    except Exception as error:  # the messages of pydicom quote header values
        shortage.refuse(error)
        raise Refused from None


def read_past_item_ends(stream: BinaryIO, dataset: Dataset) -> None:
    """Add the elements after a stray Item Delimitation Item (FFFE,E00D), which pydicom takes for the end.

    Parameters
    ----------
    stream : file
        At the position at which `pydicom.dcmread` stopped, before the pixel data.
    dataset : pydicom.Dataset
        As it was read; elements are added.
    """
    from pydicom.filereader import read_dataset

    implicit, little = dataset.original_encoding
    if implicit is None or little is None:
        return
    while (position := stream.tell()) >= 8:
        stream.seek(position - 8)
        if stream.read(8) != _item_end(Encoding(implicit, little)):
            return
        more = read_dataset(stream, implicit, little, stop_when=lambda tag, vr, length: tag in PIXEL_TAGS)
        if stream.tell() == position:
            return
        dataset.update(more)


class _Walk:
    """The walk of pydicom over the top-level elements of a data set, up to its pixel data."""

    def __init__(self, window: _Window, read: Reader, size: int, encoding: Encoding, parse_items: bool) -> None:
        self._window, self._read, self._size = window, read, size
        self._encoding, self._parse_items = encoding, parse_items
        self._header = RawHeader(is_empty=True)
        self._end = -1  # offset of a tag (0000,0000), where padding may begin
        # Tag, VR and offset of the value of an element that pydicom is not to read.
        self._skipped: tuple[int, str | None, int] | None = None

    def header(self) -> RawHeader:
        """Return the header; raise whatever pydicom raises, and `Truncated`, `TooLong` and `Refused`."""
        for element in self._elements():
            self._take(element)
        if self._header.pixel is None:
            self._header.padding = self._size - self._end if self._end >= 0 else 0
            _check_end(self._read, self._size, self._size - self._header.padding)
        return self._header

    def _elements(self) -> Iterator[Any]:
        """Yield the elements that pydicom reads, as it does: parsed sequences, all others raw."""
        from pydicom.filereader import data_element_generator

        window, encoding = self._window, self._encoding
        for _ in range(MAX_ITEM_ENDS):
            yield from data_element_generator(
                window,  # type: ignore[arg-type]
                encoding.implicit,
                encoding.little,
                stop_when=self._stops_at,
                defer_size=MAX_VALUE,
                specific_tags=_tags(),
            )
            if self._skipped is not None:
                self._skip(*self._skipped)
                self._skipped = None
                continue
            # pydicom takes an item delimiter for the end of the data set.
            if self._header.pixel is not None or self._end >= 0 or window.last_read != _item_end(encoding):
                return
        raise TooLong

    def _stops_at(self, tag: int, vr: str | None, length: int) -> bool:
        """Return whether pydicom is to stop before the value of an element; note why."""
        header, window = self._header, self._window
        header.is_empty = False
        if tag in PIXEL_TAGS:
            header.pixel = (tag, vr or "", window.tell(), -1 if length == UNDEFINED else length)
            return True
        if tag == 0:
            self._end = window.tell() - 8
            return True
        if length != UNDEFINED:
            return False
        # Items and delimiters cannot occur at the top level. Some writers leave their tags there, or items behind a
        # sequence whose length they set to 0: passed over, with the value of an item.
        if tag >= 0xFFFE0000 and not (tag == ITEM and self._encoding.little):
            raise Refused
        if tag == ITEM or (not self._parse_items and vr in (None, "SQ", "UN")):
            self._skipped = tag, vr, window.tell()
            return True
        return False

    def _skip(self, tag: int, vr: str | None, begin: int) -> None:
        """Go on behind an item, or a sequence, of undefined length."""
        implicit = self._encoding.implicit
        try:
            if tag == ITEM:
                finish = skip_item(self._read, self._size, begin, implicit)
            else:
                finish = skip_items(self._read, self._size, begin, implicit or vr == "UN")
        except Unclear:
            raise Refused from None
        self._window.seek(finish)
        if tag in WANTED:
            self._add(tag, _sequence(tag, self._read, begin, finish))

    def _take(self, element: Any) -> None:
        """Add an element to the header, if it is wanted or a text."""
        from pydicom.dataelem import RawDataElement

        tag = int(element.tag)
        if not isinstance(element, RawDataElement):
            if tag in WANTED:
                self._add(tag, _sequence(tag, self._read, element.file_tell or 0, self._window.tell()))
            return
        vr, content, length = element.VR or "", element.value, element.length
        if content is not None and length not in (len(content), UNDEFINED):
            raise Truncated
        if tag not in WANTED:
            if content:
                self._header.texts.append((kind_of(tag, vr), bytes(content[:MAX_TEXT])))
        elif length == UNDEFINED or (content is None and length != 0):
            self._add(tag, (vr, None))  # longer than MAX_VALUE, or of undefined length
        else:
            self._add(tag, (vr, content or b""))

    def _add(self, tag: int, value: tuple[str, bytes | None]) -> None:
        values = self._header.values
        if tag in values and values[tag] != value:
            raise Refused
        values[tag] = value


def _sequence(tag: int, read: Reader, begin: int, finish: int) -> tuple[str, bytes | None]:
    """Return VR and bytes of a sequence of undefined length, if its numbers are wanted."""
    is_read = tag in SEQUENCES and finish - begin <= MAX_BYTES
    return "SQ", read(finish - begin, begin) if is_read else None


def _item_end(encoding: Encoding) -> bytes:
    """Return an Item Delimitation Item (FFFE,E00D)."""
    return b"\xfe\xff\x0d\xe0\0\0\0\0" if encoding.little else b"\xff\xfe\xe0\x0d\0\0\0\0"


@functools.cache
def _tags() -> list[Any]:
    """Return the tags that pydicom reads: the wanted ones, and the texts of PS3.6 for the privacy search."""
    from pydicom.tag import Tag

    return [Tag(tag) for tag in sorted(WANTED.union(standard_texts()))]


def _check_end(read: Reader, size: int, position: int) -> None:
    """Raise `Refused` unless nothing but zero bytes follows the last element."""
    rest = size - position
    if rest > MAX_PADDING:
        raise Refused
    if any(read(rest, position)):
        raise Refused


def _silence() -> None:
    """Turn off the logging of pydicom: its messages hold header values."""
    logger = logging.getLogger("pydicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
