"""The second reader of headers: pydicom, for what the lean reader does not understand.

It answers in the same terms, raw bytes by tag, so that one policy judges both. pydicom is imported when it is needed
first, kept silent (its messages quote header values), and fed through a window that bounds what it can read.
"""

from __future__ import annotations

import functools
import logging
import warnings
from typing import Any

from dicomzarr.dicom.vr import CHARACTER_SET, MAX_TEXT, MAX_VALUE, PIXEL_TAGS, UNDEFINED, standard_texts
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.fast_reader import MAX_PADDING, Encoding, RawHeader, Reader, TooLong, Truncated

MAX_CALLS = 1_000_000  # read calls of one header: about three for an element
MAX_READ = 1 << 26  # bytes of one read call


class Refused(Exception):
    """pydicom cannot read the header either, or it says two things; carries nothing of the header."""


class ReadFailed(Exception):
    """The operating system could not read the file."""


class _Window:
    """A read-only binary file over a `Reader`, which refuses to run past the end or to go on without end."""

    def __init__(self, read: Reader, size: int, start: int) -> None:
        self._read, self._size, self._position, self._calls = read, size, start, 0

    def read(self, length: int = -1) -> bytes:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise TooLong
        asked, left = length, self._size - self._position
        length = left if length is None or length < 0 else min(length, left)
        if length > MAX_READ:
            raise TooLong
        try:
            data = self._read(length, self._position)
        except OSError as error:
            raise ReadFailed from error
        # The head of an element is cut: pydicom would take 8 bytes for the end of the file, and stumble over 4.
        if asked == 8 and 0 < len(data) < 8 and any(data) or asked == 4 and len(data) < 4:
            raise Truncated
        self._position += len(data)
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
    """Return what pydicom finds at the top level of a data set, up to its pixel data.

    Parameters are those of `dicomzarr.headers.fast_reader.read_raw`.

    Raises
    ------
    Truncated, TooLong
        As the lean reader.
    Refused
        For every other failure of pydicom, and where one wanted element stands twice with different values.
    ReadFailed
        Where the operating system could not read.
    """
    window = _Window(read, size, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(window, read, size, encoding)
    except (Truncated, TooLong, Refused, ReadFailed):
        raise
    except EOFError:
        raise Truncated from None
    except MemoryError:
        raise TooLong from None
    except OSError:  # pydicom's word for an item that is not there
        raise (Truncated if window.tell() >= size else Refused) from None
    except Exception:  # whatever pydicom raises quotes the header: it ends here
        raise Refused from None


def _read(window: _Window, read: Reader, size: int, encoding: Encoding) -> RawHeader:
    from pydicom.dataelem import RawDataElement
    from pydicom.filereader import data_element_generator

    _silence()
    header = RawHeader(is_empty=True)
    end = [-1]

    def stop(tag: int, vr: str | None, length: int) -> bool:
        header.is_empty = False
        if tag in PIXEL_TAGS:
            header.pixel = (tag, vr or "", window.tell(), -1 if length == UNDEFINED else length)
            return True
        if tag == 0:
            end[0] = window.tell() - 8
            return True
        if tag >= 0xFFFE0000:  # an item or a delimiter at the top level: the reader has lost its place
            raise Refused
        return False

    elements = data_element_generator(
        window,  # type: ignore[arg-type]
        encoding.implicit,
        encoding.little,
        stop_when=stop,
        defer_size=MAX_VALUE,
        specific_tags=_tags(),
    )
    for element in elements:
        tag = int(element.tag)
        if tag not in WANTED:
            if isinstance(element, RawDataElement) and element.value:
                vr = "CS" if tag == CHARACTER_SET else element.VR or ""
                header.texts.append((vr, bytes(element.value[:MAX_TEXT])))
            continue
        found: tuple[str, bytes | None]
        if isinstance(element, RawDataElement):
            content = element.value
            if content is None and element.length != 0:
                found = (element.VR or "", None)  # too long to be kept, or of undefined length
            elif content is not None and element.length not in (len(content), UNDEFINED):
                raise Truncated
            elif element.length == UNDEFINED:
                found = (element.VR or "", None)
            else:
                found = (element.VR or "", content or b"")
        else:
            found = ("SQ", None)
        if tag in header.values and header.values[tag] != found:
            raise Refused
        header.values[tag] = found
    if header.pixel is None:
        _check_end(read, size, end[0] if end[0] >= 0 else size)
    return header


@functools.cache
def _tags() -> list[Any]:
    """Return what pydicom is to read: what is wanted, and the texts of PS3.6, for the search for leaks."""
    from pydicom.tag import Tag

    return [Tag(tag) for tag in sorted(WANTED | standard_texts())]


def _check_end(read: Reader, size: int, position: int) -> None:
    """Raise unless only zero bytes stand behind the last element."""
    rest = size - position
    if rest > MAX_PADDING:
        raise Refused
    if any(read(rest, position)):
        raise Refused


def _silence() -> None:
    """Stop pydicom's logging for good: its messages hold values."""
    logger = logging.getLogger("pydicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
