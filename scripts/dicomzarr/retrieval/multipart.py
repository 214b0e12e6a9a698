"""The parts of a multipart message (RFC 2046), as a stream: a part is passed on in blocks and never held in memory.

A message is whole only if it ends with its closing boundary: many servers send it without a length, so that nothing
else shows a connection that broke off.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message

MAX_HEADERS = 64 << 10  # bytes of the headers of a part


class BrokenOff(Exception):
    """The message ended before its closing boundary, or is no multipart message."""


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type names, or nothing if it is no multipart message."""
    message = Message()
    message["Content-Type"] = content_type
    is_multipart = message.get_content_maintype() == "multipart"
    return (message.get_boundary() or "").encode("latin-1", "replace") if is_multipart else b""


def media_type_of(content_type: str) -> str:
    """Return the media type that a Content-Type names, in small letters; empty if there is none."""
    return content_type.partition(";")[0].strip().lower()


def split(blocks: Iterator[bytes], boundary: bytes) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
    """Yield headers and content of each part.

    Parameters
    ----------
    blocks : iterator of bytes
        The message.
    boundary : bytes
        As `boundary_of` returns it.

    Yields
    ------
    headers : dict of str to str
        Names in small letters.
    content : iterator of bytes
        Raises `BrokenOff` if the message ends within the part. What is not read of it is skipped.

    Raises
    ------
    BrokenOff
        If the message ends before its closing boundary.
    """
    message = _Message(blocks, boundary)
    for _ in message.until_boundary():  # a preamble has no meaning
        pass
    while not message.is_over:
        headers = message.headers()
        content = message.until_boundary()
        yield headers, content
        for _ in content:
            pass


class _Message:
    def __init__(self, blocks: Iterator[bytes], boundary: bytes) -> None:
        self._blocks, self._delimiter = blocks, b"\r\n--" + boundary
        self._data = bytearray(b"\r\n")  # the first boundary may have no line before it
        self.is_over = False

    def _read(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            raise BrokenOff
        self._data += block

    def headers(self) -> dict[str, str]:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > MAX_HEADERS:
                raise BrokenOff
            self._read()
        lines = bytes(self._data[:end]).decode("latin-1").split("\r\n")
        del self._data[: end + 4]
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def until_boundary(self) -> Iterator[bytes]:
        """Yield what comes before the next boundary, and remove the boundary."""
        start = 0
        while True:
            at = self._data.find(self._delimiter, start)
            if at < 0:
                ready = len(self._data) - len(self._delimiter) + 1  # the rest may be the beginning of a boundary
                if ready > 0:
                    yield bytes(self._data[:ready])
                    del self._data[:ready]
                start = 0
                self._read()
                continue
            end = self._end_of_boundary(at + len(self._delimiter))
            if end:
                yield bytes(self._data[:at])
                del self._data[:end]
                return
            start = at + 1

    def _end_of_boundary(self, position: int) -> int:
        """Return where a boundary ends whose text ends at `position`; 0 if these bytes are content after all."""
        while True:
            after = bytes(self._data[position : position + 256])
            if after.startswith(b"--"):
                self.is_over = True
                return position + 2
            padding = len(after) - len(after.lstrip(b" \t"))
            if after[padding:].startswith(b"\r\n"):
                return position + padding  # the line break belongs to the headers
            if len(after) == 256 or after[padding:] not in (b"", b"\r", b"-"):
                return 0
            self._read()
