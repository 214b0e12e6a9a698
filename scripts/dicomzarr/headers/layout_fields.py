"""The elements of a layout of headers (`layouts`), with what the last header said in them."""

from __future__ import annotations

from typing import Final

from dicomzarr.dicom.vr import MAX_NAMING, NAMING, PIXEL_TAGS, is_text, kind_of, max_bytes
from dicomzarr.headers.attribute_table import SEQUENCES, is_searched
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.item_shapes import Shapes

OFTEN: Final = 8  # headers: a value that changes again within so many is put between two runs
_MAX_READ: Final = 4 << 10  # bytes of a wanted value; a header with a longer one is read by `fast_reader`


class Field:
    """An element of a layout.

    Parameters
    ----------
    prefix : bytes
    width, tag : int
    vr : str
        See below.

    Attributes
    ----------
    prefix : bytes
        Its first bytes, up to the length; with the length for a sequence of undefined length.
    width : int
        Bytes of the length: 2 or 4; 0 for a sequence of undefined length, whose value ends with its delimiter.
    tag, vr
        As `RawHeader` has them.
    is_wanted, is_text : bool
        Whether the value is an attribute of the index, and a text for the privacy search.
    limit : int
        Bytes of the value that are read.
    value : bytes
        Of the last header; up to the limit where the field is between two runs, and nothing if nobody reads it there.
    meaning : tuple
        What `attributes.meaning_of` says of the value, if it is wanted.
    place : int
        Index of the text among those of the layout; -1 if the text is empty.
    is_between : bool
        Whether it is between two runs.
    changed : int
        Number of the header in which the value changed last.
    shapes : Shapes, optional
        Of a sequence of undefined length that is not long.
    """

    __slots__ = (
        *("prefix", "width", "tag", "vr", "kind", "is_wanted", "is_text", "is_read", "limit", "value", "meaning"),
        *("place", "is_between", "changed", "shapes"),
    )

    def __init__(self, prefix: bytes, width: int, tag: int, vr: str) -> None:
        self.prefix, self.width, self.tag, self.vr = prefix, width, tag, vr
        self.is_wanted = tag in WANTED
        if tag in PIXEL_TAGS:
            self.is_text = self.is_read = False
            self.kind, self.limit = vr, 0
        elif self.is_wanted:
            # The bytes of most sequences of undefined length are not read: see `sequence_values`.
            self.is_read = width > 0 or tag in SEQUENCES
            self.is_text = self.is_read and is_searched(tag, vr)
            self.kind, self.limit = kind_of(tag, vr), _MAX_READ
        else:
            self.kind = kind_of(tag, vr)
            self.is_text = self.is_read = is_text(tag, vr) if width else tag in NAMING
            self.limit = max_bytes(self.kind) if width else MAX_NAMING
        self.value = b""
        self.meaning: tuple[str, object] = ("", None)
        self.place = -1
        self.is_between = tag in PIXEL_TAGS
        self.changed = -OFTEN - 1
        self.shapes: Shapes | None = None

    def content(self) -> bytes | None:
        """Return the value of an attribute.

        Returns
        -------
        bytes or None
            As `RawHeader` has it: None for a sequence whose bytes are not read.
        """
        return self.value if self.is_read else None
