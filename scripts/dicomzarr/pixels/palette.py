"""The palette color lookup table, which maps stored indices to colours, as integers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from dicomzarr.vocabulary.reasons import NotExtracted

if TYPE_CHECKING:
    from pydicom import Dataset


class Palette(TypedDict):
    """A palette colour lookup table (PS3.3 C.7.6.3.1.5).

    `first` is the stored value of the first entry, `bits` the width of an entry: 8 or 16. Values below
    `first` take the first entry, values beyond the table the last.
    """

    first: int
    bits: int
    red: list[int]
    green: list[int]
    blue: list[int]


def read_palette(dataset: Dataset) -> Palette:
    """Return the palette colour lookup table of a data set as integers; segmented tables are expanded.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With descriptors and data of the red, green and blue tables.

    Returns
    -------
    Palette
        As many entries as the descriptor declares.

    Raises
    ------
    NotExtracted
        `invalid_attribute` where the table is missing or cannot be read.

    References
    ----------
    DICOM PS3.3 C.7.6.3.1.5, C.7.6.3.1.6 and C.7.9.2.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entries, first, bits = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor)
            if bits not in (8, 16):
                raise NotExtracted("invalid_attribute", found=bits, needed=16)
            red, green, blue = (_entries(dataset, name, entries or 65536, bits) for name in ("Red", "Green", "Blue"))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError, NotImplementedError):
        raise NotExtracted("invalid_attribute") from None
    return {"first": first, "bits": bits, "red": red, "green": green, "blue": blue}


def _entries(dataset: Dataset, colour: str, entries: int, bits: int) -> list[int]:
    """Return the entries of one colour; raise where the table is malformed."""
    from pydicom.pixels.processing import _expand_segmented_lut

    order = "<" if dataset.original_encoding[1] is not False else ">"
    plain = f"{colour}PaletteColorLookupTableData"
    segmented = plain not in dataset
    raw = bytes(dataset[f"Segmented{plain}" if segmented else plain].value)
    # Entries of 8 bits are packed two to a word; older writers use one word for each (C.7.6.3.1.6).
    if bits == 16 or (not segmented and len(raw) >= 2 * entries):
        words = np.frombuffer(raw[: len(raw) & ~1], f"{order}u2")
    else:
        words = np.frombuffer(raw if order == "<" else np.frombuffer(raw, "<u2").byteswap().tobytes(), np.uint8)
    values = [int(word) for word in words]
    if segmented:
        values = _expand_segmented_lut(tuple(values), f"{order}{'B' if bits == 8 else 'H'}")
    if len(values) < entries or max(values[:entries]) >= 1 << bits:
        raise ValueError("short")
    return values[:entries]
