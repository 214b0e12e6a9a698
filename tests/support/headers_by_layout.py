"""Headers read with what was learned from those before, and alone."""

from __future__ import annotations

from unittest import mock

from dicomzarr.headers import fast_reader, item_shapes, layouts
from dicomzarr.headers.classify import Header, read_header
from dicomzarr.headers.item_shapes import Shapes

Read = tuple[Header, list[tuple[str, bytes]]]


def forget() -> None:
    layouts.LAYOUTS.update({implicit: layouts.Layouts(implicit) for implicit in (False, True)})
    item_shapes._SHAPES.clear()


def as_before(data: bytes) -> Read:
    """Read a header with what was learned from those before."""
    texts: list[tuple[str, bytes]] = []
    return read_header(lambda length, offset: data[offset : offset + length], len(data), texts), texts


def alone(data: bytes) -> Read:
    """Read a header element by element."""
    texts: list[tuple[str, bytes]] = []
    with mock.patch.object(Shapes, "skip", lambda self, data, position: position):
        header = read_header(lambda length, offset: data[offset : offset + length], len(data), texts, use_layouts=False)
    return header, texts


def by_layout(data: bytes) -> Read:
    """Read a header that has a known layout."""
    with mock.patch.object(fast_reader, "read_raw", side_effect=AssertionError("no layout")):
        return as_before(data)
